"""The checker that needs no download: findings by rule, and a small logistic regression.

The coefficients are data (coefficients.json, written by scripts/train_support.py): one set for
the features that need no model, one for those and the soft alignment of token states together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from rag.support.checker import Pair, Support
from rag.support.exact import findings
from rag.support.features import lexical_features
from rag.support.soft import SOFT, TokenEncoder, soft_alignment
from rag.support.text import words

__all__ = ["BuiltinChecker", "coefficients", "features_of"]


@lru_cache(maxsize=1)
def coefficients() -> Mapping[str, Any]:
    """What the recipe wrote: version, and for each set intercept, weights and threshold."""
    text = (files("rag.support") / "coefficients.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def features_of(
    statement: str, evidence: Sequence[str], encoder: TokenEncoder | None
) -> tuple[dict[str, float], Support]:
    """All features of a pair that can be had, and its findings in an unscored Support."""
    wrong = findings(statement, evidence)
    features = lexical_features(statement, evidence, wrong)
    if encoder is not None:
        features[SOFT] = soft_alignment(statement, evidence, encoder)
    return features, Support(None, wrong)


class BuiltinChecker:
    """Scores any statement that has words against any evidence that has words.

    With an encoder it must be the one whose states the coefficients were fitted on, the
    default all-MiniLM-L6-v2; without one it has coefficients of its own.
    """

    def __init__(self, encoder: TokenEncoder | None = None) -> None:
        self._encoder = encoder
        self._set = "lexical" if encoder is None else "soft"
        self._model = coefficients()[self._set]

    @property
    def name(self) -> str:
        """With the set and version of the coefficients."""
        return f"builtin-{self._set}-{coefficients()['version']}"

    @property
    def threshold(self) -> float:
        """Best balanced accuracy out of fold on the data of the recipe."""
        return float(self._model["threshold"])

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Unscored only where one of the two has no words."""
        if not words(statement):
            return Support(None, checker=self.name, reason="the statement has no words")
        if not any(words(piece) for piece in evidence):
            return Support(None, checker=self.name, reason="there is no evidence with words")
        features, found = features_of(statement, evidence, self._encoder)
        score = self._model["intercept"] + sum(
            weight * features[feature] for feature, weight in self._model["weights"].items()
        )
        return Support(1 / (1 + math.exp(-score)), found.findings, self.name)

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """One after the other; the encoder keeps what it has encoded."""
        return [self.check(statement, evidence) for statement, evidence in pairs]
