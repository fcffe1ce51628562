"""How far a statement follows from its evidence: what a checker is asked, and what it answers.

A checker gives a probability (learned, and often wrong) and, apart from it, findings: what in the
statement is wrong by rule, each one checkable by eye.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from index.passages import sentence_spans

FindingKind = Literal[
    "number", "unit", "sign", "percentage", "date", "comparison", "negation", "name"
]

Pair = tuple[str, Sequence[str]]
"""A statement, and the evidence it is checked against: its quotes or passages, together."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the statement says and the evidence lacks or contradicts: `said` is
    `statement[start:end]`, `found` what the evidence has in its place, or ""."""

    start: int
    end: int
    kind: FindingKind
    said: str
    found: str = ""

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

    def objection(self, threshold: float) -> str:
        """Why it does not hold, in a few words; "" where it does, or where that is not known."""
        if self.holds(threshold) is not False:
            return ""
        named = ", ".join(f"the {item.kind} “{item.said[:40]}”" for item in self.findings[:3])
        likely = f"support by its quotes {self.probability or 0.0:.2f}"
        return f"not in its quotes: {named}" if named else likely


class SupportChecker(Protocol):
    """Pairs in, support out."""

    name: str
    """Checker and version, for reports and answer files."""

    threshold: float
    """The probability from which a statement counts as supported."""

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Check one statement."""
        return self.check_all([(statement, evidence)])[0]

    @abstractmethod
    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """Check many at once, in order, which is faster with a model."""


def premise(work: str, text: str) -> str:
    """A piece of evidence under the name of its work, which is a paragraph of its own."""
    return f"{work}\n\n{text}" if work else text


def sentences(evidence: Iterable[str]) -> list[str]:
    """The sentences of every piece of evidence, in order."""
    return [text[start:end] for text in evidence for start, end in sentence_spans(text)]
