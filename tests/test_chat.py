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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel

from index.encoder import Encoder
from index.errors import WriterError
from index.settings import Settings
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.retrieval import FACETS
from rag.writers import CHAT_KEY, NOT_SAID, Draft
from rag.writers.chat import ChatWriter, read_reply, sentence_ids
from rag.writers.choice import ANSWER_BYTES, open_chat_model
from rag.writers.grammar import candidates_of, prose_error
from rag.writers.instruct import WritingSettings
from tests.parts.chat_server import GRAMMARS, ChatServer
from tests.parts.commands import invoke
from tests.parts.servers import Reply, Server
from tests.parts.tiny_models import (
    KITES,
    FixedChecker,
    check_draft,
    evidence,
    saved,
    shown,
    statements,
)
from tests.parts.works import PROMPTS, write_prompts

SAID = {"text": "Wind goes into a kite.", "quotes": ["1.1"]}
GOOD = json.dumps({"statements": [SAID]})
PARTS = 6  # four parts and two relevance notes


def reply_of(text: str, *quotes: str) -> str:
    return json.dumps({"statements": [{"text": text, "quotes": quotes}]})


def draft_of(reply: str, material: Any = None, **more: Any) -> Draft:
    """The draft of a model that always gives this reply."""
    material = material or evidence({"Kites": KITES})
    chosen = WritingSettings(**{"tries": 1, **more})
    model = FakeListChatModel(responses=[reply])
    draft = ChatWriter(model, settings=chosen, checker=FixedChecker(1.0)).write(material)
    check_draft(material, draft)
    return draft


def kinds(draft: Draft, part: str = "") -> list[str]:
    return [event.kind for event in draft.record.events if event.part.startswith(part)]


class TestReplies:
    def test_ids_that_are_not_offered_are_dropped_and_recorded(self) -> None:
        draft = draft_of(reply_of("Wind goes into a kite.", "77.1", "2.1", "https://evil.example"))
        assert len(draft.task[0].quotes) == 1
        details = [event.detail for event in draft.record.events if event.part == "task"]
        assert len(details) == 2
        assert "77.1" in details[0]
        assert "evil" not in details[1]
        # A relevance note rests on sentences of its own work alone.
        assert "unknown id" in kinds(draft_of(GOOD, evidence(), tries=0), "references")

    def test_a_work_that_does_not_fit_is_recorded(self) -> None:
        draft = draft_of(GOOD, evidence(), characters=260)
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
            GOOD[: len(GOOD) // 3],
            "{" * 3000,
            '{"statements": "none"}',
            '{"statements": [{"text": 5, "quotes": {"1.1": 1}}, "x", null]}',
            reply_of("See https://evil.example now.", "1.1"),
            reply_of("It has 99 sails.", "1.1"),
            reply_of("No sentence behind it."),
        ],
    )
    def test_what_cannot_be_used_is_replaced_by_the_sources_and_recorded(self, reply: str) -> None:
        draft = draft_of(reply, evidence())
        assert all(getattr(draft, facet)[0].quotes for facet in FACETS)
        recorded = [kind for kind in kinds(draft, "task") if kind != "refused"]
        assert recorded == ["rewritten", "replaced"]

    @pytest.mark.parametrize(
        "reply",
        [
            GOOD,
            f"```json\n{GOOD}\n```",
            f"<think>{{1.1}} hm</think>{GOOD}",
            f"Of course! {GOOD} Right?",
            GOOD[:-2] + ', {"text": "And th',
            reply_of("“Wind” goes into a kite [4] (2, 3).", "1.1"),
        ],
        ids=["none", "fence", "thought", "talk", "cut off", "typed quotes and citations"],
    )
    def test_ids_become_quotes_whatever_is_wrapped_around_them(self, reply: str) -> None:
        material = evidence({"Kites": KITES})
        draft = draft_of(reply, material)
        (task,) = draft.task
        assert task.text == SAID["text"]
        assert material.text(task.quotes[0]).startswith("A kite takes wind as its input")
        assert kinds(draft, "task") == []
        assert (draft.record.name, draft.record.model) == ("chat", "FakeListChatModel")


TEXTS = st.sampled_from([SAID["text"], "See [1] “it” at a.example.", 'It has 9 "sails".'])
CANDIDATES = candidates_of(shown(KITES))
IDS = st.lists(st.sampled_from(["1.1", "1.2", "7.7"]) | st.text(max_size=5))
OBJECTS = st.fixed_dictionaries(
    {}, optional={"text": TEXTS | st.text(max_size=20) | st.none(), "quotes": IDS | st.none()}
)


@given(st.lists(st.just(SAID) | OBJECTS | st.integers(), max_size=4), st.integers(0, 300))
@settings(max_examples=150)
def test_statements_of_any_reply_are_plain_and_point_to_sentences(
    objects: list[Any], cut: int
) -> None:
    ids = sentence_ids(CANDIDATES)
    reply = json.dumps({"statements": objects})
    spans = {candidate.span for candidate in ids.values()}
    for text in (reply, reply[:cut]):
        for item in read_reply(text, ids, {"1"}).statements:
            assert prose_error(item.text, {"1"}) == ""
            assert item.quotes
            assert spans.issuperset(item.quotes)
    read = [item.text for item in read_reply(reply, ids, {"1"}).statements]
    assert read.count(str(SAID["text"])) >= objects.count(SAID)


def test_a_model_that_fails_at_once_is_a_clear_error_without_key_and_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> Iterator[str]:
        yield from ()
        raise ConnectionError("bad key sk-very-secret for https://x.example/v1")

    monkeypatch.setenv(CHAT_KEY, "sk-very-secret")
    with pytest.raises(WriterError, match=r"does not answer: bad key") as failure:
        ChatWriter(GenericFakeChatModel(messages=fail())).write(evidence())
    assert "secret" not in str(failure.value)
    assert "://" not in str(failure.value)


def writer_for(url: str, retries: int = 2) -> ChatWriter:
    short = WritingSettings(tries=0)
    checker = FixedChecker(1.0)
    return open_chat_model("random", base_url=url, settings=short, checker=checker, retries=retries)


class TestServer:
    pytest.importorskip("langchain_openai", reason="needs the extra `chat`")

    @pytest.mark.parametrize("name", GRAMMARS)
    def test_one_that_takes_the_grammar_cannot_misquote(self, name: str) -> None:
        with ChatServer(name, ignores=True) as server:
            draft = writer_for(server.url).write(evidence())
        check_draft(evidence(), draft)
        assert draft.record.events == ()
        assert draft.record.tokens_decoded == 7 * PARTS
        # The very text by which the local writer decodes, with its prose bounded.
        grammars = [body["grammar"].split("\n", 1) for body in server.requests]
        assert {header for header, _ in grammars} == {"%llguidance {}"}
        assert all(text.startswith("start: TEXT\nTEXT: PROSE") for _, text in grammars)

    def test_one_that_takes_a_schema_cannot_name_an_unknown_id(self) -> None:
        with ChatServer("schema") as server:
            draft = writer_for(server.url).write(evidence())
        check_draft(evidence(), draft)
        assert "unknown id" not in kinds(draft)
        details = [event.detail for event in draft.record.events]
        assert sum("grammar, refuses" in detail for detail in details) == 1
        assert len(server.requests) == PARTS + 1
        schema = server.requests[1]["response_format"]["json_schema"]["schema"]
        statement = schema["properties"]["statements"]["items"]
        assert statement["properties"]["quotes"]["items"]["enum"][0] == "1.1"

    @pytest.mark.parametrize(
        ("takes", "options", "reason"),
        [
            ((), {}, "refuses it"),
            ((), {"ignores": True}, "does not follow it"),
            (("grammar",), {"lives": 3}, "stopped answering"),
        ],
        ids=["refuses", "ignores", "dies"],
    )
    def test_one_that_takes_neither_or_dies_leaves_a_verified_answer(
        self, takes: tuple[str, ...], options: dict[str, Any], reason: str
    ) -> None:
        pieces: list[str] = []
        with ChatServer(*takes, **options) as server:
            draft = writer_for(server.url, retries=0).write(evidence(), stream=pieces.append)
        check_draft(evidence(), draft)
        fallbacks = [event.detail for event in draft.record.events if event.kind == "fall-back"]
        assert reason in fallbacks[0]
        assert "127.0.0.1" not in "".join(fallbacks)
        assert ("stopped answering" in "".join(pieces)) == ("lives" in options)

    @pytest.mark.parametrize(
        "reply",
        [
            Reply(307, headers={"Location": "/elsewhere"}),
            Reply(body=b" " * (ANSWER_BYTES + 1)),
            Reply(body=gzip.compress(bytes(100)), headers={"Content-Encoding": "gzip"}),
        ],
        ids=["redirects", "endless", "compressed"],
    )
    def test_one_that_leads_elsewhere_or_does_not_end_is_a_clear_error(self, reply: Reply) -> None:
        with Server() as server:
            server.tell("/v1/chat/completions", reply)
            with pytest.raises(WriterError, match="random does not answer"):
                writer_for(f"{server.url}/v1", retries=0).write(evidence())
        assert set(server.paths) == {"/v1/chat/completions"}

    @pytest.mark.parametrize("tokens", ["many", 1e999, -5, None])
    def test_what_it_says_of_tokens_is_only_its_word(self, tokens: object) -> None:
        usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1}
        message = {"role": "assistant", "content": GOOD}
        reply = {"choices": [{"message": message}], "usage": usage}
        with Server() as server:
            server.tell("/v1/chat/completions", Reply(body=json.dumps(reply).encode()))
            writer = writer_for(f"{server.url}/v1")
            assert writer.write(evidence()).record.tokens_decoded == 0

    def test_one_that_is_busy_is_asked_again_when_it_says(self) -> None:
        with ChatServer("structured_outputs", busy=(429, 503), after=1) as server:
            draft = writer_for(server.url).write(evidence())
        assert draft.record.events == ()
        assert len(server.requests) == PARTS + 2
        # Without being told it would be asked again after half a second.
        assert server.times[1] - server.times[0] >= 1

    def test_one_that_asks_to_wait_too_long_is_not_asked_again(self) -> None:
        with (
            ChatServer("structured_outputs", busy=(429,), after=600) as server,
            pytest.raises(WriterError, match=r"too many requests .*asks to wait 600 seconds"),
        ):
            writer_for(server.url).write(evidence())
        assert len(server.requests) == 1

    def test_answers_are_written_at_once_in_order_and_no_more_than_may_be(
        self, own_settings: Settings, encoder: Encoder
    ) -> None:
        prompts = [*PROMPTS.values(), PROMPTS["move"]]
        with ChatServer("structured_outputs", crowd=3) as server:
            pipeline = Pipeline(own_settings, encoder, writer_for(server.url), concurrency=3)
            answers = list(pipeline.ask_all(prompts))
        assert [answer.prompt.question for answer in answers] == [it.question for it in prompts]
        assert server.most == 3
        for answer in answers:
            assert verify(answer, Reextraction(own_settings)).verified

    def test_an_error_costs_no_answer_before_it(
        self, own_settings: Settings, tmp_path: Path
    ) -> None:
        paths, output = write_prompts(tmp_path), tmp_path / "answers.jsonl"
        places = ("--data-dir", own_settings.data_dir, "--mirror", own_settings.mirror)
        options = ("--offline", "--encoder", own_settings.encoder, "-o", output, "--tries", 0)
        prompts = [paths[name] for name in ("colour", "remove", "move")]
        with ChatServer("structured_outputs", refused=PROMPTS["move"].question) as server:
            writer = ("--writer", "chat", "--model", "random", "--base-url", server.url)
            with pytest.raises(WriterError, match="does not answer: not for you"):
                invoke("ask", *prompts, *writer, *places, *options)
        answers = map(Answer.from_json, output.read_text("utf-8").splitlines())
        asked = [answer.prompt.question for answer in answers]
        assert asked == [PROMPTS["colour"].question, PROMPTS["remove"].question]


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
