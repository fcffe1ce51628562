"""Measures of retrieval by hand and by property; an evaluation set, read, run and reported."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
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
from tests.parts.tiny_encoders import WordEncoder, write_encoder, write_reranker

TOPICS = ["noise", "editing", "matting", "portraits", "inpainting", "upsampling"]
SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda s: (s[0], s[0] + s[1])), max_size=8
)


@given(SPANS, SPANS.filter(bool), st.integers(1, 120))
def test_recall_is_the_share_of_gold_characters_among_the_first_ones_read(
    ranked: list[Offsets], gold: list[Offsets], budget: int
) -> None:
    wanted = {offset for span in gold for offset in range(*span)}
    read = [offset for span in ranked for offset in range(*span)][:budget]
    expected = len(wanted.intersection(read)) / len(wanted)
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two documents with a paragraph for each topic, a question about each paragraph, and one
    that has no answer."""
    documents, questions = [], []
    for name in ("d0", "d1"):
        text, sections = "Preface.\n\n", []
        for topic in TOPICS:
            paragraph = f"The study of {topic} in {name} uses a method of its own. " * 9
            gold = [[len(text), len(text) + len(paragraph) - 1]]
            asked = {"document_id": name, "question": f"How is {topic} studied?"}
            questions.append({**asked, "gold_spans": gold})
            sections.append([len(text), topic.title()])
            text += f"{paragraph}\n\n"
        documents.append({"id": name, "title": "T", "text": text, "sections": sections})
    questions.append({**asked, "gold_spans": []})
    for file, records in (("documents", documents), ("questions", questions)):
        (tmp_path / f"{file}.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def test_a_set_is_read_with_its_sections_and_without_what_has_no_answer(folder: Path) -> None:
    data = read_evaluation_set(folder)
    assert (data.name, len(data.documents), len(data.questions)) == (folder.name, 2, 12)
    document = data.documents["d0"]
    assert [section.heading for section in document.sections][:2] == ["", "Noise"]
    assert document.sections[-1].end == len(document.text)


QUESTION = '{"id": 1, "document_id": "d0", "question": "?", "gold_spans": [[5, 99999]]}'


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("questions.jsonl", "{", "questions.jsonl:1: Invalid JSON"),
        ("questions.jsonl", '{"id": 1}', "questions.jsonl:1: document_id: Field required"),
        ("questions.jsonl", QUESTION.replace("d0", "d9"), "there is no document 'd9'"),
        ("questions.jsonl", QUESTION, "is not in the document"),
        ("questions.jsonl", "", "nothing to measure"),
        ("documents.jsonl", '{"id": "a", "text": "b", "sections": [[9, ""]]}', "not in order"),
        ("documents.jsonl", None, "documents.jsonl cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    folder: Path, file: str, line: str | None, message: str
) -> None:
    (folder / file).unlink()
    if line is not None:
        (folder / file).write_text(line + "\n")
    with pytest.raises(DatasetError, match=message):
        read_evaluation_set(folder)


def test_all_systems_answer_the_same_questions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("langchain_text_splitters", "matplotlib"):
        pytest.importorskip(package)
    seen: list[tuple[str, int, int]] = []
    report = evaluate_retrieval(
        read_evaluation_set(folder),
        WordEncoder(),
        baselines=("langchain", "bm25"),
        notify=lambda stage, done, total, what: seen.append((stage, done, total)),
    )
    names = ["rag", "langchain", "bm25"]
    assert [system.name for system in report.systems] == names
    assert seen == [(name, done, 2) for name in names for done in (1, 2)]
    assert [set(system.differences) for system in report.systems[1:]] == [set(MEASURES)] * 2
    ours = report.systems[0].measures
    assert set(ours) == set(MEASURES)
    # Each question names its paragraph's topic, which is in no other paragraph.
    assert ours["hit@1"].value == ours["MRR"].value == 1
    # All but the spaces between the passages of the paragraph.
    assert ours["recall@2000c"].value == pytest.approx(1, abs=0.01)

    again = json.loads(report.to_json())
    assert (again["questions"], again["systems"][0]["measures"]["MRR"]["value"]) == (12, 1)
    table = report.table()
    assert all(measure in table for measure in MEASURES)
    assert "against langchain" in table
    path = folder / "measures.png"
    assert report.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    path.unlink()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not report.plot(path)
    assert not path.exists()


def test_a_cross_encoder_reads_the_best_passages_again(folder: Path) -> None:
    reranker = load_reranker(str(write_reranker(folder / "cross")), offline=True)
    encoder = load_encoder(str(write_encoder(folder / "tiny")), offline=True)
    data = read_evaluation_set(folder)
    data = replace(data, documents={"d0": data.documents["d0"]}, questions=data.questions[:2])
    report = evaluate_retrieval(data, encoder, reranker=reranker)
    assert (report.encoder, report.reranker) == (encoder.name, str(folder / "cross"))
    alone = evaluate_retrieval(data, encoder)
    assert report.systems[0].measures["MRR"] != alone.systems[0].measures["MRR"]
