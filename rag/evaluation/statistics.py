"""Estimates with intervals, paired differences and corrections by labels, for every report.

An interval is a 95 % percentile bootstrap over clusters (Field and Welsh 2007): whole clusters are
drawn, because the statements of one question, or the questions about one document, are right or
wrong together. A statistic that is undefined for its input is None, never 0. What could not be
scored is counted apart and enters no mean. Seeds are fixed: the same input gives the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic and its 95 % interval. `value` is None where it is undefined; there is no
    interval with fewer than two clusters."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        value = "—" if self.value is None else f"{self.value:.3f}"
        return value if self.low is None else f"{value} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """First minus second over `clusters` that both scored: the mean, its 95 % interval, and the
    two-sided p of a sign-flip test. No interval and no p with fewer than two clusters."""

    clusters: int
    mean: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


@dataclass(frozen=True, slots=True)
class CorrectedShare:
    """A share measured by a checker and corrected by labels: `labelled` statements have one,
    `others` have none, `ignored` labels belong to no judged statement."""

    labelled: int
    others: int
    ignored: int
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class ItemScore:
    """The score of one item (a quote, a statement, …) of the answer to `prompt`; None where it
    could not be scored."""

    prompt: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a report: the scores of all its items. `line` is the line of the report, 1 to
    6; `better` is "" where neither direction is good in itself; `note` says what is counted."""

    key: str
    line: int
    label: str
    better: Better
    scores: tuple[ItemScore, ...]
    note: str = ""

    @property
    def scored(self) -> tuple[tuple[str, float], ...]:
        """(prompt, value) of each item that could be scored."""
        return tuple((item.prompt, item.value) for item in self.scores if item.value is not None)

    @property
    def numerator(self) -> float:
        """The sum of the scores."""
        return sum(value for _, value in self.scored)

    @property
    def denominator(self) -> int:
        """How many items were scored."""
        return len(self.scored)

    @property
    def unscored(self) -> int:
        """How many items could not be scored."""
        return len(self.scores) - self.denominator

    def estimate(self) -> Estimate:
        """The mean of the scores, with its interval over prompts."""
        return mean_estimate([value for _, value in self.scored], [p for p, _ in self.scored])

    def minus(self, other: Measure) -> PairedDifference:
        """The difference of two systems over the prompts that both scored. The unit is the
        prompt's mean, as two systems do not make the same statements."""
        first, second = self._means(), other._means()
        common = sorted(first.keys() & second.keys())
        return paired_difference([first[p] for p in common], [second[p] for p in common], common)

    def _means(self) -> dict[str, float]:
        values: dict[str, list[float]] = {}
        for prompt, value in self.scored:
            values.setdefault(prompt, []).append(value)
        return {prompt: sum(each) / len(each) for prompt, each in values.items()}


def bootstrap(
    statistic: Callable[[Rows], float | None], clusters: Sequence[str], *, resamples: int = 1000
) -> Estimate:
    """`statistic` of all rows with its interval; it is given row numbers, `clusters[row]` is the
    cluster of a row. Resamples for which it is undefined are left out."""
    names, cluster_of = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    value = statistic(np.arange(len(clusters)))
    if value is None or len(names) < 2:
        return Estimate(value)
    rows = [np.flatnonzero(cluster_of == number) for number in range(len(names))]
    draws = np.random.default_rng(0).integers(0, len(names), (resamples, len(names)))
    drawn = [statistic(np.concatenate([rows[number] for number in draw])) for draw in draws]
    defined = [each for each in drawn if each is not None]
    low, high = map(float, np.quantile(defined, (0.025, 0.975))) if defined else (None, None)
    return Estimate(value, low, high)


def mean_estimate(values: Sequence[float] | Values, clusters: Sequence[str]) -> Estimate:
    """The mean of `values` with its interval; None where there are none."""
    array = np.asarray(values, dtype=np.float64)

    def mean(rows: Rows) -> float | None:
        return float(array[rows].sum() / len(rows)) if len(rows) else None

    return bootstrap(mean, clusters, resamples=2000)


def paired_difference(
    first: Sequence[float] | Values, second: Sequence[float] | Values, clusters: Sequence[str]
) -> PairedDifference:
    """First minus second, row by row. The null hypothesis is that the two may be exchanged within
    each cluster: p is over flips of the sign of each cluster's summed difference, all of them
    where there are few, ten thousand at random otherwise."""
    from scipy.stats import permutation_test

    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    names, cluster_of = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    mean = mean_estimate(differences, clusters)
    if len(names) < 2:
        return PairedDifference(len(names), mean.value)
    test = permutation_test(
        (np.bincount(cluster_of, differences),),
        lambda sums, axis: np.abs(np.sum(sums, axis=axis)),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=10_000,
        rng=0,
    )
    return PairedDifference(len(names), mean.value, mean.low, mean.high, float(test.pvalue))


def auroc(labels: Labels, scores: Values) -> float | None:
    """How often a positive scores above a negative, ties counting half; None with one class.
    scikit-learn's is the same and takes a hundred times as long, too long for a bootstrap."""
    from scipy.stats import rankdata

    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return None
    rank_sum = rankdata(scores)[labels].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def balanced_accuracy(labels: Labels, scores: Values, threshold: float) -> float | None:
    """The mean of recall over the two classes; None with one class."""
    if labels.all() or not labels.any():
        return None
    predicted = scores >= threshold
    return float((predicted[labels].mean() + (~predicted[~labels]).mean()) / 2)


def f1(labels: Labels, scores: Values, threshold: float) -> float | None:
    """F1 of the positive class; None where nothing is positive or predicted to be."""
    predicted = scores >= threshold
    total = int(labels.sum() + predicted.sum())
    return 2 * int((predicted & labels).sum()) / total if total else None


def corrected_share(
    labels: Sequence[float],
    predicted: Sequence[float],
    others: Sequence[float],
    *,
    ignored: int = 0,
) -> CorrectedShare:
    """Prediction-powered inference of a mean (Angelopoulos et al. 2023, arXiv 2301.09633): the
    checker's mean over unlabelled statements (`others`), less its mean error over labelled ones
    (`predicted[i]` where a person says `labels[i]`). Valid whatever the checker is worth. The
    interval is the normal one, with statements as independent; none with fewer than two labels.
    With no `others` it is that of the labels alone."""
    truth, rest = np.asarray(labels, dtype=np.float64), np.asarray(others, dtype=np.float64)
    errors = np.asarray(predicted, dtype=np.float64) - truth
    if not len(truth):
        return CorrectedShare(0, len(rest), ignored, Estimate(None))
    if len(rest):
        value = float(rest.mean() - errors.mean())
        variance = float(errors.var() / len(errors) + rest.var() / len(rest))
    else:
        value, variance = float(truth.mean()), float(truth.var() / len(truth))
    half = NormalDist().inv_cdf(0.975) * variance**0.5
    estimate = Estimate(value, value - half, value + half) if len(truth) > 1 else Estimate(value)
    return CorrectedShare(len(truth), len(rest), ignored, estimate)
