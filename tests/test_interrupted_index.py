"""`rag index`, killed at any moment and run again, leaves the index of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.prompt import Prompt
from tests.works import paper, write

ROOT = Path(__file__).parents[1]
PAPERS = 12

# Loading the libraries takes longer than the index, and is not what is to be killed: this program
# loads them once, and forks a child for every run that is asked for on a line of its input. A run
# is the command itself; it answers with how long it took, or with how it ended.
PROGRAM = """
import os, signal, sys, time
import faiss, torch, index.build, index.encoder, index.late, scripts.main
torch.set_num_threads(1)
index.encoder.load_encoder(sys.argv[1], offline=True).encode_passages(["All is loaded now."])
print("ready", flush=True)
for line in sys.stdin:
    seconds, *arguments = line.rstrip().split("\\t")
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.dup2(2, 1)
        sys.argv = ["rag", *arguments]
        scripts.main.main()
        os._exit(0)
    if seconds:
        time.sleep(float(seconds))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(code, time.monotonic() - began, flush=True)
"""


class Runs:
    """Runs of `rag index` over the same dozen papers, each in a home of its own."""

    def __init__(self, process: subprocess.Popen[str], options: list[str]) -> None:
        self._process = process
        self._options = options

    def run(self, home: Path, *, kill_after: float | None = None) -> tuple[int, float]:
        """The exit code (-9 where it was killed) and the seconds that it took."""
        seconds = "" if kill_after is None else str(kill_after)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = "\t".join([seconds, "index", *self._options, "--home", str(home)])
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        code, took = self._process.stdout.readline().split()
        return int(code), float(took)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("papers")
    listed = []
    for number in range(1, PAPERS + 1):
        title = f"Report number {number}"
        sections = [
            (f"{part} Part {part} of report {number}", f"In year {number * part} we saw it. " * 30)
            for part in range(1, 4)
        ]
        write(folder / f"mirror/arxiv/2402.{number:05}.pdf", paper(title, sections))
        summary = f"Report {number} is one of many. It says what was seen in year {number}."
        listed.append(
            {"model": title, "paper": f"arxiv.org/abs/2402.{number:05}", "summary": summary}
        )
    prompt = write(folder / "prompt.txt", Prompt.build("What was seen?", related=listed).text)
    options = [str(prompt), "--mirror", str(folder / "mirror"), "--encoder", str(encoder_folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(encoder_folder)],
        cwd=ROOT,
        env=environment,
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


def segments(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "index").glob("*.segment")}


@pytest.fixture(scope="module")
def undisturbed(
    runs: Runs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, bytes], float]:
    """The segments of a run that nobody disturbed, and how long it took."""
    runs.run(tmp_path_factory.mktemp("warm"))
    home = tmp_path_factory.mktemp("undisturbed")
    code, seconds = runs.run(home)
    assert code == 0
    assert len(segments(home)) == 2 * PAPERS
    return segments(home), seconds


def test_killed_at_ten_random_moments_and_run_again_it_is_the_same(
    runs: Runs, undisturbed: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    whole, seconds = undisturbed
    moment = random.Random(0)
    interrupted = 0
    for number in range(10):
        home = tmp_path / str(number)
        code, _ = runs.run(home, kill_after=seconds * (number + moment.random()) / 10)
        assert code in {0, -signal.SIGKILL}
        left = segments(home)
        assert left.items() <= whole.items(), "a killed run leaves whole segments or none"
        interrupted += len(left) < len(whole)
        code, _ = runs.run(home)
        assert code == 0
        assert segments(home) == whole
    assert interrupted >= 5


def test_killed_again_and_again_it_comes_to_its_end(
    runs: Runs, undisturbed: tuple[dict[str, bytes], float], tmp_path: Path
) -> None:
    whole, seconds = undisturbed
    grown = [0]
    for part in (0.5, 0.6, 0.7, 0.8):
        runs.run(tmp_path, kill_after=seconds * part)
        grown.append(len(segments(tmp_path)))
    assert grown == sorted(grown)
    assert runs.run(tmp_path)[0] == 0
    assert segments(tmp_path) == whole
