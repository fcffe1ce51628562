"""Who makes the answers to jobs: a pipeline in this process, or several processes, each with models
of its own.

The process that serves the pages keeps the queue and every job. A worker process is sent a prompt,
and reports progress and text as they come; each report is replied to with whether to go on. One
that dies costs the answers that it was making; another takes its place.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from multiprocessing.connection import Connection, Pipe
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import SimpleQueue
from types import MappingProxyType
from typing import Any, Protocol

from index.errors import RagError
from rag.answer import Answer
from rag.pipeline import Pipeline
from rag.views.web.jobs import Job, JobCancelled, reason_of
from rag.writers import Writer


class Answering(Protocol):
    """Answers up to `at_once` jobs at a time, each in a thread. `writers` are the names of those
    that a job may choose."""

    at_once: int
    writers: tuple[str, ...]

    def answer(self, job: Job) -> Answer:
        """Raises JobCancelled, and whatever ends an answer."""


class PipelineAnswering:
    """By a pipeline. `writers` can be chosen beside its own; one of them is held at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        writers: Mapping[str, Callable[[], Writer]] = MappingProxyType({}),
    ) -> None:
        self.at_once = pipeline.concurrency
        self.writers = tuple(writers)
        self._pipeline = pipeline
        self._writer = lru_cache(maxsize=1)(lambda name: writers[name]())

    def answer(self, job: Job) -> Answer:
        """See Answering."""
        pipeline = self._pipeline
        if job.writer in self.writers:
            pipeline = replace(pipeline, writer=self._writer(job.writer))
        return pipeline.ask(job.prompt, notify=job.notify, stream=job.write)


Opening = Callable[[], PipelineAnswering]
"""Opens what a worker process answers with; sent to it by pickle."""


class WorkerProcesses:
    """By a process for each of `openings`, which answers `each` jobs at a time. Raises RagError
    where one cannot be opened."""

    def __init__(self, openings: Sequence[Opening], each: int = 1) -> None:
        self.at_once = len(openings) * each
        threads = max(1, (os.cpu_count() or 1) // len(openings))
        self._workers = [_Worker(opening, each, threads) for opening in openings]
        self._free: SimpleQueue[tuple[_Worker, int]] = SimpleQueue()
        try:
            self.writers, *_ = [worker.wait() for worker in self._workers]
        except RagError:
            self.close()
            raise
        for number in range(each):
            for worker in self._workers:
                self._free.put((worker, number))

    def answer(self, job: Job) -> Answer:
        """See Answering. Raises RagError where the process ends before the answer."""
        worker, number = self._free.get()
        try:
            return worker.answer(number, job)
        finally:
            self._free.put((worker, number))

    def close(self) -> None:
        """End the processes, whatever they do: files are written atomically."""
        for worker in self._workers:
            worker.process.kill()


class _Worker:
    """One process, and a connection to each of its threads."""

    def __init__(self, opening: Opening, each: int, threads: int) -> None:
        self._arguments = opening, threads
        self._each = each
        self._lock = threading.RLock()
        self._start()

    def _start(self) -> None:
        pairs = [Pipe() for _ in range(self._each)]
        self.connections = [ours for ours, _ in pairs]
        self.process = SpawnContext().Process(
            target=work, args=(*self._arguments, [theirs for _, theirs in pairs]), daemon=True
        )
        self.process.start()
        for _, theirs in pairs:
            theirs.close()  # It is open in the worker alone, so that its end is noticed.

    def wait(self) -> tuple[str, ...]:
        """The names of its writers, when it is ready. Raises RagError where it cannot be."""
        try:
            opened = self.connections[0].recv()
        except (EOFError, OSError):
            raise self._end_of(self.process) from None
        if isinstance(opened, str):
            raise RagError(opened)
        names: tuple[str, ...] = opened
        return names

    def answer(self, number: int, job: Job) -> Answer:
        """The answer by thread `number`; in a new process where this one has ended."""
        with self._lock:
            if not self.process.is_alive():
                self._start()
                self.wait()
            process, connection = self.process, self.connections[number]
        try:
            connection.send((job.id, job.prompt, job.writer))
            while True:
                kind, content = connection.recv()
                if kind == "answer":
                    answer: Answer = content
                    return answer
                if kind == "failed":
                    raise RagError(content)
                if kind == "cancelled":
                    raise JobCancelled
                goes_on = True
                try:
                    getattr(job, kind)(*content)
                except JobCancelled:
                    goes_on = False
                connection.send(goes_on)
        except (EOFError, OSError):
            raise self._end_of(process) from None

    def _end_of(self, process: SpawnProcess) -> RagError:
        with self._lock:
            process.join(5)
        return RagError(
            f"the process that was to answer this has ended (exit code {process.exitcode}); the "
            "question can be asked again"
        )


class _DistantJob(Job):
    """A job of the process at the other end of a connection."""

    def __init__(self, connection: Connection, *asked: Any) -> None:
        super().__init__(*asked)
        self._connection = connection
        self._telling = threading.Lock()

    def notify(self, stage: str, done: int, total: int, what: str) -> None:
        """See Job."""
        self._tell("notify", stage, done, total, what)

    def write(self, text: str) -> None:
        """See Job."""
        self._tell("write", text)

    def _tell(self, kind: str, *content: object) -> None:
        with self._telling:
            self._connection.send((kind, content))
            if not self._connection.recv():
                raise JobCancelled


def work(opening: Opening, threads: int, connections: Sequence[Connection]) -> None:
    """The worker process: a thread for each connection, until the other ends are closed. Models
    compute on so many `threads`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The process at the other end ends this one.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    try:
        answering = opening()
    except RagError as error:
        connections[0].send(str(error))
        return
    connections[0].send(answering.writers)
    with ThreadPoolExecutor(len(connections)) as pool:
        for connection in connections:
            pool.submit(_answer_all, answering, connection)


def _answer_all(answering: Answering, connection: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            job = _DistantJob(connection, *connection.recv())
            reply: tuple[str, object]
            try:
                reply = "answer", answering.answer(job)
            except JobCancelled:
                reply = "cancelled", None
            except Exception as error:
                reply = "failed", reason_of(error, job.id)
            connection.send(reply)
