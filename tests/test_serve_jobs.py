"""The job queue, the event log of a job, and work that is done once for all who ask for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tests.parts.works import PROMPTS


def job(name: str = "") -> Job:
    return Job(name or new_id(), PROMPTS["move"])


class Held:
    """Answers jobs when it is let go, and remembers their order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, asked: Job) -> None:
        self.begun.set()
        self.order.append(asked.id)
        while not self.let_go.wait(0.01):
            asked.notify("held", 0, 1, "")


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def job_queue(held: Held) -> JobQueue:
    return JobQueue(held, places=3)


def ended(job_queue: JobQueue) -> None:
    while job_queue.active():
        threading.Event().wait(0.01)


class TestTheDesk:
    """One after the other."""

    def test_jobs_are_answered_in_the_order_they_came(
        self, job_queue: JobQueue, held: Held
    ) -> None:
        jobs = [job(str(number)) for number in range(4)]
        job_queue.put(jobs[0])
        held.begun.wait(5)
        for later in jobs[1:]:
            job_queue.put(later)
        assert [job_queue.ahead(it) for it in jobs] == [0, 1, 2, 3]
        assert [it.state for it in jobs] == ["running", *["waiting"] * 3]
        held.let_go.set()
        ended(job_queue)
        assert held.order == ["0", "1", "2", "3"]
        assert [it.state for it in jobs] == ["done"] * 4
        assert job_queue.find("0") is None

    def test_no_more_wait_than_may(self, job_queue: JobQueue, held: Held) -> None:
        job_queue.put(job())
        held.begun.wait(5)
        for _ in range(3):
            job_queue.put(job())
        with pytest.raises(QueueFullError, match="3 questions are waiting"):
            job_queue.put(job())
        held.let_go.set()

    def test_what_is_given_up_ends_whether_it_waits_or_runs(
        self, job_queue: JobQueue, held: Held
    ) -> None:
        running, waiting = job("running"), job("waiting")
        job_queue.put(running)
        held.begun.wait(5)
        job_queue.put(waiting)
        for name in ("waiting", "running", "unknown"):
            job_queue.cancel(name)
        ended(job_queue)
        assert held.order == ["running"]
        assert {it.state for it in (running, waiting)} == {"cancelled"}
        assert job_queue.find("waiting") is waiting

    def test_few_jobs_without_an_answer_are_remembered(
        self, job_queue: JobQueue, held: Held
    ) -> None:
        job_queue.put(job("first"))
        held.begun.wait(5)
        for number in range(ENDED_LIMIT + 5):
            job_queue.put(job(str(number)))
            job_queue.cancel(str(number))
        assert job_queue.find("4") is None
        assert job_queue.find("5") is not None
        held.let_go.set()

    def test_closed_it_takes_nothing_and_gives_up_what_is_at_hand(
        self, job_queue: JobQueue, held: Held
    ) -> None:
        running = job()
        job_queue.put(running)
        held.begun.wait(5)
        assert job_queue.close(5)
        assert running.state == "cancelled"
        with pytest.raises(QueueFullError):
            job_queue.put(job())

    def test_it_says_when_the_work_does_not_end(self) -> None:
        enough = threading.Event()

        def hear_nothing(asked: Job) -> None:
            enough.wait(10)

        deaf = JobQueue(hear_nothing, places=1)
        deaf.put(job())
        while deaf.active()[0].state != "running":
            pass
        assert not deaf.close(0.05)
        enough.set()


class TestTheLog:
    """Read by whoever wants to, as fast as they like."""

    @given(
        pieces=st.lists(st.text(min_size=1, max_size=5), max_size=40),
        looks=st.lists(st.booleans(), max_size=40),
    )
    def test_what_a_reader_was_given_adds_up(self, pieces: list[str], looks: list[bool]) -> None:
        log, text, end = job(), "", 0
        for number, piece in enumerate(pieces):
            log.write(piece)
            if number < len(looks) and looks[number]:
                seen = log.snapshot(end, 0)
                assert seen.start == end
                text, end = text + seen.text, seen.end
        seen = log.snapshot(end, 0)
        assert text + seen.text == "".join(pieces)
        assert seen.end == len("".join(pieces))

    def test_a_reader_who_missed_too_much_gets_the_newest(self) -> None:
        log = job()
        for number in range(30):
            log.write(str(number % 10) * (TEXT_LIMIT // 10))
        seen = log.snapshot(7, 0)
        assert len(seen.text) == TEXT_LIMIT
        assert seen.start == 2 * TEXT_LIMIT
        assert seen.end == 3 * TEXT_LIMIT
        assert seen.text.endswith("9")

    @pytest.mark.parametrize("since", [-1, 4, 10**9])
    def test_an_offset_that_is_none_gets_everything(self, since: int) -> None:
        log = job()
        log.write("abc")
        assert log.snapshot(since, 0).text == "abc"

    def test_once_ended_it_holds_nothing(self) -> None:
        log = job()
        log.notify("fetch", 1, 2, "it")
        log.write("abc")
        log.end("done")
        seen = log.snapshot(1, 0)
        assert (seen.text, seen.stages, seen.end, seen.ended) == ("", (), 3, True)

    @pytest.mark.parametrize(
        "tell", [lambda it: it.write("x"), lambda it: it.notify("fetch", 0, 1, "")]
    )
    def test_who_writes_to_what_was_given_up_is_stopped(self, tell: Callable[[Job], None]) -> None:
        log = job()
        log.cancel()
        with pytest.raises(JobCancelled):
            tell(log)


class TestSharedWork:
    """Once for all who ask for it at the same time."""

    def test_many_who_ask_for_the_same_wait_for_one(self) -> None:
        done: list[str] = []

        def work(key: str) -> str:
            done.append(key)
            return key.upper()

        async def asked() -> list[str]:
            shared = SingleFlight(work, places=2)
            return await asyncio.gather(*(shared.get("ab"[number % 2]) for number in range(50)))

        assert set(asyncio.run(asked())) == {"A", "B"}
        assert sorted(done) == ["a", "b"]

    def test_so_many_results_are_kept_the_oldest_goes_first(self) -> None:
        done: list[str] = []

        async def asked() -> None:
            shared = SingleFlight(done.append, places=2, cached=2)
            for key in "abacab":
                await shared.get(key)

        asyncio.run(asked())
        assert done == ["a", "b", "c", "b"]

    def test_nothing_is_kept_unless_asked_for_and_errors_reach_all(self) -> None:
        tries: list[str] = []

        def work(key: str) -> None:
            tries.append(key)
            raise ZeroDivisionError

        async def asked() -> None:
            shared = SingleFlight(work, places=1)
            found = await asyncio.gather(shared.get("a"), shared.get("a"), return_exceptions=True)
            assert {type(error) for error in found} == {ZeroDivisionError}
            with pytest.raises(ZeroDivisionError):
                await shared.get("a")

        asyncio.run(asked())
        assert tries == ["a", "a"]

    def test_who_leaves_takes_nothing_from_the_others(self) -> None:
        enough = threading.Event()

        async def asked() -> str:
            shared = SingleFlight(lambda key: "done" if enough.wait(5) else "", places=1)
            first = asyncio.ensure_future(shared.get("a"))
            second = asyncio.ensure_future(shared.get("a"))
            await asyncio.sleep(0.01)
            first.cancel()
            enough.set()
            return await second

        assert asyncio.run(asked()) == "done"

    def test_too_many_are_refused_and_so_is_everybody_when_it_closes(self) -> None:
        enough = threading.Event()

        async def asked() -> None:
            shared = SingleFlight(lambda key: enough.wait(5), places=2)
            waiting = [asyncio.ensure_future(shared.get(key)) for key in "ab"]
            await asyncio.sleep(0.01)
            with pytest.raises(QueueFullError):
                await shared.get("c")
            shared.close()
            assert not shared.idle
            for it in waiting:
                with pytest.raises(QueueFullError):
                    await it
            enough.set()
            while not shared.idle:
                await asyncio.sleep(0.01)

        asyncio.run(asked())


def test_names_of_answers_sort_by_time_and_tell_it() -> None:
    names = [new_id() for _ in range(3)]
    assert [name[:18] for name in names] == sorted(name[:18] for name in names)
    assert len(set(names)) == 3
    assert moment_of(names[0]).strftime("%Y%m%dT%H%M%S") == names[0][:15]


@given(st.text(max_size=60))
def test_no_other_name_is_a_path(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    store = AnswerStore(tmp_path_factory.getbasetemp() / "none")
    assert store.path(name) is None
