"""What a support checker is asked, and what it answers. Pure values, no models.

A checker says how likely a statement follows from its evidence (a probability, learned, and often
wrong) and, apart from that, what in the statement is wrong by name (findings, made by rules, each
one checkable by eye). A statement that could not be scored is neither supported nor unsupported:
its probability is None and a reason stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

FindingKind = Literal[
    "number", "unit", "sign", "percentage", "date", "comparison", "negation", "name"
]

Pair = tuple[str, Sequence[str]]
"""A statement, and the evidence it is checked against."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the statement says and the evidence lacks or contradicts.

    `said` are the statement's own words, `statement[start:end]`; `found` is what the evidence
    has in their place, "" where it has nothing of the kind.
    """

    kind: FindingKind
    said: str
    found: str
    start: int
    end: int

    def __str__(self) -> str:
        """One line for a person."""
        if self.found:
            return f"{self.kind}: the statement says “{self.said}”, the evidence “{self.found}”"
        return f"{self.kind}: the evidence has nothing that says “{self.said}”"


@dataclass(frozen=True, slots=True)
class Support:
    """`probability` is in [0, 1], or None where the pair was not scored (`reason` says why)."""

    probability: float | None
    findings: tuple[Finding, ...] = ()
    checker: str = ""
    reason: str = ""

    def holds(self, threshold: float) -> bool | None:
        """Whether there are no findings and the probability reaches the threshold; None where
        the pair was not scored and there are no findings."""
        if self.findings:
            return False
        return None if self.probability is None else self.probability >= threshold


class SupportChecker(Protocol):
    """Statement and evidence in, support out."""

    @property
    def name(self) -> str:
        """Checker and version, for reports and answer files."""
        ...

    @property
    def threshold(self) -> float:
        """The probability from which a statement counts as supported."""
        ...

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Check one statement; `evidence` are its quotes or passages, together."""
        ...

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """Check many at once, in order, which is faster with a model."""
        ...


def premise(work: str, text: str) -> str:
    """A piece of evidence under the name of its work, which is a paragraph of its own."""
    return f"{work}\n\n{text}" if work else text
