"""From a query and passages to scores. Pure functions: no files, no models.

A passage's score depends on the query and on the set of passages, never on their order: sums over
passages run over integers or sorted values, and every dot product is taken row by row.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

# Okapi BM25 (Robertson and Zaragoza 2009). Nothing was gained by moving these two.
K1 = 1.2
B = 0.75
# A heading's terms count this often beside the terms of each passage under it.
HEADING_WEIGHT = 2
# How much of its neighbours' lexical score a passage gets: evidence is rarely alone.
NEIGHBOURS = 0.3

_WORD = re.compile(r"[^\W_]+")
_FUNCTION_WORDS = (
    "a about also an and any are as at be been being both but by can could did do does for from "
    "had has have having how i if in into is it its itself may might my no nor not of on or our "
    "should so some such than that the their them then there these they this those to up use used "
    "using was we were what when where which while who whom why will with would you your"
)
_STOP = frozenset(_FUNCTION_WORDS.split())


@cache
def stemmer() -> Any:
    """Snowball's English stemmer, the only one of the program."""
    import Stemmer

    return Stemmer.Stemmer("english")


def terms(text: str) -> list[str]:
    """The text's terms as BM25 counts them: lower case, without function words, stemmed."""
    words = [word for word in _WORD.findall(text.lower()) if word not in _STOP]
    stems: list[str] = stemmer().stemWords(words)
    return stems


class Lexicon:
    """BM25 over texts that may be added one after the other. Only counts are kept: of all terms,
    or of the terms of `queries` alone where these are given."""

    def __init__(self, texts: Iterable[str] = (), *, queries: Iterable[str] | None = None) -> None:
        self._terms = None if queries is None else {t for query in queries for t in terms(query)}
        self._lengths: list[int] = []
        self._postings: dict[str, list[tuple[int, int]]] = {}
        self.add(texts)

    def add(self, texts: Iterable[str]) -> None:
        """Count the terms of more texts; they become the next rows."""
        for row, text in enumerate(texts, len(self._lengths)):
            counts = Counter(terms(text))
            self._lengths.append(counts.total())
            for term in counts if self._terms is None else counts.keys() & self._terms:
                self._postings.setdefault(term, []).append((row, counts[term]))

    def scores(self, query: str) -> Scores:
        """[n]: BM25 of each text, exact, with the statistics of these texts alone. 0 where a text
        has no term of the query."""
        scores = np.zeros(size := len(self._lengths))
        lengths = np.array(self._lengths, dtype=np.float64)
        norms = K1 * (1 - B + B * lengths / (max(sum(self._lengths), 1) / max(size, 1)))
        for term, repeated in sorted(Counter(terms(query)).items()):
            if postings := self._postings.get(term):
                rows, counts = np.array(postings, dtype=np.int64).T
                idf = math.log1p((size - len(postings) + 0.5) / (len(postings) + 0.5))
                scores[rows] += repeated * idf * (K1 + 1) * counts / (counts + norms[rows])
        return scores


def similarities(vectors: npt.NDArray[np.float32], query: npt.NDArray[np.float32]) -> Scores:
    """[n]: the dot product of each row of `vectors` [n, d] with `query` [d]. Taken row by row in
    double precision: a matrix product may sum a row otherwise when its neighbours change."""
    products: Scores = (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    return products


def standardise(scores: Scores) -> Scores:
    """z-scores; all 0 where the scores are alike up to single precision, so that rounding never
    becomes a preference."""
    ordered = np.sort(scores)  # for sums that do not depend on the order
    deviation = ordered.std() if scores.size else 0.0
    if deviation <= 1e-6 * np.abs(ordered[-1:]).max(initial=1.0):
        return np.zeros_like(scores)
    standard: Scores = (scores - ordered.mean()) / deviation
    return standard


def with_neighbours(scores: Scores, works: npt.NDArray[np.int64]) -> Scores:
    """[n]: each score plus a share of those before and after it in the same work, where rows
    stand in reading order and `works` [n] says which work each belongs to."""
    shared = scores.copy()
    same = (works[1:] == works[:-1]) * NEIGHBOURS
    shared[1:] += same * scores[:-1]
    shared[:-1] += same * scores[1:]
    return shared


def fuse(dense: Scores, lexical: Scores, works: npt.NDArray[np.int64]) -> Scores:
    """[n]: one score for each passage: its dense and its lexical score, each standardised over
    the passages, the lexical one with its neighbours' share. Rows as in `with_neighbours`."""
    return standardise(dense) + standardise(with_neighbours(standardise(lexical), works))


def order(scores: Scores) -> list[int]:
    """Rows from best to worst; ties in the order of the rows."""
    rows: list[int] = np.argsort(-scores, kind="stable").tolist()
    return rows
