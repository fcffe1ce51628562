"""Any LangChain chat model writes: it names sentences by id, and code renders the quotes.

A server that takes a grammar is sent one, so that it cannot name what does not exist; with any
other, unknown ids are dropped and recorded. Knows nothing of tokens or weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from index.errors import WriterError
from rag.retrieval import Evidence
from rag.selection.grading import trained_model
from rag.support import SupportChecker
from rag.writers import Draft, DraftStatement, WriterRecord, error_line
from rag.writers.grammar import (
    QuoteCandidate,
    ShownSentence,
    candidates_of,
    parse,
    plain_statement,
    statement_grammar,
)
from rag.writers.instruct import DEFAULT_SETTINGS, ModelReply, WritingRun, WritingSettings
from rag.writers.messages import (
    AGAIN,
    SYSTEM,
    SYSTEM_IDS,
    PartRequest,
    choose_sentences,
    request_message,
    shared_message,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

ReplyForm = Literal["grammar", "schema", "free"]
FORMS: tuple[ReplyForm, ...] = ("grammar", "schema", "free")

MOST_QUOTES = 2
_PROSE = 320  # characters of prose in one statement, where the grammar runs elsewhere
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_ID = re.compile(r"\d{1,9}\.\d{1,9}")
# The statuses by which a server says that it does not take a request in this form.
_REFUSALS = frozenset((400, 404, 415, 422, 501))


def reply_schema(ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a reply over these sentence ids: a server that takes it as a grammar
    cannot name an id that does not exist."""

    def closed(**properties: Any) -> dict[str, Any]:
        fixed = {"required": list(properties), "additionalProperties": False}
        return {"type": "object", "properties": properties, **fixed}

    quotes = {"type": "array", "items": {"type": "string", "enum": list(ids)}}
    statement = closed(
        text={"type": "string", "maxLength": 600},
        quotes={**quotes, "minItems": 1, "maxItems": MOST_QUOTES},
    )
    return closed(statements={"type": "array", "items": statement, "maxItems": 3})


def sentence_ids(candidates: Sequence[QuoteCandidate]) -> dict[str, QuoteCandidate]:
    """Each candidate under its id: the number of its passage, and its place there."""
    return {
        f"{number}.{place}": candidate
        for number, own in groupby(candidates, key=lambda candidate: candidate.number)
        for place, candidate in enumerate(own, 1)
    }


def read_reply(
    text: str, candidates: Mapping[str, QuoteCandidate], numbers: Collection[str]
) -> ModelReply:
    """The statements of a reply in JSON, with the sentences that their ids name. Of a reply that
    was cut off, the whole statements are read."""
    items = _statement_objects(_THOUGHT.sub("", text))
    if items is None:
        return ModelReply(error="the reply cannot be used")
    statements: list[DraftStatement] = []
    dropped: list[tuple[str, str]] = []
    for item in items:
        written, quotes = item.get("text"), item.get("quotes")
        ids = dict.fromkeys(map(str, quotes if isinstance(quotes, list) else ()))
        for key in [key for key in ids if key not in candidates]:
            # Shown only where it has the form of an id: the rest may be anything.
            shown = key if _ID.fullmatch(key) else "not of that form"
            dropped.append(("unknown id", f"the model named a sentence id ({shown})"))
        known = [key for key in ids if key in candidates]
        plain = plain_statement(written, numbers) if isinstance(written, str) else None
        if plain is None:
            dropped.append(("refused", "a statement that is no plain prose"))
        elif not known:
            dropped.append(("refused", "a statement with no sentence behind it"))
        else:
            spans = tuple(candidates[key].span for key in known[:MOST_QUOTES])
            statements.append(DraftStatement(plain, spans))
    return ModelReply(tuple(statements), tuple(dropped))


def _statement_objects(text: str) -> list[dict[str, Any]] | None:
    """Every object of the text that looks like a statement; None where nothing has the form."""
    decoder = json.JSONDecoder()
    items: list[dict[str, Any]] = []
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            value, end = {}, position + 1
        if isinstance(value.get("statements"), list):
            return [item for item in value["statements"] if isinstance(item, dict)]
        if "text" in value and "quotes" in value:
            items.append(value)
        position = text.find("{", end)
    return items or None


def _in_the_servers_words(error: Exception) -> Exception:
    """The error with the message that the server sent, where it sent one, and for how long it
    asks to wait."""
    from index.sources.http import retry_after

    body, response = getattr(error, "body", None), getattr(error, "response", None)
    words = body.get("message") or body.get("detail") if isinstance(body, dict) else None
    status = getattr(error, "status_code", "")
    asked = getattr(response, "headers", {}).get("retry-after", "")
    seconds = retry_after(asked, datetime.now(UTC))
    wait = f"; it asks to wait {seconds:.0f} seconds" if seconds else ""
    return RuntimeError(f"{words or error} (status {status}{wait})") if words or wait else error


@dataclass(eq=False, repr=False)
class ChatWriter:
    """Writes through one chat model. `forms` are how the model may be held to its form, strictest
    first: "grammar" sends the very grammar in which the local writer decodes (vLLM, llama.cpp with
    llguidance), "schema" a JSON schema (OpenAI's `response_format`), "free" only asks. One that
    the server refuses or does not follow is not tried again."""

    model: BaseChatModel
    _: KW_ONLY
    name: str = ""
    forms: tuple[ReplyForm, ...] = ("free",)
    settings: WritingSettings = DEFAULT_SETTINGS
    checker: SupportChecker | None = None

    def __post_init__(self) -> None:
        self.name = self.name or str(
            getattr(self.model, "model_name", "") or type(self.model).__name__
        )

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """Every part in turn. Raises WriterError where the first request gets no answer; where a
        later one gets none, the remaining parts are taken from the sources."""
        return _ChatRun(self, evidence, stream).draft()


class _ChatRun(WritingRun):
    one_reply = True

    def __init__(
        self, writer: ChatWriter, evidence: Evidence, stream: Callable[[str], None] | None
    ) -> None:
        choice = choose_sentences(
            trained_model(writer.settings.device).scores(evidence),
            evidence.hits(),
            room=writer.settings.characters,
            most=writer.settings.shown,
            cost=lambda hit, text: len(text) + 80,
        )
        super().__init__(evidence, choice, writer.settings, writer.checker, stream)
        self.writer = writer
        self.ids = sentence_ids(candidates_of(choice.shown))
        self.answered = self.tokens = 0

    def candidates(self, shown: Sequence[ShownSentence]) -> list[QuoteCandidate]:
        numbers = {item.number for item in shown}
        return [candidate for candidate in self.ids.values() if candidate.number in numbers]

    def reply(
        self,
        request: PartRequest,
        candidates: Sequence[QuoteCandidate],
        earlier: Sequence[DraftStatement],
        attempt: int,
    ) -> ModelReply | None:
        """One answered request, in the strictest form that the server has not refused."""
        offered = {key: item for key, item in self.ids.items() if item in candidates}
        while not self.lost:
            form = self.writer.forms[0]
            messages, constraint = self._request(form, request, offered, again=attempt > 0)
            try:
                message: Any = self.writer.model.invoke(messages, **constraint)
            except Exception as error:  # Every provider raises its own.
                if form != "free" and getattr(error, "status_code", None) in _REFUSALS:
                    self._step_down(request, form, "refuses it")
                    continue
                reason = error_line(_in_the_servers_words(error))
                if not self.answered:
                    raise WriterError(
                        f"the chat model {self.writer.name} does not answer: {reason}"
                    ) from error
                self.lost = f"the chat model stopped answering: {reason}"
                self.say(f"\n  ({self.lost}; the rest is taken from the sources)\n")
                break
            self.answered += 1
            usage = getattr(message, "usage_metadata", None) or {}
            with suppress(ValueError, TypeError, OverflowError):  # the server's word
                self.tokens += max(0, int(usage.get("output_tokens", 0)))
            text = str(message.text)
            if form != "grammar":
                return read_reply(text, offered, self.numbers)
            try:
                statement = parse(text.strip(), candidates)
            except ValueError:
                self._step_down(request, form, "does not follow it")
            else:
                return ModelReply((statement,) if statement and statement.quotes else ())
        return None

    def record(self) -> WriterRecord:
        return WriterRecord(name="chat", model=self.writer.name, tokens_decoded=self.tokens)

    def _request(
        self,
        form: ReplyForm,
        request: PartRequest,
        offered: Mapping[str, QuoteCandidate],
        *,
        again: bool,
    ) -> tuple[list[BaseMessage], dict[str, Any]]:
        """The messages, and what holds the model to its form."""
        from langchain_core.messages import HumanMessage, SystemMessage

        ids = None if form == "grammar" else self.ids
        shared = shared_message(self.evidence.prompt, self.choice.shown, ids=ids)
        asked = request_message(request, ids=ids is not None) + (AGAIN if again else "")
        if ids and (taken := [key for key, item in ids.items() if item.span in self.used]):
            asked += f" Do not name {', '.join(taken)}: they are quoted already."
        system = SystemMessage(SYSTEM if ids is None else SYSTEM_IDS)
        extra: dict[str, Any] = {}
        if form == "grammar":
            lark = "%llguidance {}\n" + statement_grammar(
                tuple(offered.values()), self.numbers, characters=_PROSE
            )
            # The names under which vLLM (now, and before 0.12) and llama.cpp take a grammar; others
            # ignore them.
            extra = {"structured_outputs": {"grammar": lark}}
            extra |= {"guided_grammar": lark, "grammar": lark}
        elif form == "schema":
            # Not the client's own argument of this name: with that it would read the JSON itself
            # and fail at a reply that was cut off.
            named = {"name": "statements", "schema": reply_schema(list(offered)), "strict": True}
            extra = {"response_format": {"type": "json_schema", "json_schema": named}}
        messages = [system, HumanMessage(f"{shared}\n{asked}")]
        return messages, {"extra_body": extra} if extra else {}

    def _step_down(self, request: PartRequest, form: ReplyForm, reason: str) -> None:
        # Answers that are written at once may step down from the same form: once is enough.
        forms = self.writer.forms
        if form in forms:
            self.writer.forms = forms[forms.index(form) + 1 :]
        self.event(request.label, "fall-back", f"the server was sent a {form}, {reason}")
