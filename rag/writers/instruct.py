"""How an answer is written by a model that chooses words, whichever way the model runs.

A part is asked for, the statements of the reply are checked against their own quotes, and a part
with an unsupported statement is asked for again; what is unsupported to the end is replaced by
what its quote says. A back end (`rag.writers.local.writer`, `rag.writers.chat`) only makes replies.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rag.retrieval.evidence import FACETS, Evidence, Facet, Span
from rag.selection.wording import rewritten, short_name
from rag.support import SupportChecker
from rag.support.builtin import BuiltinChecker
from rag.writers.base import (
    AS_IT_STANDS,
    NOT_SAID,
    SILENCE,
    Draft,
    DraftStatement,
    WriterEvent,
    WriterRecord,
)
from rag.writers.grammar import (
    QuoteCandidate,
    ShownPassage,
    candidates_of,
    numbers_in,
    plain_statement,
    prose_error,
)
from rag.writers.messages import PartRequest, PassageChoice


@dataclass(frozen=True, slots=True)
class WritingSettings:
    """A statement whose support is less likely than `threshold` (None: the checker's own) is
    written again up to `tries` times. At most `statements` stand in a part; at most `passages`
    are shown.

    For a local model: the prompt is at most `prompt_tokens` long, whatever the context, and after
    `prose_tokens` a statement has to come to its quotes. For a chat model: the passages have
    together at most `characters`, and a reply is cut off after `reply_tokens`."""

    temperature: float = 0.0
    seed: int = 0
    threshold: float | None = None
    tries: int = 2
    statements: int = 2
    passages: int = 16
    prompt_tokens: int = 6144
    prose_tokens: int = 112
    characters: int = 16_000
    reply_tokens: int = 800


DEFAULT_SETTINGS = WritingSettings()


@dataclass(frozen=True, slots=True)
class ModelReply:
    """`statements` in the right form, each with quotes; `dropped` says, kind and detail, what was
    not in it. `error` says why the reply cannot be used as a whole, "" where it can: with no
    statement and nothing dropped it then says that the passages do not say."""

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
        passages: PassageChoice,
        settings: WritingSettings,
        checker: SupportChecker | None,
        stream: Callable[[str], None] | None,
    ) -> None:
        self.evidence = evidence
        self.passages = passages
        self.settings = settings
        self.checker: SupportChecker = checker or BuiltinChecker()
        self.say = stream or (lambda text: None)
        self.numbers = numbers_in("\n".join(item.text for item in passages.shown))
        self.statements_per_part = settings.statements
        self.events: list[WriterEvent] = []
        self.lost = ""  # why the model stopped answering

    @abstractmethod
    def candidates(self, shown: Sequence[ShownPassage]) -> list[QuoteCandidate]:
        """What of these passages may be quoted."""

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
        parts = {facet: self._facet(facet) for facet in FACETS}
        notes = tuple(map(self._relevance_note, range(len(self.evidence.prompt.listings))))
        record = replace(
            self.record(),
            seed=self.settings.seed,
            seconds=round(time.perf_counter() - began, 3),
            events=tuple(self.events),
        )
        return Draft(**parts, relevance_notes=notes, record=record)

    def event(self, part: str, kind: str, detail: str) -> None:
        """Note something that a reader of the answer should be able to find out."""
        self.events.append(WriterEvent(part, kind, detail))

    def _facet(self, facet: Facet) -> tuple[DraftStatement, ...]:
        shown = self.passages.for_facet(self.evidence, facet)
        request = PartRequest(facet, facet, first=tuple(item.number for item in shown[:3]))
        return self._part(request, shown, self.statements_per_part) or (SILENCE,)

    def _relevance_note(self, listing: int) -> DraftStatement | None:
        hits, label = self.evidence.works[listing], f"references[{listing}]"
        if not hits:
            return None
        shown = self.passages.for_work(self.evidence, listing)
        if not self.candidates(shown):
            self.event(label, "not shown", "no passage of this work fits the model's context")
            best = candidates_of([ShownPassage(0, hits[0], hits[0].sentences())])
            return fallback_statement(self.evidence, best[0].span) if best else None
        name = self.evidence.prompt.listings[listing].name
        statements = self._part(PartRequest("relevance", label, work=name), shown, 1)
        return statements[0] if statements else None

    def _part(
        self, request: PartRequest, shown: Sequence[ShownPassage], most: int
    ) -> tuple[DraftStatement, ...]:
        """Up to `most` statements, each supported by its quotes; () where nothing is said."""
        candidates = self.candidates(shown)
        statements: tuple[DraftStatement, ...] = ()
        if candidates:
            self.say(f"\n{request.heading}\n")
        while candidates and len(statements) < most:
            more = self._supported(request, candidates, statements, most)
            statements += more
            if not more or self.one_reply:
                break
            quoted = {span for statement in more for span in statement.quotes}
            candidates = [item for item in candidates if item.span not in quoted]
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
                return tuple(objections) if self.live else self._show(tuple(objections))
            unsupported = objections or unsupported
            kind = "rewritten" if attempt < self.settings.tries else "replaced"
            reasons = [objection for objection in objections.values() if objection]
            for reason in reasons or [reply.error or "the reply cannot be used"]:
                self.event(request.label, kind, reason)
            if self.live:
                self.say(f"\n  ({kind})\n")
        return self._show(
            tuple(
                fallback_statement(self.evidence, item.quotes[0]) if objection else item
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
        support = self.checker.check(statement.text, quotes)
        threshold = self.settings.threshold
        if support.holds(self.checker.threshold if threshold is None else threshold) is not False:
            return ""
        if support.findings:
            return "not in its quotes: " + ", ".join(
                f"the {finding.kind} “{finding.said[:40]}”" for finding in support.findings[:3]
            )
        return f"support by its quotes {support.probability or 0.0:.2f}"

    def _show(self, statements: tuple[DraftStatement, ...]) -> tuple[DraftStatement, ...]:
        for statement in statements:
            self.say(f"{statement.text}\n")
            for span in statement.quotes:
                self.say(f"  “{self.evidence.text(span)}”\n")
        return statements


def fallback_statement(evidence: Evidence, span: Span) -> DraftStatement:
    """What a quote says, rewritten about its work; where that is no plain statement, only that
    the work says it. The quote supports it either way."""
    text = evidence.text(span)
    listings = evidence.listings_of(span.source_id)
    subject = short_name(evidence.prompt.listings[listings[0]].name) if listings else "the work"
    is_sentence = text[-1:] in (".", "!", "?")
    plain = plain_statement(rewritten(text, subject), numbers_in(text)) if is_sentence else None
    return DraftStatement(plain or AS_IT_STANDS, (span,))
