"""How good each sentence is in each place of an explanation: the trained scores.

Two readers of different kinds, averaged: logistic regressions over place, form and words
(`rag.selection.features`), and the encoder with adapters over the sentence in its context
(`rag.selection.reader`). Each gives for each place the probabilities that a careful reader grades
the sentence at least 1, 2 and 3; their sum is the expected grade. `scripts.train_selection` fits
both on graded sentences; `docs/experiments/selection.md` has what was tried.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from index.weights import device_of
from rag.retrieval import Evidence
from rag.selection.features import (
    HEADING_BUCKETS,
    WORD_BUCKETS,
    Candidate,
    Matrix,
    candidates_in,
    features,
)
from rag.selection.reader import SentenceReader

Weights = npt.NDArray[np.float16]
Place = Literal["task", "input", "model", "output", "relevance"]
PLACES: tuple[Place, ...] = get_args(Place)
LEVELS = 3
WEIGHTS = Path(__file__).with_name("weights.safetensors")

LINEAR_SHARE = 0.3
"""How much of a score the regressions give, the reader the rest: chosen by cross-validation."""
READ = 24
"""Sentences of each place, the best by the regressions alone, that the reader reads: it takes some
milliseconds for each."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceScores:
    """The candidates of a prompt, and the expected grade [n, 5], 0 to 3, of each in each place."""

    candidates: tuple[Candidate, ...]
    grades: Matrix

    def of(self, place: Place) -> Matrix:
        """[n]: the expected grades in one place."""
        column: Matrix = self.grades[:, PLACES.index(place)]
        return column


class SelectionModel:
    """The trained weights: `linear.weight` [d, 15] and `linear.bias` [15] of the regressions, and
    those of the reader's adapters, each under its number. The reader computes on `device`."""

    def __init__(self, weights: Mapping[str, Weights], device: str = "cpu") -> None:
        self._weight = weights["linear.weight"].astype(np.float32)
        self._bias = weights["linear.bias"].astype(np.float32)
        adapters: dict[str, dict[str, Weights]] = {}
        for name, value in weights.items():
            part, _, own = name.partition(".")
            if part != "linear":
                adapters.setdefault(part, {})[own] = value
        self._reader = SentenceReader(list(adapters.values()), device)
        # A tokenizer's truncation is its state: no two threads may use it at once.
        self._lock = threading.Lock()

    def scores(self, evidence: Evidence) -> SentenceScores:
        """The scores of every quotable sentence of the evidence."""
        candidates = candidates_in(evidence)
        if not candidates:
            return SentenceScores((), np.zeros((0, len(PLACES)), dtype=np.float32))
        with self._lock:
            return SentenceScores(candidates, self.grades(evidence, candidates))

    def grades(self, evidence: Evidence, candidates: Sequence[Candidate]) -> Matrix:
        """[n, 5]: the expected grade of each candidate in each place. What the regressions rank
        low in every place is not read; their scores count whole there."""
        matrix = features(evidence, candidates)
        linear = _expected(1.0 / (1.0 + np.exp(-(matrix @ self._weight + self._bias))))
        rows = sorted({int(row) for column in linear.T for row in np.argsort(-column)[:READ]})
        dense = matrix[:, : -WORD_BUCKETS - HEADING_BUCKETS]
        pairs = [self._reader.tokens(evidence, candidates[row]) for row in rows]
        read = self._reader.probabilities(evidence.prompt.question, pairs, dense[rows])
        grades = linear.copy()
        grades[rows] = LINEAR_SHARE * linear[rows] + (1 - LINEAR_SHARE) * _expected(read)
        return grades


def _expected(probabilities: Matrix) -> Matrix:
    """[n, 15] → [n, 5]: the sum over the levels of each place."""
    levels = probabilities.reshape(len(probabilities), len(PLACES), LEVELS)
    grades: Matrix = levels.sum(axis=2)
    return grades


@cache
def trained_model(device: str = "") -> SelectionModel:
    """The model that ships with the package; `device` as for `index.weights.device_of`."""
    from safetensors.numpy import load_file

    return SelectionModel(load_file(WEIGHTS), device_of(device))
