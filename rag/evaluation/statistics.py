"""Estimates with intervals, paired differences, corrections by labels; their tables and plots.

An interval is a 95 % percentile bootstrap over clusters (Field and Welsh 2007): whole clusters are
drawn, because the statements of one question, or the questions about one document, are right or
wrong together. A statistic that is undefined for its input is None, never 0. What could not be
scored is counted apart and enters no mean. Seeds are fixed: the same input gives the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from rag.plaintext import plain

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
    7; `better` is "" where neither direction is good in itself; `note` says what is counted."""

    key: str
    line: int
    label: str
    better: Better
    note: str
    scores: tuple[ItemScore, ...]

    @property
    def scored(self) -> list[tuple[str, float]]:
        """(prompt, value) of each item that could be scored."""
        return [(item.prompt, item.value) for item in self.scores if item.value is not None]

    def counts(self) -> tuple[float, int, int]:
        """The sum of the scores, how many there are, and how many items could not be scored."""
        values = [value for _, value in self.scored]
        return sum(values), len(values), len(self.scores) - len(values)

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


Declared = tuple[str, int, str, Better, str]
"""A measure without its scores: the fields of `Measure` in order."""
Score = tuple[str, str, float | None]
"""The key of a measure, and prompt and value of one of its items."""


def measures_of(declared: Collection[Declared], scores: Iterable[Score]) -> list[Measure]:
    """The declared measures with their scores."""
    items: dict[str, list[ItemScore]] = {one[0]: [] for one in declared}
    for key, prompt, value in scores:
        items[key].append(ItemScore(prompt, None if value is None else float(value)))
    return [Measure(*one, tuple(items[one[0]])) for one in declared]


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


def corrected_share(predicted: Mapping[str, float], labels: Mapping[str, float]) -> CorrectedShare:
    """Prediction-powered inference of a mean (Angelopoulos et al. 2023, arXiv 2301.09633) over the
    statements, by key, for which the checker predicts something: its mean over those without a
    label, less its mean error over those with one. Valid whatever the checker is worth. The
    interval is the normal one, with statements as independent; none with fewer than two labels.
    Where all are labelled it is that of the labels alone."""
    labelled = [key for key in predicted if key in labels]
    truth = np.array([labels[key] for key in labelled], dtype=np.float64)
    rest = np.array([predicted[key] for key in predicted if key not in labels], dtype=np.float64)
    counts = (len(truth), len(rest), len(labels.keys() - predicted.keys()))
    if not labelled:
        return CorrectedShare(*counts, Estimate(None))
    if len(rest):
        errors = np.array([predicted[key] for key in labelled], dtype=np.float64) - truth
        value = float(rest.mean() - errors.mean())
        variance = float(errors.var() / len(errors) + rest.var() / len(rest))
    else:
        value, variance = float(truth.mean()), float(truth.var() / len(truth))
    half = NormalDist().inv_cdf(0.975) * variance**0.5
    ends = (value - half, value + half) if len(truth) > 1 else ()
    return CorrectedShare(*counts, Estimate(value, *ends))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; a short row is filled up with empty cells."""
    padded = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    lines = [header, ["---"] * len(header), *padded]
    return ["|" + "|".join(f" {cell} " if cell else " " for cell in line) + "|" for line in lines]


Panels = Mapping[str, Mapping[str, Sequence[tuple[Estimate, str]]]]
"""panel → row → for each system the estimate, in [0, 1], and what is written behind it."""


def plot_estimates(
    panels: Panels, systems: Sequence[str], path: Path, title: str, axis: str
) -> bool:
    """Draw a dot and a bar for each estimate, a colour for each system; False where matplotlib is
    not installed. The kind of picture follows from the suffix of `path`."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError:
        return False
    heights = [len(rows) * len(systems) for rows in panels.values()] or [1]
    size = (10, 1.6 + 0.55 * len(heights) + 0.30 * sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    for axes, (name, rows) in zip(grid[:, 0], panels.items(), strict=False):
        for row, estimates in enumerate(rows.values()):
            for place, (estimate, note) in enumerate(estimates):
                at = row + 0.8 * (place - (len(systems) - 1) / 2) / len(systems)
                style = {"va": "center", "fontsize": 8, "color": f"C{place}"}
                if estimate.value is None:
                    axes.text(0.0, at, "not measured", **style)
                    continue
                if estimate.low is not None:
                    ends = [estimate.low, estimate.high]
                    axes.plot(ends, [at, at], color=f"C{place}", linewidth=2.5, alpha=0.5)
                axes.plot([estimate.value], [at], "o", color=f"C{place}", markersize=6)
                axes.text(1.03, at, f"{estimate.value:.2f}{note}", **style)
        axes.set_yticks(range(len(rows)), list(map(_drawn, rows)))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        axes.grid(axis="x", alpha=0.3)
    grid[-1, 0].set(xlim=(-0.02, 1.14), xticks=[0, 0.25, 0.5, 0.75, 1], xlabel=axis)
    if len(systems) > 1:
        handles = [
            Line2D([], [], color=f"C{place}", marker="o", label=_drawn(system))
            for place, system in enumerate(systems)
        ]
        columns = min(4, len(handles))
        figure.legend(
            handles=handles, title=_drawn(title), loc="outside upper center", ncols=columns
        )
    else:
        figure.suptitle(_drawn(title))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True


def _drawn(name: str) -> str:
    """A name from a file, in which a dollar sign would begin a formula."""
    return plain(name).replace("$", "\\$")
