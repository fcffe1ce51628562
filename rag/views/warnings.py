"""Which statements of an answer their own quotes do not seem to bear out: what a reader is warned
of. A checker of support says it, and it can be wrong; the quotes stand beside the statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import floor

from rag.answer.compose import FIXED
from rag.answer.model import Answer, Statement
from rag.support import Support, SupportChecker
from rag.support.builtin import open_checker
from rag.support.checker import premise
from rag.views.markdown import is_its_quote, work_of

MOST = 3
"""Findings that a warning names: enough to look for, few enough to read."""


@dataclass(frozen=True, slots=True)
class SupportWarning:
    """A statement, the part it stands in (as `Answer.statements` names it), and what about it is
    not borne out."""

    part: str
    statement: str
    why: str


def find_support_warnings(answer: Answer, checker: SupportChecker) -> tuple[SupportWarning, ...]:
    """A warning for every statement that its quotes together do not support at the checker's own
    threshold, in reading order. A statement that could not be scored is not doubted."""
    claims = list(_claims(answer))
    pairs = [
        (
            said.text,
            [premise(work_of(answer, quote.source_id), quote.text) for quote in said.quotes],
        )
        for _, said in claims
    ]
    return tuple(
        SupportWarning(part, said.text, _why(support, checker.threshold))
        for (part, said), support in zip(claims, checker.check_all(pairs), strict=True)
        if support.holds(checker.threshold) is False
    )


def default_checker(*, offline: bool, announce: Callable[[str], None]) -> SupportChecker:
    """The checker built in; without token states where their model cannot be loaded, whatever
    the reason: an answer is worth more than the last word on its statements."""
    try:
        return open_checker(offline=offline)
    except Exception as error:
        announce(f"statements are checked without token states: {error}")
        return open_checker(token_states=False)


def _claims(answer: Answer) -> Iterator[tuple[str, Statement]]:
    """What claims something in words other than its quote's."""
    for part, said in answer.statements():
        if said.quotes and said.text not in FIXED and not is_its_quote(said):
            yield part, said


def _why(support: Support, threshold: float) -> str:
    if support.findings:
        return "; ".join(map(str, support.findings[:MOST]))
    # Rounded down, so that what is just below the threshold is not shown to be on it.
    score = floor(100 * (support.probability or 0.0)) / 100
    return f"the checker puts its support at {score:.2f}, and asks for {threshold:.2f}"
