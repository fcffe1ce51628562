"""The chat writer: whatever the model or its server sends, the answer verifies or the error is
clear; and the choice of a writer."""

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
from rag.writers.base import NOT_SAID, Draft, DraftStatement, WriterRecord
from rag.writers.chat import KEY, ChatSettings, ChatWriter, ids_of, read_reply, schema
from rag.writers.choice import WriterChoice, needed_download, open_chat_model, open_writer
from rag.writers.grammar import Shown, candidates_of
from rag.writers.local.decoding import Decoder, Sampling
from rag.writers.local.tokenizer import Vocabulary
from rag.writers.local.writer import LocalWriter
from rag.writers.statements import fault, numbers_in
from tests.parts.tiny_models import KITES, bpe_tokenizer, evidence, hits, llama, verified
from tests.test_local import Always

GOOD = json.dumps({"statements": [{"text": "A kite takes wind.", "quotes": ["1.1"]}]})
ASKED = 6  # four parts and two works


def fake(*replies: str) -> FakeListChatModel:
    return FakeListChatModel(responses=list(replies))


def writer(model: Any, **more: Any) -> ChatWriter:
    options: dict[str, Any] = {"checker": Always(1.0), **more}
    return ChatWriter(model, **options)


def check(found: Any, draft: Draft) -> None:
    verified(found, draft)
    numbers = numbers_in(" ".join(hit.text for hit in found.hits()))
    for part in FACETS:
        for item in getattr(draft, part):
            assert fault(item.text, numbers) == ""
            assert item.quotes or item.text == NOT_SAID


def kinds(draft: Draft) -> set[str]:
    return {event.kind for event in draft.record.events}


class TestReplies:
    def test_ids_that_exist_become_quotes(self) -> None:
        found = evidence({"Kites": KITES})
        draft = writer(fake(GOOD)).write(found)
        check(found, draft)
        assert draft.task[0].text == "A kite takes wind."
        assert found.text(draft.task[0].quotes[0]).startswith("A kite takes wind as its input")
        assert draft.record.events == ()
        assert (draft.record.name, draft.record.model) == ("chat", "FakeListChatModel")

    def test_ids_that_do_not_exist_are_dropped_and_recorded(self) -> None:
        found = evidence({"Kites": KITES})
        reply = {"text": "A kite takes wind.", "quotes": ["77.1", "1.2", "https://evil.example"]}
        draft = writer(fake(json.dumps({"statements": [reply]}))).write(found)
        check(found, draft)
        assert len(draft.task[0].quotes) == 1
        details = [event.detail for event in draft.record.events if event.part == "task"]
        assert len(details) == 2
        assert "77.1" in details[0]
        assert "evil" not in details[1]

    def test_a_work_s_bearing_rests_on_its_own_sentences_only(self) -> None:
        found = evidence()
        draft = writer(fake(GOOD), settings=ChatSettings(tries=0)).write(found)
        check(found, draft)
        for listing, relevance in zip(found.prompt.listings, draft.relevance_notes, strict=True):
            assert relevance is not None
            assert {span.source_id for span in relevance.quotes} == {listing.summary_id}
        assert "unknown id" in kinds(draft)

    def test_a_work_that_does_not_fit_is_recorded(self) -> None:
        found = evidence({f"Work {n}": f"{KITES} Kite {n}." for n in range(6)})
        short = ChatSettings(characters=260)
        draft = writer(fake(GOOD), settings=short).write(found)
        check(found, draft)
        assert "not shown" in kinds(draft)
        assert None not in draft.relevance_notes

    def test_an_empty_list_says_that_nothing_is_said(self) -> None:
        found = evidence()
        draft = writer(fake('{"statements": []}')).write(found)
        check(found, draft)
        assert [item.text for item in draft.task] == [NOT_SAID]
        assert draft.relevance_notes == (None, None)
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
            '{"statements": [{"text": "See https://evil.example now.", "quotes": ["1.1"]}]}',
            '{"statements": [{"text": "It has 99 sails.", "quotes": ["1.1"]}]}',
            '{"statements": [{"text": "No sentence behind it.", "quotes": []}]}',
            "\u0000\ufffe",
        ],
    )
    def test_what_cannot_be_used_is_told_from_the_sources_and_recorded(self, reply: str) -> None:
        found = evidence()
        draft = writer(fake(reply)).write(found)
        check(found, draft)
        assert all(getattr(draft, part)[0].quotes for part in FACETS)
        assert "replaced" in kinds(draft)

    def test_whole_statements_of_a_reply_that_was_cut_off_are_kept(self) -> None:
        found = evidence({"Kites": KITES})
        draft = writer(fake(GOOD[:-2] + ', {"text": "And th')).write(found)
        assert draft.task[0].text == "A kite takes wind."

    @pytest.mark.parametrize(
        "wrapped",
        [f"```json\n{GOOD}\n```", f"<think>{{1.1}} hm</think>{GOOD}", f"Of course! {GOOD} Right?"],
    )
    def test_wrapping_is_taken_off(self, wrapped: str) -> None:
        draft = writer(fake(wrapped)).write(evidence({"Kites": KITES}))
        assert draft.task[0].text == "A kite takes wind."
        assert draft.record.events == ()

    def test_typed_quotes_and_citations_become_prose(self) -> None:
        reply = {"text": "“Wind” is what it takes [4] (2, 3).", "quotes": ["1.1"]}
        draft = writer(fake(json.dumps({"statements": [reply]}))).write(evidence({"K": KITES}))
        assert draft.task[0].text == "Wind is what it takes."

    def test_an_unsupported_statement_is_asked_for_again_and_then_replaced(self) -> None:
        found, checker = evidence({"Kites": KITES}), Always(0.2)
        draft = writer(fake(GOOD), checker=checker, settings=ChatSettings(tries=2)).write(found)
        check(found, draft)
        events = [event.kind for event in draft.record.events if event.part == "task"]
        assert events == ["rewritten", "rewritten", "replaced"]
        assert draft.task[0].text != "A kite takes wind."

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["statements", "text", "quotes"]), inner)
            ),
            max_leaves=12,
        ),
        st.integers(0, 200),
    )
    @settings(max_examples=200, deadline=None)
    def test_no_json_whatever_can_do_harm(self, value: Any, cut: int) -> None:
        items = ids_of(candidates_of([Shown(1, hit, hit.sentences()) for hit in hits("s:", KITES)]))
        reply = read_reply(json.dumps({"statements": value})[: cut or None], items, {"1"})
        for item in reply.statements:
            assert fault(item.text, {"1"}) == ""
            assert {*item.quotes} <= {candidate.span for candidate in items.values()}

    def test_a_model_that_fails_at_once_is_a_clear_error(self) -> None:
        with pytest.raises(WriterError, match=r"does not answer: .*nobody data_dir"):
            writer(failing(0)).write(evidence())

    def test_a_model_that_fails_in_the_middle_leaves_a_verified_answer(self) -> None:
        found = evidence()
        heard: list[str] = []
        draft = writer(failing(2)).write(found, stream=heard.append)
        check(found, draft)
        assert "fall-back" in kinds(draft)
        assert "stopped answering" in "".join(heard)

    def test_the_key_and_addresses_are_in_no_message(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(KEY, "sk-very-secret")
        with pytest.raises(WriterError) as failure:
            writer(failing(0, "bad key sk-very-secret for https://x.example/v1")).write(evidence())
        assert "secret" not in str(failure.value)
        assert "://" not in str(failure.value)


def failing(after: int, message: str = "nobody data_dir") -> GenericFakeChatModel:
    def replies() -> Iterator[str]:
        for _ in range(after):
            yield GOOD
        raise ConnectionError(message)

    return GenericFakeChatModel(messages=replies())


class Server:
    """An OpenAI-compatible server around a real tiny model. `takes` are the forms it decodes in;
    it dies after `lives` requests."""

    def __init__(self, *takes: str, lives: int = 10_000, ignores: bool = False) -> None:
        self.takes, self.lives, self.ignores = takes, lives, ignores
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.lock = threading.Lock()
        tokenizer = bpe_tokenizer()
        self.decoder = Decoder(llama(len(tokenizer)), Vocabulary(tokenizer, rows=len(tokenizer)))
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
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(body)
        if len(self.requests) > self.lives:
            return 0, {}
        grammar = ""
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
        decoded = self.decoder.decode(
            self.decoder.vocabulary.plain(words)[-600:],
            grammar or "start: /[a-z ]{5,40}/",
            budget=2500,
            sampling=Sampling(1.0, len(self.requests)),
        )
        message = {"role": "assistant", "content": decoded.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "tiny",
            "choices": [choice],
            "usage": usage,
        }

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*takes: str, **more: Any) -> Server:
        servers.append(Server(*takes, **more))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def served(server: Server, **more: Any) -> ChatWriter:
    opened = open_chat_model("tiny", base_url=server.url, seconds=20, checker=Always(1.0))
    opened.settings = ChatSettings(tries=0, **more)
    return opened


class TestAServer:
    pytest.importorskip("langchain_openai", reason="needs the extra `chat`")

    def test_one_that_takes_the_grammar_writes_what_the_local_writer_would(
        self, serve: Callable[..., Server]
    ) -> None:
        server, found = serve("grammar", "schema"), evidence()
        draft = served(server).write(found)
        check(found, draft)
        assert draft.record.events == ()
        assert draft.record.tokens_decoded == 7 * ASKED
        assert all("structured_outputs" in body for body in server.requests)

    def test_one_that_takes_a_schema_cannot_name_an_unknown_id(
        self, serve: Callable[..., Server]
    ) -> None:
        server, found = serve("schema"), evidence()
        draft = served(server).write(found)
        check(found, draft)
        assert "unknown id" not in kinds(draft)
        refused = [event for event in draft.record.events if "grammar, refuses" in event.detail]
        assert len(refused) == 1
        ids = [
            body["response_format"]["json_schema"]["schema"]["properties"]["statements"]["items"]
            for body in server.requests
            if "response_format" in body
        ]
        assert len(ids) == ASKED
        assert ids[0]["properties"]["quotes"]["items"]["enum"][0] == "1.1"

    @pytest.mark.parametrize("ignores", [False, True])
    def test_one_that_takes_or_heeds_neither_is_asked_freely(
        self, serve: Callable[..., Server], ignores: bool
    ) -> None:
        server, found = serve(ignores=ignores), evidence()
        draft = served(server).write(found)
        check(found, draft)
        assert "fall-back" in kinds(draft)

    def test_one_that_dies_in_the_middle_leaves_a_verified_answer(
        self, serve: Callable[..., Server]
    ) -> None:
        server, found = serve("grammar", lives=3), evidence()
        draft = served(server).write(found)
        check(found, draft)
        lost = [event for event in draft.record.events if event.kind == "fall-back"]
        assert lost
        assert "127.0.0.1" not in lost[0].detail

    def test_one_that_is_not_there_is_a_clear_error(self, serve: Callable[..., Server]) -> None:
        server = serve()
        server.close()
        opened = served(server)
        serve_nothing = pytest.raises(WriterError, match="tiny does not answer")
        with serve_nothing:
            opened.write(evidence())
        server.close = lambda: None  # type: ignore[method-assign]

    def test_the_key_comes_from_the_environment_and_goes_nowhere_else(
        self, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(KEY, "sk-very-secret")
        server, found = serve("grammar"), evidence()
        opened = served(server)
        answer = verified(found, opened.write(found))
        assert server.keys == {"Bearer sk-very-secret"}
        assert "secret" not in answer.to_json() + repr(opened.model) + repr(opened)
        monkeypatch.delenv(KEY)
        opened.write(found)
        assert "Bearer none" in server.keys


class TestTransformersServe:
    """A real server of somebody else's making, around a model without training."""

    @pytest.fixture
    def process(self, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
        for needed in ("fastapi", "uvicorn", "openai", "accelerate", "langchain_openai"):
            pytest.importorskip(needed, reason="`transformers serve` needs it")
        llama(len(bpe_tokenizer())).save_pretrained(tmp_path)
        bpe_tokenizer().save_pretrained(tmp_path)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(tmp_path)]
        command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        process = subprocess.Popen(
            command,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                with contextlib.suppress(httpx.HTTPError):
                    if httpx.get(f"{url}/health", timeout=1).is_success:
                        break
                assert process.poll() is None, "the server did not start"
                time.sleep(0.2)
            yield process, f"{url}/v1", str(tmp_path)
        finally:
            process.kill()
            process.wait()

    def test_babble_ends_in_a_verified_answer_and_so_does_its_death(
        self, process: tuple[subprocess.Popen[bytes], str, str]
    ) -> None:
        server, url, name = process
        short = ChatSettings(tries=0, reply_tokens=24)
        found = evidence()
        opened = open_chat_model(name, base_url=url, settings=short, seconds=60)
        draft = opened.write(found)
        check(found, draft)
        assert draft.record.tokens_decoded > 24
        assert "stopped" not in str(draft.record.events)

        def kill_at_the_second_part(text: str) -> None:
            if "Input" in text:
                server.kill()
                server.wait()

        draft = opened.write(found, stream=kill_at_the_second_part)
        check(found, draft)
        assert "the chat model stopped answering" in str(draft.record.events)
        with pytest.raises(WriterError, match="does not answer"):
            opened.write(found)


def test_the_schema_is_one_that_grammars_are_made_of() -> None:
    grammar = LLMatcher.grammar_from_json_schema(schema(["1.1", "2.1"]))
    assert LLMatcher.validate_grammar(grammar) == ""


class Extractive:
    """Stands for the writer without a model: says nothing, and hands its note on."""

    def __init__(self, note: str) -> None:
        self.note = note

    def write(self, evidence: Any, *, stream: Any = None) -> Draft:
        silent = (DraftStatement(NOT_SAID, ()),)
        nothing = (None,) * len(evidence.prompt.listings)
        return Draft(silent, silent, silent, silent, nothing, WriterRecord("x", note=self.note))


class TestChoice:
    def open(self, **choice: Any) -> tuple[Any, list[str]]:
        said: list[str] = []
        return open_writer(WriterChoice(**choice), Extractive, announce=said.append), said

    @pytest.fixture
    def folder(self, tmp_path: Path) -> str:
        llama(len(bpe_tokenizer())).save_pretrained(tmp_path)
        bpe_tokenizer().save_pretrained(tmp_path)
        return str(tmp_path)

    def test_auto_takes_the_local_model_where_there_is_one(self, folder: str) -> None:
        opened, said = self.open(model=folder, seed=3, tries=1)
        assert isinstance(opened.first, LocalWriter)
        assert (opened.first.settings.seed, opened.first.settings.tries) == (3, 1)
        assert said == []

    def test_auto_does_without_where_there_is_none_and_says_why_in_one_line(self) -> None:
        opened, said = self.open(offline=True, model="nobody/nothing")
        assert isinstance(opened, Extractive)
        assert len(said) == 1
        assert "\n" not in said[0]
        assert "nobody/nothing is not in the model cache" in said[0]
        assert "not in the model cache" in opened.note

    def test_a_damaged_model_is_no_reason_to_stop_for_auto(self, folder: str) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"x" * 3000)
        assert isinstance(self.open(model=folder)[0], Extractive)

    def test_a_context_too_small_for_a_prompt_is_no_reason_to_stop_either(
        self, tmp_path: Path
    ) -> None:
        llama(len(bpe_tokenizer()), context=130).save_pretrained(tmp_path)
        bpe_tokenizer().save_pretrained(tmp_path)
        found = evidence()
        opened, said = self.open(model=str(tmp_path))
        draft = opened.write(found)
        check(found, draft)
        assert "too small for one passage" in draft.record.note
        assert len(said) == 1
        with pytest.raises(WriterError, match="too small"):
            self.open(kind="local", model=str(tmp_path))[0].write(found)

    def test_asked_for_by_name_it_is_an_error(self) -> None:
        with pytest.raises(WriterError, match="offline nothing is fetched"):
            self.open(kind="local", offline=True, model="nobody/nothing")

    def test_a_name_that_is_no_hub_id(self) -> None:
        with pytest.raises(WriterError, match="neither a folder nor the id"):
            self.open(kind="local", model="a/b/c/d")

    def test_chat_needs_a_model_and_no_server_beyond_this_machine_when_offline(self) -> None:
        with pytest.raises(WriterError, match="needs --model"):
            self.open(kind="chat")
        with pytest.raises(WriterError, match="offline"):
            self.open(kind="chat", model="x", base_url="https://api.example/v1", offline=True)
        assert isinstance(
            self.open(kind="chat", model="x", base_url="http://127.0.0.1:9/v1", offline=True)[0],
            ChatWriter,
        )

    def test_an_unknown_provider_is_a_clear_error(self) -> None:
        with pytest.raises(WriterError, match="no chat model"):
            self.open(kind="chat", model="nobody:nothing")

    def test_extractive(self) -> None:
        assert isinstance(self.open(kind="extractive")[0], Extractive)


class Hub:
    """A model hub on this machine that knows one model."""

    def __init__(self) -> None:
        self.files = {
            "config.json": 700,
            "model-00001-of-00002.safetensors": 3 << 30,
            "model-00002-of-00002.safetensors": 1 << 30,
            "model.safetensors.index.json": 9000,
            "tokenizer.json": 11 << 20,
            "README.md": 5000,
            "onnx/model.onnx": 9 << 30,
            "pytorch_model.bin": 4 << 30,
        }

    def reply(self, path: str) -> tuple[int, dict[str, Any]]:
        if not path.startswith("/api/models/some/model"):
            return 404, {"error": "Repository not found"}
        siblings = [{"rfilename": name, "size": size} for name, size in self.files.items()]
        return 200, {"id": "some/model", "sha": "a" * 40, "siblings": siblings}


class TestDownload:
    @pytest.fixture
    def hub(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
        hub = Hub()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, value = hub.reply(self.path)
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        yield hub
        server.shutdown()
        server.server_close()
        thread.join()

    def test_it_is_known_what_and_how_much_before_anything_is_fetched(self, hub: Hub) -> None:
        download = needed_download("some/model", offline=False, endpoint=self.endpoint)
        assert download is not None
        assert str(download) == "some/model: 5 files, 4.01 GiB"

    def test_a_model_the_hub_does_not_know(self, hub: Hub) -> None:
        with pytest.raises(WriterError, match="the hub cannot give it"):
            needed_download("other/model", offline=False, endpoint=self.endpoint)

    def test_a_model_without_safetensors(self, hub: Hub) -> None:
        hub.files = {"config.json": 5, "pytorch_model.bin": 1 << 30}
        with pytest.raises(WriterError, match="no safetensors"):
            needed_download("some/model", offline=False, endpoint=self.endpoint)

    def test_no_hub_at_all(self) -> None:
        with pytest.raises(WriterError, match="the hub cannot"):
            needed_download("some/model", offline=False, endpoint="http://127.0.0.1:9")

    def test_a_folder_needs_nothing(self, tmp_path: Path) -> None:
        assert needed_download(str(tmp_path), offline=True) is None
