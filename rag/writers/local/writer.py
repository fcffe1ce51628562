"""A local instruct model writes, bound to its sources: it phrases, it cannot quote falsely.

The model chooses words within `rag.writers.grammar`; what it writes becomes pointers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from index.errors import WriterError
from rag.retrieval import FACETS, Evidence, Hit, Span
from rag.selection.grading import SentenceScores, trained_model
from rag.support import SupportChecker
from rag.writers import Draft, DraftStatement, WriterRecord
from rag.writers.grammar import (
    ROOM_TO_CLOSE,
    QuoteCandidate,
    ShownPassage,
    candidates_of,
    closing,
    parse,
    statement_grammar,
)
from rag.writers.instruct import DEFAULT_SETTINGS, ModelReply, WritingRun, WritingSettings
from rag.writers.local.decoding import Decoder, Tally
from rag.writers.local.loading import LoadedModel
from rag.writers.local.tokenizer import chat_markup
from rag.writers.messages import (
    SYSTEM,
    SYSTEM_BRIEF,
    PartRequest,
    SentenceChoice,
    choose_sentences,
    request_message,
    shared_message,
)

# A retry must be able to come out differently, also where the first attempt was greedy.
RETRY_TEMPERATURE = 0.8


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """How much of the context the statements of a part may take, in tokens: after `prose_tokens`
    a statement has to come to its quotes, at most `quotes` of at most `quote_tokens` each."""

    statements: int
    quotes: int
    prose_tokens: int
    quote_tokens: int
    brief: bool

    @property
    def reserve(self) -> int:
        """The tokens that the statements of one part may need."""
        one = self.prose_tokens + ROOM_TO_CLOSE + self.quotes * self.quote_tokens
        return self.statements * one


# The first plan under which every work keeps a sentence is taken.
PLANS = (
    ContextPlan(statements=2, quotes=2, prose_tokens=112, quote_tokens=160, brief=False),
    ContextPlan(statements=1, quotes=2, prose_tokens=64, quote_tokens=120, brief=False),
    ContextPlan(statements=1, quotes=1, prose_tokens=32, quote_tokens=112, brief=True),
    ContextPlan(statements=1, quotes=1, prose_tokens=16, quote_tokens=96, brief=True),
)


class LocalWriter:
    """Writes with one loaded model; the model's cache is kept between prompts."""

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        settings: WritingSettings = DEFAULT_SETTINGS,
        checker: SupportChecker | None = None,
    ) -> None:
        self.loaded = loaded
        self.settings = settings
        self.checker = checker
        self.vocabulary = loaded.vocabulary
        self.markup = chat_markup(loaded.vocabulary)
        self.decoder = Decoder(loaded.model, loaded.vocabulary)

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """Every part in turn. Raises WriterError where not one sentence fits the context."""
        scores = trained_model(self.settings.device).scores(evidence)
        return _LocalRun(self, evidence, *self._plan(evidence, scores), stream).draft()

    def prefix(self, evidence: Evidence, choice: SentenceChoice, plan: ContextPlan) -> list[int]:
        """The tokens with which the prompts of all parts begin."""
        before, between, _ = self.markup
        system = self.vocabulary.plain(SYSTEM_BRIEF if plan.brief else SYSTEM)
        shared = shared_message(evidence.prompt, choice.shown, brief=plan.brief)
        return [*before, *system, *between, *self.vocabulary.plain(shared)]

    def suffix(self, request: PartRequest, plan: ContextPlan) -> list[int]:
        """The rest of the user's message, one part's request, and the start of the model's turn."""
        asked = self.vocabulary.plain(request_message(request, brief=plan.brief))
        return [*asked, *self.markup[2]]

    def _plan(
        self, evidence: Evidence, scores: SentenceScores
    ) -> tuple[ContextPlan, SentenceChoice]:
        """The first plan under which every work is shown, else the one that shows most works."""
        plan, choice = PLANS[0], self._choose(evidence, scores, PLANS[0])
        for tighter in PLANS[1:] if choice.unseen else ():
            other = self._choose(evidence, scores, tighter)
            if len(other.unseen) < len(choice.unseen):
                plan, choice = tighter, other
        if not choice.shown and any(evidence.works):
            raise WriterError(
                f"the context of {self.loaded.name} ({self.loaded.context} tokens) is too small "
                "for one sentence; take another model or --writer extractive"
            )
        return plan, choice

    def _choose(
        self, evidence: Evidence, scores: SentenceScores, plan: ContextPlan
    ) -> SentenceChoice:
        listings, plain = evidence.prompt.listings, self.vocabulary.plain

        def cost(hit: Hit, text: str) -> int:
            name = listings[evidence.listings_of(hit.source_id)[0]].name
            around = "[10] \n" if plan.brief else f"[10] ({name}; {hit.passage.heading})\n\n\n"
            return len(plain(text)) + len(plain(around))

        requests = [PartRequest(facet, facet, first=(10, 11, 12)) for facet in FACETS]
        requests += [PartRequest("relevance", "", work=listing.name) for listing in listings]
        fixed = len(self.prefix(evidence, SentenceChoice(), plan)) + plan.reserve
        fixed += max(len(self.suffix(request, plan)) for request in requests)
        limit = min(self.loaded.context, self.settings.prompt_tokens + PLANS[0].reserve)
        most = self.settings.shown
        return choose_sentences(scores, evidence.hits(), room=limit - fixed, most=most, cost=cost)


class _LocalRun(WritingRun):
    live = True

    def __init__(
        self,
        writer: LocalWriter,
        evidence: Evidence,
        plan: ContextPlan,
        choice: SentenceChoice,
        stream: Callable[[str], None] | None,
    ) -> None:
        super().__init__(evidence, choice, writer.settings, writer.checker, stream)
        self.writer = writer
        self.plan = plan
        self.statements_per_part = min(plan.statements, writer.settings.statements)
        writer.decoder.tally = Tally()
        self.quoted: dict[Span, str] = {}
        self.prefix = writer.prefix(evidence, choice, plan)
        if choice.shown:
            writer.decoder.hold(self.prefix)

    def candidates(self, shown: Sequence[ShownPassage]) -> list[QuoteCandidate]:
        vocabulary = self.writer.vocabulary
        return [  # What it can spell, in no more tokens than planned.
            candidate
            for candidate in candidates_of(shown)
            if len(ids := vocabulary.plain(candidate.quoted)) <= self.plan.quote_tokens
            and vocabulary.bytes_of(ids) == candidate.quoted.encode()
        ]

    def reply(
        self,
        request: PartRequest,
        candidates: Sequence[QuoteCandidate],
        earlier: Sequence[DraftStatement],
        attempt: int,
    ) -> ModelReply:
        vocabulary, settings = self.writer.vocabulary, self.settings
        prompt = [*self.prefix, *self.writer.suffix(request, self.plan)]
        self.quoted |= {candidate.span: candidate.quoted for candidate in candidates}
        for one in earlier:
            quotes = (self.quoted[span] for span in one.quotes)
            prompt += vocabulary.plain(" ".join((one.text, *quotes)) + "\n")
        grammar = partial(
            statement_grammar,
            candidates,
            self.numbers,
            quotes=self.plan.quotes,
            silence=not earlier,  # The first statement may be `NOT_SAID`, a later one empty.
            stop=bool(earlier),
        )
        question = self.evidence.prompt.question
        decoded = self.writer.decoder.decode(
            prompt,
            grammar(),
            budget=self.writer.loaded.context - len(prompt),
            closing=lambda text: closing(text, lambda most: grammar(characters=most)),
            closing_after=min(self.plan.prose_tokens, settings.prose_tokens),
            temperature=max(settings.temperature, RETRY_TEMPERATURE if attempt else 0.0),
            seed=_seed(settings.seed, question, request.label, len(earlier), attempt),
            stream=self.say,
        )
        self.say("\n")
        if not decoded.finished:
            return ModelReply(error="it did not end within the model's context")
        statement = parse(decoded.text, candidates)
        return ModelReply((statement,) if statement and statement.quotes else ())

    def record(self) -> WriterRecord:
        loaded, tally = self.writer.loaded, self.writer.decoder.tally
        if tally.blind:
            detail = f"{tally.blind} choices where the model's scores were none"
            self.event("", "not a number", detail)
        return WriterRecord(
            name="local",
            model=loaded.name,
            revision=loaded.revision,
            dtype=str(loaded.model.dtype).removeprefix("torch."),
            device=str(loaded.model.device),
            tokens_decoded=tally.decoded,
            tokens_forced=tally.forced,
        )


def _seed(*parts: object) -> int:
    """A seed of its own for every attempt at every statement, the same in every run."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
