"""How good a ranking of spans is, and how sure one can be of it. Pure functions over offsets.

Questions about one document are not independent, so both the intervals and the paired test
treat the document as the unit that was sampled (clustered bootstrap: Cameron, Gelbach and
Miller 2008; sign-flip test over cluster sums). Ranks are measured by ir-measures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]
Values = npt.NDArray[np.float64]

BUDGETS = (2000, 5000)
MEASURES = ("hit@1", "hit@3", "hit@5", "hit@10", "MRR", "nDCG@10", "recall@2000c", "recall@5000c")


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same characters as disjoint spans in ascending order."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def overlap(spans: Iterable[Span], others: Iterable[Span]) -> int:
    """How many characters lie in both."""
    left, right = union(spans), union(others)
    total = first = 0
    for start, end in left:
        while first < len(right) and right[first][1] <= start:
            first += 1
        for other_start, other_end in right[first:]:
            if other_start >= end:
                break
            total += min(end, other_end) - max(start, other_start)
    return total


def hits(span: Span, gold: Iterable[Span]) -> bool:
    """Whether `span` overlaps one gold span by at least half of the shorter of the two."""
    return any(
        2 * (min(span[1], end) - max(span[0], start)) >= min(span[1] - span[0], end - start) > 0
        for start, end in gold
    )


def evidence_recall(ranked: Iterable[Span], gold: Sequence[Span], budget: int) -> float:
    """Share of the gold characters that the first `budget` characters of `ranked` cover.

    The span that exceeds the budget is cut off at its end. A character that is retrieved twice
    is paid for twice and counts once.
    """
    kept: list[Span] = []
    left = budget
    for start, end in ranked:
        if left <= 0:
            break
        kept.append((start, min(end, start + left)))
        left -= end - start
    return overlap(kept, gold) / overlap(gold, gold)


def question_measures(
    rankings: Sequence[Sequence[Span]],
    readings: Sequence[Sequence[Span]],
    golds: Sequence[Sequence[Span]],
) -> dict[str, Values]:
    """[questions] for each of MEASURES. For each question, `rankings` has all passages of its
    document, best first, and `readings` the spans in the order in which they are read; a question
    none of whose passages hits counts as 0 in the measures of rank."""
    import ir_measures

    relevant, ranked = [], []
    for number, (ranking, gold) in enumerate(zip(rankings, golds, strict=True)):
        for place, span in enumerate(ranking):
            # Scores fall by one a place: no ties that the library would break its own way.
            ranked.append(ir_measures.ScoredDoc(str(number), str(place), float(-place)))
            if hits(span, gold):
                relevant.append(ir_measures.Qrel(str(number), str(place), 1))
    cutoffs = (1, 3, 5, 10)
    wanted = {ir_measures.Success @ k: f"hit@{k}" for k in cutoffs}
    wanted |= {ir_measures.RR: "MRR", ir_measures.nDCG @ 10: "nDCG@10"}
    found = {name: np.zeros(len(golds)) for name in MEASURES}
    if relevant:
        for metric in ir_measures.iter_calc(list(wanted), relevant, ranked):
            found[wanted[metric.measure]][int(metric.query_id)] = metric.value
    for budget in BUDGETS:
        found[f"recall@{budget}c"][:] = [
            evidence_recall(reading, gold, budget)
            for reading, gold in zip(readings, golds, strict=True)
        ]
    return found


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over questions, and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second: the mean, its 95 % interval, and the two-sided p of the paired test."""

    mean: float
    low: float
    high: float
    p: float


def _by_cluster(values: Values, clusters: Sequence[str]) -> tuple[Values, Values]:
    """Sums and sizes of the clusters, in the order of their names."""
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    return (
        np.bincount(index, weights=values).astype(np.float64),
        np.bincount(index).astype(np.float64),
    )


def bootstrap(
    values: Values, clusters: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """The mean of `values` with a percentile bootstrap interval: clusters are drawn with
    replacement, each with all its values. The same seed gives the same interval."""
    sums, sizes = _by_cluster(values, clusters)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (resamples, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(float(values.mean()), float(low), float(high))


def paired_test(
    first: Values,
    second: Values,
    clusters: Sequence[str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Whether `first` is better than `second` on the same questions. The null hypothesis is that
    the two may be exchanged within each cluster: the sign of each cluster's summed difference is
    flipped at random, and p is the share of flips at least as extreme as what was seen."""
    interval = bootstrap(first - second, clusters, resamples=2000, seed=seed)
    sums, _ = _by_cluster(first - second, clusters)
    signs = np.random.default_rng(seed).choice(np.array([-1.0, 1.0]), (resamples, len(sums)))
    extreme = np.count_nonzero(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9)
    return Difference(
        interval.mean, interval.low, interval.high, (1 + int(extreme)) / (1 + resamples)
    )
