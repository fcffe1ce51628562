"""How an answer is written by a model that chooses words, whichever way the model runs.

A part is asked for, the statements of the reply are checked against their own quotes, and a part
with an unsupported statement is asked for again; what is unsupported to the end gives way to its
quote, which then stands alone. A back end (`rag.writers.local`, `rag.writers.chat`) only
makes replies.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from index.errors import WriterError
from rag.retrieval import FACETS, Evidence, Facet, Span
from rag.support import SupportChecker
from rag.support.builtin import BuiltinChecker
from rag.writers import (
    NOT_SAID,
    SILENCE,
    Draft,
    DraftStatement,
    WorkNote,
    WriterEvent,
    WriterRecord,
    WritingStream,
    only_repeats,
)
from rag.writers.grammar import (
    QuoteCandidate,
    ShownSentence,
    candidates_of,
    numbers_in,
    prose_error,
)
from rag.writers.messages import PartRequest, SentenceChoice


@dataclass(frozen=True, slots=True)
class WritingSettings:
    """A statement whose support is less likely than `threshold` (None: the checker's own) is
    written again up to `tries` times. At most `statements` stand in a part; at most `shown`
    sentences are shown, and beyond that one of each work.

    For a local model: the prompt is at most `prompt_tokens` long, whatever the context, and after
    `prose_tokens` a statement has to come to its quotes. For a chat model: the sentences have
    together at most `characters`, and a reply is cut off after `reply_tokens`.

    Sentences are graded on `device`, see `index.weights.device_of`."""

    temperature: float = 0.0
    seed: int = 0
    threshold: float | None = None
    tries: int = 2
    statements: int = 2
    shown: int = 12
    prompt_tokens: int = 6144
    prose_tokens: int = 112
    characters: int = 16_000
    reply_tokens: int = 800
    device: str = ""

    def __post_init__(self) -> None:
        """Raises WriterError for what would never end, or choose nothing."""
        limits = {
            "the temperature": (self.temperature, 100.0),
            "the number of tries": (self.tries, 100),
            "the threshold": (self.threshold or 0.0, 1.0),
        }
        for name, (value, most) in limits.items():
            if not 0 <= value <= most:  # What is no number is in no range.
                raise WriterError(f"{name} is {value:g}; expected a number from 0 to {most:g}")


DEFAULT_SETTINGS = WritingSettings()


@dataclass(frozen=True, slots=True)
class ModelReply:
    """`statements` in the right form, each with quotes; `dropped` says, kind and detail, what was
    not in it. `error` says why the reply cannot be used as a whole, "" where it can: with no
    statement and nothing dropped it then says that the works do not say."""

    statements: tuple[DraftStatement, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    error: str = ""


class WritingRun(ABC):
    """One answer in the making. `live` back ends stream what they write themselves; with
    `one_reply` a reply holds all statements of a part, otherwise one."""

    live = False
    one_reply = False

    def __init__(
        self,
        evidence: Evidence,
        choice: SentenceChoice,
        settings: WritingSettings,
        checker: SupportChecker | None,
        stream: Callable[[str], None] | None,
    ) -> None:
        self.evidence = evidence
        self.choice = choice
        self.settings = settings
        self.checker: SupportChecker = checker or BuiltinChecker()
        self.say = stream or (lambda text: None)
        self.told = stream if isinstance(stream, WritingStream) else WritingStream()
        self.numbers = numbers_in("\n".join(item.text for item in choice.shown))
        self.statements_per_part = settings.statements
        self.events: list[WriterEvent] = []
        self.used: set[Span] = set()  # what is quoted already
        self.lost = ""  # why the model stopped answering

    @abstractmethod
    def candidates(self, shown: Sequence[ShownSentence]) -> list[QuoteCandidate]:
        """What of these may be quoted."""

    @abstractmethod
    def reply(
        self,
        request: PartRequest,
        candidates: Sequence[QuoteCandidate],
        earlier: Sequence[DraftStatement],
        attempt: int,
    ) -> ModelReply | None:
        """What the model writes for the part after its `earlier` statements, at the nth attempt;
        None once it has stopped answering. Raises WriterError."""

    @abstractmethod
    def record(self) -> WriterRecord:
        """How the draft was made, without its time and events."""

    def draft(self) -> Draft:
        """Every part in turn."""
        began = time.perf_counter()
        parts: dict[Facet, tuple[DraftStatement, ...]] = {}
        notes: list[WorkNote | None] = []
        listings = len(self.evidence.prompt.listings)
        for done, facet in enumerate(FACETS):
            self.told.part(done, len(FACETS) + listings)
            shown = self.choice.for_facet(facet)
            request = PartRequest(facet, facet, first=tuple(item.number for item in shown[:3]))
            parts[facet] = self._part(request, shown, self.statements_per_part) or (SILENCE,)
            for statement in parts[facet]:
                self.told.statement(facet if facet == "task" else f"workflow.{facet}", statement)
        for number in range(listings):
            self.told.part(len(FACETS) + number, len(FACETS) + listings)
            notes.append(note := self._relevance_note(number))
            if note and note.relevant:
                self.told.statement(f"references[{number}]", note.statement)
        record = replace(
            self.record(),
            seed=self.settings.seed,
            seconds=round(time.perf_counter() - began, 3),
            events=tuple(self.events),
        )
        return Draft(**parts, relevance_notes=tuple(notes), record=record)

    def event(self, part: str, kind: str, detail: str) -> None:
        """Note something that a reader of the answer should be able to find out."""
        self.events.append(WriterEvent(part, kind, detail))

    def _relevance_note(self, listing: int) -> WorkNote | None:
        hits, label = self.evidence.works[listing], f"references[{listing}]"
        if not hits:
            return None
        shown = self.choice.for_work(listing)
        if not self.candidates(shown):
            self.event(label, "not shown", "no sentence of this work fits the model's context")
        name = self.evidence.prompt.listings[listing].name
        if said := self._part(PartRequest("relevance", label, work=name), shown, 1):
            return WorkNote(said[0])
        # Nothing is said of it, or could be: then what the work is.
        whole = (ShownSentence(0, hit, *own) for hit in hits for own in hit.sentences())
        left = (item for item in candidates_of(whole) if item.span not in self.used)
        if (best := next(left, None)) is None:
            return None
        sources = self.evidence.prompt.listings[listing].source_ids
        relevant = not shown or any(span.source_id in sources for span in self.used)
        (statement,) = self._show([DraftStatement("", (best.span,))])
        return WorkNote(statement, relevant)

    def _part(
        self, request: PartRequest, shown: Sequence[ShownSentence], most: int
    ) -> tuple[DraftStatement, ...]:
        """Up to `most` statements, each supported by its quotes; () where nothing is said."""
        candidates = [item for item in self.candidates(shown) if item.span not in self.used]
        statements: tuple[DraftStatement, ...] = ()
        if candidates:
            self.say(f"\n{request.heading}\n")
        while candidates and len(statements) < most:
            more = self._supported(request, candidates, statements, most)
            statements += more
            if not more or self.one_reply:
                break
            candidates = [item for item in candidates if item.span not in self.used]
        return statements

    def _supported(
        self,
        request: PartRequest,
        candidates: Sequence[QuoteCandidate],
        earlier: Sequence[DraftStatement],
        most: int,
    ) -> tuple[DraftStatement, ...]:
        """The statements of one reply after at most `tries` retries; those that are unsupported
        to the end are replaced."""
        unsupported = {DraftStatement("", (candidates[0].span,)): "no reply"}
        for attempt in range(self.settings.tries + 1):
            reply = self.reply(request, candidates, earlier, attempt)
            if reply is None:
                self.event(request.label, "fall-back", self.lost)
                break
            for kind, detail in reply.dropped:
                self.event(request.label, kind, detail)
            if not (reply.statements or reply.dropped or reply.error):
                return ()
            objections = {item: self._objection(item) for item in reply.statements[:most]}
            if objections and not any(objections.values()):
                return self._show(tuple(objections), again=not self.live)
            unsupported = objections or unsupported
            kind = "rewritten" if attempt < self.settings.tries else "replaced"
            reasons = [objection for objection in objections.values() if objection]
            for reason in reasons or [reply.error or "the reply cannot be used"]:
                self.event(request.label, kind, reason)
            if self.live:
                self.say(f"\n  ({kind})\n")
        return self._show(
            tuple(
                DraftStatement("", item.quotes[:1]) if objection else item
                for item, objection in unsupported.items()
            )
        )

    def _objection(self, statement: DraftStatement) -> str:
        """Why the statement may not stay, "" where it may. A statement that could not be scored
        is not held to be unsupported."""
        if statement.text.startswith(NOT_SAID):
            return "it says that nothing is said, and quotes"
        if error := prose_error(statement.text, self.numbers):
            return f"it holds {error}"
        quotes = [self.evidence.text(span) for span in statement.quotes]
        if any(only_repeats(statement.text, quote) for quote in quotes):
            return "it only repeats its quote"
        support = self.checker.check(statement.text, quotes)
        threshold = self.settings.threshold
        return support.objection(self.checker.threshold if threshold is None else threshold)

    def _show(
        self, statements: Sequence[DraftStatement], *, again: bool = True
    ) -> tuple[DraftStatement, ...]:
        """The statements whose quotes do not stand already; `again` streams them."""
        kept = []
        for statement in statements:
            if self.used.isdisjoint(statement.quotes):
                self.used.update(statement.quotes)
                kept.append(statement)
                quoted = (f"  “{self.evidence.text(span)}”\n" for span in statement.quotes)
                if again:
                    self.say("".join((statement.text, "\n" if statement.text else "", *quoted)))
        return tuple(kept)
