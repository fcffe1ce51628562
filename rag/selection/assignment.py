"""Which sentence stands where: one choice for all places of an answer together.

Each place has room for a few sentences, and each listed work for one beside its name. A sentence
stands in one place at most, and what says much the same as another stands nowhere; of all such
choices the one with the greatest sum of expected grades above each place's threshold is taken
(an assignment problem), so that a place with few good sentences is not robbed by one with many,
and a weak sentence is left out rather than told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.retrieval import FACETS, Evidence, Facet
from rag.selection.features import Candidate, terms_of
from rag.selection.grading import PLACES, Place, SentenceScores

Values = npt.NDArray[np.float64]

ROOM: Mapping[Facet, int] = {"task": 2, "input": 2, "model": 4, "output": 2}
"""The most sentences of each part."""
THRESHOLDS: Mapping[Place, float] = {
    "task": 0.6, "input": 0.6, "model": 0.6, "output": 0.6, "relevance": 0.3,
}  # fmt: skip
"""The least expected grade of a sentence that is told: chosen by cross-validation."""
FURTHER = 0.5
"""How much better a further sentence of a part has to be than its first: rather few than weak."""
FOREIGN = 0.22
"""The cosine with the question that some sentence of a recommended model has to reach; below it
the works are held to be foreign to the question. Of 96 graded prompts 5 % lie below it, and of
questions put to another prompt's works 30 %: a lay question and a README share few words."""
ALIKE = 0.6
"""The share of the shorter sentence's words in the longer from which on they say the same."""
_NEVER = -9.0


@dataclass(frozen=True, slots=True)
class PlacedSentence:
    """A sentence in its place, with its expected grade there, 0 to 3."""

    candidate: Candidate
    grade: float


@dataclass(frozen=True, slots=True)
class Selection:
    """What is told: `parts[facet]` in the order in which it reads, () where nothing is good
    enough; `works[i]` is the best sentence for listing `i` however weak, None where nothing of it
    may be quoted; `relevant[i]` says whether it is good enough."""

    parts: Mapping[Facet, tuple[PlacedSentence, ...]]
    works: tuple[PlacedSentence | None, ...]
    relevant: tuple[bool, ...]


def select(evidence: Evidence, scores: SentenceScores) -> Selection:
    """The choice for one prompt. Deterministic: ties go to the earlier sentence."""
    from scipy.optimize import linear_sum_assignment

    listings = range(len(evidence.prompt.listings))
    slots: list[tuple[Place, int]] = [(facet, -1) for facet in FACETS for _ in range(ROOM[facet])]
    slots += [("relevance", listing) for listing in listings]
    values = _values(scores, slots)
    if _is_foreign(evidence, scores):
        values[:] = _NEVER
    words = [terms_of(item.text) for item in scores.candidates]
    # Rows of zeros: a slot may stay empty.
    empty = np.zeros((len(slots), len(slots)))
    while True:
        rows, columns = linear_sum_assignment(np.vstack((values, empty)), maximize=True)
        chosen = {
            int(column): int(row)
            for row, column in zip(rows, columns, strict=True)
            if row < len(values) and values[row, column] > 0
        }
        best_first = sorted(chosen, key=lambda slot: (-values[chosen[slot], slot], slot))
        repeated = _first_repeated([chosen[slot] for slot in best_first], words)
        if repeated is None:
            break
        values[repeated] = _NEVER
    parts = {
        facet: _in_reading_order(
            [_placed(scores, chosen[s], facet) for s in chosen if slots[s][0] == facet]
        )
        for facet in FACETS
    }
    used = set(chosen.values())
    notes = {slots[slot][1]: row for slot, row in chosen.items() if slots[slot][0] == "relevance"}
    works = tuple(
        _placed(scores, notes[n], "relevance") if n in notes else _best(scores, n, used, words)
        for n in listings
    )
    return Selection(parts, works, tuple(n in notes for n in listings))


def _is_foreign(evidence: Evidence, scores: SentenceScores) -> bool:
    recommended = [
        item.context.similarity
        for item in scores.candidates
        if evidence.prompt.listings[item.listing].role != "related"
    ]
    return max(recommended, default=1.0) < FOREIGN


def _values(scores: SentenceScores, slots: list[tuple[Place, int]]) -> Values:
    """[n, slots]: how far each sentence is above what each slot asks for, `_NEVER` below it."""
    owners = np.array([item.listing for item in scores.candidates], dtype=np.int64)
    values = np.full((len(owners), len(slots)), _NEVER)
    for column, (place, listing) in enumerate(slots):
        is_further = (place, listing) in slots[:column]
        above = scores.of(place) - THRESHOLDS[place] - FURTHER * is_further
        fits = (above > 0) & ((listing < 0) | (owners == listing))
        values[fits, column] = above[fits]
    return values


def _first_repeated(rows: list[int], words: list[frozenset[str]]) -> int | None:
    for position, row in enumerate(rows):
        if any(_alike(words[row], words[other]) for other in rows[:position]):
            return row
    return None


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) > ALIKE * max(1, min(len(one), len(other)))


def _best(
    scores: SentenceScores, listing: int, used: set[int], words: list[frozenset[str]]
) -> PlacedSentence | None:
    """The best of a work's other sentences, weak as it is."""
    grades = scores.of("relevance")
    own = [
        row
        for row, item in enumerate(scores.candidates)
        if item.listing == listing and not any(_alike(words[row], words[each]) for each in used)
    ]
    if not own:
        return None
    row = max(own, key=lambda row: (grades[row], -row))
    used.add(row)
    return _placed(scores, row, "relevance")


def _placed(scores: SentenceScores, row: int, place: Place) -> PlacedSentence:
    return PlacedSentence(scores.candidates[row], float(scores.grades[row, PLACES.index(place)]))


def _in_reading_order(placed: list[PlacedSentence]) -> tuple[PlacedSentence, ...]:
    """The best sentence first, for it answers the question; then what its work says further, as it
    stands there; then the other works, each by its best."""
    best = {
        listing: max(item.grade for item in placed if item.candidate.listing == listing)
        for listing in {item.candidate.listing for item in placed}
    }
    first = max((item.grade for item in placed), default=0.0)
    return tuple(
        sorted(
            placed,
            key=lambda item: (
                item.grade < first,
                -best[item.candidate.listing],
                item.candidate.listing,
                item.candidate.span.source_id,
                item.candidate.span.start,
            ),
        )
    )
