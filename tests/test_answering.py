"""Processes that answer: what they are asked, how they are stopped, and what their end costs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[WorkerProcesses]:
    answering = WorkerProcesses([partial(opened, tmp_path)] * 2, 2)
    yield answering
    answering.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def job(name: str, question: str = "What?") -> Job:
    return Job(name, prompt(question))


def process_of(held: Job) -> Answer:
    """The process that answers, once it says so, as its answer will be."""
    while not held.snapshot(0).text:
        time.sleep(0.01)
    return cast(Answer, held.snapshot(0).stages[0].done)


def kill(process: Answer) -> None:
    os.kill(cast(int, process), signal.SIGKILL)


def test_jobs_are_spread_over_the_processes_and_reported(
    processes: WorkerProcesses, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    assert processes.at_once == 4
    assert processes.writers == HeldAnswering.writers
    jobs = [job(str(number)) for number in range(4)]
    answers = [pool.submit(processes.answer, held) for held in jobs]
    pids = [process_of(held) for held in jobs]
    assert len(set(pids)) == 2
    assert cast(Answer, os.getpid()) not in pids
    for held in jobs:
        (tmp_path / held.id).touch()
    assert [answer.result(60) for answer in answers] == pids
    assert all(pids.count(pid) == 2 for pid in pids)


def test_a_process_that_dies_costs_what_it_held_and_another_takes_its_place(
    processes: WorkerProcesses, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    jobs = [job(str(number)) for number in range(4)]
    answers = [pool.submit(processes.answer, held) for held in jobs]
    pids = [process_of(held) for held in jobs]
    kill(pids[0])
    lost = [answer for answer, pid in zip(answers, pids, strict=True) if pid == pids[0]]
    for answer in lost:
        with pytest.raises(RagError, match=r"has ended \(exit code -9\).*can be asked again"):
            answer.result(60)
    for held in jobs:
        (tmp_path / held.id).touch()
    kept = {answer.result(60) for answer in answers if answer not in lost}
    again = [pool.submit(processes.answer, job("0")) for _ in range(4)]
    new = {answer.result(60) for answer in again}
    assert kept < new
    assert pids[0] not in new
    assert len(new) == 2


def test_a_cancelled_job_ends_in_its_process_which_answers_on(
    processes: WorkerProcesses, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    held = job("0")
    answer = pool.submit(processes.answer, held)
    process = process_of(held)
    held.cancel()
    with pytest.raises(JobCancelled):
        answer.result(60)
    (tmp_path / "0").touch()
    assert process in [processes.answer(job("0")) for _ in range(4)]


def test_what_fails_in_a_process_is_the_reason_here(processes: WorkerProcesses) -> None:
    with pytest.raises(RagError, match="something unforeseen: KeyError: 'nothing'"):
        processes.answer(job("0", "Fail?"))


def test_the_end_of_all_ends_what_is_being_answered(
    processes: WorkerProcesses, pool: ThreadPoolExecutor
) -> None:
    held = job("0")
    answer = pool.submit(processes.answer, held)
    process = process_of(held)
    processes.close()
    with pytest.raises(RagError, match="has ended"):
        answer.result(60)
    assert not is_running(cast(int, process))


def test_a_process_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(RagError, match=r"there is no .*missing"):
        WorkerProcesses([partial(opened, tmp_path), partial(opened, tmp_path / "missing")])
