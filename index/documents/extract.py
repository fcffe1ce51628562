"""Bytes of a source → Document: in a worker process, so that a bad file costs one file, and cached.

A worker is a fresh interpreter (never a fork: the caller may have threads). It limits its own
memory and processor time; the caller keeps the clock. What goes through the pipe is bytes and
JSON, so that a file which gains control of its worker can do no more than send a wrong result.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection, Pipe
from pathlib import Path

from index.documents import Document, Section
from index.documents.pdf import extract_pdf
from index.documents.pdf.pages import pdf_extractor
from index.documents.readme import MARKDOWN, RST, extract_markdown, extract_rst
from index.documents.repair import decoded
from index.errors import ExtractionError, SegmentError
from index.files import read_checksummed, write_checksummed
from index.settings import Settings
from index.sources import Source

log = logging.getLogger(__name__)

Task = tuple[str, bytes, str]
"""Source id, bytes, media type."""
Result = tuple[str, Document | ExtractionError]
Reply = tuple[str, bytes | ExtractionError]

PR_SET_PDEATHSIG = 1  # of prctl(2): the signal that comes when the thread that started us ends
PLAIN = "plain-1"


def extract_plain(source_id: str, data: bytes) -> Document:
    """The text exactly as it is, but for line ends and what cannot be encoded."""
    text = decoded(data)
    if not text.strip():
        raise ExtractionError(source_id, "the file holds no text")
    return Document(text, "", (), (Section(0, len(text)),), PLAIN)


READERS: dict[str, Callable[[str, bytes], Document]] = {
    "application/pdf": extract_pdf,
    "text/markdown": extract_markdown,
    "text/x-rst": extract_rst,
    "text/plain": extract_plain,
}


def extract(source_id: str, data: bytes, media_type: str) -> Document:
    """The text of a source, read in this process. Raises ExtractionError, with a reason in plain
    words, where no text can be had."""
    if media_type not in READERS:
        reason = f"files of type {media_type!r} are not read; {', '.join(READERS)} are"
        raise ExtractionError(source_id, reason)
    return READERS[media_type](source_id, data)


def extractor_of(media_type: str) -> str:
    """What `Document.extractor` will say of a file of this type, without reading one."""
    if media_type == "application/pdf":
        return pdf_extractor()
    return {"text/markdown": MARKDOWN, "text/x-rst": RST}.get(media_type, PLAIN)


def document_path(source: Source, settings: Settings) -> Path:
    """Where the text of a source is cached: named by its bytes and the extractor."""
    key = f"{source.sha256}\n{extractor_of(source.media_type)}"
    return settings.documents / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.document"


def cache_document(document: Document, source: Source, settings: Settings) -> None:
    """Write down the text of a source, whole or not at all."""
    write_checksummed(document_path(source, settings), document.to_json().encode())


def cached_document(source: Source, settings: Settings) -> Document | None:
    """The text of a source, where it was read before and its cache file is undamaged."""
    try:
        return Document.from_json(read_checksummed(document_path(source, settings)).decode())
    except FileNotFoundError:
        return None
    except SegmentError as error:
        log.warning("read again: %s", error)
        return None


def extract_isolated(
    tasks: Iterable[Task], *, workers: int = 2, seconds: float = 120.0, memory_bytes: int = 2 << 30
) -> Iterator[Result]:
    """`extract` in worker processes; see `isolated`."""
    replies = isolated(
        "index.documents.extract:extract_to_json",
        ((name, (data, media_type.encode())) for name, data, media_type in tasks),
        workers=workers,
        seconds=seconds,
        memory_bytes=memory_bytes,
    )
    with contextlib.closing(replies):
        for name, reply in replies:
            yield name, Document.from_json(reply.decode()) if isinstance(reply, bytes) else reply


def extract_to_json(name: str, data: bytes, media_type: bytes) -> bytes:
    """The job of a worker that extracts: the document as JSON."""
    return extract(name, data, media_type.decode()).to_json().encode()


def isolated(
    job: str,
    tasks: Iterable[tuple[str, Sequence[bytes]]],
    *,
    workers: int,
    seconds: float,
    memory_bytes: int,
) -> Generator[Reply]:
    """Call a function, named `module:function`, with a source's id and parts of bytes, in worker
    processes, and yield the bytes that it returns, in no promised order. `tasks` is read only as
    workers become free, and they work on while the caller is busy with a result. `seconds` and
    `memory_bytes` hold for one file. Closing the iterator, or an exception in the caller, ends all
    workers."""
    waiting = iter(tasks)
    idle: list[ReaderProcess] = []
    running: dict[Future[Reply], ReaderProcess] = {}
    reply: Reply | None = None
    with ThreadPoolExecutor(max(1, workers)) as threads:
        try:
            while True:
                while len(running) < max(1, workers) and (task := next(waiting, None)):
                    worker = idle.pop() if idle else ReaderProcess(job, seconds, memory_bytes)
                    running[threads.submit(worker.call, *task)] = worker
                if reply is not None:
                    yield reply
                if not running:
                    return
                future = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
                worker = running.pop(future)
                reply = future.result()
                if worker.process.returncode is None:
                    idle.append(worker)
        finally:
            for worker in running.values():
                worker.process.kill()
            wait(running)
            for worker in (*idle, *running.values()):
                worker.end()


class ReaderProcess:
    """One process and the pipe to it."""

    def __init__(self, job: str, seconds: float, memory_bytes: int) -> None:
        self.seconds = seconds
        self.pipe, theirs = Pipe()
        code = (
            "import sys; sys.path[:] = sys.argv[6:]; "
            "from index.documents.extract import work; work(*sys.argv[1:6])"
        )
        arguments = [str(theirs.fileno()), str(seconds), str(memory_bytes), job, str(os.getpid())]
        # This package's own folder first: the working folder may hold another `index`.
        path = [str(Path(__file__).parents[2]), *(part or str(Path.cwd()) for part in sys.path)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments, *path],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()

    def call(self, name: str, parts: Sequence[bytes]) -> Reply:
        """What the worker makes of one source. A worker that does not answer is ended."""
        slow = f"reading it took longer than {self.seconds:g} seconds and was stopped"
        try:
            for message in (name.encode(), str(len(parts)).encode(), *parts):
                self.pipe.send_bytes(message)
            if not self.pipe.poll(self.seconds):
                self.end()
                return name, ExtractionError(name, slow)
            kind, content, warnings = (self.pipe.recv_bytes() for _ in range(3))
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
            code = self.process.returncode
            self.end()
            broken = f"the reader broke down over it (exit code {code})"
            return name, ExtractionError(name, slow if code == -signal.SIGXCPU else broken)
        for warning in filter(None, warnings.decode("utf-8", "replace").split("\n")):
            log.warning("%s: %s", name, warning)
        if kind == b"reason":
            return name, ExtractionError(name, content.decode("utf-8", "replace"))
        return name, content

    def end(self) -> None:
        """Stop it, whatever it is doing, and leave no zombie."""
        self.pipe.close()
        self.process.kill()
        self.process.wait()


class WarningLog(logging.Handler):
    """Collects what is logged, so that it reaches the log of the caller."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        if len(self.messages) < 100:  # a damaged file can log without end
            self.messages.append(" ".join(record.getMessage().split())[:300])


def work(pipe_number: str, seconds: str, memory: str, job: str, caller: str) -> None:
    """The worker process: answers task after task until the pipe closes. `seconds` of processor
    time and `memory` in bytes are the limits for one file; `job` is the function to call, `caller`
    the id of the process whose end is the worker's too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(caller):
        return
    pipe = Connection(int(pipe_number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller handles it: it ends its workers
    _limit(resource.RLIMIT_AS, int(memory))
    warnings = WarningLog()
    logging.getLogger().addHandler(warnings)
    with contextlib.suppress(EOFError, OSError):
        while True:
            name, count = pipe.recv_bytes().decode(), int(pipe.recv_bytes())
            parts = [pipe.recv_bytes() for _ in range(count)]
            # The caller keeps the clock, but has no part in what a busy machine delays.
            spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            _limit(resource.RLIMIT_CPU, int(spent + float(seconds)) + 2)
            for message in _attempt(job, name, parts, int(memory)):
                pipe.send_bytes(message)
            pipe.send_bytes("\n".join(warnings.messages).encode("utf-8", "replace"))
            warnings.messages.clear()


def _attempt(job: str, name: str, parts: Sequence[bytes], memory: int) -> tuple[bytes, bytes]:
    try:
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


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (soft, hard))
