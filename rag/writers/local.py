"""A local instruct model writes, bound to its sources: it phrases, it cannot quote falsely.

The model chooses words within `rag.writers.grammar`; what it writes becomes pointers. Loading it
takes safetensors only and no code from a checkpoint: it runs nothing but this project's libraries.
Nothing is downloaded here that `rag.writers.choice` has not announced.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from index.errors import EncoderError, WriterError
from index.weights import check_finite, device_of, dtype_on, locate
from rag.retrieval import FACETS, Evidence, Hit, Span
from rag.selection.grading import SentenceScores, trained_model
from rag.support import SupportChecker
from rag.writers import Draft, DraftStatement, WriterRecord, error_line
from rag.writers.decoding import Decoder, Tally
from rag.writers.grammar import (
    ROOM_TO_CLOSE,
    QuoteCandidate,
    ShownSentence,
    candidates_of,
    closing,
    parse,
    statement_grammar,
)
from rag.writers.instruct import DEFAULT_SETTINGS, ModelReply, WritingRun, WritingSettings
from rag.writers.messages import (
    SYSTEM,
    SYSTEM_BRIEF,
    PartRequest,
    SentenceChoice,
    choose_sentences,
    request_message,
    shared_message,
)
from rag.writers.tokenizer import TokenVocabulary, chat_markup

# In tokens, where neither the model nor its tokenizer says: what the smallest of today take.
ASSUMED_CONTEXT = 2048
# A retry must be able to come out differently, also where the first attempt was greedy.
RETRY_TEMPERATURE = 0.8


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to write; `context` is in tokens."""

    model: Any
    vocabulary: TokenVocabulary
    name: str
    revision: str | None
    context: int

    @classmethod
    def of(
        cls, model: Any, tokenizer: Any, *, name: str, revision: str | None = None
    ) -> LoadedModel:
        """A model that is in memory already. Raises WriterError where the two do not fit."""
        ends: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        limits = (
            getattr(model.config.get_text_config(), "max_position_embeddings", None),
            getattr(tokenizer, "model_max_length", None),
        )
        # Tokenizers that know no limit say 10^30.
        known = [int(limit) for limit in limits if limit and limit < 10**9]
        vocabulary = TokenVocabulary(
            tokenizer,
            rows=int(model.get_input_embeddings().weight.shape[0]),
            stops=ends if isinstance(ends, list) else [ends],
        )
        context = min(known, default=ASSUMED_CONTEXT)
        return cls(model.eval(), vocabulary, name, revision, context)


def load_model(name: str, *, offline: bool = False, device: str = "") -> LoadedModel:
    """The model of this hub id or folder, on this device (see `index.weights.device_of`), in the
    number type of the device. Raises WriterError, EncoderError."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, utils

    pretrained: Any = AutoModelForCausalLM.from_pretrained
    logging: Any = utils.logging  # Errors are reported in our own words.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = device_of(device)
    try:
        folder = locate(name, offline=offline)
        options = {"local_files_only": True, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(folder, **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        dtype = dtype_on(place)
        _check_memory(name, config, dtype, place)
        options |= {"use_safetensors": True, "output_loading_info": True}
        model, report = pretrained(folder, config=config, dtype=dtype, **options)
        if missing := sorted(report["missing_keys"]):
            made = ", ".join(map(str, config.architectures or ()))
            if made and made != type(model).__name__:
                raise WriterError(
                    f"{name} is no instruct model but a {made:.80}: name a causal language model, "
                    "such as Qwen/Qwen3-1.7B"
                )
            raise WriterError(
                f"{name}: the checkpoint lacks {len(missing)} of the model's weights "
                f"(the first is {missing[0]}); fetch it again"
            )
        check_finite(model.state_dict(), name)
        model = model.to(place)
    except WriterError:
        raise
    except EncoderError as error:  # says what to do
        raise WriterError(str(error)) from error
    except Exception as error:  # The libraries raise dozens of kinds for a damaged checkpoint.
        raise WriterError(
            f"{name} cannot be loaded as a causal language model: {error_line(error)}"
        ) from error
    # The folders of the hub's cache are named by their revisions.
    is_own = Path(name).expanduser().is_dir()
    revision = _fingerprint(folder) if is_own else folder.name
    return LoadedModel.of(model, tokenizer, name=name, revision=revision)


def _check_memory(name: str, config: Any, dtype: Any, device: str) -> None:
    """Refuse before the operating system does: on Linux it would end the process instead."""
    import torch
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        needed = build(config).num_parameters() * dtype.itemsize
    if device.startswith("cuda"):
        free = int(torch.cuda.mem_get_info(device)[0])
    else:
        memory = Path("/proc/meminfo")  # Not on other systems: there loading itself has to fail.
        text = memory.read_text(encoding="ascii") if memory.exists() else ""
        available = re.search(r"MemAvailable:\s+(\d+) kB", text)
        free = int(available[1]) * 1024 if available else needed
    if needed > free:
        raise WriterError(
            f"{name} needs {needed / 2**30:.1f} GiB for its weights, {free / 2**30:.1f} GiB are "
            "free; take a smaller model"
        )


def _fingerprint(folder: Path) -> str:
    """The hash of a folder's weights: names them where no hub revision does."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + digest.hexdigest()


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

    def candidates(self, shown: Sequence[ShownSentence]) -> list[QuoteCandidate]:
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
