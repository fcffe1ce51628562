"""AUROC, balanced accuracy and F1, and intervals for them. Pure functions over arrays.

A measure that is not defined for its input (one class only, nothing at all) is None, never 0.
Intervals are percentile bootstrap over clusters (Field and Welsh 2007, the randomised cluster
bootstrap): whole clusters are drawn, because the claims of one question stand or fall together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimate", "auroc", "balanced_accuracy", "bootstrap", "f1"]

Labels = NDArray[np.bool_]
Scores = NDArray[np.float64]
Measure = Callable[[Labels, Scores], float | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure and its 95 % interval; `value` None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Three decimals, or a dash."""
        if self.value is None:
            return "—"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auroc(labels: Labels, scores: Scores) -> float | None:
    """How often a supported statement scores above an unsupported one, ties counting half."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]  # ties share the mean of their ranks
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def balanced_accuracy(threshold: float) -> Measure:
    """The mean of recall over the two classes, at this threshold."""

    def measure(labels: Labels, scores: Scores) -> float | None:
        if labels.all() or not labels.any():
            return None
        said = scores >= threshold
        return float((said[labels].mean() + (~said[~labels]).mean()) / 2)

    return measure


def f1(threshold: float) -> Measure:
    """F1 of "supported" at this threshold."""

    def measure(labels: Labels, scores: Scores) -> float | None:
        said = scores >= threshold
        hits = int((said & labels).sum())
        wrong = int((said != labels).sum())
        return 2 * hits / (2 * hits + wrong) if hits or wrong else None

    return measure


def bootstrap(
    measure: Measure, labels: Labels, scores: Scores, clusters: Sequence[str], *,
    resamples: int = 1000, seed: int = 0,
) -> Estimate:  # fmt: skip
    """The measure with its interval; no interval where there are fewer than two clusters."""
    value = measure(labels, scores)
    names = sorted(set(clusters))
    if value is None or len(names) < 2 or resamples < 1:
        return Estimate(value)
    members: dict[str, list[int]] = {name: [] for name in names}
    for at, name in enumerate(clusters):
        members[name].append(at)
    rows = [np.array(members[name]) for name in names]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        picked = np.concatenate([rows[at] for at in rng.integers(0, len(rows), len(rows))])
        again = measure(labels[picked], scores[picked])
        if again is not None:
            drawn.append(again)
    if not drawn:
        return Estimate(value)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high))
