"""Support warnings: statements of an answer that, by the support checker, say more than their own
quotes. The checker can be wrong, so the quotes stand beside every warning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rag.answer import Answer
from rag.answer.compose import FIXED
from rag.support import Support, SupportChecker, premise
from rag.views.markdown import work_of

MAX_FINDINGS = 3
"""Findings that one warning names."""


@dataclass(frozen=True, slots=True)
class SupportWarning:
    """A statement, the part it stands in (as `Answer.statements` names it), and why it is weakly
    supported."""

    part: str
    statement: str
    why: str


def find_support_warnings(
    answer: Answer, checker_of: Callable[[], SupportChecker]
) -> tuple[SupportWarning, ...]:
    """A warning for every statement that its quotes together do not support at the checker's own
    threshold, in reading order. Statements that could not be scored, fixed sentences and quotations
    have none; where there is nothing else, no checker is opened."""
    claims = [
        (part, statement)
        for part, statement in answer.statements()
        if statement.text and statement.quotes and statement.text not in FIXED
    ]
    pairs = [
        (
            statement.text,
            [premise(work_of(answer, quote.source_id), quote.text) for quote in statement.quotes],
        )
        for _, statement in claims
    ]
    if not claims:
        return ()
    checker = checker_of()
    return tuple(
        SupportWarning(part, statement.text, _why(support))
        for (part, statement), support in zip(claims, checker.check_all(pairs), strict=True)
        if support.holds(checker.threshold) is False
    )


def _why(support: Support) -> str:
    named = "; ".join(map(str, support.findings[:MAX_FINDINGS]))
    return named or "the quotes do not clearly bear this out"
