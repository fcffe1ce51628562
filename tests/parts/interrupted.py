"""`rag index`, killed at any moment."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from index.stores.segments import PART
from rag.prompt import Prompt
from tests.parts.processes import program
from tests.parts.works import paper, write

PAPERS, SOURCES = 3, 12

# Loading the libraries takes longer than the index, and so does what Python does at its end, which
# writes nothing. Neither is what is to be killed: this program loads them once, and forks a child
# for every run that a line of its input asks for. The moment of a kill is counted in files that
# have come to be, as the seconds of a busy machine tell nothing.
PROGRAM = """
import gc, os, signal, sys, threading, time
import faiss, torch, tqdm, index.build, index.encoder, index.stores.segments, rag.cli.main
torch.set_num_threads(1)
index.encoder.load_encoder(sys.argv[1], offline=True).encode_passages(["All is loaded now."])
# By default this lock is one for all processes that are forked: a kill would leave it taken.
tqdm.tqdm.set_lock(threading.RLock())
gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    files, delay, data_dir, *arguments = line.rstrip().split("\t")
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        sys.argv = ["rag", "index", "--data-dir", data_dir, *arguments]
        try:
            rag.cli.main.main()
        except SystemExit as end:
            os._exit(end.code or 0)
        finally:
            os._exit(1)
    status = 0
    while files and sum(len(names) for _, _, names in os.walk(data_dir)) < int(files):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.002)
    else:
        if files:
            time.sleep(float(delay))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Runs:
    """Runs of `rag index` over the same works, each in a data directory of its own."""

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


def write_papers(folder: Path, encoder_folder: Path) -> list[str]:
    """A prompt about papers and READMEs and a mirror of them, as the arguments of `rag index`."""
    listed = []
    for number in range(1, 2 * PAPERS + 1):
        title, seen = f"Report number {number}", f"In year {number} we saw it. "
        work = {"model": title, "summary": f"Report {number} says what was seen in year {number}."}
        if number <= PAPERS:
            sections = [(f"{part} Part {part} of {number}", seen * 12) for part in range(1, 3)]
            write(folder / f"mirror/arxiv/2402.{number:05}.pdf", paper(title, sections))
            work["paper"] = f"arxiv.org/abs/2402.{number:05}"
        else:
            # The last is embedded in two parts, which are written down one by one.
            times = PART + 100 if number == 2 * PAPERS else 50
            readme = "".join(f"{seen}It was number {n}. " for n in range(times // 2))
            write(folder / f"mirror/github/reports/{number}/README.md", f"# {title}\n\n{readme}")
            work["github"] = f"https://github.com/reports/{number}"
        listed.append(work)
    prompt = write(folder / "prompt.txt", Prompt.build("What was seen?", related=listed).text)
    options = ["--mirror", str(folder / "mirror"), "--encoder", str(encoder_folder), "--offline"]
    return [str(prompt), *options]


@contextmanager
def interruptible(folder: Path, encoder_folder: Path) -> Iterator[Runs]:
    """Runs over papers that are made in `folder`."""
    options = write_papers(folder, encoder_folder)
    threads = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with program(PROGRAM, str(encoder_folder), **threads) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Runs(process, options)
    assert process.returncode == 0


def kept(data_dir: Path) -> dict[str, bytes]:
    """What a data directory holds, by path: of the ledger, which tells the time, the names of its
    files only, and nothing that is being written."""
    files = (path for path in data_dir.rglob("*") if path.is_file() and path.suffix != ".part")
    return {
        str(path.relative_to(data_dir)): b"" if path.suffix == ".jsonl" else path.read_bytes()
        for path in files
    }


def lost(data_dir: Path, whole: Mapping[str, bytes]) -> set[str]:
    """The files of an interrupted run that are not those of the `whole` one; parts of a source that
    is not embedded yet are no loss."""
    wrong = {name for name, content in kept(data_dir).items() if whole.get(name) != content}
    return {name for name in wrong if not name.startswith("index/unfinished/")}
