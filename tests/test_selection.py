"""Which sentence stands where: features, trained grades, and the joint choice."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from rag.retrieval import FACETS, Evidence
from rag.selection.assignment import ALIKE, FOREIGN, FURTHER, ROOM, THRESHOLDS, Selection, select
from rag.selection.features import candidates_in, features, terms_of
from rag.selection.grading import (
    PLACES,
    WEIGHTS,
    SelectionModel,
    SentenceScores,
    trained_model,
)
from tests.parts.tiny_models import evidence

HUM = (
    "HumSearch finds songs by a hummed melody. "
    "HumSearch takes a short recording of a voice as its input. "
    "A neural network compares the melody with those of all known songs. "
    "The output is a list of songs with the most similar melody first. "
    "Please cite our paper if you use this code. "
    "Install the requirements with pip before you run the demo."
)
QUESTION = "I hummed a tune and the app told me its name. How does it find the song?"


def material() -> Evidence:
    related = {"Prints": "Audio fingerprints identify a recording from a few seconds of sound."}
    return evidence({"HumSearch": HUM}, QUESTION, related=related)


def scores_of(evidence_: Evidence, grades: dict[tuple[str, str], float]) -> SentenceScores:
    """The given grades by the first words of a sentence and by place, 0 elsewhere."""
    candidates = candidates_in(evidence_)
    matrix = np.zeros((len(candidates), len(PLACES)), dtype=np.float32)
    for (beginning, place), grade in grades.items():
        for row, item in enumerate(candidates):
            if item.text.startswith(beginning):
                matrix[row, [*PLACES].index(place)] = grade  # type: ignore[arg-type]
    return SentenceScores(candidates, matrix)


def texts(selection: Selection) -> dict[str, list[str]]:
    return {facet: [placed.candidate.text for placed in selection.parts[facet]] for facet in FACETS}


def test_every_sentence_is_a_candidate_once_for_each_work_that_lists_it() -> None:
    candidates = candidates_in(material())
    assert [item.text for item in candidates if item.listing == 0] == [
        sentence.strip() + "." for sentence in HUM.split(".") if sentence
    ]
    assert len({(item.listing, item.span) for item in candidates}) == len(candidates)


def test_titles_questions_and_parts_of_sentences_are_no_candidates() -> None:
    text = "A Humming Search for Everyone. It hums. Is it quick? and then nothing (more."
    titled = {"HumSearch": f"{text}\n\nHumming Search with Deep Audio Networks"}
    assert [item.text for item in candidates_in(evidence(titled))] == [
        "A Humming Search for Everyone.",
        "It hums.",
    ]


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("A. Proof in One Dimension", False),
        ("B.2 Prompts", False),
        ("Appendix", False),
        ("V. Experiments", True),
        ("Appendicitis in Children", True),
        ("4. A Simple Method", True),
    ],
)
def test_what_stands_in_the_appendix_of_a_paper_is_no_candidate(heading: str, told: bool) -> None:
    texts = [f"Sentence {number} of the paper stands here." for number in range(1, 5)]
    found = evidence({"HumSearch": " ".join(texts)})
    (hit,) = found.works[0]
    headings = ("1. Introduction", "2. Method", heading, "Results")
    parts = [
        replace(hit, passage=replace(hit.passage, start=start, end=end, heading=each, pages=(1,),
        text=hit.text[start:end], sentences=((start, end),)))
        for (start, end), each in zip(hit.passage.sentences, headings, strict=True)
    ]  # fmt: skip
    shown = [item.text for item in candidates_in(replace(found, works=(tuple(parts),)))]
    assert shown == (texts if told else texts[:2])
    unpaged = tuple(replace(it, passage=replace(it.passage, pages=())) for it in parts)
    assert len(candidates_in(replace(found, works=(unpaged,)))) == 4


def test_features_depend_on_the_evidence_alone() -> None:
    one, other = material(), material()
    first = features(one, candidates_in(one))
    assert first.shape[0] == len(candidates_in(one))
    assert np.isfinite(first).all()
    assert np.array_equal(first, features(other, candidates_in(other)))


def test_a_sentence_that_two_places_want_goes_where_it_is_missed_most() -> None:
    """A greedy choice would give the only input sentence to the part with the higher grade."""
    takes, compares = "HumSearch takes", "A neural network"
    grades = {(takes, "model"): 2.5, (takes, "input"): 2.4, (compares, "model"): 2.0}
    selection = select(material(), scores_of(material(), grades))
    assert texts(selection)["input"][0].startswith(takes)
    assert texts(selection)["model"][0].startswith(compares)


def test_a_part_without_a_good_sentence_stays_empty_and_a_weak_work_is_still_described() -> None:
    grades = {("HumSearch finds", "task"): 2.0, ("Audio", "relevance"): 0.1}
    selection = select(material(), scores_of(material(), grades))
    assert [len(told) for told in texts(selection).values()] == [1, 0, 0, 0]
    assert selection.relevant == (False, False)
    described = selection.works[1]
    assert described is not None
    assert described.candidate.text.startswith("Audio fingerprints")


def test_of_works_that_are_foreign_to_the_question_nothing_is_told_but_what_they_are() -> None:
    foreign = evidence({"HumSearch": HUM}, "Why is the sky blue?", near=FOREIGN - 0.1)
    selection = select(foreign, trained_model().scores(foreign))
    assert all(not told for told in selection.parts.values())
    assert selection.relevant == (False,)
    assert None not in selection.works


def test_the_best_sentence_of_a_part_comes_first() -> None:
    grades = {
        ("HumSearch finds", "model"): 1.2,
        ("A neural network", "model"): 2.5,
        ("Audio", "model"): 1.9,
    }
    selection = select(material(), scores_of(material(), grades))
    beginnings = [text.split()[0] for text in texts(selection)["model"]]
    assert beginnings[0] == "A"
    assert set(beginnings) == {"A", "HumSearch", "Audio"}


def test_a_further_sentence_of_a_part_has_to_be_better_than_the_first() -> None:
    enough, not_enough = (THRESHOLDS["model"] + FURTHER + more for more in (0.1, -0.1))
    for further, told in ((enough, 2), (not_enough, 1)):
        grades = {("A neural network", "model"): 2.5, ("HumSearch finds", "model"): further}
        selection = select(material(), scores_of(material(), grades))
        assert len(texts(selection)["model"]) == told


TUNES = (
    "The network maps a hummed melody to a point. "
    "Songs rank higher when their chorus resembles our hummed melody. "
    "Every hummed melody is moved into C major first. "
    "Breath marks cut what remains of one hummed melody. "
    "A short hummed melody says less than a long one. "
    "Pitch contours replace the notes. "
    "Pitch contours survive a wrong key. "
    "Five pitch contours are kept per second. "
    "Noise hides some pitch contours. "
    "Songs with equal pitch contours are told apart by rhythm. "
    "Zebras graze here."
)


def tunes(grades: dict[str, float], text: str = TUNES) -> list[str]:
    evidence_ = evidence({"HumSearch": text}, QUESTION)
    by_place = {(beginning, "model"): grade for beginning, grade in grades.items()}
    return texts(select(evidence_, scores_of(evidence_, by_place)))["model"]


FIVE = {"The network": 2.5, "Songs rank": 2.2, "Every": 2.1, "Breath": 2.0, "Pitch contours r": 1.7}


def test_of_sentences_nearly_as_good_that_stands_which_says_what_no_other_says() -> None:
    told = tunes(FIVE)
    assert told[0].startswith("The network")
    assert "Pitch contours replace the notes." in told
    assert not any(text.startswith("Breath") for text in told)
    assert len(told) == ROOM["model"]


def test_what_the_works_often_say_makes_no_poor_sentence_good() -> None:
    assert not any("contours" in text for text in tunes({**FIVE, "Pitch contours r": 1.4}))
    weak = {"The network": 2.5, "Pitch contours r": THRESHOLDS["model"] + FURTHER - 0.1}
    assert len(tunes(weak)) == 1


def test_what_the_works_say_in_a_few_sentences_only_gains_nothing() -> None:
    rarely = ". ".join(each for each in TUNES.split(". ") if not each.endswith("rhythm"))
    assert not any("contours" in text for text in tunes(FIVE, rarely))


def test_what_another_part_names_gains_nothing_and_what_it_tells_stays_there() -> None:
    evidence_ = evidence({"HumSearch": TUNES}, QUESTION)
    grades = {(beginning, "model"): grade for beginning, grade in {**FIVE, "Five": 2.4}.items()}
    grades |= {("Noise", "output"): 2.6, ("Five", "output"): 2.3}
    told = texts(select(evidence_, scores_of(evidence_, grades)))
    assert not any("contours" in text for text in told["model"])
    assert [text.split()[0] for text in told["output"]] == ["Noise", "Five"]


@given(seed=st.integers(0, 10_000), scale=st.floats(0.0, 3.0))
@settings(deadline=None, max_examples=60)
def test_whatever_the_grades_no_sentence_stands_twice_and_none_is_below_its_threshold(
    seed: int, scale: float
) -> None:
    evidence_ = material()
    candidates = candidates_in(evidence_)
    grades = scale * np.random.default_rng(seed).random((len(candidates), len(PLACES)))
    selection = select(evidence_, SentenceScores(candidates, grades.astype(np.float32)))
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


def test_the_trained_grades_know_an_explanation_from_an_installation_guide() -> None:
    scores = trained_model().scores(material())
    order = np.argsort(-scores.grades.max(axis=1))
    last = {scores.candidates[row].text.split()[0] for row in order[-2:]}
    assert last == {"Please", "Install"}
    assert scores.grades.min() >= 0.0
    assert scores.grades.max() <= 3.0


def test_the_trained_grades_are_the_same_from_the_first_time_on() -> None:
    weights = load_file(WEIGHTS)
    first = SelectionModel(weights)
    one, other = (first.scores(material()).grades for _ in range(2))
    assert np.array_equal(one, other)
    assert np.array_equal(one, SelectionModel(weights).scores(material()).grades)


def test_no_evidence_gives_no_grades() -> None:
    nothing = evidence({"Empty": ""})
    assert trained_model().scores(nothing).grades.shape == (0, len(PLACES))
    selection = select(nothing, trained_model().scores(nothing))
    assert selection.works == (None,)


@pytest.mark.parametrize("place", PLACES)
def test_every_place_has_a_threshold_between_the_grades(place: str) -> None:
    assert 0.0 < THRESHOLDS[place] < 3.0  # type: ignore[index]
