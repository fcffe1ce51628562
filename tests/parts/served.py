"""The page served by a process of its own, on a port that is free: by the command itself, or with a
writer that takes its time.

Run as a program, this module is the latter.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import typer

from index.settings import Settings
from rag.answer import Answer
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.retrieval import Evidence
from rag.views.web.answering import PipelineAnswering, WorkerProcesses
from rag.writers import Draft
from rag.writers.extractive import ExtractiveWriter
from tests.parts import ROOT

COMMAND = ("-c", "from rag.cli.main import main; main()", "serve", "--writer", "extractive")
PACED = ("-m", "tests.parts.served")

SLOWLY = "Slowly, please"
"""A question that begins so is answered word by word until `Served.enough` is called."""
AT_LENGTH = "At length, please"
"""A question that begins so is answered with twenty times the text that is stored."""
DEAFLY = "Deafly, please"
"""A question that begins so is answered after a minute in which the writer cannot be stopped."""
UNPACED = "without delay"
"""The other writer that may be chosen: it takes its time for no question."""
BROKEN = "Brokenly, please"
"""A question that begins so is not answered: the writer raises."""


class PacedWriter:
    """The extractive writer, which takes its time where a question asks for it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._writer = ExtractiveWriter()

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        asked = evidence.prompt.question
        assert stream is not None
        if asked.startswith(BROKEN):
            raise ZeroDivisionError("<b>nothing</b> to divide by")
        if asked.startswith(DEAFLY):
            time.sleep(60)
        words = 0
        while asked.startswith(SLOWLY) and not _enough(self._data_dir, asked).exists():
            stream(f"word {words} ")
            words += 1
            time.sleep(0.02)
        if asked.startswith(AT_LENGTH):
            for number in range(1_000):
                stream(f"{number:6} " + "long " * 399 + "\n")
                time.sleep(0.002)
        return self._writer.write(evidence, stream=stream)


@dataclass(frozen=True)
class Served:
    """A server that runs. `address` is what it printed."""

    process: subprocess.Popen[str]
    address: str
    data_dir: Path

    @property
    def base(self) -> str:
        """The address without a path, for a client on this machine."""
        port = re.search(r":(\d+)/", self.address)
        assert port is not None
        return f"http://127.0.0.1:{port[1]}"

    @property
    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    def client(self) -> httpx.Client:
        """A client of its own, as every browser has. It keeps no connection: on a busy machine the
        server may close one in the moment in which it is used again."""
        limits = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.base, timeout=120, limits=limits)

    def enough(self, question: str) -> None:
        """End the answer to `question`, which is written slowly."""
        _enough(self.data_dir, question).touch()

    def end(self, by: signal.Signals = signal.SIGTERM) -> tuple[int, float, str]:
        """Exit code, the seconds it took, and what it said on stderr."""
        began = time.monotonic()
        self.process.send_signal(by)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, time.monotonic() - began, said


def _enough(data_dir: Path, question: str) -> Path:
    return data_dir / f"enough-{hashlib.sha256(question.encode()).hexdigest()}"


@contextmanager
def served(
    settings: Settings, *more: str, program: Sequence[str] = COMMAND, host: str = "127.0.0.1"
) -> Iterator[Served]:
    """A server over `settings`, ended with the context if it was not ended before."""
    options = ["--data-dir", str(settings.data_dir), "--mirror", str(settings.mirror)]
    options += ["--encoder", settings.encoder, "--host", host, "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *program, *options, *more, "--offline"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), process.communicate(timeout=10)[1]
        server = Served(process, address, settings.data_dir)
        _wait_for(server)
        yield server
    finally:
        process.kill()
        process.communicate()


def _wait_for(server: Served) -> None:
    with server.client() as client:
        for _ in range(100):
            try:
                client.get("/static/icon.svg")
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
    raise TimeoutError(server.address)


def ask(client: httpx.Client, asked: Prompt) -> str:
    """Send a prompt; the path of its answer."""
    sent = client.post("/document", files={"text": (None, asked.text)})
    assert sent.status_code == 303, sent.text
    return sent.headers["location"]


def answered(client: httpx.Client, path: str) -> Answer:
    """Wait for the answer: minutes, as fifty are one after the other on a busy machine."""
    end = time.monotonic() + 900
    while time.monotonic() < end:
        got = client.get(f"{path}/answer.json")
        if got.status_code == 200:
            return Answer.from_json(got.text)
        page = client.get(path).text
        assert "There is no answer" not in page, page
        time.sleep(0.1)
    raise TimeoutError(path)


def page_at_end(client: httpx.Client, path: str, *, while_state: str = "waiting|running") -> str:
    """The page of a job when it has left these states."""
    while re.search(rf'data-state="(?:{while_state})"', page := client.get(path).text):
        time.sleep(0.05)
    return page


def main() -> None:
    """Serve with the writer that takes its time, and an encoder that is there at once."""
    from rag.support.builtin import BuiltinChecker
    from rag.views.web.server import bind, serve
    from rag.views.web.site import Site

    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    places, workers = int(given.get("--queue", "100")), int(given.get("--workers", "1"))
    chosen = Settings(Path(given["--data-dir"]), Path(given["--mirror"]), offline=True)
    opening = partial(open_paced, chosen)
    answering = WorkerProcesses([opening] * workers) if workers > 1 else opening()
    site = Site(chosen, answering, BuiltinChecker, places=places)
    rests = serve(site, host="127.0.0.1", bound=bind("127.0.0.1", 0), announce=typer.echo)
    if isinstance(answering, WorkerProcesses):
        answering.close()
    if not rests:
        os._exit(0)


def open_paced(chosen: Settings) -> PipelineAnswering:
    """With the writer that takes its time, and an encoder that is there at once."""
    from tests.parts.tiny_encoders import WordEncoder

    pipeline = Pipeline(chosen, WordEncoder(), PacedWriter(chosen.data_dir))
    return PipelineAnswering(pipeline, {UNPACED: partial(ExtractiveWriter, "nobody waited")})


if __name__ == "__main__":
    main()
