"""Whether a statement may stay, and what takes its place where it may not. The same for every
writer whose words a model chose."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rag.evidence import Evidence, Span
from rag.support import SupportChecker
from rag.writers.draft import NOT_SAID, DraftStatement
from rag.writers.plain import fault, numbers_in, plain_statement
from rag.writers.wording import short_name, told

Extract = Callable[[Evidence, Span], DraftStatement]
"""The statement that a quote makes by itself: what takes the place of one it does not support."""

AS_IT_STANDS = "The work puts it in these words."
_LONGEST_WORD = 40


def put_plainly(evidence: Evidence, span: Span) -> DraftStatement:
    """What a quote says, told of its work; where that is no plain statement, only that it is
    said. Licensed by the quote either way."""
    text = evidence.text(span)
    listings = evidence.listings_of(span.source_id)
    subject = short_name(evidence.prompt.listings[listings[0]].name) if listings else "the work"
    whole = text[-1:] in (".", "!", "?")
    plain = plain_statement(told(text, subject), numbers_in(text)) if whole else None
    return DraftStatement(plain or AS_IT_STANDS, (span,))


def objection(
    written: DraftStatement,
    evidence: Evidence,
    numbers: Collection[str],
    checker: SupportChecker,
    threshold: float | None,
) -> str:
    """Why the statement may not stay, "" where it may. A statement that could not be scored is
    not held to be unsupported."""
    if written.text.startswith(NOT_SAID):
        return "it says that nothing is said, and quotes"
    if wrong := fault(written.text, numbers):
        return f"it holds {wrong}"
    support = checker.check(written.text, [evidence.text(span) for span in written.quotes])
    enough = checker.threshold if threshold is None else threshold
    if support.holds(enough) is not False:
        return ""
    if support.findings:
        return "not in its quotes: " + ", ".join(
            f"the {found.kind} “{found.said[:_LONGEST_WORD]}”" for found in support.findings[:3]
        )
    return f"support by its quotes {support.probability or 0.0:.2f}"
