"""Any LangChain chat model writes: it names sentences by id, and code renders the quotes.

A server that takes a grammar is sent one, so that it cannot name what does not exist; of any
other what does not exist is dropped and recorded. Knows nothing of tokens or weights.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from index.errors import WriterError
from rag.retrieval.evidence import FACETS, Evidence, Facet
from rag.support import BuiltinChecker, SupportChecker
from rag.writers import messages
from rag.writers.base import NOT_SAID, Draft, DraftStatement, WriterEvent, WriterRecord
from rag.writers.grammar import Candidate, Shown, candidates_of, parse, statement_grammar
from rag.writers.messages import select
from rag.writers.statements import (
    Extract,
    fallback_statement,
    numbers_in,
    objection,
    plain_statement,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

MOST_QUOTES = 2
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_ID = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Reply:
    """`statements` as they may stand; `dropped` says, kind and detail, what may not. `understood`
    is False where there was nothing in the form that was asked for."""

    statements: tuple[DraftStatement, ...]
    dropped: tuple[tuple[str, str], ...]
    understood: bool


def schema(ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a reply over these sentence ids: a server that takes it as a grammar
    cannot name an id that does not exist."""
    statement = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 600},
            "quotes": {
                "type": "array",
                "items": {"type": "string", "enum": list(ids)},
                "minItems": 1,
                "maxItems": MOST_QUOTES,
            },
        },
        "required": ["text", "quotes"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"statements": {"type": "array", "items": statement, "maxItems": 3}},
        "required": ["statements"],
        "additionalProperties": False,
    }


def ids_of(candidates: Sequence[Candidate]) -> dict[str, Candidate]:
    """Each candidate under its id: the number of its passage, and its place there."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        place = sum(item.number == candidate.number for item in found.values()) + 1
        found[f"{candidate.number}.{place}"] = candidate
    return found


def read_reply(text: str, candidates: Mapping[str, Candidate], numbers: Collection[str]) -> Reply:
    """The statements of a reply. Of one that was cut off, those that came whole are read."""
    raw, understood = _statements(_THOUGHT.sub("", text))
    statements: list[DraftStatement] = []
    dropped: list[tuple[str, str]] = []
    for item in raw:
        given = item.get("quotes")
        named = [str(name) for name in given] if isinstance(given, list) else []
        known = list(dict.fromkeys(name for name in named if name in candidates))
        for name in named:
            if name not in candidates:
                # An id is shown only where it has the form of one: the rest may be anything.
                shown = name if _ID.fullmatch(name) and len(name) < 12 else "not of that form"
                dropped.append(("unknown id", f"the model named a sentence id ({shown})"))
        written = item.get("text")
        plain = plain_statement(written, numbers) if isinstance(written, str) else None
        if plain is None:
            dropped.append(("refused", "a statement that is no plain prose"))
        elif not known:
            dropped.append(("refused", "a statement with no sentence behind it"))
        else:
            spans = tuple(candidates[name].span for name in known[:MOST_QUOTES])
            statements.append(DraftStatement(plain, spans))
    return Reply(tuple(statements), tuple(dropped), understood)


def _statements(text: str) -> tuple[list[dict[str, Any]], bool]:
    """Every object that looks like a statement, and whether the form was kept at all."""
    decoder, found, position = json.JSONDecoder(), [], text.find("{")
    while position >= 0:
        try:
            value, after = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            after = position + 1
        else:
            if isinstance(value.get("statements"), list):
                return [item for item in value["statements"] if isinstance(item, dict)], True
            if "text" in value and "quotes" in value:
                found.append(value)
        position = text.find("{", after)
    return found, bool(found)


Form = Literal["grammar", "schema", "free"]
_PROSE = 320  # characters of prose in one statement, where the grammar runs elsewhere

KEY = "OPENAI_API_KEY"
"""The environment variable the key of an OpenAI-compatible server is read from."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """A part with a statement less likely supported than `threshold` (None: the
    checker's own) is asked again up to `tries`
    times. At most `passages` are shown, of together at most `characters`; a reply is cut off after
    `reply_tokens`."""

    temperature: float = 0.0
    seed: int = 0
    threshold: float | None = None
    tries: int = 1
    statements: int = 2
    passages: int = 16
    characters: int = 16_000
    reply_tokens: int = 800


class ChatWriter:
    """Writes through one chat model. `forms` are how the model may be held to its form, strictest
    first: "grammar" sends the very grammar the local writer decodes in (vLLM, llama.cpp with
    llguidance), "schema" a JSON schema (OpenAI's `response_format`), "free" only asks. One that
    the server refuses or does not follow is not tried again."""

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str = "",
        forms: Sequence[Form] = ("free",),
        settings: ChatSettings = ChatSettings(),
        checker: SupportChecker | None = None,
        extract: Extract = fallback_statement,
    ) -> None:
        self.model = model
        self.name = name or str(getattr(model, "model_name", "") or type(model).__name__)
        self.forms = tuple(forms)
        self.settings = settings
        self.checker: SupportChecker = checker or BuiltinChecker()
        self.extract = extract

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """Every part in turn. Raises WriterError where the first request gets no answer; where a
        later one gets none, the parts that are left are told from the sources."""
        return _Asking(self, evidence, stream or (lambda text: None)).draft()


@dataclass(frozen=True, slots=True)
class _Task:
    """What one part asks for: as JSON with ids, and as text with quotes."""

    json: str
    text: str


class _Asking:
    """One answer in the making."""

    def __init__(
        self, writer: ChatWriter, evidence: Evidence, stream: Callable[[str], None]
    ) -> None:
        self.writer = writer
        self.evidence = evidence
        self.stream = stream
        self.events: list[WriterEvent] = []
        self.answered = 0
        self.lost = ""
        self.tokens = 0
        self.selection = select(
            evidence,
            room=writer.settings.characters,
            most=writer.settings.passages,
            cost=lambda hit, text: len(text) + 80,
        )
        shown = self.selection.shown
        self.numbers = numbers_in("\n".join(item.text for item in shown))
        self.ids = ids_of(candidates_of(shown))

    def draft(self) -> Draft:
        began = time.perf_counter()
        parts = {facet: self._facet(facet) for facet in FACETS}
        relevance_notes = tuple(
            self._relevance(number) for number in range(len(self.evidence.prompt.listings))
        )
        record = WriterRecord(
            name="chat",
            model=self.writer.name,
            seed=self.writer.settings.seed,
            tokens_decoded=self.tokens,
            seconds=round(time.perf_counter() - began, 3),
            events=tuple(self.events),
        )
        return Draft(**parts, relevance_notes=relevance_notes, record=record)

    def _facet(self, facet: Facet) -> tuple[DraftStatement, ...]:
        shown = self.selection.for_facet(self.evidence, facet)
        silent = (DraftStatement(NOT_SAID, ()),)
        if not (offered := self._offered(shown)):
            return silent
        self.stream(f"\n{messages.HEADINGS[facet]}\n")
        first = [item.number for item in shown[:3]]
        task = _Task(messages.chat_task(facet, first=first), messages.task(facet, first=first))
        return self._ask(facet, task, offered, self.writer.settings.statements) or silent

    def _relevance(self, listing: int) -> DraftStatement | None:
        hits, part = self.evidence.works[listing], f"references[{listing}]"
        if not hits:
            return None
        offered = self._offered(self.selection.for_work(self.evidence, listing))
        if not offered:
            self.events.append(WriterEvent(part, "not shown", "no passage of this work fits"))
            found = candidates_of([Shown(0, hits[0], hits[0].sentences())])
            return self.writer.extract(self.evidence, found[0].span) if found else None
        name = self.evidence.prompt.listings[listing].name
        self.stream(f"\n{messages.HEADINGS['relevance'].format(work=name)}\n")
        task = _Task(
            messages.chat_task("relevance", work=name), messages.task("relevance", work=name)
        )
        said = self._ask(part, task, offered, 1)
        return said[0] if said else None

    def _offered(self, shown: Sequence[Shown]) -> dict[str, Candidate]:
        numbers = {item.number for item in shown}
        return {key: item for key, item in self.ids.items() if item.number in numbers}

    def _ask(
        self, part: str, task: _Task, offered: Mapping[str, Candidate], most: int
    ) -> tuple[DraftStatement, ...]:
        """The statements of one part, each supported by its quotes; () where nothing is said."""
        last = self.writer.settings.tries
        for attempt in range(last + 1):
            reply = self._reply(part, task, offered)
            if reply is None:
                break
            self.events += [WriterEvent(part, kind, detail) for kind, detail in reply.dropped]
            if reply.understood and not reply.statements and not reply.dropped:
                return ()
            reasons = [self._objection(item) for item in reply.statements[:most]]
            if reply.statements and not any(reasons):
                return self._said(reply.statements[:most])
            kind = "rewritten" if attempt < last else "replaced"
            for reason in [why for why in reasons if why] or ["the reply cannot be used"]:
                self.events.append(WriterEvent(part, kind, reason))
            if attempt == last and reply.statements:
                kept = [
                    self.writer.extract(self.evidence, item.quotes[0]) if why else item
                    for item, why in zip(reply.statements, reasons, strict=False)
                ]
                return self._said(tuple(kept))
            task = _Task(*(f"{said}{messages.CHAT_AGAIN}" for said in (task.json, task.text)))
        if self.lost:
            self.events.append(WriterEvent(part, "fall-back", self.lost))
        first = next(iter(offered.values()))
        return self._said((self.writer.extract(self.evidence, first.span),))

    def _objection(self, item: DraftStatement) -> str:
        return objection(
            item, self.evidence, self.numbers, self.writer.checker, self.writer.settings.threshold
        )

    def _said(self, statements: tuple[DraftStatement, ...]) -> tuple[DraftStatement, ...]:
        for item in statements:
            self.stream(f"{item.text}\n")
            for span in item.quotes:
                self.stream(f"  “{self.evidence.text(span)}”\n")
        return statements

    def _reply(self, part: str, task: _Task, offered: Mapping[str, Candidate]) -> Reply | None:
        """One answered request, in the strictest form that the server has not refused; None
        once the model has stopped answering."""
        while not self.lost:
            form = self.writer.forms[0]
            asked, constraint = self._request(form, task, offered)
            model = self.writer.model.bind(**constraint) if constraint else self.writer.model
            try:
                message: Any = model.invoke(asked)
            except Exception as error:  # Every provider raises its own.
                if form != "free" and _refused(error):
                    self._step_down(part, form, "refuses it")
                    continue
                self._lose(error)
                return None
            self.answered += 1
            usage = getattr(message, "usage_metadata", None) or {}
            self.tokens += int(usage.get("output_tokens", 0))
            text = str(message.text)
            if form != "grammar":
                return read_reply(text, offered, self.numbers)
            try:
                written = parse(text.strip(), tuple(offered.values()))
            except ValueError:
                self._step_down(part, form, "does not follow it")
                continue
            said = (written,) if written is not None and written.quotes else ()
            return Reply(said, (), understood=True)
        return None

    def _request(
        self, form: Form, task: _Task, offered: Mapping[str, Candidate]
    ) -> tuple[list[BaseMessage], dict[str, Any]]:
        from langchain_core.messages import HumanMessage, SystemMessage

        prompt, chosen = self.evidence.prompt, self.selection
        if form == "grammar":
            shared = messages.shared(prompt.question, prompt.listings, chosen.works, chosen.shown)
            lark = "%llguidance {}\n" + statement_grammar(
                tuple(offered.values()), self.numbers, characters=_PROSE
            )
            asked = [SystemMessage(messages.SYSTEM), HumanMessage(f"{shared}{task.text}")]
            # The names under which vLLM and llama.cpp take a grammar; others ignore them.
            return asked, {"extra_body": {"structured_outputs": {"grammar": lark}, "grammar": lark}}
        shared = messages.chat_shared(
            prompt.question, prompt.listings, chosen.works, chosen.shown, self.ids
        )
        asked = [SystemMessage(messages.CHAT_SYSTEM), HumanMessage(f"{shared}\n{task.json}")]
        if form == "free":
            return asked, {}
        named = {"name": "statements", "schema": schema(list(offered)), "strict": True}
        # Beside the client's own argument of this name: with that it would read the JSON itself
        # and fail at a reply that was cut off.
        asks = {"type": "json_schema", "json_schema": named}
        return asked, {"extra_body": {"response_format": asks}}

    def _step_down(self, part: str, form: Form, why: str) -> None:
        self.writer.forms = self.writer.forms[1:]
        named = "grammar" if form == "grammar" else "JSON schema"
        self.events.append(WriterEvent(part, "fall-back", f"the server was sent a {named}, {why}"))

    def _lose(self, error: Exception) -> None:
        if not self.answered:
            raise WriterError(
                f"the chat model {self.writer.name} does not answer: {told_error(error)}"
            ) from error
        self.lost = f"the chat model stopped answering: {told_error(error)}"
        self.stream("\n  (the model stopped answering; the rest is told from the sources)\n")


def _refused(error: Exception) -> bool:
    """Whether the server understood the request and would not have it in this form."""
    return getattr(error, "status_code", None) in {400, 404, 415, 422, 501}


def told_error(error: Exception) -> str:
    """The first line of an error, without its number, addresses and the key."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"\S*(?:://|www\.)\S*", "…", lines[0][:300]) if lines else type(error).__name__
    text = re.sub(r"^\[Errno -?\d+\] ", "", text)
    secret = os.environ.get(KEY, "")
    return text.replace(secret, "…") if len(secret) > 3 else text
