"""Useful, noise, attained, silent: over gradings made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from index.encoder import Encoder, load_encoder
from index.errors import DatasetError
from rag.answer.compose import compose
from rag.evaluation.relevance import (
    GradedPrompt,
    Told,
    choose,
    floor,
    read_graded,
    relevance_measures,
    relevance_table,
    text_hash,
    told_in,
)
from rag.retrieval import Reading
from rag.selection.grading import PLACES, trained_model
from rag.writers import SILENCE, Draft, DraftStatement, WorkNote
from tests.parts import ROOT, SHARED
from tests.parts.works import write

README = "github/birds/whistle/README.md"
# The sentences of a README and of an abstract, with their grades in each place.
WHISTLE = {
    "Whistle names the bird that sings in a recording.": "30002",
    "It takes ten seconds of sound.": "03000",
    "A small network compares the sound with a thousand songs.": "00300",
    "Clone the repository and run the setup script.": "00000",
}
RADAR = {"We count birds by radar.": "00003", "The count is shown on a map.": "00001"}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(offline=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror with the two works, and beside them the prompt with their grades."""
    folder = tmp_path_factory.mktemp("graded")
    write(folder / README, "# Whistle\n\n" + " ".join(WHISTLE))
    abstract = {"arxiv_id": "2101.00001", "title": "Radar", "abstract": " ".join(RADAR)}
    write(folder / "abstracts.jsonl", json.dumps(abstract))
    works = [
        {
            "source": source,
            "name": source,
            "role": role,
            "sentences": [[0, text_hash(text), digits] for text, digits in grades.items()],
        }
        for source, role, grades in (
            ("github:birds/whistle", "recommended", WHISTLE),
            ("abstract:2101.00001", "related", RADAR),
        )
    ]
    record = {"id": "bird", "set": "test", "question": "What sang?", "works": works}
    write(folder / "grades.jsonl", json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def graded(folder: Path, encoder: Encoder) -> GradedPrompt:
    (prompt,) = read_graded(folder / "grades.jsonl", encoder, [folder])
    return prompt


def told(prompt: GradedPrompt, **places: str) -> Told:
    """The row of one sentence for each place, named by its first words."""
    rows = {prompt.evidence.text(row[1]): row for row in prompt.grades}
    return {
        place: [row for text, row in rows.items() if text.startswith(places.get(place, "?"))]
        for place in PLACES
    }


def test_what_is_told_is_measured_by_its_grades(graded: GradedPrompt) -> None:
    def values(**places: str) -> dict[str, float | None]:
        measures = relevance_measures([(graded, told(graded, **places))])
        return {measure.key: measure.estimate().value for measure in measures}

    best = values(task="Whistle", input="It takes", model="A small", relevance="We count")
    assert (best["useful"], best["noise"]) == (1, 0)
    # Of the works one is told for 3 of 2 × 3; nothing is graded for the output, which counts 1.
    assert best["attained"] == pytest.approx((1 + 1 + 1 + 1 + 0.5) / 5)
    # The recommended work has a good sentence for its own note, and the note is missing.
    assert best["silent"] == pytest.approx(1 / 5)
    misplaced = values(output="Clone", input="Whistle")
    assert (misplaced["useful"], misplaced["noise"]) == (0, 1)
    # A sentence of grade 1 is neither.
    weak = values(relevance="The count")
    assert (weak["useful"], weak["noise"]) == (0, 0)


def test_the_trained_selection_tells_no_installation(graded: GradedPrompt) -> None:
    chosen = choose(graded, trained_model().scores(graded.evidence))
    texts = [graded.evidence.text(span) for rows in chosen.values() for _, span in rows]
    assert any(text.startswith("Whistle names") for text in texts)
    assert not any(text.startswith("Clone") for text in texts)


def test_the_quotes_of_an_answer_count_where_they_stand(graded: GradedPrompt) -> None:
    rows = told(graded, task="Whistle", relevance="We count")
    hits = [works[0] for works in graded.evidence.works]
    readings = tuple(Reading(hit.source_id, hit.source_type) for hit in hits)
    (task,), (note,) = rows["task"], rows["relevance"]
    draft = Draft(
        task=(DraftStatement("", (task[1],)),),
        input=(SILENCE,),
        model=(SILENCE,),
        output=(SILENCE,),
        relevance_notes=(None, WorkNote(DraftStatement("", (note[1],)))),
    )
    answer = compose(replace(graded.evidence, readings=readings), draft)
    assert told_in(answer, graded) == rows


def test_the_table_has_the_floors_and_every_place(graded: GradedPrompt) -> None:
    rows = {
        "cosine": [(graded, floor(graded, "cosine"))],
        "first": [(graded, floor(graded, "first sentences"))],
    }
    table = relevance_table("birds", rows)
    assert all(f"{name}: {place}" in table for name in rows for place in PLACES)
    # The first sentence of each work in turn.
    assert [row[0] for row in rows["first"][0][1]["task"]] == [0, 1]


def test_a_text_that_has_changed_or_is_not_there_is_refused(
    tmp_path: Path, folder: Path, encoder: Encoder
) -> None:
    write(tmp_path / README, "# Whistle\n\nAnother text altogether stands here now.\n")
    with pytest.raises(DatasetError, match="only 0 stand in its text"):
        read_graded(folder / "grades.jsonl", encoder, [tmp_path])
    with pytest.raises(DatasetError, match="--mirror"):
        read_graded(folder / "grades.jsonl", encoder)


def test_no_work_of_the_test_set_is_learned_from() -> None:
    lines = (ROOT / "scripts/grades.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) >= 40
    test_works = [work for one in records if one["set"] == "test" for work in one["works"]]
    learned = {work["source"] for one in records if one["set"] != "test" for work in one["works"]}
    assert learned.isdisjoint(work["source"] for work in test_works)
    given = [
        sentence["work"]
        for path in (SHARED / "explain/graded").glob("*.json")
        for sentence in json.loads(path.read_text())["sentences"]
    ]
    assert {work["name"] for work in test_works}.isdisjoint(given)


def test_graded_prompts_may_hold_their_sentences(encoder: Encoder, tmp_path: Path) -> None:
    grades = {"task": 3, "bearing": 2}
    sentence = {"work": "Whistle", "role": "related", "text": "It  names birds.", "grades": grades}
    raw = {"question": "What sang?", "sentences": [sentence, {**sentence, "text": "It is free."}]}
    write(tmp_path / "00.json", json.dumps(raw))
    (prompt,) = read_graded(tmp_path, encoder)
    assert list(prompt.grades.values()) == [(3, 0, 0, 0, 2)] * 2
    assert prompt.best("task", 1) == 3
    write(tmp_path / "01.json", "{}")
    with pytest.raises(DatasetError, match=r"01\.json: .*expected a graded prompt"):
        read_graded(tmp_path, encoder)
