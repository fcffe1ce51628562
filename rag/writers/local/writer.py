"""A causal instruct model writes, bound to its sources: it phrases, it cannot quote falsely.

The model chooses words within `rag.writers.grammar`; what it writes becomes pointers. A statement
that its own quotes do not support is written again and at last replaced, and the record says so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from index.errors import WriterError
from rag.retrieval.evidence import FACETS, Evidence, Facet, Hit
from rag.support import BuiltinChecker, SupportChecker
from rag.writers import messages
from rag.writers.base import NOT_SAID, Draft, DraftStatement, WriterEvent, WriterRecord
from rag.writers.grammar import (
    ROOM_TO_CLOSE,
    Candidate,
    Shown,
    candidates_of,
    closing,
    parse,
    statement_grammar,
)
from rag.writers.local.decoding import Decoder, Sampling, Tally
from rag.writers.local.loading import LoadedModel
from rag.writers.local.tokenizer import Template
from rag.writers.messages import Selection, select
from rag.writers.statements import Extract, fallback_statement, numbers_in, objection

# A second try must be able to come out differently, also where the first was greedy.
RETRY_TEMPERATURE = 0.8


@dataclass(frozen=True, slots=True)
class WritingSettings:
    """A statement whose support is less likely than `threshold` (None: the checker's own) is
    written again up to `tries` times. At most `statements` stand in a part; at most `passages`
    are shown and the prompt is at most `prompt_tokens` long, whatever the model's context; after
    `retry_policy` tokens a statement has to come to its quotes."""

    temperature: float = 0.0
    seed: int = 0
    threshold: float | None = None
    tries: int = 2
    statements: int = 2
    passages: int = 16
    prompt_tokens: int = 6144
    retry_policy: int = 112


@dataclass(frozen=True, slots=True)
class Plan:
    """How much one statement may take: after `retry_policy` tokens it has to come to its quotes,
    which are at most `quotes` of at most `quote_tokens` each."""

    statements: int
    quotes: int
    retry_policy: int
    quote_tokens: int
    brief: bool

    @property
    def reserve(self) -> int:
        """The tokens of context that the statements of one part may need."""
        return self.statements * (
            self.retry_policy + ROOM_TO_CLOSE + self.quotes * self.quote_tokens
        )


# The most generous plan under which every work keeps a passage is taken.
PLANS = (
    Plan(statements=2, quotes=2, retry_policy=112, quote_tokens=160, brief=False),
    Plan(statements=1, quotes=2, retry_policy=64, quote_tokens=120, brief=False),
    Plan(statements=1, quotes=1, retry_policy=32, quote_tokens=112, brief=True),
    Plan(statements=1, quotes=1, retry_policy=16, quote_tokens=96, brief=True),
)


class LocalWriter:
    """Writes with one loaded model; the model's cache is kept between prompts."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        settings: WritingSettings = WritingSettings(),
        checker: SupportChecker | None = None,
        extract: Extract = fallback_statement,
    ) -> None:
        self.loaded = loaded
        self.settings = settings
        self.checker: SupportChecker = checker or BuiltinChecker()
        self.extract = extract
        self.template = Template.of(loaded.vocabulary)
        self.decoder = Decoder(loaded.model, loaded.vocabulary, device=loaded.device)

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """Every part in turn. Raises WriterError where not one passage fits the context."""
        return _Writing(self, evidence, stream).draft()


class _Writing:
    """One answer in the making."""

    def __init__(
        self, writer: LocalWriter, evidence: Evidence, stream: Callable[[str], None] | None
    ) -> None:
        self.writer = writer
        self.evidence = evidence
        self.stream = stream
        self.events: list[WriterEvent] = []
        self.vocabulary = writer.loaded.vocabulary
        self.limit = min(writer.loaded.context, writer.settings.prompt_tokens + PLANS[0].reserve)
        writer.decoder.tally = Tally()

    def draft(self) -> Draft:
        began = time.perf_counter()
        self.plan, self.selection = self._planned()
        shown = self.selection.shown
        self.numbers = numbers_in("\n".join(item.text for item in shown))
        if shown:
            self.prefix = self._prefix(self.selection, self.plan)
            self.writer.decoder.hold(self.prefix)
        parts = {facet: self._facet(facet) for facet in FACETS}
        relevance_notes = tuple(
            self._relevance(number) for number in range(len(self.evidence.prompt.listings))
        )
        return Draft(
            **parts,
            relevance_notes=relevance_notes,
            record=self._record(time.perf_counter() - began),
        )

    def _facet(self, facet: Facet) -> tuple[DraftStatement, ...]:
        shown = self.selection.for_facet(self.evidence, facet)
        candidates = self._offered(shown)
        if not candidates:
            return (DraftStatement(NOT_SAID, ()),)
        self._say(f"\n{messages.HEADINGS[facet]}\n")
        task = messages.task(
            facet, first=[item.number for item in shown[:3]], brief=self.plan.brief
        )
        prompt = [*self.prefix, *self.writer.template.suffix(self.vocabulary, task)]
        statements: list[DraftStatement] = []
        most = min(self.plan.statements, self.writer.settings.statements)
        while candidates and len(statements) < most:
            written, ids = self._statement(facet, prompt, candidates, position=len(statements))
            if written is None or (statements and written.text == NOT_SAID):
                break
            statements.append(written)
            if not written.quotes:
                break
            candidates = [item for item in candidates if item.span not in written.quotes]
            prompt += [*ids, *self.vocabulary.plain("\n")]
        return tuple(statements)

    def _relevance(self, listing: int) -> DraftStatement | None:
        hits, part = self.evidence.works[listing], f"references[{listing}]"
        if not hits:
            return None
        name = self.evidence.prompt.listings[listing].name
        candidates = self._offered(self.selection.for_work(self.evidence, listing))
        if not candidates:
            self._event(part, "not shown", "no passage of this work fits the model's context")
            found = candidates_of([Shown(0, hits[0], hits[0].sentences())])
            return self.writer.extract(self.evidence, found[0].span) if found else None
        self._say(f"\n{messages.HEADINGS['relevance'].format(work=name)}\n")
        task = messages.task("relevance", work=name, brief=self.plan.brief)
        prompt = [*self.prefix, *self.writer.template.suffix(self.vocabulary, task)]
        written, _ = self._statement(part, prompt, candidates, position=0)
        return written if written is not None and written.quotes else None

    def _statement(
        self, part: str, prompt: list[int], candidates: Sequence[Candidate], *, position: int
    ) -> tuple[DraftStatement | None, list[int]]:
        """One statement that its quotes support, and its tokens; the first of a part may be
        `NOT_SAID`, a later one may be nothing."""
        grammar = partial(
            statement_grammar,
            candidates,
            self.numbers,
            quotes=self.plan.quotes,
            silence=position == 0,
            stop=position > 0,
        )
        settings = self.writer.settings
        refused: DraftStatement | None = None
        for attempt in range(settings.tries + 1):
            warmth = max(settings.temperature, RETRY_TEMPERATURE if attempt else 0.0)
            seed = _seed(settings.seed, self.evidence.prompt.question, part, position, attempt)
            decoded = self.writer.decoder.decode(
                prompt,
                grammar(),
                budget=self.writer.loaded.context - len(prompt),
                closing=lambda text: closing(text, lambda most: grammar(characters=most)),
                retry_policy=min(self.plan.retry_policy, settings.retry_policy),
                sampling=Sampling(warmth, seed),
                stream=_Marked(self.stream, candidates) if self.stream else None,
            )
            if decoded.finished:
                written = parse(decoded.text, candidates)
                if written is None or not written.quotes:
                    return written, list(decoded.ids)
                reason = objection(
                    written, self.evidence, self.numbers, self.writer.checker, settings.threshold
                )
                if not reason:
                    return written, list(decoded.ids)
                refused = written
            else:
                reason = "it did not end within the model's context"
            last = attempt == settings.tries
            self._event(part, "replaced" if last else "rewritten", reason)
            self._say("\n  (replaced)\n" if last else "\n  (written again)\n")
        span = refused.quotes[0] if refused else candidates[0].span
        stated = self.writer.extract(self.evidence, span)
        self._say(f"{stated.text}\n")
        return stated, self.vocabulary.plain(stated.text)

    def _planned(self) -> tuple[Plan, Selection]:
        """The most generous plan that shows every work, else the one that shows most works."""
        best: tuple[Plan, Selection] | None = None
        for plan in PLANS:
            selection = self._selected(plan)
            if best is None or len(selection.unseen) < len(best[1].unseen):
                best = plan, selection
            if not selection.unseen:
                break
        if best is None or (not best[1].shown and any(self.evidence.works)):
            raise WriterError(
                f"the context of {self.writer.loaded.name} ({self.writer.loaded.context} tokens) "
                "is too small for one passage; take another model or --writer extractive"
            )
        return best

    def _selected(self, plan: Plan) -> Selection:
        empty = Selection((), (), ())
        names = [listing.name for listing in self.evidence.prompt.listings]
        tasks = [messages.task(facet, first=(10, 11, 12), brief=plan.brief) for facet in FACETS]
        tasks += [messages.task("relevance", work=name, brief=plan.brief) for name in names]
        longest = max(len(self.writer.template.suffix(self.vocabulary, task)) for task in tasks)
        fixed = len(self._prefix(empty, plan)) + longest + plan.reserve
        return select(
            self.evidence,
            room=self.limit - fixed,
            most=self.writer.settings.passages,
            cost=lambda hit, text: self._cost(hit, text, brief=plan.brief),
        )

    def _cost(self, hit: Hit, text: str, *, brief: bool) -> int:
        listing = self.evidence.prompt.listings[self.evidence.listings_of(hit.source_id)[0]]
        around = "[10] \n" if brief else f"[10] ({listing.name}; {hit.passage.heading})\n\n\n"
        return len(self.vocabulary.plain(text)) + len(self.vocabulary.plain(around))

    def _prefix(self, selection: Selection, plan: Plan) -> list[int]:
        prompt = self.evidence.prompt
        shared = messages.shared(
            prompt.question, prompt.listings, selection.works, selection.shown, brief=plan.brief
        )
        return self.writer.template.prefix(
            self.vocabulary, messages.system(brief=plan.brief), shared
        )

    def _offered(self, shown: Sequence[Shown]) -> list[Candidate]:
        """What may be quoted: what the vocabulary can spell, in no more tokens than planned."""
        return [
            candidate
            for candidate in candidates_of(shown)
            if len(ids := self.vocabulary.plain(candidate.quoted)) <= self.plan.quote_tokens
            and self.vocabulary.bytes_of(ids) == candidate.quoted.encode()
        ]

    def _record(self, seconds: float) -> WriterRecord:
        loaded, tally = self.writer.loaded, self.writer.decoder.tally
        if tally.blind:
            self._event(
                "", "not a number", f"{tally.blind} choices where the model's scores were none"
            )
        record = WriterRecord(
            name="local",
            model=loaded.name,
            revision=loaded.revision,
            dtype=loaded.dtype,
            device=loaded.device,
            seed=self.writer.settings.seed,
            tokens_decoded=tally.decoded,
            tokens_forced=tally.forced,
            seconds=round(seconds, 3),
            note=loaded.note,
        )
        return replace(record, events=tuple(self.events))

    def _event(self, part: str, kind: str, detail: str) -> None:
        self.events.append(WriterEvent(part, kind, detail))

    def _say(self, text: str) -> None:
        if self.stream is not None:
            self.stream(text)


class _Marked:
    """Text on its way to a terminal: prose as it comes, each quote whole, on a line of its own
    and in curly quotation marks."""

    def __init__(self, stream: Callable[[str], None], candidates: Sequence[Candidate]) -> None:
        self.stream = stream
        self.candidates = candidates
        self.held = ""

    def __call__(self, text: str) -> None:
        if not self.held and '"' not in text:
            self.stream(text)
            return
        self.held += text
        prose, mark, rest = self.held.partition('"')
        if prose.strip():
            self.stream(prose)
        self.held = mark + rest
        for candidate in self.candidates:
            if self.held.startswith(candidate.quoted):
                self.stream(f"\n  “{candidate.text}” [{candidate.number}]\n")
                self.held = self.held[len(candidate.quoted) :].lstrip(" ")
                break


def _seed(*parts: object) -> int:
    """A seed of its own for every try of every statement, the same in every run."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
