"""Estimates, intervals and tests, against closed forms, definitions and the libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.evaluation.statistics import (
    CorrectedShare,
    Estimate,
    ItemScore,
    Measure,
    auroc,
    balanced_accuracy,
    bootstrap,
    corrected_share,
    f1,
    mean_estimate,
    paired_difference,
)


def width(estimate: Estimate) -> float:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.high - estimate.low


def measure(*values: tuple[str, float | None]) -> Measure:
    return Measure("m", 2, "m", "higher", "", tuple(ItemScore(*item) for item in values))


def test_the_interval_is_that_of_the_closed_form_over_clusters() -> None:
    """With clusters of equal size the bootstrap variance of the mean is the variance of the
    cluster means divided by their number; taken as independent, values would seem twice as sure."""
    means = np.random.default_rng(1).uniform(0, 1, 60)
    values, clusters = np.repeat(means, 4), [str(n // 4) for n in range(240)]
    clustered = mean_estimate(values, clusters)
    assert width(clustered) / 2 == pytest.approx(1.96 * math.sqrt(means.var() / 60), rel=0.06)
    alone = mean_estimate(values, [str(n) for n in range(240)])
    assert width(clustered) / width(alone) == pytest.approx(2, rel=0.1)
    assert mean_estimate(values, clusters) == clustered
    general = bootstrap(lambda rows: float(values[rows].mean()), clusters, resamples=2000)
    assert (general.low, general.high) == pytest.approx((clustered.low, clustered.high))


def test_of_nothing_there_is_no_estimate_and_of_one_cluster_no_interval() -> None:
    assert mean_estimate([], []) == Estimate(None)
    assert bootstrap(lambda rows: None, []) == Estimate(None)
    assert mean_estimate([1.0, 0.0], ["q", "q"]) == Estimate(0.5)
    assert bootstrap(lambda rows: float(len(rows)), ["q", "q"]) == Estimate(2.0)
    assert measure(("q", 1), ("q", 0), ("q", None)).estimate() == Estimate(0.5)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, None])), max_size=9))
def test_every_item_is_scored_or_counted_as_unscored(
    values: list[tuple[str, float | None]],
) -> None:
    item = measure(*values)
    _, scored, unscored = item.counts()
    assert scored + unscored == len(values)
    estimate = item.estimate()
    assert (estimate.value is None) == (scored == 0)
    if estimate.low is not None and estimate.high is not None:
        assert 0 <= estimate.low <= estimate.high <= 1


def test_the_paired_test_sees_a_difference_that_all_clusters_share() -> None:
    clusters = [f"d{n % 20}" for n in range(200)]
    second = np.random.default_rng(1).random(200)
    better = paired_difference(second + 0.05, second, clusters)
    assert better.clusters == 20
    assert better.mean == pytest.approx(0.05)
    assert better.p is not None
    assert better.p < 0.001
    same = paired_difference(second, second, clusters)
    assert (same.mean, same.p) == (0, 1)
    # A mean difference that one cluster alone makes is no evidence.
    one = second + np.array([1.0 if name == "d0" else 0 for name in clusters])
    alone = paired_difference(one, second, clusters)
    assert alone.p is not None
    assert alone.p > 0.5
    # Of few clusters every flip is tried: with five, p cannot fall below 2 in 2^5.
    five = paired_difference([1.0] * 5, [0.0] * 5, list("abcde"))
    assert five.p == pytest.approx(2 / 2**5)


def test_p_of_differences_by_chance_is_uniform_enough() -> None:
    rng = np.random.default_rng(2)
    clusters = [f"d{n % 10}" for n in range(40)]
    ps = [paired_difference(rng.random(40), rng.random(40), clusters).p for _ in range(100)]
    assert 0.01 < np.mean([p is not None and p < 0.05 for p in ps]) < 0.11


def test_systems_are_compared_by_question_each_counting_once() -> None:
    first = measure(("a", 1), ("a", 1), ("a", 0), ("b", 1), ("c", 1), ("only first", 1))
    second = measure(("a", 1), ("a", 0), ("b", 0), ("b", 0), ("c", None), ("c", 1))
    change = first.minus(second)
    assert change.clusters == 3
    assert change.mean == pytest.approx(((2 / 3 - 1 / 2) + 1 + 0) / 3)
    assert change.p is not None
    assert change.p > 0.25  # three questions can show nothing
    nothing = measure(("a", 1)).minus(measure(("b", 1)))
    assert (nothing.clusters, nothing.mean, nothing.p) == (0, None, None)
    assert measure(("a", 1)).minus(measure(("a", 0))).low is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_classification_measures_are_those_of_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    from sklearn import metrics

    labels = np.array([label for label, _ in rows])
    scores = np.array([score / 5 for _, score in rows])
    predicted = scores >= 0.5
    if labels.all() or not labels.any():
        assert auroc(labels, scores) is None
        assert balanced_accuracy(labels, scores, 0.5) is None
    else:
        assert auroc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
        expected = metrics.balanced_accuracy_score(labels, predicted)
        assert balanced_accuracy(labels, scores, 0.5) == pytest.approx(expected)
    if labels.any() or predicted.any():
        assert f1(labels, scores, 0.5) == pytest.approx(metrics.f1_score(labels, predicted))
    else:
        assert f1(labels, scores, 0.5) is None


def corrected(labels: list[float], predicted: list[float], others: list[float]) -> CorrectedShare:
    """Of statements that have a label and a prediction each, and of others that have no label."""
    predictions = {str(n): value for n, value in enumerate([*predicted, *others])}
    return corrected_share(predictions, {str(n): label for n, label in enumerate(labels)})


def test_labels_correct_the_checkers_mean_as_the_formula_says() -> None:
    # Angelopoulos et al. 2023: mean(f over N) - mean(f - Y over n), 1.96 * its standard error.
    others = [1.0, 0, 0, 0, 0, 0, 0, 1]
    share = corrected([1, 0, 1, 1], [1, 0, 0, 0], others)
    value = 2 / 8 - sum([0, 0, -1, -1]) / 4
    half = 1.959964 * math.sqrt(np.var([0, 0, -1, -1]) / 4 + np.var(others) / 8)
    estimate = share.estimate
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (value, value - half, value + half)
    )
    assert (share.labelled, share.others, share.ignored) == (4, 8, 0)
    # Where everything is labelled the checker has no say.
    labelled = corrected([1, 0, 1, 1], [0, 0, 0, 0], []).estimate
    assert labelled.value == 0.75
    assert labelled.high == pytest.approx(0.75 + 1.959964 * math.sqrt(0.1875 / 4))
    assert corrected([], [], [1, 0]).estimate.value is None
    assert corrected([1], [1], [1, 0]).estimate.low is None
    assert corrected([1, 0], [1], []).ignored == 1


def test_the_corrected_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        truth = rng.random(300) < 0.3
        checker = np.where(rng.random(300) < 0.85, truth, ~truth)  # right 85 times of 100
        share = corrected(truth[:80].tolist(), checker[:80].tolist(), checker[80:].tolist())
        assert share.estimate.low is not None
        assert share.estimate.high is not None
        covered += share.estimate.low <= 0.3 <= share.estimate.high
    assert covered / 400 == pytest.approx(0.95, abs=0.03)
