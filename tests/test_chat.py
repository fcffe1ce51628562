"""The chat writer: whatever the model or its server sends, the answer verifies or the error is
clear."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from llguidance import LLMatcher

from index.errors import WriterError
from rag.retrieval.evidence import FACETS
from rag.writers.base import CHAT_KEY, NOT_SAID, Draft
from rag.writers.chat import ChatWriter, read_reply, reply_schema, sentence_ids
from rag.writers.choice import open_chat_model
from rag.writers.grammar import ShownPassage, candidates_of, prose_error
from rag.writers.instruct import WritingSettings
from rag.writers.local.decoding import Decoder
from tests.parts.tiny_models import (
    KITES,
    FixedChecker,
    check_draft,
    evidence,
    hits,
    loaded,
    saved,
    statements,
)

GOOD = json.dumps({"statements": [{"text": "Wind goes into a kite.", "quotes": ["1.1"]}]})
PARTS = 6  # four parts and two relevance notes


def reply_of(text: str, *quotes: str) -> str:
    return json.dumps({"statements": [{"text": text, "quotes": quotes}]})


def draft_of(reply: str, material: Any = None, probability: float = 1.0, **more: Any) -> Draft:
    """The draft of a model that always gives this reply."""
    material = material or evidence({"Kites": KITES})
    options: dict[str, Any] = {"tries": 1, **more}
    writer = ChatWriter(
        FakeListChatModel(responses=[reply]),
        settings=WritingSettings(**options),
        checker=FixedChecker(probability),
    )
    draft = writer.write(material)
    check_draft(material, draft)
    return draft


def kinds(draft: Draft, part: str = "") -> list[str]:
    return [event.kind for event in draft.record.events if event.part.startswith(part)]


class TestReplies:
    def test_ids_that_exist_become_quotes(self) -> None:
        material = evidence({"Kites": KITES})
        draft = draft_of(GOOD, material)
        assert draft.task[0].text == "Wind goes into a kite."
        assert material.text(draft.task[0].quotes[0]).startswith("A kite takes wind as its input")
        assert kinds(draft, "task") == []
        assert (draft.record.name, draft.record.model) == ("chat", "FakeListChatModel")

    def test_ids_that_do_not_exist_are_dropped_and_recorded(self) -> None:
        draft = draft_of(reply_of("Wind goes into a kite.", "77.1", "2.1", "https://evil.example"))
        assert len(draft.task[0].quotes) == 1
        details = [event.detail for event in draft.record.events if event.part == "task"]
        assert len(details) == 2
        assert "77.1" in details[0]
        assert "evil" not in details[1]

    def test_a_relevance_note_rests_on_the_work_s_own_sentences_only(self) -> None:
        draft = draft_of(GOOD, evidence(), tries=0)
        assert None not in draft.relevance_notes
        assert "unknown id" in kinds(draft, "references")

    def test_a_work_that_does_not_fit_is_recorded(self) -> None:
        material = evidence({f"Work {n}": f"{KITES} Kite {n}." for n in range(6)})
        draft = draft_of(GOOD, material, characters=260)
        assert "not shown" in kinds(draft)
        assert None not in draft.relevance_notes

    def test_an_empty_list_says_that_nothing_is_said(self) -> None:
        draft = draft_of('{"statements": []}', evidence())
        assert [item.text for item in statements(draft)] == [*[NOT_SAID] * 4, "", ""]
        assert all(note and not note.relevant for note in draft.relevance_notes)
        assert draft.record.events == ()

    @pytest.mark.parametrize(
        "reply",
        [
            "",
            "I'm sorry, but I can't help with that.",
            "The kite takes wind. [1]",
            GOOD[: len(GOOD) // 3],
            "{" * 3000,
            '{"statements": "none"}',
            '{"statements": [{"text": 5, "quotes": {"1.1": 1}}, "x", null]}',
            reply_of("See https://evil.example now.", "1.1"),
            reply_of("It has 99 sails.", "1.1"),
            reply_of("No sentence behind it."),
            "\u0000\ufffe",
        ],
    )
    def test_what_cannot_be_used_is_replaced_by_the_sources_and_recorded(self, reply: str) -> None:
        draft = draft_of(reply, evidence())
        assert all(getattr(draft, facet)[0].quotes for facet in FACETS)
        assert [kind for kind in kinds(draft, "task") if kind != "refused"] == [
            "rewritten",
            "replaced",
        ]

    @pytest.mark.parametrize(
        "reply",
        [
            f"```json\n{GOOD}\n```",
            f"<think>{{1.1}} hm</think>{GOOD}",
            f"Of course! {GOOD} Right?",
            GOOD[:-2] + ', {"text": "And th',
            reply_of("“Wind” goes into a kite [4] (2, 3).", "1.1"),
        ],
        ids=["fence", "thought", "talk", "cut off", "typed quotes and citations"],
    )
    def test_wrapping_is_removed(self, reply: str) -> None:
        draft = draft_of(reply)
        assert draft.task[0].text == "Wind goes into a kite."
        assert kinds(draft, "task") == []

    def test_an_unsupported_statement_is_asked_for_again_and_then_replaced(self) -> None:
        draft = draft_of(GOOD, probability=0.2, tries=2)
        assert kinds(draft, "task") == ["rewritten", "rewritten", "replaced"]
        assert draft.task[0].text != "Wind goes into a kite."

    @given(
        objects=st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "text": st.sampled_from(
                        [
                            "Wind goes into a kite.",
                            "See [1] “it” at a.example.",
                            'It has 9 "sails".',
                        ]
                    )
                    | st.text(max_size=20)
                    | st.none(),
                    "quotes": st.lists(st.sampled_from(["1.1", "1.2", "7.7"]) | st.text(max_size=5))
                    | st.none(),
                },
            )
            | st.integers(),
            max_size=4,
        ),
        cut=st.integers(0, 300) | st.none(),
    )
    @settings(max_examples=200)
    def test_statements_of_any_reply_are_plain_and_point_to_sentences(
        self, objects: list[Any], cut: int | None
    ) -> None:
        shown = [ShownPassage(1, hit, hit.sentences()) for hit in hits("s:", KITES)]
        ids = sentence_ids(candidates_of(shown))
        reply = read_reply(json.dumps({"statements": objects})[:cut], ids, {"1"})
        spans = {candidate.span for candidate in ids.values()}
        for item in reply.statements:
            assert prose_error(item.text, {"1"}) == ""
            assert item.quotes
            assert spans.issuperset(item.quotes)
        if {"text": "Wind goes into a kite.", "quotes": ["1.1"]} in objects and cut is None:
            assert "Wind goes into a kite." in {item.text for item in reply.statements}

    def test_the_schema_is_one_that_grammars_are_made_of(self) -> None:
        grammar = LLMatcher.grammar_from_json_schema(reply_schema(["1.1", "2.1"]))
        assert LLMatcher.validate_grammar(grammar) == ""


class TestFailures:
    def writer(self, after: int, message: str = "nobody home") -> ChatWriter:
        """A writer whose model fails after so many replies."""

        def replies() -> Iterator[str]:
            yield from [GOOD] * after
            raise ConnectionError(message)

        return ChatWriter(GenericFakeChatModel(messages=replies()), checker=FixedChecker(1.0))

    def test_a_model_that_fails_at_once_is_a_clear_error_without_key_and_address(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(CHAT_KEY, "sk-very-secret")
        with pytest.raises(WriterError, match=r"does not answer: bad key") as failure:
            self.writer(0, "bad key sk-very-secret for https://x.example/v1").write(evidence())
        assert "secret" not in str(failure.value)
        assert "://" not in str(failure.value)

    def test_a_model_that_fails_in_the_middle_leaves_a_verified_answer(self) -> None:
        pieces: list[str] = []
        draft = self.writer(2).write(evidence(), stream=pieces.append)
        check_draft(evidence(), draft)
        assert "fall-back" in kinds(draft)
        assert "stopped answering" in "".join(pieces)


class TinyServer:
    """An OpenAI-compatible server around a real tiny model. `takes` are the forms it decodes in;
    it `ignores` or refuses the others, and dies after `lives` requests."""

    def __init__(self, *takes: str, lives: int = 10_000, ignores: bool = False) -> None:
        self.takes, self.lives, self.ignores = takes, lives, ignores
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.lock = threading.Lock()
        model = loaded()
        self.decoder = Decoder(model.model, model.vocabulary)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.keys.add(self.headers.get("Authorization", ""))
                with outer.lock:
                    status, reply = outer.answer(body)
                if not status:
                    self.connection.close()
                    return
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(body)
        if len(self.requests) > self.lives:
            return 0, {}
        grammar = "start: /[a-z ]{5,40}/"
        if "structured_outputs" in body and not self.ignores:
            if "grammar" not in self.takes:
                return 400, {"error": {"message": "unknown field structured_outputs"}}
            grammar = body["structured_outputs"]["grammar"]
        elif "response_format" in body and not self.ignores:
            if "schema" not in self.takes:
                return 422, {"error": {"message": "no response_format here"}}
            form = body["response_format"]["json_schema"]["schema"]
            grammar = LLMatcher.grammar_from_json_schema(form, {"whitespace_flexible": False})
        words = "".join(message["content"] for message in body["messages"])
        ids = self.decoder.vocabulary.plain(words)[-600:]
        text = self.decoder.decode(
            ids, grammar, budget=2500, temperature=1.0, seed=len(self.requests)
        ).text
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "tiny"}
        return 200, {**reply, "choices": choices, "usage": usage}

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def writer_for(server: TinyServer) -> ChatWriter:
    writer = open_chat_model("tiny", base_url=server.url, settings=WritingSettings(tries=0))
    writer.checker = FixedChecker(1.0)
    return writer


class TestServer:
    pytest.importorskip("langchain_openai", reason="needs the extra `chat`")

    @pytest.fixture
    def serve(self) -> Iterator[Callable[..., TinyServer]]:
        with contextlib.ExitStack() as servers:

            def start(*takes: str, **more: Any) -> TinyServer:
                server = TinyServer(*takes, **more)
                servers.callback(server.close)
                return server

            yield start

    def test_one_that_takes_the_grammar_cannot_misquote(
        self, serve: Callable[..., TinyServer]
    ) -> None:
        server = serve("grammar", "schema")
        draft = writer_for(server).write(evidence())
        check_draft(evidence(), draft)
        assert draft.record.events == ()
        assert draft.record.tokens_decoded == 7 * PARTS
        assert all("structured_outputs" in body for body in server.requests)

    def test_one_that_takes_a_schema_cannot_name_an_unknown_id(
        self, serve: Callable[..., TinyServer]
    ) -> None:
        server = serve("schema")
        draft = writer_for(server).write(evidence())
        check_draft(evidence(), draft)
        assert "unknown id" not in kinds(draft)
        details = [event.detail for event in draft.record.events]
        assert sum("grammar, refuses" in detail for detail in details) == 1
        schemas = [
            body["response_format"]["json_schema"]["schema"]["properties"]["statements"]["items"]
            for body in server.requests
            if "response_format" in body
        ]
        assert len(schemas) == PARTS
        assert schemas[0]["properties"]["quotes"]["items"]["enum"][0] == "1.1"

    @pytest.mark.parametrize(
        "options", [{}, {"ignores": True}, {"lives": 3}], ids=["refuses", "ignores", "dies"]
    )
    def test_one_that_takes_neither_or_dies_leaves_a_verified_answer(
        self, serve: Callable[..., TinyServer], options: dict[str, Any]
    ) -> None:
        server = serve(*(["grammar"] if "lives" in options else []), **options)
        draft = writer_for(server).write(evidence())
        check_draft(evidence(), draft)
        fallbacks = [event.detail for event in draft.record.events if event.kind == "fall-back"]
        assert fallbacks
        assert "127.0.0.1" not in "".join(fallbacks)

    def test_one_that_is_not_there_is_a_clear_error(self) -> None:
        server = TinyServer()
        server.close()
        with pytest.raises(WriterError, match="tiny does not answer"):
            writer_for(server).write(evidence())

    def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
        self, serve: Callable[..., TinyServer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(CHAT_KEY, "sk-very-secret")
        server = serve("grammar")
        writer = writer_for(server)
        answer = check_draft(evidence(), writer.write(evidence()))
        assert server.keys == {"Bearer sk-very-secret"}
        assert "secret" not in answer.to_json() + repr(writer.model) + repr(writer)
        monkeypatch.delenv(CHAT_KEY)
        writer.write(evidence())
        assert "Bearer none" in server.keys


def test_transformers_serve_with_random_weights_ends_in_a_verified_answer(tmp_path: Path) -> None:
    """A real server of somebody else's making, and its death."""
    for package in ("fastapi", "uvicorn", "openai", "accelerate", "langchain_openai"):
        pytest.importorskip(package, reason="`transformers serve` needs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(saved(tmp_path))]
    command += ["--port", str(port), "--host", host, "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    short = WritingSettings(tries=0, reply_tokens=24)
    writer = open_chat_model(str(tmp_path), base_url=f"http://{host}:{port}/v1", settings=short)
    with subprocess.Popen(command, env=environment, **quiet) as server:
        try:
            for _ in range(300):
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"http://{host}:{port}/health", timeout=1).is_success:
                        break
                assert server.poll() is None, "the server did not start"
                time.sleep(0.2)
            draft = writer.write(evidence())
        finally:
            server.kill()
    check_draft(evidence(), draft)
    assert draft.record.tokens_decoded > 24
    assert "stopped" not in str(draft.record.events)
    with pytest.raises(WriterError, match="does not answer"):
        writer.write(evidence())
