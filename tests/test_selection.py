"""Which sentence stands where: the candidates, the trained grades, and the joint choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from rag.retrieval import FACETS, Evidence
from rag.selection.assignment import ALIKE, FOREIGN, FURTHER, ROOM, THRESHOLDS, Selection, select
from rag.selection.features import candidates_in, terms_of
from rag.selection.grading import (
    PLACES,
    WEIGHTS,
    Place,
    SelectionModel,
    SentenceScores,
    trained_model,
)
from tests.parts.tiny_models import evidence

HUM = (
    "HumSearch finds songs by a hummed melody. "
    "Recordings of a voice are what HumSearch takes as its input. "
    "A neural network compares the melody with those of all known songs. "
    "The output is a list of songs with the most similar melody first. "
    "Please cite our paper if you use this code. "
    "Install the requirements with pip before you run the demo."
)
PRINTS = {"Prints": "Audio fingerprints identify a recording from a few seconds of sound."}
QUESTION = "I hummed a tune and the app told me its name. How does it find the song?"
MATERIAL = evidence({"HumSearch": HUM}, QUESTION, related=PRINTS)


# --- candidates -----------------------------------------------------------------------------


def test_a_candidate_is_a_whole_sentence_that_tells_something() -> None:
    text = "A Humming Search for Everyone. It hums. Is it quick? and then nothing (more."
    titled = {"HumSearch": f"{text}\n\nHumming Search with Deep Audio Networks"}
    candidates = candidates_in(evidence(titled, related=PRINTS))
    assert [(item.listing, item.text) for item in candidates] == [
        (0, "A Humming Search for Everyone."),
        (0, "It hums."),
        (1, PRINTS["Prints"]),
    ]


@pytest.mark.parametrize(
    ("heading", "pages", "told"),
    [
        ("A. Proof in One Dimension", (1,), False),
        ("B.2 Prompts", (1,), False),
        ("Appendix", (1,), False),
        ("Appendix", (), True),
        ("V. Experiments", (1,), True),
        ("Appendicitis in Children", (1,), True),
        ("4. A Simple Method", (1,), True),
    ],
)
def test_what_stands_in_the_appendix_of_a_paper_is_no_candidate(
    heading: str, pages: tuple[int, ...], told: bool
) -> None:
    material = evidence({"HumSearch": HUM})
    ((hit,),) = material.works
    headings = ["1. Introduction", "1. Introduction", "2. Method", heading, "Results", "Results"]
    passages = [
        replace(hit.passage, start=start, end=end, text=hit.text[start:end], heading=each,
                pages=pages, sentences=((start, end),))
        for each, (start, end) in zip(headings, hit.passage.sentences, strict=True)
    ]  # fmt: skip
    parts = tuple(replace(hit, passage=passage) for passage in passages)
    candidates = candidates_in(replace(material, works=(parts,)))
    assert len(candidates) == (6 if told else 3)
    assert {item.heading for item in candidates} == set(headings if told else headings[:3])


# --- the choice, by grades that are given ---------------------------------------------------

Grades = Mapping[Place, Mapping[str, float]]
"""In each place, by the first word of a sentence; 0 for all others."""
TUNES = (
    "The network maps a hummed melody to a point. "
    "Songs rank higher when their chorus resembles our hummed melody. "
    "Every hummed melody is moved into C major first. "
    "Breath marks cut what remains of one hummed melody. "
    "A short hummed melody says less than a long one. "
    "Pitch contours replace the notes. "
    "Wrong keys leave pitch contours as they are. "
    "Five pitch contours are kept per second. "
    "Noise hides some pitch contours. "
    "Zebras graze here. "
)
RHYTHM = "Equal pitch contours are told apart by rhythm."
OFTEN, RARELY = (evidence({"HumSearch": text}, QUESTION) for text in (TUNES + RHYTHM, TUNES))
BEST = {"The": 2.5, "Songs": 2.2, "Every": 2.1, "Breath": 2.0}
TOO_POOR = THRESHOLDS["model"] + FURTHER - 0.1
CHOICES: Mapping[str, tuple[Evidence, Grades, Mapping[str, str]]] = {
    "a sentence that two places want goes where it is missed most": (
        MATERIAL,
        {"model": {"Recordings": 2.5, "A": 2.0}, "input": {"Recordings": 2.4}},
        {"input": "Recordings", "model": "A"},
    ),
    "a part without a good sentence stays empty": (
        MATERIAL,
        {"task": {"HumSearch": 2.0}, "model": {"A": THRESHOLDS["model"]}},
        {"task": "HumSearch"},
    ),
    "the best sentence comes first, and others in the order of their works": (
        MATERIAL,
        {"model": {"HumSearch": 1.2, "A": 2.5, "Audio": 1.9}},
        {"model": "A HumSearch Audio"},
    ),
    "of nearly equal sentences that stands which says what no other says": (
        OFTEN,
        {"model": {**BEST, "Pitch": 1.7}},
        {"model": "The Songs Every Pitch"},
    ),
    "but not one that is poorer": (
        OFTEN,
        {"model": {**BEST, "Pitch": 1.4}},
        {"model": "The Songs Every Breath"},
    ),
    "nor one that is too poor to stand beside another": (
        OFTEN,
        {"model": {"The": 2.5, "Songs": TOO_POOR + 0.2, "Pitch": TOO_POOR}},
        {"model": "The Songs"},
    ),
    "nor one about what the works say rarely": (
        RARELY,
        {"model": {**BEST, "Pitch": 1.7}},
        {"model": "The Songs Every Breath"},
    ),
    "nor one about what another part names, whose sentences stay there": (
        OFTEN,
        {"model": {**BEST, "Pitch": 1.7, "Five": 2.4}, "output": {"Noise": 2.6, "Five": 2.3}},
        {"model": "The Songs Every Breath", "output": "Noise Five"},
    ),
}


def chosen(material: Evidence, grades: Grades) -> Selection:
    candidates = candidates_in(material)
    matrix = np.zeros((len(candidates), len(PLACES)), dtype=np.float32)
    for row, item in enumerate(candidates):
        for column, place in enumerate(PLACES):
            matrix[row, column] = grades.get(place, {}).get(item.text.split()[0], 0)
    return select(material, SentenceScores(candidates, matrix))


def first_words(selection: Selection) -> dict[str, str]:
    """Of the sentences of each part that says something."""
    return {
        facet: " ".join(placed.candidate.text.split()[0] for placed in told)
        for facet, told in selection.parts.items()
        if told
    }


@pytest.mark.parametrize("name", CHOICES)
def test_sentences_are_chosen_for_all_places_together(name: str) -> None:
    material, grades, told = CHOICES[name]
    assert first_words(chosen(material, grades)) == told


def test_a_weak_work_is_still_described() -> None:
    selection = chosen(MATERIAL, {"relevance": {"Audio": 0.1}})
    assert selection.relevant == (False, False)
    described = selection.works[1]
    assert described is not None
    assert described.candidate.text == PRINTS["Prints"]


def test_of_works_that_are_foreign_to_the_question_nothing_is_told_but_what_they_are() -> None:
    foreign = evidence({"HumSearch": HUM}, "Why is the sky blue?", near=FOREIGN - 0.1)
    selection = chosen(foreign, {"task": {"HumSearch": 3.0}, "relevance": {"HumSearch": 3.0}})
    assert first_words(selection) == {}
    assert selection.relevant == (False,)
    assert None not in selection.works


ALIKE_SENTENCE = "HumSearch finds many songs by a hummed melody."


@given(seed=st.integers(0, 10_000), scale=st.floats(0.0, 3.0))
@settings(deadline=None, max_examples=60)
def test_whatever_the_grades_no_sentence_stands_twice_and_none_is_below_its_threshold(
    seed: int, scale: float
) -> None:
    material = evidence({"HumSearch": f"{HUM} {ALIKE_SENTENCE}"}, QUESTION, related=PRINTS)
    candidates = candidates_in(material)
    grades = scale * np.random.default_rng(seed).random((len(candidates), len(PLACES)))
    selection = select(material, SentenceScores(candidates, grades.astype(np.float32)))
    told = [placed for facet in FACETS for placed in selection.parts[facet]]
    for facet in FACETS:
        assert len(selection.parts[facet]) <= ROOM[facet]
        assert all(placed.grade > THRESHOLDS[facet] for placed in selection.parts[facet])
    for number, (work, relevant) in enumerate(
        zip(selection.works, selection.relevant, strict=True)
    ):
        assert work is None or work.candidate.listing == number
        assert not relevant or (work is not None and work.grade > THRESHOLDS["relevance"])
    told += [work for work in selection.works if work]
    words = [terms_of(placed.candidate.text) for placed in told]
    for one, other in combinations(words, 2):
        assert len(one & other) <= ALIKE * max(1, min(len(one), len(other)))


# --- the trained grades ---------------------------------------------------------------------


def test_the_trained_grades_know_an_explanation_from_an_installation_guide() -> None:
    scores = trained_model().scores(MATERIAL)
    order = np.argsort(-scores.grades.max(axis=1))
    last = {scores.candidates[row].text.split()[0] for row in order[-2:]}
    assert last == {"Please", "Install"}
    assert scores.grades.min() >= 0.0
    assert scores.grades.max() <= 3.0


def test_the_trained_grades_are_the_same_from_the_first_time_on() -> None:
    models = (SelectionModel(load_file(WEIGHTS)), trained_model("cpu"))
    first, *others = (model.scores(MATERIAL).grades for model in models for _ in range(2))
    assert all(np.array_equal(first, other) for other in others)


def test_no_evidence_gives_no_grades() -> None:
    nothing = evidence({"Empty": ""})
    scores = trained_model().scores(nothing)
    assert scores.grades.shape == (0, len(PLACES))
    assert select(nothing, scores).works == (None,)
