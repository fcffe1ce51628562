"""`rag index`, killed at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag.prompt import Prompt
from tests.parts import ROOT
from tests.parts.works import paper, write

PAPERS = 12

# Loading the libraries takes longer than the index, and is not what is to be killed: this program
# loads them once, and forks a child for every run that a line of its input asks for. The moment of
# a kill is counted in files that have come to be, as the seconds of a busy machine tell nothing.
PROGRAM = """
import os, pathlib, signal, sys, time
import faiss, torch, index.build, index.encoder, rag.cli.main
torch.set_num_threads(1)
index.encoder.load_encoder(sys.argv[1], offline=True).encode_passages(["All is loaded now."])
print("ready", flush=True)
for line in sys.stdin:
    files, delay, data_dir, *arguments = line.rstrip().split("\t")
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        sys.argv = ["rag", "index", "--data-dir", data_dir, *arguments]
        rag.cli.main.main()
        os._exit(0)
    status = 0
    while files and len(list(pathlib.Path(data_dir).glob("*/*"))) < int(files):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.001)
    else:
        if files:
            time.sleep(float(delay))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Runs:
    """Runs of `rag index` over the same dozen papers, each in a data directory of its own."""

    def __init__(self, process: subprocess.Popen[str], options: list[str]) -> None:
        self._process = process
        self._options = options

    def run(self, data_dir: Path, *, files: int | None = None, delay: float = 0.0) -> int:
        """The exit code; where `files` is given, that of a run which is killed `delay` seconds
        after so many files have come to be, if it has not ended by then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        moment = ["" if files is None else str(files), str(delay)]
        self._process.stdin.write("\t".join([*moment, str(data_dir), *self._options]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def interruptible(folder: Path, encoder_folder: Path) -> Iterator[Runs]:
    """Runs over papers that are made in `folder`."""
    listed = []
    for number in range(1, PAPERS + 1):
        title = f"Report number {number}"
        sections = [
            (f"{part} Part {part} of report {number}", f"In year {number * part} we saw it. " * 12)
            for part in range(1, 4)
        ]
        write(folder / f"mirror/arxiv/2402.{number:05}.pdf", paper(title, sections))
        summary = f"Report {number} is one of many. It says what was seen in year {number}."
        listed.append(
            {"model": title, "paper": f"arxiv.org/abs/2402.{number:05}", "summary": summary}
        )
    prompt = write(folder / "prompt.txt", Prompt.build("What was seen?", related=listed).text)
    options = [str(prompt), "--mirror", str(folder / "mirror"), "--encoder", str(encoder_folder)]
    threads = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(encoder_folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **threads},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Runs(process, [*options, "--offline"])
        process.communicate()
    assert process.returncode == 0


def segments(data_dir: Path) -> dict[str, bytes]:
    """The segments of a data directory, by name."""
    return {path.name: path.read_bytes() for path in (data_dir / "index").glob("*.segment")}
