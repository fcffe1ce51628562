"""Estimates, intervals and tests, against closed forms, definitions and the libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
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


def measure(*values: tuple[str, float | None]) -> Measure:
    return Measure("m", 2, "m", "higher", "", tuple(ItemScore(*item) for item in values))


def test_the_interval_is_that_of_the_closed_form_over_clusters() -> None:
    """With clusters of equal size the bootstrap variance of the mean is the variance of the
    cluster means divided by their number; taken as independent, values would seem twice as sure."""
    means = np.random.default_rng(1).uniform(0, 1, 60)
    values, clusters = np.repeat(means, 4), [str(n // 4) for n in range(240)]
    clustered = mean_estimate(values, clusters)
    half = 1.96 * math.sqrt(means.var() / 60)
    ends = (clustered.low, clustered.high)
    assert ends == pytest.approx((means.mean() - half, means.mean() + half), rel=0.02)
    assert mean_estimate(values, clusters) == clustered
    general = bootstrap(lambda rows: float(values[rows].mean()), clusters, resamples=2000)
    assert (general.low, general.high) == pytest.approx(ends)


def test_of_nothing_there_is_no_estimate_and_of_one_cluster_no_interval() -> None:
    assert mean_estimate([], []) == Estimate(None)
    assert bootstrap(lambda rows: None, []) == Estimate(None)
    assert mean_estimate([1.0, 0.0], ["q", "q"]) == Estimate(0.5)
    assert bootstrap(lambda rows: float(len(rows)), ["q", "q"]) == Estimate(2.0)
    # What could not be scored is counted, and enters no share.
    partly = measure(("q", 1), ("q", 0), ("q", None))
    assert (partly.estimate(), partly.counts()) == (Estimate(0.5), (1, 2, 1))
    assert measure(("q", None)).estimate() == Estimate(None)


def test_the_paired_test_sees_a_difference_that_all_clusters_share() -> None:
    clusters = [f"d{n % 20}" for n in range(200)]
    second = np.random.default_rng(1).random(200)
    better = paired_difference(second + 0.05, second, clusters)
    assert better.clusters == 20
    assert better.mean == pytest.approx(0.05)
    assert (better.p or 1) < 0.001
    same = paired_difference(second, second, clusters)
    assert (same.mean, same.p) == (0, 1)
    # A mean difference that one cluster alone makes is no evidence.
    one = second + np.array([1.0 if name == "d0" else 0 for name in clusters])
    assert (paired_difference(one, second, clusters).p or 0) > 0.5
    # Of few clusters every flip is tried: with five, p cannot fall below 2 in 2^5.
    five = paired_difference([1.0] * 5, [0.0] * 5, list("abcde"))
    assert five.p == pytest.approx(2 / 2**5)
    # Of ±.5 ± .2 ± .1 half are as far from 0 as .5 + .2 - .1.
    assert paired_difference([0.5, 0.2, 0.0], [0.0, 0.0, 0.1], list("abc")).p == pytest.approx(0.5)


def test_systems_are_compared_by_question_each_counting_once() -> None:
    first = measure(("a", 1), ("a", 1), ("a", 0), ("b", 1), ("c", 1), ("only first", 1))
    second = measure(("a", 1), ("a", 0), ("b", 0), ("b", 0), ("c", None), ("c", 1))
    change = first.minus(second)
    assert change.clusters == 3
    assert change.mean == pytest.approx(((2 / 3 - 1 / 2) + 1 + 0) / 3)
    assert (change.p or 0) > 0.25  # three questions can show nothing
    nothing = measure(("a", 1)).minus(measure(("b", 1)))
    assert (nothing.clusters, nothing.mean, nothing.p) == (0, None, None)
    assert measure(("a", 1)).minus(measure(("a", 0))).low is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
@settings(max_examples=40)
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
