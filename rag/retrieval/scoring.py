"""From a query and candidate passages to scores. Pure functions: no files, no models.

Scores of a candidate depend on the query and on the set of candidates, never on their order:
sums that run over candidates are taken over integers or sorted values, and every dot product
is taken row by row.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
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
# How much an excerpt's own lexical and dense scores count beside its passage's score.
EXCERPT_LEXICAL = 0.5
EXCERPT_DENSE = 0.4


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[^\W_]+")
_STOP = _words(
    "a about also an and any are as at be been being both but by can could did do does for from "
    "had has have having how i if in into is it its itself may might my no nor not of on or our "
    "should so some such than that the their them then there these they this those to up use used "
    "using was we were what when where which while who whom why will with would you your"
)


@lru_cache(maxsize=1)
def stemmer() -> Any:
    """Snowball's English stemmer, the only one of the program."""
    import Stemmer

    return Stemmer.Stemmer("english")


# Names this way of counting terms: part of the name of whatever is kept of it.
TERMS = "english-stems-1"


def terms(text: str) -> list[str]:
    """The text's terms as BM25 counts them: lower case, without function words, stemmed."""
    words = [word for word in _WORD.findall(text.lower()) if word not in _STOP]
    stems: list[str] = stemmer().stemWords(words)
    return stems


def length_norms(lengths: npt.NDArray[np.int64], total: int, size: int) -> Scores:
    """BM25's share of each candidate's length, where `size` candidates have `total` terms."""
    mean = max(total, 1) / max(size, 1)
    norms: Scores = K1 * (1 - B + B * lengths.astype(np.float64) / mean)
    return norms


def weights(counts: npt.NDArray[np.int64], norms: Scores, *, df: int, size: int) -> Scores:
    """What BM25 gives candidates for one term that they hold `counts` times, and `df` of `size`
    candidates hold at all."""
    idf = math.log1p((size - df + 0.5) / (df + 0.5))
    found: Scores = (idf * (K1 + 1)) * counts / (counts + norms)
    return found


class Lexicon:
    """The terms of a set of candidates, counted once for any number of queries."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        lengths = np.zeros(self._size, dtype=np.int64)
        postings: dict[str, list[tuple[int, int]]] = {}
        for row, text in enumerate(texts):
            counts = Counter(terms(text))
            lengths[row] = counts.total()
            for term, count in counts.items():
                postings.setdefault(term, []).append((row, count))
        self._postings = postings
        self._norms = length_norms(lengths, int(lengths.sum()), self._size)

    def scores(self, query: str) -> Scores:
        """[n]: BM25 of each candidate, exact, with the statistics of this set alone. 0 where a
        candidate has no term of the query."""
        found = np.zeros(self._size, dtype=np.float64)
        for term, repeated in sorted(Counter(terms(query)).items()):
            postings = self._postings.get(term)
            if not postings:
                continue
            rows, counts = np.array(postings, dtype=np.int64).T
            found[rows] += repeated * weights(
                counts, self._norms[rows], df=len(postings), size=self._size
            )
        return found


def similarities(vectors: npt.NDArray[np.float32], query: npt.NDArray[np.float32]) -> Scores:
    """[n]: the dot product of each row of `vectors` [n, d] with `query` [d]. Taken row by row in
    double precision: a matrix product may sum a row otherwise when its neighbours change."""
    products: Scores = (vectors.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    return products


def standardise(scores: Scores) -> Scores:
    """z-scores over the candidates; all 0 where they are alike up to single precision, so that
    rounding is never blown up into a preference."""
    if not scores.size:
        return scores.astype(np.float64)
    ordered = np.sort(scores)
    mean = ordered.mean()
    deviation = np.sqrt(np.square(ordered - mean).mean())
    if deviation <= 1e-6 * max(1.0, float(np.abs(ordered[-1]))):
        return np.zeros_like(scores, dtype=np.float64)
    standard: Scores = (scores - mean) / deviation
    return standard


def with_neighbours(scores: Scores, works: npt.NDArray[np.int64]) -> Scores:
    """[n]: each score plus a share of those before and after it in the same work, where rows
    stand in reading order and `works` [n] says which work each belongs to."""
    found = scores.astype(np.float64)
    same = (works[1:] == works[:-1]) * NEIGHBOURS
    found[1:] += same * scores[:-1]
    found[:-1] += same * scores[1:]
    return found


def fuse(dense: Scores, lexical: Scores, works: npt.NDArray[np.int64]) -> Scores:
    """[n]: one score for each passage: its dense and its lexical score, each standardised over
    the candidates, the lexical one with its neighbours' share. Rows as in `with_neighbours`."""
    return standardise(dense) + standardise(with_neighbours(standardise(lexical), works))


def fuse_excerpts(
    passages: Scores, owners: npt.NDArray[np.int64], *, dense: Scores, lexical: Scores
) -> Scores:
    """[m]: one score for each excerpt, from the score of the passage it stands in
    (`passages[owners]`) and its own dense and lexical scores."""
    own = EXCERPT_LEXICAL * standardise(lexical) + EXCERPT_DENSE * standardise(dense)
    found: Scores = passages[owners] + own
    return found


def order(scores: Scores, keys: Sequence[Any]) -> list[int]:
    """Rows from best to worst; ties in ascending order of `keys`, which must be distinct for
    the order to be independent of the rows' own."""
    return sorted(range(len(keys)), key=lambda row: (-scores[row], keys[row]))
