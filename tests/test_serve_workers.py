"""`rag serve --workers`: several processes answer; one that dies costs what it held."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from index.settings import Settings
from rag.answer import Answer
from tests.parts.commands import run
from tests.parts.milvus import MilvusServer
from tests.parts.processes import children, is_running
from tests.parts.served import PACED, SLOWLY, Served, answered, ask, served
from tests.parts.works import PROMPTS, prompt

FIRST, SECOND = (f"{SLOWLY}: {name}" for name in ("first", "second"))


@pytest.fixture
def pair(own_settings: Settings) -> Iterator[Served]:
    """Two processes with the writer that takes its time."""
    own_settings.data_dir.mkdir()
    with served(own_settings, "--workers", "2", program=PACED) as running:
        yield running


def workers(server: Served) -> list[int]:
    """The processes that answer: no other child was told of both ends of a pipe."""
    pids = sorted(children(server.process.pid))
    return [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def page_with(client: httpx.Client, path: str, text: str) -> str:
    """The page, as soon as it shows this."""
    end = time.monotonic() + 120
    while text not in (page := client.get(path).text):
        assert time.monotonic() < end, page
        time.sleep(0.05)
    return page


def test_two_questions_are_answered_at_once_and_a_killed_process_costs_one_of_them(
    pair: Served,
) -> None:
    with pair.client() as client:
        paths = [ask(client, prompt(question, ["Lantern"])) for question in (FIRST, SECOND)]
        for path in paths:
            page_with(client, path, "word 3")
        killed, spared = workers(pair)
        os.kill(killed, signal.SIGKILL)
        page_with(client, "/answers", "has ended (exit code -9); the question can be asked again")
        ended = ["There is no answer" in client.get(path).text for path in paths]
        assert sorted(ended) == [False, True]
        for question in (FIRST, SECOND):
            pair.enough(question)
        paths[ended.index(True)] = ask(client, prompt((FIRST, SECOND)[ended.index(True)]))
        for path, question in zip(paths, (FIRST, SECOND), strict=True):
            assert answered(client, path).prompt.question == question
        assert spared in workers(pair)
    code, _, said = pair.end()
    assert (code, said) == (0, "")
    assert not is_running(spared)


@pytest.mark.parametrize("count", ["1", "2"])
def test_however_many_processes_answer_as_the_pipeline_does_and_log_lines_of_json(
    own_settings: Settings, answers: Mapping[str, Answer], count: str
) -> None:
    own_settings.data_dir.mkdir()
    with served(own_settings, "--workers", count, "--log-json") as server:
        with server.client() as client:
            paths = {name: ask(client, asked) for name, asked in PROMPTS.items()}
            assert {name: answered(client, path) for name, path in paths.items()} == answers
        _, _, said = server.end()
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    states = {line["answer"]: line["state"] for line in lines if "state" in line}
    assert states == dict.fromkeys((path.rpartition("/")[2] for path in paths.values()), "done")


def test_two_processes_answer_many_clients_from_milvus_and_say_so_while_it_is_gone(
    tmp_path: Path, own_settings: Settings, answers: Mapping[str, Answer]
) -> None:
    pytest.importorskip("milvus_lite", reason="the extra `milvus` is not installed")

    def one(name: str) -> Answer:
        with server.client() as client:
            return answered(client, ask(client, PROMPTS[name]))

    names = [name for name in PROMPTS for _ in range(5)]
    with (
        MilvusServer(tmp_path / "milvus") as milvus,
        served(own_settings, "--workers", "2", "--store", milvus.address) as server,
        ThreadPoolExecutor(10) as pool,
        server.client() as client,
    ):
        assert list(pool.map(one, names)) == [answers[name] for name in names]
        assert len(workers(server)) == 2
        milvus.kill()
        failed = ask(client, PROMPTS["move"])
        page_with(client, failed, f"Milvus at {milvus.address} did not answer")
        milvus.start()
        assert one("move") == answers["move"]


def test_what_cannot_be_opened_is_a_sentence_before_anything_is_served(tmp_path: Path) -> None:
    options = ("--data-dir", tmp_path, "--offline", "--port", 0, "--workers", 2)
    missing = tmp_path / "missing"
    shown = run("serve", "--writer", "local", "--model", missing, *options, code=2)
    assert shown.err.startswith("rag: ")
    assert str(missing) in shown.err
    shown = run("serve", "--store", tmp_path / "one.db", *options, code=2)
    assert "one process at a time: start `milvus-lite server`" in shown.refusal
