"""The chat writer: whatever the model or its server sends, the answer verifies or the error is
clear."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from llguidance import LLMatcher

from index.encoder import Encoder
from index.errors import WriterError
from index.settings import Settings
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.retrieval import FACETS
from rag.writers import CHAT_KEY, NOT_SAID, Draft
from rag.writers.chat import ChatWriter, read_reply, reply_schema, sentence_ids
from rag.writers.choice import ANSWER_BYTES, open_chat_model
from rag.writers.grammar import ShownSentence, candidates_of, prose_error
from rag.writers.instruct import WritingSettings
from tests.parts.chat_server import GRAMMARS, ChatServer
from tests.parts.commands import invoke
from tests.parts.servers import Reply, Server
from tests.parts.tiny_models import (
    KITES,
    FixedChecker,
    check_draft,
    evidence,
    hits,
    saved,
    statements,
)
from tests.parts.works import PROMPTS, write_prompts

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
        shown = [
            ShownSentence(1, hit, *own) for hit in hits("s:", KITES) for own in hit.sentences()
        ]
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


def writer_for(server: ChatServer, retries: int = 2) -> ChatWriter:
    short = WritingSettings(tries=0)
    writer = open_chat_model("random", base_url=server.url, settings=short, retries=retries)
    writer.checker = FixedChecker(1.0)
    return writer


class TestServer:
    pytest.importorskip("langchain_openai", reason="needs the extra `chat`")

    @pytest.fixture
    def serve(self) -> Iterator[Callable[..., ChatServer]]:
        with contextlib.ExitStack() as servers:

            def start(*takes: str, **more: Any) -> ChatServer:
                server = ChatServer(*takes, **more)
                servers.callback(server.close)
                return server

            yield start

    @pytest.mark.parametrize("name", GRAMMARS)
    def test_one_that_takes_the_grammar_cannot_misquote(
        self, serve: Callable[..., ChatServer], name: str
    ) -> None:
        server = serve(name, ignores=True)
        draft = writer_for(server).write(evidence())
        check_draft(evidence(), draft)
        assert draft.record.events == ()
        assert draft.record.tokens_decoded == 7 * PARTS
        # The very text by which the local writer decodes, with its prose bounded.
        header, grammar = server.requests[0]["grammar"].split("\n", 1)
        assert header == "%llguidance {}"
        assert grammar.startswith("start: TEXT\nTEXT: PROSE")
        assert all(body["grammar"].startswith("%llguidance") for body in server.requests)

    def test_one_that_takes_a_schema_cannot_name_an_unknown_id(
        self, serve: Callable[..., ChatServer]
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
        self, serve: Callable[..., ChatServer], options: dict[str, Any]
    ) -> None:
        server = serve(*(["grammar"] if "lives" in options else []), **options)
        draft = writer_for(server, retries=0).write(evidence())
        check_draft(evidence(), draft)
        fallbacks = [event.detail for event in draft.record.events if event.kind == "fall-back"]
        assert fallbacks
        assert "127.0.0.1" not in "".join(fallbacks)

    def test_one_that_is_not_there_is_a_clear_error(self) -> None:
        server = ChatServer()
        server.close()
        with pytest.raises(WriterError, match="random does not answer"):
            writer_for(server, retries=0).write(evidence())

    @pytest.mark.parametrize(
        ("status", "headers", "size"),
        [(307, {"Location": "{other}"}, 0), (200, {}, ANSWER_BYTES), (200, {}, -1)],
        ids=["redirects", "endless", "compressed"],
    )
    def test_one_that_leads_elsewhere_or_does_not_end_is_a_clear_error(
        self, serve: Callable[..., ChatServer], status: int, headers: dict[str, str], size: int
    ) -> None:
        other = serve("schema", ignores=True)
        headers = dict.fromkeys(headers, f"{other.url}/chat/completions")
        body = b" " * (size + 1)
        if size < 0:
            body, headers = gzip.compress(bytes(100)), {"Content-Encoding": "gzip"}
        with Server() as server:
            server.tell("/v1/chat/completions", Reply(status, body=body, headers=headers))
            writer = open_chat_model("random", base_url=f"{server.url}/v1", retries=0)
            with pytest.raises(WriterError, match="random does not answer"):
                writer.write(evidence())
        assert other.requests == []

    @pytest.mark.parametrize("tokens", ["many", 1e999, -5, None])
    def test_what_it_says_of_tokens_is_only_its_word(self, tokens: object) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1}
        message = {"role": "assistant", "content": GOOD}
        reply = {"choices": [{"message": message}], "usage": usage}
        with Server() as server:
            server.tell("/v1/chat/completions", Reply(body=json.dumps(reply).encode()))
            writer = open_chat_model("random", base_url=f"{server.url}/v1", retries=0)
            assert writer.write(evidence()).record.tokens_decoded == 0

    def test_one_that_is_busy_is_asked_again_when_it_says(
        self, serve: Callable[..., ChatServer]
    ) -> None:
        server = serve("structured_outputs", busy=(429, 503), after=2)
        draft = writer_for(server).write(evidence())
        assert draft.record.events == ()
        assert len(server.requests) == PARTS + 2
        first, second, third = server.times[:3]
        assert min(second - first, third - second) >= 2

    def test_one_that_asks_to_wait_too_long_is_not_asked_again(
        self, serve: Callable[..., ChatServer]
    ) -> None:
        server = serve("structured_outputs", busy=(429,), after=600)
        with pytest.raises(WriterError, match=r"too many requests .*asks to wait 600 seconds"):
            writer_for(server).write(evidence())
        assert len(server.requests) == 1

    def test_answers_are_written_at_once_in_order_and_no_more_than_may_be(
        self, serve: Callable[..., ChatServer], own_settings: Settings, encoder: Encoder
    ) -> None:
        server = serve("structured_outputs", crowd=3)
        pipeline = Pipeline(own_settings, encoder, writer_for(server), concurrency=3)
        prompts = [*PROMPTS.values(), PROMPTS["move"]]
        answers = list(pipeline.ask_all(prompts))
        assert [answer.prompt.question for answer in answers] == [it.question for it in prompts]
        assert server.most == 3
        for answer in answers:
            assert verify(answer, Reextraction(own_settings)).verified

    def test_an_error_costs_no_answer_before_it(
        self, serve: Callable[..., ChatServer], own_settings: Settings, tmp_path: Path
    ) -> None:
        paths = write_prompts(tmp_path)
        server = serve("structured_outputs", refused=PROMPTS["move"].question)
        options: list[object] = [
            "--writer",
            "chat",
            "--model",
            "random",
            "--base-url",
            server.url,
            "--offline",
        ]
        options += ["--data-dir", own_settings.data_dir, "--mirror", own_settings.mirror]
        options += ["--encoder", own_settings.encoder, "-o", tmp_path / "answers.jsonl"]
        options += ["--tries", 0, paths["colour"], paths["remove"], paths["move"]]
        with pytest.raises(WriterError, match="does not answer: not for you"):
            invoke("ask", *options)
        lines = (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()
        asked = [Answer.from_json(line).prompt.question for line in lines]
        assert asked == [PROMPTS[name].question for name in ("colour", "remove")]


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
    writer = open_chat_model(
        str(tmp_path), base_url=f"http://{host}:{port}/v1", settings=short, retries=0
    )
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
