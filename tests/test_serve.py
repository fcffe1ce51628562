"""`rag serve`, a real server in a process of its own: many clients at once, slow ones, those that
leave, its memory, and its end."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping
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
from rag.views.web.routes import LISTED
from rag.views.web.site import new_id
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
from tests.parts.works import PROMPTS, prompt, write

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


def parsed(events: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in events.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@contextmanager
def watching(server: Served, path: str, count: int) -> Iterator[list[socket.socket]]:
    """Clients that have asked for the events and read nothing."""
    host, port = server.base.removeprefix("http://").split(":")
    request = f"GET {path}/events HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            client.sendall(request)
            clients.append(client)
        yield clients


def test_the_page_answers_as_the_pipeline_does(
    server: Served, answers: Mapping[str, Answer]
) -> None:
    with server.client() as client:
        for name, asked in PROMPTS.items():
            assert answered(client, ask(client, asked)) == answers[name]


def test_fifty_clients_at_once_each_get_the_answer_to_their_own_question(server: Served) -> None:
    names = sorted(WORKS)

    def one(number: int) -> tuple[Prompt, Answer, str]:
        listed = {names[number % len(names)], names[number * 3 % len(names)]}
        asked = prompt(f"Question {number} of fifty: how does it work?", sorted(listed), [])
        with server.client() as client:
            path = ask(client, asked)
            answer = answered(client, path)
            if number % 5 == 0:
                client.post(f"{path}/verify")
            verdict = client.get(path).text if number % 5 == 0 else ""
            return asked, answer, verdict

    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(one, range(50)))
    assert len({answer.prompt.question for _, answer, _ in results}) == 50
    for asked, answer, verdict in results:
        assert answer.prompt.text == asked.text
        listed = {source for listing in asked.listings for source in listing.source_ids}
        assert {quote.source_id for _, quote in answer.quotes()} <= listed
        assert not verdict or "<strong>Verified</strong>" in verdict


def test_answers_are_listed_the_newest_first_and_page_by_page(server: Served) -> None:
    with server.client() as client:
        answer = answered(client, ask(client, prompt("An old question?", ["Kite"], [])))
        for _ in range(LISTED):
            write(server.data_dir / "answers" / f"{new_id()}.json", answer.to_json())
        last = ask(client, prompt("The newest of all questions?", ["Kite"], []))
        answered(client, last)
        links: list[str] = []
        page = "/answers"
        while page:
            text = client.get(page).text
            links += re.findall(r'<a href="(/answers/[^"?]+)">', text)
            page = "".join(re.findall(r'href="(/answers\?before=[^"]+)"', text))
    assert links[0] == last
    assert links == sorted(set(links), reverse=True)
    assert len(links) == len(list((server.data_dir / "answers").glob("*.json"))) > LISTED


def test_memory_stays_flat_over_many_answers(server: Served) -> None:
    def ask_some(count: int) -> None:
        with server.client() as client:
            paths = [ask(client, PROMPTS["colour"]) for _ in range(count)]
            for path in paths:
                answered(client, path)
            # Five are more than are cached.
            for path in paths[:5]:
                client.get(path)

    ask_some(10)
    before = server.resident
    ask_some(40)
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
            assert longest < 1.0
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


def test_an_answer_is_stored_although_its_clients_left(paced: Served) -> None:
    with (
        paced.client() as client,
        slow_answer(paced, client, "left") as path,
        watching(paced, path, 20) as clients,
    ):
        for watcher in clients:
            watcher.recv(100)
    with paced.client() as client:
        assert answered(client, path).prompt.question == f"{SLOWLY}: left"
        assert path in client.get("/answers").text


def test_an_answer_can_be_cancelled_and_its_prompt_asked_again(paced: Served) -> None:
    before = len(list(paced.data_dir.glob("answers/*")))
    with paced.client() as client, slow_answer(paced, client, "cancelled") as running:
        waiting = ask(client, prompt("Never mind?", ["Tide"], []))
        for path in (waiting, running):
            assert client.post(f"{path}/cancel").status_code == 303
        for path, question in ((waiting, "Never mind?"), (running, f"{SLOWLY}: cancelled")):
            assert "You cancelled this question." in page_at_end(client, path)
            assert question in client.get(f"/document?again={path.rpartition('/')[2]}").text
    assert len(list(paced.data_dir.glob("answers/*"))) == before


def test_an_answer_that_fails_says_why_and_stops_no_other(paced: Served) -> None:
    with paced.client() as client:
        page = page_at_end(client, ask(client, prompt(BROKEN, ["Lantern"])))
        assert "ZeroDivisionError: &lt;b&gt;nothing&lt;/b&gt; to divide by" in page
        assert answered(client, ask(client, PROMPTS["move"])).prompt.text == PROMPTS["move"].text


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_with_streams_open_and_leaves_nothing_half_done(
    own: Served, by: signal.Signals
) -> None:
    with own.client() as client:
        answer = answered(client, ask(client, PROMPTS["move"]))
        with slow_answer(own, client, "ended") as path:
            waiting = [ask(client, PROMPTS["remove"]) for _ in range(2)]
            refused = client.post("/document", files={"text": (None, PROMPTS["move"].text)})
            with watching(own, path, 10) as watchers, watching(own, waiting[0], 10) as others:
                for watcher in (*watchers, *others):
                    watcher.recv(100)
                code, seconds, stderr = own.end(by)
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert "2 questions are waiting already" in refused.text
    assert (code, stderr) == (0, "")
    assert seconds < 20  # The question itself would never end.
    (file,) = (own.data_dir / "answers").glob("*.json")
    assert Answer.from_json(file.read_text()) == answer
    assert not list(own.data_dir.rglob("*.part"))


def test_a_signal_ends_it_soon_even_where_the_work_does_not_stop(own: Served) -> None:
    with own.client() as client:
        path = ask(client, prompt(DEAFLY, ["Lantern"]))
        page_at_end(client, path, while_state="waiting")
        time.sleep(1)
    code, seconds, stderr = own.end()
    assert (code, stderr) == (0, "")
    assert seconds < 8


@pytest.mark.parametrize("path", ["../secret", "..%2fsecret", "../../etc/passwd", "/etc/passwd"])
def test_a_path_that_a_browser_would_not_send_leads_nowhere(server: Served, path: str) -> None:
    (server.data_dir / "secret.json").write_text('{"secret": 1}')
    host, port = server.base.removeprefix("http://").split(":")
    for suffix in ("", ".json", "/answer.json", "/events"):
        with socket.create_connection((host, int(port))) as raw, raw.makefile("rb") as response:
            raw.sendall(f"GET /answers/{path}{suffix} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            page = response.read()
        assert page.startswith(b"HTTP/1.1 404 ")
        assert b'"secret"' not in page


def test_a_second_server_on_the_port_is_refused_with_a_sentence(
    server: Served, settings: Settings
) -> None:
    taken = server.base.rpartition(":")[2]
    with (
        pytest.raises(AssertionError, match=rf"rag: 127.0.0.1 port {taken} cannot be bound"),
        served(replace(settings), "--port", taken),
    ):
        pass


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "python_multipart", "sse_starlette"])
def test_where_the_extra_is_missing_it_says_what_to_install(tmp_path: Path, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from rag.cli.main import main; main()"
    shown = run("serve", "--data-dir", tmp_path, "--offline", program=program, code=2)
    assert shown.err.startswith("rag: rag serve needs the extra `serve` (")
    assert "pip install 'grounded-rag[serve]'" in shown.err
