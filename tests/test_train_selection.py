"""Training the selection of sentences, on a few prompts over works that there are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from index.encoder import load_encoder
from rag.evaluation.relevance import GradedPrompt, read_graded
from rag.selection.grading import SelectionModel
from rag.selection.reader import SentenceReader
from scripts.train_selection import main, rows_of, without

SUBJECTS = ("a lost dog", "a torn photo", "a hummed tune", "a menu in Thai")


def sentences(subject: str) -> list[tuple[str, dict[str, int]]]:
    return [
        (f"This network recognises {subject}.", {"task": 3, "bearing": 3}),
        (f"It is given {subject} and a line of text.", {"input": 3}),
        (f"A stack of layers compares {subject} with what it learned.", {"model": 3}),
        (f"What comes out is a sentence about {subject}.", {"output": 3}),
        (f"Install version 3 of the package for {subject}.", {}),
        (f"We thank those who sent us {subject}.", {}),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Graded prompts, each over a work of its own."""
    folder = tmp_path / "graded"
    folder.mkdir()
    for number, subject in enumerate(SUBJECTS):
        work = {"work": f"owner/{number}", "role": "recommended"}
        graded = [{**work, "text": text, "grades": own} for text, own in sentences(subject)]
        prompt = {"question": f"How does it know {subject}?", "sentences": graded}
        (folder / f"{number}.json").write_text(json.dumps(prompt))
    return folder


def grades_of(weights: Path, prompt: GradedPrompt) -> dict[str, list[float]]:
    scores = SelectionModel(load_file(weights)).scores(prompt.evidence)
    rows = zip(scores.candidates, scores.grades.tolist(), strict=True)
    return {item.text: row for item, row in rows}


def test_what_was_graded_is_learned_and_a_second_run_gives_the_same(
    folder: Path, tmp_path: Path
) -> None:
    first, again = tmp_path / "first.safetensors", tmp_path / "again.safetensors"
    main([folder], invented=folder, folder=tmp_path / "state", out=first)
    main([folder], invented=folder, folder=tmp_path / "state", out=again)  # where the first stopped
    assert first.read_bytes() == again.read_bytes()
    prompt = read_graded(folder, load_encoder())[0]
    grades = grades_of(first, prompt)
    good, other = sentences(SUBJECTS[0])[3][0], sentences(SUBJECTS[0])[4][0]
    assert grades[good][3] > grades[other][3]


def test_a_fold_is_measured_and_writes_no_weights(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights.safetensors"
    main([folder], folds=2, only=0, folder=tmp_path / "state", out=out)
    printed = capsys.readouterr().out
    assert "fold 0 useful" in printed
    assert "fold 1" not in printed
    assert not out.exists()


def test_rows_without_some_sentences_are_the_others_each_with_its_own_grades(folder: Path) -> None:
    prompt = read_graded(folder, load_encoder())[0]
    rows = rows_of(prompt, SentenceReader())
    tested = {text for text, _ in sentences(SUBJECTS[0])[:2]}
    left = without(rows, tested)
    assert [item.text for item in left.candidates] == [
        text for text, _ in sentences(SUBJECTS[0])[2:]
    ]
    assert left.grades.argmax(axis=1).tolist()[:2] == [2, 3]
    assert len(left.matrix) == len(left.lower) == len(left.lengths) == len(left.grades) == 4
