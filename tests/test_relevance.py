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
from rag.selection.grading import PLACES, Place, trained_model
from rag.writers import SILENCE, Draft, DraftStatement, WorkNote
from tests.parts import ROOT, SHARED

README = (
    "# Whistle\n\nWhistle names the bird that sings in a recording. It takes ten seconds of sound. "
    "A small network compares the sound with a thousand songs.\n\n"
    "Clone the repository and run the setup script.\n"
)
ABSTRACT = "We count birds by radar. The count is shown on a map."


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(offline=True)


@pytest.fixture
def graded(tmp_path: Path, encoder: Encoder) -> GradedPrompt:
    """A README and an abstract, graded: the first sentence tells the task best."""
    mirror = tmp_path / "mirror"
    (mirror / "github/birds/whistle").mkdir(parents=True)
    (mirror / "github/birds/whistle/README.md").write_text(README)
    (mirror / "abstracts.jsonl").write_text(
        json.dumps({"arxiv_id": "2101.00001", "title": "Radar", "abstract": ABSTRACT}) + "\n"
    )
    readme = {
        "Whistle names the bird that sings in a recording.": "30002",
        "It takes ten seconds of sound.": "03000",
        "A small network compares the sound with a thousand songs.": "00300",
        "Clone the repository and run the setup script.": "00000",
    }
    abstract = {"We count birds by radar.": "00003", "The count is shown on a map.": "00001"}

    def work(source: str, name: str, role: str, grades: dict[str, str]) -> dict[str, object]:
        rows = [[0, text_hash(text), digits] for text, digits in grades.items()]
        return {"source": source, "name": name, "role": role, "sentences": rows}

    record = {
        "id": "bird",
        "set": "test",
        "readings": 1,
        "question": "What sang?",
        "works": [
            work("github:birds/whistle", "birds/whistle", "recommended", readme),
            work("abstract:2101.00001", "Radar", "related", abstract),
        ],
    }
    path = tmp_path / "grades.jsonl"
    path.write_text(json.dumps(record) + "\n")
    (prompt,) = read_graded(path, encoder, [mirror])
    return prompt


def told(prompt: GradedPrompt, **places: list[str]) -> Told:
    """The rows of sentences named by their first words."""
    rows = {prompt.evidence.text(row[1]): row for row in prompt.grades}
    found = {
        place: [next(row for text, row in rows.items() if text.startswith(one)) for one in each]
        for place, each in places.items()
    }
    return {place: found.get(place, []) for place in PLACES}


def values(prompt: GradedPrompt, places: Told) -> dict[str, float | None]:
    return {one.key: one.estimate().value for one in relevance_measures([(prompt, places)])}


def test_telling_the_best_sentences_attains_everything(graded: GradedPrompt) -> None:
    best = told(
        graded, task=["Whistle"], input=["It takes"], model=["A small"], relevance=["We count"]
    )
    measured = values(graded, best)
    assert measured["useful"] == 1.0
    assert measured["noise"] == 0.0
    # Of the works one is told for 3 of 2 × 3; nothing is graded for the output, which counts 1.
    assert measured["attained"] == pytest.approx((1 + 1 + 1 + 1 + 0.5) / 5)
    # The recommended work has a good sentence for its own note, and the note is missing.
    assert measured["silent"] == pytest.approx(1 / 5)


def test_a_sentence_in_the_wrong_place_is_noise(graded: GradedPrompt) -> None:
    measured = values(graded, told(graded, output=["Clone"], input=["Whistle"]))
    assert measured["useful"] == 0.0
    assert measured["noise"] == 1.0


def test_the_trained_selection_tells_no_installation(graded: GradedPrompt) -> None:
    chosen = choose(graded, trained_model().scores(graded.evidence))
    texts = [graded.evidence.text(span) for rows in chosen.values() for _, span in rows]
    assert any(text.startswith("Whistle names") for text in texts)
    assert not any(text.startswith("Clone") for text in texts)


def test_the_quotes_of_an_answer_count_where_they_stand(graded: GradedPrompt) -> None:
    rows = told(graded, task=["Whistle"], relevance=["We count"])
    evidence = replace(
        graded.evidence,
        readings=tuple(
            Reading(source_id, hits[0].source_type)
            for hits in graded.evidence.works
            for source_id in {hit.source_id for hit in hits}
        ),
    )
    (task,), (note,) = rows["task"], rows["relevance"]
    draft = Draft(
        task=(DraftStatement("", (task[1],)),),
        input=(SILENCE,),
        model=(SILENCE,),
        output=(SILENCE,),
        relevance_notes=(None, WorkNote(DraftStatement("", (note[1],)))),
    )
    assert told_in(compose(evidence, draft), graded) == rows


def test_the_table_has_the_floors_and_every_place(graded: GradedPrompt) -> None:
    floors = [(graded, floor(graded, "cosine"))]
    table = relevance_table("birds", {"cosine": floors})
    assert all(f"cosine: {place}" in table for place in PLACES)
    assert "useful" in table


def test_a_text_that_has_changed_is_refused(
    tmp_path: Path, encoder: Encoder, graded: GradedPrompt
) -> None:
    readme = tmp_path / "mirror/github/birds/whistle/README.md"
    readme.write_text("# Whistle\n\nAnother text altogether stands here now.\n")
    with pytest.raises(DatasetError, match="only 0 stand in its text"):
        read_graded(tmp_path / "grades.jsonl", encoder, [tmp_path / "mirror"])
    with pytest.raises(DatasetError, match="--mirror"):
        read_graded(tmp_path / "grades.jsonl", encoder)


def test_the_gradings_of_the_project_fit_the_shared_works(encoder: Encoder) -> None:
    if not (SHARED / "explain").is_dir():
        pytest.skip("../shared/explain is not there")
    lines = (ROOT / "scripts/grades.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    test_works = {w["source"] for one in records if one["set"] == "test" for w in one["works"]}
    others = {w["source"] for one in records if one["set"] != "test" for w in one["works"]}
    assert len(records) >= 40
    assert not test_works & others
    given = {
        sentence["work"]
        for path in (SHARED / "explain/graded").glob("*.json")
        for sentence in json.loads(path.read_text())["sentences"]
    }
    names = {w["name"] for one in records if one["set"] == "test" for w in one["works"]}
    assert not names & given


def test_a_given_graded_prompt_is_read(encoder: Encoder, tmp_path: Path) -> None:
    if not (SHARED / "explain/graded").is_dir():
        pytest.skip("../shared/explain/graded is not there")
    (tmp_path / "00.json").write_bytes((SHARED / "explain/graded/00.json").read_bytes())
    (prompt,) = read_graded(tmp_path, encoder)
    assert len(prompt.grades) > 100
    place: Place = "task"
    assert prompt.best(place, 1) == 3
