"""A share that a checker measured, corrected by a few labels of people.

Prediction-powered inference (Angelopoulos et al. 2023, arXiv 2301.09633, mean estimation): the
checker's mean over what nobody labelled, less the checker's mean error over what people did.
Right whatever the checker is worth; narrow where it is worth something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

__all__ = ["Corrected", "corrected_mean"]


@dataclass(frozen=True, slots=True)
class Corrected:
    """`labelled` statements have a label and `others` none; `ignored` labels belong to none of
    the statements that were judged. No interval with fewer than two labels."""

    labelled: int
    others: int
    value: float | None
    low: float | None = None
    high: float | None = None
    ignored: int = 0


def corrected_mean(
    labels: Sequence[float],
    predicted: Sequence[float],
    others: Sequence[float],
    *,
    level: float = 0.95,
    ignored: int = 0,
) -> Corrected:
    """`predicted[i]` is what the checker says where a person says `labels[i]`; `others` is what it
    says where nobody did. The interval is the normal one, with var(predicted - labels) / n +
    var(others) / N, statements taken as independent; with no others it is that of the labels."""
    truth = np.asarray(labels, dtype=np.float64)
    guessed = np.asarray(predicted, dtype=np.float64)
    rest = np.asarray(others, dtype=np.float64)
    if len(truth) != len(guessed):
        raise ValueError("every label needs a prediction")
    if not len(truth):
        return Corrected(0, len(rest), None, ignored=ignored)
    if len(rest):
        errors = guessed - truth
        value = float(rest.mean() - errors.mean())
        variance = float(errors.var() / len(errors) + rest.var() / len(rest))
    else:
        value = float(truth.mean())
        variance = float(truth.var() / len(truth))
    if len(truth) < 2:
        return Corrected(len(truth), len(rest), value, ignored=ignored)
    half = NormalDist().inv_cdf((1 + level) / 2) * variance**0.5
    return Corrected(len(truth), len(rest), value, value - half, value + half, ignored)
