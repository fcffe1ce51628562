"""Extraction in processes of its own, so that a bad file costs one file and no more.

A worker is a fresh interpreter (never a fork: the caller may have threads) that imports the
extractor and nothing heavier. It limits its own memory and processor time; the caller keeps the
clock. What goes through the pipe is bytes and JSON, so that a worker that a hostile file has
turned can send nothing but a wrong text.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from index.document import Document
from index.errors import ExtractionError

LOG = logging.getLogger(__name__)
Task = tuple[str, bytes, str]
Result = tuple[str, Document | ExtractionError]

START = (
    "import sys; sys.path[:] = sys.argv[2:]; from index.isolation import work; work(sys.argv[1])"
)


@dataclass(slots=True)
class Worker:
    """One process and the pipe to it. `task` is what it is at, since `began` (monotonic)."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    task: str | None = None
    began: float = 0.0

    def end(self) -> int:
        """Stop it, wherever it is, and leave no zombie; its exit code."""
        self.pipe.close()
        self.process.kill()
        return self.process.wait()


def extract_isolated(
    tasks: Iterable[Task],
    *,
    workers: int = 2,
    seconds: float = 120.0,
    memory_bytes: int = 2 << 30,
) -> Iterator[Result]:
    """Extract (source_id, data, media_type) tasks and yield each result as it comes, in no
    promised order. `tasks` is read only as workers become free, and they work on while the
    caller is busy with a result. `seconds` and `memory_bytes` hold for one file. Closing the
    iterator, or an exception in the caller, ends all workers."""
    waiting = iter(tasks)
    limits = f"{seconds} {memory_bytes}"
    pool: list[Worker] = []
    ready: deque[Result] = deque()
    try:
        while True:
            while _free(pool, workers) and (task := next(waiting, None)) is not None:
                _give(pool, task, limits)
            if ready:
                yield ready.popleft()
            elif any(worker.task is not None for worker in pool):
                ready += _collect(pool, seconds)
            else:
                return
    finally:
        for worker in pool:
            worker.end()


def _free(pool: list[Worker], workers: int) -> bool:
    return len(pool) < max(1, workers) or any(worker.task is None for worker in pool)


def _give(pool: list[Worker], task: Task, limits: str) -> None:
    worker = next((worker for worker in pool if worker.task is None), None)
    if worker is None:
        worker = _started(limits)
        pool.append(worker)
    source_id, data, media_type = task
    worker.task, worker.began = source_id, time.monotonic()
    with contextlib.suppress(OSError):  # a dead worker shows when its answer is awaited
        worker.pipe.send_bytes(source_id.encode())
        worker.pipe.send_bytes(media_type.encode())
        worker.pipe.send_bytes(data)


def _started(limits: str) -> Worker:
    ours, theirs = Pipe()
    argument = f"{theirs.fileno()} {limits}"
    process = subprocess.Popen(
        [sys.executable, "-c", START, argument, *(path or str(Path.cwd()) for path in sys.path)],
        stdin=subprocess.DEVNULL,
        pass_fds=(theirs.fileno(),),
    )
    theirs.close()
    return Worker(process, ours)


def _collect(pool: list[Worker], seconds: float) -> list[Result]:
    """Wait until something is known: an answer, a death, or a time limit reached."""
    busy = [worker for worker in pool if worker.task is not None]
    left = min(worker.began for worker in busy) + seconds - time.monotonic()
    answered: Any = wait([worker.pipe for worker in busy], timeout=max(0.0, left))
    results: list[Result] = []
    for worker in busy:
        if worker.pipe in answered:
            results.append(_answer(worker, pool, seconds))
        elif time.monotonic() - worker.began >= seconds:
            results.append(_lost(worker, pool, _too_slow(seconds)))
    return results


def _answer(worker: Worker, pool: list[Worker], seconds: float) -> Result:
    source_id = worker.task or ""
    try:
        kind, said = worker.pipe.recv_bytes(), worker.pipe.recv_bytes().decode()
        for warning in filter(
            None, worker.pipe.recv_bytes().decode("utf-8", "replace").split("\n")
        ):
            LOG.warning("%s: %s", source_id, warning)
    except (EOFError, OSError):
        return _lost(worker, pool, f"the reader broke down over it, {_death(worker)}", seconds)
    worker.task = None
    if kind == b"reason":
        return source_id, ExtractionError(source_id, said)
    return source_id, Document.from_json(said)


def _lost(worker: Worker, pool: list[Worker], reason: str, seconds: float = 0.0) -> Result:
    pool.remove(worker)
    code = worker.end()
    if code == -signal.SIGXCPU:
        reason = _too_slow(seconds)
    return worker.task or "", ExtractionError(worker.task or "", reason)


def _death(worker: Worker) -> str:
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = worker.process.wait(timeout=5)
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    return "and does not answer"


def _too_slow(seconds: float) -> str:
    return f"reading it took longer than {seconds:g} seconds and was stopped"


class Warnings(logging.Handler):
    """Collects what is logged, so that it reaches the log of the caller."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message; a file that complains without end is heard a hundred times."""
        if len(self.said) < 100:
            self.said.append(" ".join(record.getMessage().split())[:300])


def work(argument: str) -> None:
    """The worker: answers task after task until the pipe closes. `argument` holds the number of
    the pipe, the seconds of processor time and the bytes of memory it may use for one file."""
    number, seconds, memory = argument.split()
    pipe = Connection(int(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller's to handle: it ends its workers
    _limit(resource.RLIMIT_AS, int(memory))
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    with contextlib.suppress(EOFError, OSError):
        while True:
            source_id, media_type = pipe.recv_bytes().decode(), pipe.recv_bytes().decode()
            data = pipe.recv_bytes()
            # Should the caller be killed, nobody else would stop a file that takes for ever.
            spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            _limit(resource.RLIMIT_CPU, int(spent + float(seconds)) + 2)
            kind, said = _attempt(source_id, data, media_type, int(memory))
            pipe.send_bytes(kind)
            pipe.send_bytes(said.encode())
            pipe.send_bytes("\n".join(warnings.said).encode("utf-8", "replace"))
            warnings.said.clear()


def _attempt(source_id: str, data: bytes, media_type: str, memory: int) -> tuple[bytes, str]:
    try:
        # Only after the task has come: until it is taken, the caller has to wait.
        from index.extract import extract

        return b"document", extract(source_id, data, media_type).to_json()
    except ExtractionError as error:
        return b"reason", error.reason
    except MemoryError:
        return b"reason", f"reading it takes more than {memory >> 20} MiB of memory"
    except RecursionError:
        return b"reason", "the file is broken: it refers to itself"
    except Exception as error:  # whatever it is, it is this file's and no other's
        return b"reason", f"the reader failed on it ({type(error).__name__}: {error})"[:300]


def _limit(what: int, wanted: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(
        what, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
