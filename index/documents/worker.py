"""Reading files in processes of their own, so that a bad file costs one file and no more.

A worker is a fresh interpreter (never a fork: the caller may have threads) that imports what
reads the file and nothing heavier. It limits its own memory and processor time; the caller keeps
the clock. What goes through the pipe is bytes and JSON, so that a worker that a hostile file has
turned can send nothing but a wrong result.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from index.documents.document import Document
from index.errors import ExtractionError

LOG = logging.getLogger(__name__)
Task = tuple[str, bytes, str]
Result = tuple[str, Document | ExtractionError]
Reply = tuple[str, bytes | ExtractionError]

START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from index.documents.worker import work; work(sys.argv[1])"
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
    parts = ((name, (data, media_type.encode())) for name, data, media_type in tasks)
    replies = isolated(
        "index.documents.worker:extraction",
        parts,
        workers=workers,
        seconds=seconds,
        memory_bytes=memory_bytes,
    )
    with contextlib.closing(replies):
        for name, reply in replies:
            if isinstance(reply, ExtractionError):
                yield name, reply
            else:
                yield name, Document.from_json(reply.decode())


def extraction(name: str, data: bytes, media_type: bytes) -> bytes:
    """The job of a worker that extracts: the document as JSON."""
    from index.documents.extract import extract

    return extract(name, data, media_type.decode()).to_json().encode()


def isolated(
    job: str,
    tasks: Iterable[tuple[str, Sequence[bytes]]],
    *,
    workers: int,
    seconds: float,
    memory_bytes: int,
) -> Generator[Reply]:
    """Call a function, named `module:function`, with a source's id and parts of bytes, in
    workers as `extract_isolated` has them, and yield the bytes that it returns."""
    waiting = iter(tasks)
    argument = f"{seconds} {memory_bytes} {job}"
    pool: list[Worker] = []
    ready: deque[Reply] = deque()
    try:
        while True:
            while _free(pool, workers) and (task := next(waiting, None)) is not None:
                _give(pool, *task, argument)
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


def _give(pool: list[Worker], name: str, parts: Sequence[bytes], argument: str) -> None:
    worker = next((worker for worker in pool if worker.task is None), None)
    if worker is None:
        worker = _started(argument)
        pool.append(worker)
    worker.task, worker.began = name, time.monotonic()
    with contextlib.suppress(OSError):  # a dead worker shows when its answer is awaited
        for message in (name.encode(), str(len(parts)).encode(), *parts):
            worker.pipe.send_bytes(message)


def _started(argument: str) -> Worker:
    ours, theirs = Pipe()
    argument = f"{theirs.fileno()} {argument}"
    process = subprocess.Popen(
        [sys.executable, "-c", START, argument, *(path or str(Path.cwd()) for path in sys.path)],
        stdin=subprocess.DEVNULL,
        pass_fds=(theirs.fileno(),),
    )
    theirs.close()
    return Worker(process, ours)


def _collect(pool: list[Worker], seconds: float) -> list[Reply]:
    """Wait until something is known: an answer, a death, or a time limit reached."""
    busy = [worker for worker in pool if worker.task is not None]
    left = min(worker.began for worker in busy) + seconds - time.monotonic()
    answered: Any = wait([worker.pipe for worker in busy], timeout=max(0.0, left))
    results: list[Reply] = []
    for worker in busy:
        if worker.pipe in answered:
            results.append(_answer(worker, pool, seconds))
        elif time.monotonic() - worker.began >= seconds:
            results.append(_lost(worker, pool, _too_slow(seconds)))
    return results


def _answer(worker: Worker, pool: list[Worker], seconds: float) -> Reply:
    source_id = worker.task or ""
    try:
        kind, said = worker.pipe.recv_bytes(), worker.pipe.recv_bytes()
        for warning in filter(
            None, worker.pipe.recv_bytes().decode("utf-8", "replace").split("\n")
        ):
            LOG.warning("%s: %s", source_id, warning)
    except (EOFError, OSError):
        return _lost(worker, pool, f"the reader broke down over it, {_death(worker)}", seconds)
    worker.task = None
    if kind == b"reason":
        return source_id, ExtractionError(source_id, said.decode("utf-8", "replace"))
    return source_id, said


def _lost(worker: Worker, pool: list[Worker], reason: str, seconds: float = 0.0) -> Reply:
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
    the pipe, the seconds of processor time and the bytes of memory it may use for one file, and
    the function that reads a file."""
    number, seconds, memory, job = argument.split()
    pipe = Connection(int(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller's to handle: it ends its workers
    _limit(resource.RLIMIT_AS, int(memory))
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    with contextlib.suppress(EOFError, OSError):
        while True:
            name, count = pipe.recv_bytes().decode(), int(pipe.recv_bytes())
            parts = [pipe.recv_bytes() for _ in range(count)]
            # Should the caller be killed, nobody else would stop a file that takes for ever.
            spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            _limit(resource.RLIMIT_CPU, int(spent + float(seconds)) + 2)
            kind, said = _attempt(job, name, parts, int(memory))
            pipe.send_bytes(kind)
            pipe.send_bytes(said)
            pipe.send_bytes("\n".join(warnings.said).encode("utf-8", "replace"))
            warnings.said.clear()


def _attempt(job: str, name: str, parts: Sequence[bytes], memory: int) -> tuple[bytes, bytes]:
    try:
        # Only after the task has come: until it is taken, the caller has to wait.
        module, _, function = job.partition(":")
        return b"result", getattr(importlib.import_module(module), function)(name, *parts)
    except ExtractionError as error:
        reason = error.reason
    except MemoryError:
        reason = f"reading it takes more than {memory >> 20} MiB of memory"
    except RecursionError:
        reason = "the file is broken: it refers to itself"
    except Exception as error:  # whatever it is, it is this file's and no other's
        reason = f"the reader failed on it ({type(error).__name__}: {error})"[:300]
    return b"reason", reason.encode("utf-8", "replace")


def _limit(what: int, wanted: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(
        what, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
