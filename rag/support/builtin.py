"""The checker that needs no download: findings by rule, and a small logistic regression."""

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

__all__ = ["BuiltinChecker"]


@lru_cache(maxsize=1)
def _coefficients() -> Mapping[str, Any]:
    text = (files("rag.support") / "coefficients.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


class BuiltinChecker:
    """Scores any statement that has words against any evidence that has words."""

    def __init__(self) -> None:
        self._model = _coefficients()["lexical"]

    @property
    def name(self) -> str:
        """With the version of the coefficients."""
        return f"builtin-{_coefficients()['version']}"

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Unscored only where one of the two has no text."""
        if not statement.strip():
            return Support(None, checker=self.name, reason="the statement is empty")
        if not any(piece.strip() for piece in evidence):
            return Support(None, checker=self.name, reason="there is no evidence")
        wrong = findings(statement, evidence)
        features = lexical_features(statement, evidence, wrong)
        score = self._model["intercept"] + sum(
            weight * features[feature] for feature, weight in self._model["weights"].items()
        )
        return Support(1 / (1 + math.exp(-score)), wrong, self.name)

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """One after the other."""
        return [self.check(statement, evidence) for statement, evidence in pairs]
