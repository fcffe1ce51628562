"""Processes that answer: what they are asked, how they are stopped, and what their end costs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from index.errors import RagError
from rag.answer import Answer
from rag.views.web.answering import PipelineAnswering, WorkerProcesses
from rag.views.web.jobs import Job, JobCancelled
from tests.parts.processes import is_running
from tests.parts.works import prompt


class HeldAnswering:
    """In place of an answer the id of the process, once the file of the job is there; until then it
    reports. What to do beside this is the question."""

    at_once = 2
    writers = ("one", "two")

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answer(self, job: Job) -> Answer:
        if job.prompt.question == "Fail?":
            raise KeyError("nothing")
        job.notify("hold", os.getpid(), 0, "")
        while not (self._folder / job.id).exists():
            job.write("so ")
            time.sleep(0.01)
        return cast(Answer, os.getpid())


def opened(folder: Path) -> PipelineAnswering:
    if not folder.exists():
        raise RagError(f"there is no {folder}")
    return cast(PipelineAnswering, HeldAnswering(folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def processes(folder: Path) -> Iterator[WorkerProcesses]:
    answering = WorkerProcesses([partial(opened, folder)] * 2, 2)
    yield answering
    answering.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def held_job(
    processes: WorkerProcesses, pool: ThreadPoolExecutor, name: str
) -> tuple[Job, Future[Answer], Answer]:
    """A job that is being answered, its answer to come, and the process that answers, as this
    answer will be."""
    job = Job(name, prompt("What?"))
    answer = pool.submit(processes.answer, job)
    while not job.snapshot(0).text:
        assert not answer.done()
        time.sleep(0.01)
    return job, answer, cast(Answer, job.snapshot(0).stages[0].done)


def test_jobs_are_spread_over_the_processes_and_one_that_dies_costs_what_it_held(
    processes: WorkerProcesses, pool: ThreadPoolExecutor, folder: Path
) -> None:
    assert (processes.at_once, processes.writers) == (4, HeldAnswering.writers)
    held = [held_job(processes, pool, f"spread-{number}") for number in range(4)]
    pids = [pid for _, _, pid in held]
    assert sorted(pids.count(pid) for pid in pids) == [2] * 4
    assert cast(Answer, os.getpid()) not in pids
    os.kill(cast(int, pids[0]), signal.SIGKILL)
    for job, answer, pid in held:
        if pid == pids[0]:
            with pytest.raises(RagError, match=r"has ended \(exit code -9\).*can be asked again"):
                answer.result(60)
        else:
            (folder / job.id).touch()
            assert answer.result(60) == pid
    again = {held_job(processes, pool, f"again-{number}")[2] for number in range(4)}
    for number in range(4):
        (folder / f"again-{number}").touch()
    assert len(again) == len(again | set(pids)) - 1 == 2


def test_a_cancelled_job_ends_in_its_process_which_answers_on(
    processes: WorkerProcesses, pool: ThreadPoolExecutor, folder: Path
) -> None:
    job, answer, pid = held_job(processes, pool, "cancelled")
    job.cancel()
    with pytest.raises(JobCancelled):
        answer.result(60)
    (folder / "next").touch()
    assert pid in [processes.answer(Job("next", prompt("What?"))) for _ in range(4)]


def test_what_fails_in_a_process_is_the_reason_here(processes: WorkerProcesses) -> None:
    with pytest.raises(RagError, match="something unforeseen: KeyError: 'nothing'"):
        processes.answer(Job("fails", prompt("Fail?")))


def test_the_end_of_all_ends_what_is_being_answered(
    processes: WorkerProcesses, pool: ThreadPoolExecutor
) -> None:
    _, answer, pid = held_job(processes, pool, "never")
    processes.close()
    with pytest.raises(RagError, match="has ended"):
        answer.result(60)
    assert not is_running(cast(int, pid))


def test_a_process_that_cannot_be_opened_says_why(folder: Path) -> None:
    with pytest.raises(RagError, match=r"there is no .*missing"):
        WorkerProcesses([partial(opened, folder), partial(opened, folder / "missing")])
