"""Measures of retrieval by hand and by property; an evaluation set, read, run and reported."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.encoder import load_encoder
from index.errors import DatasetError
from rag.evaluation.retrieval import (
    MEASURES,
    Offsets,
    evaluate_retrieval,
    evidence_recall,
    hits,
    question_measures,
    read_evaluation_set,
)
from rag.retrieval.retrieve import load_reranker
from tests.parts import SHARED
from tests.parts.tiny_encoders import WordEncoder, write_encoder, write_reranker

TOPICS = ["noise", "editing", "matting", "portraits", "inpainting", "upsampling"]
SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda s: (s[0], s[0] + s[1])), max_size=8
)


def characters(spans: list[Offsets]) -> set[int]:
    return {offset for start, end in spans for offset in range(start, end)}


@given(SPANS, SPANS.filter(bool), st.integers(1, 120))
def test_recall_is_the_share_of_gold_characters_among_the_first_ones_read(
    ranked: list[Offsets], gold: list[Offsets], budget: int
) -> None:
    read = [offset for start, end in ranked for offset in range(start, end)][:budget]
    expected = len(set(read) & characters(gold)) / len(characters(gold))
    assert evidence_recall(ranked, gold, budget) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("span", "gold", "hit"),
    [
        ((0, 100), [(90, 110)], True),
        ((0, 100), [(91, 111)], False),
        ((0, 10), [(5, 500)], True),
        ((0, 10), [(6, 500)], False),
        ((0, 10), [], False),
    ],
)
def test_a_hit_overlaps_half_of_the_shorter_of_the_two(
    span: Offsets, gold: list[Offsets], hit: bool
) -> None:
    assert hits(span, gold) is hit


def test_ranks_are_measured_as_the_field_defines_them() -> None:
    passages = [(n * 10, n * 10 + 10) for n in range(12)]
    gold = [[(20, 30), (50, 60)], [(110, 120)], [(500, 510)]]
    found = question_measures([passages] * 3, gold)
    assert set(found) == set(MEASURES)
    assert found["hit@1"].tolist() == [0, 0, 0]
    assert found["hit@3"].tolist() == found["hit@10"].tolist() == [1, 0, 0]
    assert found["MRR"] == pytest.approx([1 / 3, 1 / 12, 0])
    ideal = 1 + 1 / math.log2(3)
    gained = 1 / math.log2(4) + 1 / math.log2(7)
    assert found["nDCG@10"] == pytest.approx([gained / ideal, 0, 0])
    assert found["recall@2000c"].tolist() == [1, 1, 0]


def write_set(folder: Path, *, documents: int = 4) -> Path:
    """Documents with a paragraph for each topic, and a question about each paragraph."""
    folder.mkdir()
    with (
        (folder / "documents.jsonl").open("w") as file,
        (folder / "questions.jsonl").open("w") as asked,
    ):
        for number in range(documents):
            text, sections, spans = "Preface.\n\n", [], []
            for topic in TOPICS:
                sections.append([len(text), topic.title()])
                start = len(text)
                text += f"The study of {topic} number {number} uses a method of its own. " * 9
                spans.append([start, len(text) - 1])
                text += "\n\n"
            name = f"d{number}"
            record = {"id": name, "title": "T", "text": text, "sections": sections}
            file.write(json.dumps(record) + "\n")
            for topic, span in zip(TOPICS, spans, strict=True):
                question = {
                    "id": f"{name}-{topic}",
                    "document_id": name,
                    "question": f"How is {topic} studied?",
                    "gold_spans": [span],
                }
                asked.write(json.dumps(question) + "\n")
            asked.write(json.dumps(question | {"gold_spans": []}) + "\n")
    return folder


def test_a_set_is_read_with_its_sections_and_without_what_has_no_answer(tmp_path: Path) -> None:
    data = read_evaluation_set(write_set(tmp_path / "made"))
    assert (data.name, len(data.documents), len(data.questions)) == ("made", 4, 24)
    document = data.documents["d0"]
    assert [section.heading for section in document.sections][:2] == ["", "Noise"]
    assert document.sections[-1].end == len(document.text)


QUESTION = '{"id": 1, "document_id": "d0", "question": "?", "gold_spans": [[5, 99999]]}'


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("questions.jsonl", "{", "questions.jsonl:1: Invalid JSON"),
        ("questions.jsonl", "[]", "questions.jsonl:1: Input should be an object"),
        ("questions.jsonl", '{"id": 1}', "questions.jsonl:1: document_id: Field required"),
        ("questions.jsonl", QUESTION.replace("d0", "d9"), "there is no document 'd9'"),
        ("questions.jsonl", QUESTION, "is not in the document"),
        ("questions.jsonl", "", "nothing to measure"),
        ("documents.jsonl", '{"id": "a", "text": "b", "sections": [[9, ""]]}', "not in order"),
        ("documents.jsonl", None, "documents.jsonl cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, file: str, line: str | None, message: str
) -> None:
    folder = write_set(tmp_path / "made")
    if line is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(line + "\n")
    with pytest.raises(DatasetError) as error:
        read_evaluation_set(folder)
    assert message in str(error.value)


@pytest.mark.skipif(
    not (SHARED / "eval/retrieval").is_dir(), reason="needs ../shared/eval/retrieval"
)
@pytest.mark.parametrize(("name", "questions"), [("qasper", 86), ("covidqa", 559)])
def test_the_shared_sets_are_read(name: str, questions: int) -> None:
    assert len(read_evaluation_set(SHARED / "eval/retrieval" / name).questions) == questions


def test_all_systems_answer_the_same_questions(tmp_path: Path) -> None:
    pytest.importorskip("langchain_text_splitters")
    data = read_evaluation_set(write_set(tmp_path / "made"))
    seen: list[tuple[str, int, int]] = []
    report = evaluate_retrieval(
        data,
        WordEncoder(),
        baselines=("langchain", "bm25"),
        notify=lambda stage, done, total, what: seen.append((stage, done, total)),
    )
    assert [system.name for system in report.systems] == ["rag", "langchain", "bm25"]
    assert [set(system.differences) for system in report.systems[1:]] == [set(MEASURES)] * 2
    ours = report.systems[0].measures
    assert set(ours) == set(MEASURES)
    # Each question names its paragraph's topic, which is in no other paragraph.
    assert ours["hit@1"].value == ours["MRR"].value == 1
    # All but the spaces between the passages of the paragraph.
    assert ours["recall@2000c"].value == pytest.approx(1, abs=0.01)
    assert {what for what, done, total in seen if done == total} == {"rag", "langchain", "bm25"}

    again = json.loads(report.to_json())
    assert again["questions"] == 24
    assert again["systems"][0]["measures"]["MRR"]["value"] == 1
    table = report.table()
    assert all(measure in table for measure in MEASURES)
    assert "against langchain" in table


def test_a_plot_is_drawn_and_without_matplotlib_said_not_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    data = read_evaluation_set(write_set(tmp_path / "made", documents=2))
    report = evaluate_retrieval(data, WordEncoder(), baselines=("bm25",))
    path = tmp_path / "measures.png"
    assert report.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    path.unlink()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not report.plot(path)
    assert not path.exists()


def test_a_cross_encoder_reads_the_best_passages_again(tmp_path: Path) -> None:
    reranker = load_reranker(str(write_reranker(tmp_path / "cross")), offline=True)
    encoder = load_encoder(str(write_encoder(tmp_path / "tiny")), offline=True)
    data = read_evaluation_set(write_set(tmp_path / "made", documents=2))
    report = evaluate_retrieval(data, encoder, reranker=reranker)
    assert (report.encoder, report.reranker) == (encoder.name, str(tmp_path / "cross"))
