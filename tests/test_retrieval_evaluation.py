"""Reading an evaluation set, running it, and reporting what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.encoder import load_encoder
from index.errors import DatasetError
from rag.evaluation.evaluation_set import read_evaluation_set
from rag.evaluation.evidence_recall import MEASURES
from rag.evaluation.retrieval import BASELINES, evaluate_retrieval, plot
from rag.retrieval.reranker import load_reranker
from tests.parts.tiny_encoders import WordEncoder, write_encoder, write_reranker

SHARED = Path(__file__).parents[1] / "../shared/eval/retrieval"
TOPICS = ["noise", "editing", "matting", "portraits", "inpainting", "upsampling"]


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
    _, document = data.documents[0]
    assert [section.heading for section in document.sections][:2] == ["", "Noise"]
    assert document.sections[-1].end == len(document.text)


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("questions.jsonl", "{", "questions.jsonl:1: not JSON"),
        ("questions.jsonl", "[]", "expected an object"),
        ("questions.jsonl", '{"id": 1}', "questions.jsonl:1: there is no 'gold_spans'"),
        (
            "questions.jsonl",
            '{"id": 1, "document_id": "d9", "question": "?", "gold_spans": []}',
            "there is no document 'd9'",
        ),
        (
            "questions.jsonl",
            '{"id": 1, "document_id": "d0", "question": "?", "gold_spans": [[5, 99999]]}',
            "is not in the document",
        ),
        ("questions.jsonl", "", "nothing to measure"),
        ("documents.jsonl", '{"id": "a", "text": "b", "sections": [[9, ""]]}', "not in order"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(
    tmp_path: Path, file: str, line: str, message: str
) -> None:
    folder = write_set(tmp_path / "made")
    (folder / file).write_text(line + "\n")
    with pytest.raises(DatasetError) as error:
        read_evaluation_set(folder)
    assert message in str(error.value)


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"documents\.jsonl"):
        read_evaluation_set(tmp_path)


@pytest.mark.parametrize(("name", "questions"), [("qasper", 86), ("covidqa", 559)])
def test_the_shared_sets_are_read(name: str, questions: int) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared data is not here")
    data = read_evaluation_set(SHARED / name)
    assert len(data.questions) == questions


def test_all_systems_answer_the_same_questions(tmp_path: Path) -> None:
    pytest.importorskip("langchain_text_splitters")
    data = read_evaluation_set(write_set(tmp_path / "made"))
    seen: list[tuple[str, int, int]] = []
    report = evaluate_retrieval(
        data,
        WordEncoder(),
        baselines=BASELINES,
        progress=lambda what, done, total: seen.append((what, done, total)),
    )
    assert [system.name for system in report.systems] == ["rag", "langchain", "bm25"]
    assert [item.second for item in report.comparisons] == ["langchain", "bm25"]
    ours = report.systems[0].measures
    assert set(ours) == set(MEASURES)
    # Each question names its paragraph's topic, which is in no other paragraph.
    assert ours["hit@1"].mean == ours["MRR"].mean == 1
    # All but the space between two passages of the paragraph.
    assert ours["recall@2000c"].mean > 0.997
    assert {what for what, done, total in seen if done == total} == {"rag", "langchain", "bm25"}

    again = json.loads(report.to_json())
    assert again["questions"] == 24
    assert again["systems"][0]["measures"]["MRR"]["mean"] == 1
    table = report.table()
    assert all(measure in table for measure in MEASURES)
    assert "against langchain" in table


def test_a_plot_is_drawn_where_matplotlib_is_installed(tmp_path: Path) -> None:
    data = read_evaluation_set(write_set(tmp_path / "made", documents=2))
    report = evaluate_retrieval(data, WordEncoder(), baselines=("bm25",))
    drawn = plot(report, tmp_path / "measures.png")
    assert drawn == (tmp_path / "measures.png").is_file()


def test_a_cross_encoder_reads_the_best_passages_again(tmp_path: Path) -> None:
    reranker = load_reranker(str(write_reranker(tmp_path / "cross")), offline=True)
    data = read_evaluation_set(write_set(tmp_path / "made", documents=2))
    report = evaluate_retrieval(data, WordEncoder(), reranker=reranker)
    assert report.reranker == str(tmp_path / "cross")


def test_the_evaluation_runs_with_a_real_encoder(tmp_path: Path) -> None:
    encoder = load_encoder(str(write_encoder(tmp_path / "tiny")), offline=True)
    data = read_evaluation_set(write_set(tmp_path / "made", documents=2))
    report = evaluate_retrieval(data, encoder)
    assert report.encoder == encoder.name
    assert report.systems[0].measures["hit@10"].mean > 0.5
