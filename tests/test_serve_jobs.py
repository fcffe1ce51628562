"""The queue of jobs with its figures and its log, the snapshots that clients follow, and calls
whose result is shared."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.cli.serve import JsonFormatter
from rag.views.web.jobs import (
    ENDED_LIMIT,
    TEXT_LIMIT,
    Job,
    JobCancelled,
    JobQueue,
    QueueFullError,
    SingleFlight,
)
from rag.views.web.site import AnswerStore, moment_of, new_id
from tests.parts.sites import SitePages, tiny_site
from tests.parts.works import PROMPTS


def job(name: str = "") -> Job:
    return Job(name or new_id(), PROMPTS["move"])


class HeldAnswers:
    """Answers jobs when it is released, and remembers their order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.begun = threading.Event()
        self.released = threading.Event()

    def __call__(self, asked: Job) -> None:
        self.begun.set()
        self.order.append(asked.id)
        while not self.released.wait(0.01):
            asked.notify("held", 0, 1, "")


@pytest.fixture
def held() -> Iterator[HeldAnswers]:
    answers = HeldAnswers()
    yield answers
    answers.released.set()


@pytest.fixture
def queue(held: HeldAnswers) -> JobQueue:
    """With one job that runs, and three places."""
    queue = JobQueue(held, places=3)
    queue.put(job("running"))
    assert held.begun.wait(5)
    return queue


def drain(queue: JobQueue) -> None:
    while queue.active():
        time.sleep(0.01)


def test_jobs_are_answered_in_order_and_no_more_wait_than_may(
    queue: JobQueue, held: HeldAnswers
) -> None:
    jobs = queue.active() + [job(str(number)) for number in range(3)]
    for later in jobs[1:]:
        queue.put(later)
    with pytest.raises(QueueFullError, match="3 questions are waiting"):
        queue.put(job())
    assert [queue.ahead(it) for it in jobs] == [0, 1, 2, 3]
    assert [it.state for it in jobs] == ["running", *["waiting"] * 3]
    held.released.set()
    drain(queue)
    assert held.order == ["running", "0", "1", "2"]
    assert [it.state for it in jobs] == ["done"] * 4
    assert queue.find("0") is None


def test_so_many_jobs_are_answered_at_once_as_may_be() -> None:
    together = threading.Barrier(2)

    def answer(asked: Job) -> None:
        together.wait(60)

    queue = JobQueue(answer, places=9, at_once=2)
    for _ in range(4):
        queue.put(job())
    drain(queue)
    assert queue.counts == {"done": 4}


def test_a_job_is_cancelled_whether_it_waits_or_runs(queue: JobQueue, held: HeldAnswers) -> None:
    (running,), waiting = queue.active(), job("waiting")
    queue.put(waiting)
    for name in ("waiting", "running", "unknown"):
        queue.cancel(name)
    drain(queue)
    assert held.order == ["running"]
    assert {it.state for it in (running, waiting)} == {"cancelled"}
    assert queue.find("waiting") is waiting
    with pytest.raises(JobCancelled):
        running.write("x")


def test_few_jobs_without_an_answer_are_stored(queue: JobQueue) -> None:
    for number in range(ENDED_LIMIT + 5):
        queue.put(job(str(number)))
        queue.cancel(str(number))
    assert queue.find("4") is None
    assert queue.find("5") is not None


def test_a_closed_queue_takes_nothing_and_cancels_what_is_active(queue: JobQueue) -> None:
    (running,) = queue.active()
    assert queue.close(5)
    assert running.state == "cancelled"
    with pytest.raises(QueueFullError):
        queue.put(job())


def test_close_tells_when_the_running_job_does_not_end() -> None:
    released = threading.Event()

    def answer(asked: Job) -> None:
        released.wait(10)

    queue = JobQueue(answer, places=1)
    queue.put(running := job())
    while running.state == "waiting":
        time.sleep(0.01)
    assert not queue.close(0.05)
    released.set()


@given(
    pieces=st.lists(st.text(min_size=1, max_size=5), max_size=40),
    reads=st.lists(st.booleans(), max_size=40),
)
def test_the_texts_of_snapshots_add_up(pieces: list[str], reads: list[bool]) -> None:
    written, text, end = job(), "", 0
    for number, piece in enumerate(pieces):
        written.write(piece)
        if number < len(reads) and reads[number]:
            snapshot = written.snapshot(end)
            assert snapshot.start == end
            text, end = text + snapshot.text, snapshot.end
    snapshot = written.snapshot(end)
    assert text + snapshot.text == "".join(pieces)
    assert snapshot.end == len("".join(pieces))


def test_of_a_long_text_the_newest_part_is_stored_and_an_ended_job_stores_none() -> None:
    long = job()
    for number in range(30):
        long.write(str(number % 10) * (TEXT_LIMIT // 10))
    snapshot = long.snapshot(7)
    assert (snapshot.start, snapshot.end) == (2 * TEXT_LIMIT, 3 * TEXT_LIMIT)
    assert len(snapshot.text) == TEXT_LIMIT
    assert snapshot.text.endswith("9")
    for outside in (-1, 10**9):
        assert long.snapshot(outside) == snapshot
    long.notify("fetch", 1, 2, "it")
    assert long.snapshot(0).percent == 50
    long.end("done")
    ended = long.snapshot(1)
    assert (ended.text, ended.stages, ended.end, ended.ended) == ("", (), 3 * TEXT_LIMIT, True)


@pytest.mark.parametrize(("cached", "expected"), [(2, "abcb"), (0, "abacab")])
def test_so_many_results_are_cached_and_the_oldest_goes_first(cached: int, expected: str) -> None:
    calls: list[str] = []

    async def ask() -> None:
        shared = SingleFlight(calls.append, places=2, cached=cached)
        for key in "abacab":
            await shared.get(key)

    asyncio.run(ask())
    assert "".join(calls) == expected


def test_many_who_await_the_same_key_share_one_call_and_its_error_which_is_not_cached() -> None:
    calls: list[str] = []

    def work(key: str) -> str:
        calls.append(key)
        if key == "bad":
            raise ZeroDivisionError
        return key.upper()

    async def ask() -> None:
        shared = SingleFlight(work, places=2, cached=1)
        keys = ["a", "bad"] * 25
        results = await asyncio.gather(*map(shared.get, keys), return_exceptions=True)
        assert set(results[::2]) == {"A"}
        assert {type(error) for error in results[1::2]} == {ZeroDivisionError}
        with pytest.raises(ZeroDivisionError):
            await shared.get("bad")

    asyncio.run(ask())
    assert calls == ["a", "bad", "bad"]


def test_a_client_that_leaves_takes_nothing_from_the_others() -> None:
    released = threading.Event()

    async def ask() -> bool:
        shared = SingleFlight(lambda _: released.wait(5), places=1)
        first, second = (asyncio.ensure_future(shared.get("a")) for _ in range(2))
        await asyncio.sleep(0.01)
        first.cancel()
        released.set()
        return await second

    assert asyncio.run(ask())


def test_too_many_keys_are_refused_and_so_is_everybody_at_the_close() -> None:
    released = threading.Event()

    async def ask() -> None:
        shared = SingleFlight(lambda _: released.wait(5), places=2)
        waiting = [asyncio.ensure_future(shared.get(key)) for key in "ab"]
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await shared.get("c")
        shared.close()
        assert not shared.idle
        for it in waiting:
            with pytest.raises(QueueFullError):
                await it
        released.set()
        while not shared.idle:
            await asyncio.sleep(0.01)

    asyncio.run(ask())


def test_figures_for_prometheus_count_what_was_asked(tmp_path: Path, small_mirror: Path) -> None:
    pages = SitePages(tiny_site(tmp_path, small_mirror))
    queue = pages.site.job_queue
    queue.put(job())
    drain(queue)
    queue.close(1)
    with pytest.raises(QueueFullError):
        queue.put(job())
    shown = pages.get("/metrics")
    assert shown.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = shown.text.splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert all(re.fullmatch(r'[a-z_]+(\{[a-z]+="[a-z]+"\})?', name) for name in samples)
    assert samples['rag_questions_total{state="done"}'] == "1"
    assert samples["rag_questions_refused_total"] == samples["rag_answer_seconds_count"] == "1"
    assert float(samples["rag_answer_seconds_sum"]) > 0
    assert samples["rag_questions_waiting"] == samples["rag_questions_running"] == "0"


def test_every_question_is_a_line_of_json() -> None:
    def answer(job: Job) -> None:
        raise ZeroDivisionError("<b>nothing</b>\nto divide by")

    stream, log = io.StringIO(), logging.getLogger("rag.views.web.jobs")
    handler, level = logging.StreamHandler(stream), log.level
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        queue = JobQueue(answer, places=1)
        queue.put(job("it"))
        drain(queue)
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    defect, line = map(json.loads, stream.getvalue().splitlines())
    assert "ZeroDivisionError" in defect["exception"]
    assert (line["answer"], line["state"], line["level"]) == ("it", "failed", "INFO")
    assert line["seconds"] >= 0


def test_names_of_answers_are_unique_and_sort_by_time() -> None:
    names = [new_id() for _ in range(3)]
    assert [name[:18] for name in names] == sorted(name[:18] for name in names)
    assert len(set(names)) == 3
    assert moment_of(names[0]).strftime("%Y%m%dT%H%M%S") == names[0][:15]


@given(st.text(max_size=60))
def test_no_other_name_is_a_path(name: str) -> None:
    assert AnswerStore(Path("nowhere")).path(name) is None
