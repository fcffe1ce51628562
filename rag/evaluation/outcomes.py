"""What was counted, and how sure one can be of it: outcomes, measures, differences.

An outcome is 1, 0, or None where it could not be told. None never enters a share: it is counted
apart. Statements of one prompt stand or fall together, so intervals and tests draw whole prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rag.evaluation import evidence_recall as measures
from rag.evaluation.classification import Estimate

__all__ = ["Change", "ItemScore", "Measure", "change", "estimate", "gap"]

Better = Literal["higher", "lower", ""]


@dataclass(frozen=True, slots=True)
class ItemScore:
    """One thing that was looked at in the answer to `prompt`."""

    prompt: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of the report. `line` is the line of the report it belongs to, 1 to 6; `better`
    is "" where neither direction is good in itself; `note` says what is counted."""

    key: str
    line: int
    label: str
    better: Better
    outcomes: tuple[ItemScore, ...]
    note: str = ""

    @property
    def scored(self) -> tuple[tuple[str, float], ...]:
        """The outcomes that could be told."""
        return tuple((item.prompt, item.value) for item in self.outcomes if item.value is not None)

    @property
    def numerator(self) -> float:
        """The sum of what was scored."""
        return sum(value for _, value in self.scored)

    @property
    def denominator(self) -> int:
        """How many were scored."""
        return len(self.scored)

    @property
    def unscored(self) -> int:
        """How many could not be scored."""
        return len(self.outcomes) - self.denominator

    def estimate(self) -> Estimate:
        """The share with its 95 % interval, over prompts."""
        return estimate(self.outcomes)


@dataclass(frozen=True, slots=True)
class Change:
    """First minus second over the `prompts` that both scored. No interval and no p with fewer
    than two; the p of few prompts cannot be small (two prompts: never below 1/2)."""

    prompts: int
    mean: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def estimate(outcomes: Iterable[ItemScore]) -> Estimate:
    """The mean of what was scored, None where nothing was; an interval from two prompts on."""
    scored = [(item.prompt, item.value) for item in outcomes if item.value is not None]
    if not scored:
        return Estimate(None)
    prompts = [prompt for prompt, _ in scored]
    values = np.array([value for _, value in scored], dtype=np.float64)
    if len(set(prompts)) < 2:
        return Estimate(float(values.mean()))
    found = measures.bootstrap(values, prompts)
    return Estimate(found.mean, found.low, found.high)


def gap(first: Sequence[ItemScore], second: Sequence[ItemScore]) -> tuple[ItemScore, ...]:
    """First minus second, thing by thing; None where either could not be told."""
    return tuple(
        ItemScore(
            one.prompt,
            None if one.value is None or other.value is None else one.value - other.value,
        )
        for one, other in zip(first, second, strict=True)
    )


def change(first: Measure, second: Measure) -> Change:
    """Two systems on the same prompts. The unit is the prompt: its mean under the one minus its
    mean under the other, as the systems do not make the same statements."""
    one, other = _means(first), _means(second)
    common = sorted(one.keys() & other.keys())
    if not common:
        return Change(0, None)
    left = np.array([one[prompt] for prompt in common], dtype=np.float64)
    right = np.array([other[prompt] for prompt in common], dtype=np.float64)
    if len(common) < 2:
        return Change(1, float((left - right).mean()))
    found = measures.paired_test(left, right, common)
    return Change(len(common), found.mean, found.low, found.high, found.p)


def _means(measure: Measure) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for prompt, value in measure.scored:
        values.setdefault(prompt, []).append(value)
    return {prompt: sum(found) / len(found) for prompt, found in values.items()}
