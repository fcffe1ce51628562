"""Which sentence stands where: one choice for all places of an answer together.

Each place has room for a few sentences, and each listed work for one beside its name. A sentence
stands in one place at most, and what says much the same as another stands nowhere; of all such
choices the one with the greatest sum of expected grades above each place's threshold is taken
(an assignment problem), so that a place with few good sentences is not robbed by one with many,
and a weak sentence is left out rather than told. Then the further sentences of the parts are chosen
anew, so that together they say what the works say most often, and each says something new.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from rag.retrieval import FACETS, Evidence, Facet
from rag.retrieval.scoring import terms
from rag.selection.features import Candidate, terms_of
from rag.selection.grading import PLACES, Place, SentenceScores

Slot = tuple[Place, int]
"""A place, and the listing for which a sentence stands there, -1 in the parts of the answer."""

ROOM: Mapping[Facet, int] = {"task": 2, "input": 2, "model": 4, "output": 2}
"""The most sentences of each part."""
THRESHOLDS: Mapping[Place, float] = {it: 0.3 if it == "relevance" else 0.6 for it in PLACES}
"""The least expected grade of a sentence that is told: chosen by cross-validation."""
FURTHER = 0.5
"""How much better a further sentence of a part has to be than its first: rather few than weak."""
FOREIGN = 0.22
"""The cosine with the question that some sentence of a recommended model has to reach; below it
the works are held to be foreign to the question. Of 96 graded prompts 5 % lie below it, and of
questions put to another prompt's works 30 %: a lay question and a README share few words."""
CONCEPT_SENTENCES = 5
"""Sentences of the works from which on a pair of words that they say is one of their concepts."""
COVERAGE = 0.5
"""What a further sentence gains, in grades, by the works' most frequent concept where nothing that
is told names it; by others in proportion to the sentences that do: chosen by cross-validation."""
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
    slots: list[Slot] = [(facet, -1) for facet in FACETS for _ in range(ROOM[facet])]
    slots += [("relevance", listing) for listing in listings]
    owners = np.array([item.listing for item in scores.candidates], dtype=np.int64)
    values = np.full((len(owners), len(slots)), _NEVER)
    recommended = [
        item.context.similarity
        for item in scores.candidates
        if evidence.prompt.listings[item.listing].role != "related"
    ]
    # [n, slots]: how far a sentence is above what a slot asks for; nothing of foreign works is.
    for column, (place, listing) in enumerate(slots):
        above = scores.of(place) - THRESHOLDS[place] - FURTHER * (slots[column] in slots[:column])
        fits = (above > 0) & ((listing < 0) | (owners == listing))
        if max(recommended, default=1.0) >= FOREIGN:
            values[fits, column] = above[fits]
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
        ranked = [chosen[slot] for slot in best_first]
        repeated = [n for n, row in enumerate(ranked) if _is_repeated(row, ranked[:n], words)]
        if not repeated:
            break
        values[ranked[repeated[0]]] = _NEVER
    told = _covering(scores, {row: slots[slot] for slot, row in chosen.items()}, words)
    parts = {
        facet: _in_reading_order(
            [_placed(scores, row, facet) for row in sorted(told) if told[row] == (facet, -1)]
        )
        for facet in FACETS
    }
    relevant = tuple(("relevance", listing) in told.values() for listing in listings)
    note_grades, used = scores.of("relevance"), dict(told)
    for listing in (each for each in listings if not relevant[each]):
        own = [
            row
            for row, item in enumerate(scores.candidates)
            if item.listing == listing and not _is_repeated(row, used, words)
        ]
        if own:
            used[max(own, key=lambda row: note_grades[row])] = ("relevance", listing)
    notes = {listing: row for row, (place, listing) in used.items() if place == "relevance"}
    works = tuple(_placed(scores, notes[n], "relevance") if n in notes else None for n in listings)
    return Selection(parts, works, relevant)


def _covering(
    scores: SentenceScores, told: Mapping[int, Slot], words: list[frozenset[str]]
) -> dict[int, Slot]:
    """The best sentence of each slot in `told`, and at most as many further ones as there, none of
    another slot: one after the other by the sum of grade and of the concepts that no sentence before
    names, the greedy maximum of a submodular function (Lin & Bilmes 2011) of concepts that are pairs
    of words (Gillick & Favre 2009)."""
    pairs = [
        {pair for pair in pairwise(terms(item.text)) if all(w.isalpha() and w[2:] for w in pair)}
        for item in scores.candidates
    ]
    said = Counter(chain.from_iterable(pairs))
    most = max(said.values(), default=1)
    weights = {pair: n / most for pair, n in said.items() if n >= CONCEPT_SENTENCES}
    ascending = sorted(told, key=lambda row: (_placed(scores, row, told[row][0]).grade, -row))
    kept = {row: slot for slot, row in {told[row]: row for row in ascending}.items()}
    further = Counter(told.values()) - Counter(kept.values())
    while further:
        named = set().union(*(pairs[row] for row in kept))
        others = {
            slot: kept.keys() | {row for row in told if told[row] != slot} for slot in further
        }
        options = sorted(
            (
                (grades[row] + COVERAGE * math.fsum(weights[pair] for pair in new), -row, slot)
                for slot in further
                for grades in [scores.of(slot[0])]
                for row in np.flatnonzero(grades > THRESHOLDS[slot[0]] + FURTHER).tolist()
                if row not in others[slot]
                for new in [weights.keys() & pairs[row] - named]
            ),
            reverse=True,
        )
        # Sentences are compared only until one fits: with many works that is what takes long.
        fits = (it for it in options if not _is_repeated(-it[1], others[it[2]], words))
        if (best := next(fits, None)) is None:
            break
        _, row, slot = best
        kept[-row] = slot
        further -= Counter([slot])
    return kept


def _is_repeated(row: int, others: Iterable[int], words: list[frozenset[str]]) -> bool:
    """Whether a sentence says much the same as one of `others`."""
    sizes = ((len(words[row] & words[each]), len(words[row]), len(words[each])) for each in others)
    return any(common > ALIKE * max(1, min(one, other)) for common, one, other in sizes)


def _placed(scores: SentenceScores, row: int, place: Place) -> PlacedSentence:
    return PlacedSentence(scores.candidates[row], float(scores.grades[row, PLACES.index(place)]))


def _in_reading_order(placed: list[PlacedSentence]) -> tuple[PlacedSentence, ...]:
    """The best sentence first, for it answers the question; then what its work says further, as it
    stands there; then the other works, each by its best. `placed` is in the order of candidates."""
    best = {it.candidate.listing: it.grade for it in sorted(placed, key=lambda it: it.grade)}
    first = max(best.values(), default=0.0)
    return tuple(sorted(placed, key=lambda it: (it.grade < first, -best[it.candidate.listing])))
