"""`rag verify --strict`: what an answer says, made anew.

`rag.answer.verify` proves what an answer shows of its sources. That nothing was left out, moved or
put in its own words by somebody else can be proved only where the writer is deterministic: the
extractive answer is written again from the cached sources and compared word for word. Of a model's
answer every statement is judged again by the checker that judged it when it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import zip_longest

from index.errors import PromptError
from rag.answer import Answer, Statement
from rag.answer.compose import FIXED
from rag.answer.verify import Failure
from rag.pipeline import Pipeline
from rag.prompt import parse_prompt
from rag.support import SupportChecker
from rag.support.builtin import BuiltinChecker

TOLERANCE = 0.02
"""By how much a probability may be lower here: a device's number type moves it."""


def reproduce(
    answer: Answer,
    open_pipeline: Callable[[], Pipeline],
    open_checker: Callable[[], SupportChecker] = BuiltinChecker,
) -> Iterator[Failure]:
    """Every part that does not come out again. `open_pipeline` gives a pipeline with the
    extractive writer; it is asked only where that wrote the answer, and for the checker only where
    another did."""
    if answer.writer.name == "extractive":
        try:
            prompt = parse_prompt(answer.prompt.text)
        except PromptError:  # `verify` says so.
            return
        yield from _differences(answer, open_pipeline().ask(prompt))
    else:
        yield from _unsupported(answer, open_checker())


def _differences(answer: Answer, again: Answer) -> Iterator[Failure]:
    # Why a source could not be read may have been said otherwise.
    states = [
        [replace(source, reason="unread" if source.reason else "") for source in each.sources]
        for each in (answer, again)
    ]
    if states[0] != states[1]:
        yield Failure("sources", "are not those that are cached here now: ask again")
    # Why this writer wrote, and no model, is not known any more.
    if replace(answer.writer, note="") != replace(again.writer, note=""):
        yield Failure("writer", "is not what the extractive writer reports of itself")
    for part, said in answer.parts.items():
        for one, other in zip_longest(said, again.parts[part]):
            if one != other:
                shown, expected = (_words(each)[:60] for each in (one, other))
                yield Failure(part, f"says {shown!r}, the extractive writer says {expected!r} here")
                break
    shown_and_made = zip_longest(answer.references, again.references)
    for number, (reference, expected_reference) in enumerate(shown_and_made):
        if reference != expected_reference:
            yield Failure(
                f"references[{number}]", "is not what the extractive writer says of this work"
            )


def _words(statement: Statement | None) -> str:
    if statement is None:
        return ""
    return statement.text or statement.quotes[0].text if statement.quotes else statement.text


def _unsupported(answer: Answer, checker: SupportChecker) -> Iterator[Failure]:
    for part, statement in answer.statements():
        if not statement.text or statement.text in FIXED:
            continue
        support = checker.check(statement.text, [quote.text for quote in statement.quotes])
        if objection := support.objection(checker.threshold - TOLERANCE):
            message = f"{statement.text[:60]!r} is not supported by its quotes ({objection})"
            yield Failure(part, message)
