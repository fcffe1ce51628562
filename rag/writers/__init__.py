"""The writers: each turns evidence into a draft, statements whose quotes are spans and never
strings. Here are the protocol of all, and what they return."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rag.retrieval import Evidence, Span

CHAT_KEY = "OPENAI_API_KEY"
"""The environment variable with the key of an OpenAI-compatible server."""

NOT_SAID = "The provided works do not say."
"""The one sentence that may stand without a quote in the task and the workflow."""


@dataclass(frozen=True, slots=True)
class DraftStatement:
    """The writer's own words and the spans that support them. `text` is "" where a sentence of a
    source speaks for itself: then there is exactly one quote. No quotes only for `NOT_SAID`."""

    text: str
    quotes: tuple[Span, ...]


SILENCE = DraftStatement(NOT_SAID, ())


@dataclass(frozen=True, slots=True)
class WorkNote:
    """What is told of a listed work beside its name: how it bears on the question, or, where it
    is not `relevant`, what it is."""

    statement: DraftStatement
    relevant: bool = True


def only_repeats(text: str, quote: str) -> bool:
    """Whether the words of a statement are a part of its quote, letter case and signs aside."""
    said, quoted = (" ".join(re.findall(r"\w+", each.lower())) for each in (text, quote))
    return f" {said} " in f" {quoted} "


@dataclass(frozen=True, slots=True)
class WriterEvent:
    """What a reader of the answer should be able to find out: a statement rewritten or replaced,
    an unknown id dropped, a fall-back."""

    part: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class WriterRecord:
    """How a draft was made. Fields that do not apply to a writer are None or 0."""

    name: str
    model: str | None = None
    revision: str | None = None
    dtype: str | None = None
    device: str | None = None
    seed: int | None = None
    tokens_decoded: int = 0
    tokens_forced: int = 0
    seconds: float | None = None
    note: str = ""
    events: tuple[WriterEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of an answer that a writer decides. No sentence is quoted twice.
    `relevance_notes[i]` is of listing `i`, None where nothing (more) of it could be quoted."""

    task: tuple[DraftStatement, ...]
    input: tuple[DraftStatement, ...]
    model: tuple[DraftStatement, ...]
    output: tuple[DraftStatement, ...]
    relevance_notes: tuple[WorkNote | None, ...]
    record: WriterRecord = field(default_factory=lambda: WriterRecord("unnamed"))


class WritingStream:
    """A `stream` that is told more than text: also every statement as soon as it is certain to
    stay, and how far a writer is that takes its time. Any call may raise, to end the writing."""

    def __call__(self, text: str) -> None:
        """More text, which may still be rejected."""

    def statement(self, part: str, statement: DraftStatement) -> None:
        """A statement of `part`, as in `Answer.statements`."""

    def part(self, done: int, total: int) -> None:
        """So many parts of the answer are written."""


class Writer(Protocol):
    """Turns evidence into a draft; may call `stream` with text as it is written."""

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """The draft of the answer to `evidence.prompt`. Raises WriterError."""


def error_line(error: BaseException) -> str:
    """The first line of a library's error, without its number, addresses and the chat key: it may
    end up in an answer file."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"\S*(?:://|www\.)\S*", "…", lines[0][:300]) if lines else type(error).__name__
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)
    key = os.environ.get(CHAT_KEY, "")
    return text.replace(key, "…") if len(key) > 3 else text
