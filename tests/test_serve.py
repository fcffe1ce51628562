"""`rag serve`, a real server in a process of its own: many clients at once, slow ones, those that
leave, its memory, and its end."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from index.settings import Settings
from rag.answer import Answer
from rag.prompt import Prompt
from rag.views.web.jobs import TEXT_LIMIT
from tests.parts.commands import run
from tests.parts.served import (
    AT_LENGTH,
    BROKEN,
    DEAFLY,
    PACED,
    SLOWLY,
    Served,
    answered,
    ask,
    page_at_end,
    served,
)
from tests.parts.works import LISTED as WORKS
from tests.parts.works import PROMPTS, prompt

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> Settings:
    data_dir = tmp_path_factory.mktemp("served")
    return Settings(data_dir, small_mirror, offline=True, encoder=str(encoder_folder))


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Served]:
    """The command itself, with the writer that needs no model."""
    with served(settings) as running:
        yield running


@pytest.fixture(scope="module")
def paced(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Iterator[Served]:
    """One with the writer that takes its time."""
    data_dir = tmp_path_factory.mktemp("paced")
    with served(replace(settings, data_dir=data_dir), program=PACED) as running:
        yield running


@pytest.fixture
def own(own_settings: Settings) -> Iterator[Served]:
    """The same for one test alone, where two may wait."""
    own_settings.data_dir.mkdir()
    with served(own_settings, "--queue", "2", program=PACED) as running:
        yield running


@contextmanager
def slow_answer(server: Served, client: httpx.Client, why: str) -> Iterator[str]:
    """The path of an answer that is being written, and is for as long as the context lasts."""
    question = f"{SLOWLY}: {why}"
    path = ask(client, prompt(question, ["Lantern"]))
    try:
        for _ in range(400):
            if "word 3" in client.get(path).text:
                break
            time.sleep(0.05)
        yield path
    finally:
        server.enough(question)


def connected(server: Served) -> socket.socket:
    """A connection whose bytes a test writes itself, and which takes in little by itself."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", int(server.base.rpartition(":")[2])))
    return client


def parsed(events: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in events.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@contextmanager
def watching(server: Served, path: str, count: int) -> Iterator[list[socket.socket]]:
    """Clients that have asked for the events and read nothing."""
    request = f"GET {path}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(count)]
        for client in clients:
            client.sendall(request)
        yield clients


def test_fifty_clients_at_once_each_get_the_answer_to_their_own_question(server: Served) -> None:
    names = sorted(WORKS)

    def one(number: int) -> tuple[Prompt, Answer, str]:
        listed = {names[number % len(names)], names[number * 3 % len(names)]}
        asked = prompt(f"Question {number} of fifty: how does it work?", sorted(listed), [])
        with server.client() as client:
            path = ask(client, asked)
            answer = answered(client, path)
            if number % 25 == 0:
                client.post(f"{path}/verify")
            verdict = client.get(path).text if number % 25 == 0 else ""
            return asked, answer, verdict

    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(one, range(50)))
    assert len({answer.prompt.question for _, answer, _ in results}) == 50
    for asked, answer, verdict in results:
        assert answer.prompt.text == asked.text
        listed = {source for listing in asked.listings for source in listing.source_ids}
        assert {quote.source_id for _, quote in answer.quotes()} <= listed
        assert not verdict or "<strong>Verified</strong>" in verdict


def test_memory_stays_flat_over_many_answers(server: Served) -> None:
    def ask_some(count: int) -> None:
        with server.client() as client:
            paths = [ask(client, PROMPTS["colour"]) for _ in range(count)]
            for path in paths:
                answered(client, path)
            # Five are more than are cached.
            for path in paths[:5]:
                client.get(path)

    ask_some(6)
    before = server.resident
    ask_some(18)
    assert server.resident - before < 16 * MEBIBYTE


def test_a_page_loads_at_once_while_a_long_answer_is_written(paced: Served) -> None:
    with paced.client() as client:
        with slow_answer(paced, client, "pages") as path:
            behind = ask(client, prompt("And me?", ["Tide"], []))
            longest = 0.0
            for page in ("/", "/form", "/answers", path, behind) * 4:
                start = time.monotonic()
                assert client.get(page).status_code == 200
                longest = max(longest, time.monotonic() - start)
            assert longest < 5.0
            assert "1 question is before this one" in client.get(behind).text
        assert answered(client, behind).prompt.question == "And me?"


def test_clients_that_read_nothing_cost_no_memory_and_stop_nobody(paced: Served) -> None:
    def highest(clients: int) -> int:
        """Resident bytes at most while a long text is written and so many clients watch."""
        path, most = ask(client, prompt(AT_LENGTH, ["Lantern"])), 0
        with watching(paced, path, clients):
            while client.get(f"{path}/answer.json").status_code != 200:
                most = max(most, paced.resident)
                time.sleep(0.2)
        return most

    with paced.client() as client:
        # Twice before: what scoring so long a text needs is not what the clients cost.
        alone = max(highest(clients=0), highest(clients=0))
        # A fraction of the 100 MB that these clients have missed.
        assert highest(clients=50) - alone < 50 * TEXT_LIMIT * 10


def test_the_texts_of_the_events_add_up_and_a_client_that_returns_gets_the_rest(
    paced: Served,
) -> None:
    text, states = "", []
    with paced.client() as client, slow_answer(paced, client, "events") as path:
        back = {"last-event-id": str(len("word 0 word 1 "))}
        with client.stream("GET", f"{path}/events", headers=back) as events:
            assert next(parsed(events))["text"].startswith("word 2 ")
        with client.stream("GET", f"{path}/events") as events:
            assert events.headers["content-type"].startswith("text/event-stream")
            for event in parsed(events):
                states.append(event["state"])
                if event["text"]:
                    assert event["start"] == len(text)
                    text += event["text"]
                if "word 40" in text:
                    paced.enough(f"{SLOWLY}: events")
    assert text.startswith("".join(f"word {number} " for number in range(41)))
    assert states[-1] == "done"
    assert set(states) == {"running", "done"}


def test_an_answer_that_is_cancelled_or_fails_says_so_and_stops_no_other(paced: Served) -> None:
    with paced.client() as client, slow_answer(paced, client, "cancelled") as running:
        waiting = ask(client, prompt("Never mind?", ["Tide"], []))
        for path in (waiting, running):
            assert client.post(f"{path}/cancel").status_code == 303
        for path, question in ((waiting, "Never mind?"), (running, f"{SLOWLY}: cancelled")):
            assert "You cancelled this question." in page_at_end(client, path)
            assert question in client.get(f"/document?again={path.rpartition('/')[2]}").text
            assert client.get(f"{path}/answer.json").status_code == 404
        page = page_at_end(client, ask(client, prompt(BROKEN, ["Lantern"])))
        assert "ZeroDivisionError: &lt;b&gt;nothing&lt;/b&gt; to divide by" in page
        assert answered(client, ask(client, PROMPTS["move"])).prompt.text == PROMPTS["move"].text


def test_a_signal_ends_it_soon_with_streams_open_and_leaves_nothing_half_done(own: Served) -> None:
    with own.client() as client:
        answer = answered(client, ask(client, PROMPTS["move"]))
        with slow_answer(own, client, "ended") as path:
            waiting = [ask(client, PROMPTS["remove"]) for _ in range(2)]
            refused = client.post("/document", files={"text": (None, PROMPTS["move"].text)})
            with watching(own, path, 10) as watchers, watching(own, waiting[0], 10) as others:
                for watcher in (*watchers, *others):
                    watcher.recv(100)
                code, seconds, stderr = own.end(signal.SIGTERM)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "2 questions are waiting already" in refused.text
    assert (code, stderr) == (0, "")
    assert seconds < 20  # The question itself would never end.
    (file,) = (own.data_dir / "answers").glob("*.json")
    assert Answer.from_json(file.read_text()) == answer
    assert not list(own.data_dir.rglob("*.part"))


def test_ctrl_c_ends_it_soon_even_where_the_work_does_not_stop(own: Served) -> None:
    with own.client() as client:
        path = ask(client, prompt(DEAFLY, ["Lantern"]))
        page_at_end(client, path, while_state="waiting")
        time.sleep(1)
    code, seconds, stderr = own.end(signal.SIGINT)
    assert (code, stderr) == (0, "")
    assert seconds < 20  # The writer would not stop for a minute.


@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "../../etc/passwd", "/etc/passwd", "secret", "secret.json", "a" * 5000),
        *("..%2fsecret", "..%2f..%2fsecret", "%2e%2e%2fsecret", "%252e%252e%252fsecret"),
        "20260101T000000000Z-0123456789%00",
        "%EF%BC%92%EF%BC%90260101T000000000Z-0123456789",
    ],
)
def test_no_path_is_smuggled_in(server: Served, name: str) -> None:
    (server.data_dir / "secret.json").write_text('{"secret": 1}')
    shown = [f"GET /answers/{name}{end}" for end in ("", ".json", "/events")]
    shown += [f"GET /answers/{name}/answer.{form}" for form in ("json", "md", "html")]
    done = [f"POST /answers/{name}/{what}" for what in ("verify", "cancel")]
    for request in (*shown, *done):
        with connected(server) as raw, raw.makefile("rb") as response:
            raw.sendall(f"{request} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            page = response.read()
        assert page.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 405 "))
        assert b'"secret"' not in page


def test_a_second_server_on_the_port_is_refused_with_a_sentence(server: Served) -> None:
    taken = server.base.rpartition(":")[2]
    options = ("--data-dir", server.data_dir, "--offline", "--port", taken)
    shown = run("serve", "--writer", "extractive", *options, code=2)
    assert shown.err.startswith(f"rag: 127.0.0.1 port {taken} cannot be bound")


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "python_multipart", "sse_starlette"])
def test_where_the_extra_is_missing_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from rag.cli.main import main; main()"
    shown = run("serve", "--data-dir", tmp_path, "--offline", program=program, code=2)
    assert shown.err.startswith("rag: rag serve needs the extra `serve` (")
    assert "pip install 'grounded-rag[serve]'" in shown.err
