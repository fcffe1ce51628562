"""What indexing needs in memory, for few documents and for many: each run in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from index.build import build
from index.catalog import Catalog, GithubLink, Listing
from index.encoder import load_encoder
from index.settings import Settings
from scripts.benchmarks.catalogs import invented
from scripts.benchmarks.clock import BenchError, machine, ratio, spent
from scripts.benchmarks.indexing import mirror_catalog

RUN = "import sys; from scripts.benchmarks.memory import index_alone; index_alone(*sys.argv[1:])"
Say = Callable[[str], None]


def bench_memory(
    mirror: Path, *, documents: Sequence[int], short: bool = False, encoder: str, say: Say
) -> dict[str, Any]:
    """Index so many documents each time, from nothing: copies of a mirror's papers, each made
    another by some bytes behind its end. With `short`, each paper stands there once, and the other
    documents are invented READMEs of ten passages."""
    papers = sorted((mirror / "arxiv").glob("*.pdf"))
    if not papers:
        raise BenchError(f"{mirror}/arxiv holds no PDF: name a mirror with --mirror")
    rows = []
    for count in documents:
        say(f"indexing {count} documents")
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count):
                if short and number >= len(papers):
                    path, data = f"github/bench/w{number}/README.md", _readme(number)
                else:
                    path, data = f"arxiv/2401.{number:05}.pdf", _copy(papers, number)
                written = Path(folder) / "mirror" / path
                written.parent.mkdir(parents=True, exist_ok=True)
                written.write_bytes(data)
            rows.append({"documents": count, **_run(Path(folder), encoder)})
        say(json.dumps(rows[-1]))
    peaks = [row["peak_mib"]["together"] for row in rows]
    return {
        "machine": machine(),
        "documents": f"{len(papers)} papers and READMEs" if short else "papers",
        "runs": rows,
        "last_over_first": ratio(peaks[-1], peaks[0]),
    }


def _copy(papers: Sequence[Path], number: int) -> bytes:
    return papers[number % len(papers)].read_bytes() + b"\n%% copy %d\n" % number


def _readme(number: int) -> bytes:
    return invented(number, 10)[0].text.encode()


def _catalog(mirror: Path) -> Catalog:
    readmes = sorted(mirror.glob("github/bench/*"))
    links = [GithubLink(path.name, "bench", path.name) for path in readmes]
    listings = [Listing(link.name, "related", github=link) for link in links]
    return Catalog.of([*mirror_catalog(mirror).listings, *listings])


def _run(folder: Path, encoder: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(folder), encoder],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if ended.returncode:
        raise BenchError(f"indexing ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def index_alone(folder: str, encoder: str) -> None:
    """The measured process: build, then print the peaks of itself and of its workers."""
    mirror = Path(folder) / "mirror"
    with spent() as taken, Watched() as watched:
        built = build(
            _catalog(mirror),
            Settings(Path(folder) / "data_dir", mirror, offline=True),
            load_encoder(encoder, offline=True),
        )
    if built.failed:
        raise BenchError(f"{built.failed[0].source_id}: {built.failed[0].reason}")
    found = {
        "passages": built.passages,
        "wall_s": round(taken.wall, 1),
        "cpu_s": round(taken.cpu, 1),
        "peak_mib": {
            "main": watched.own >> 10,
            "workers": watched.workers >> 10,
            "together": (watched.own + watched.workers) >> 10,
        },
    }
    print(json.dumps(found))  # noqa: T201


class Watched:
    """The most memory that this process and the processes it started were ever seen to hold, in
    KiB: the sum of each one's own peak, which is no less than the peak of the sum. Looks into
    `/proc` (what a process is told of its children's usage counts what they were forked from)."""

    own = workers = 0

    def __enter__(self) -> Watched:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            children = {
                child
                for task in Path("/proc/self/task").glob("*/children")
                for child in _read(task).split()
            }
            self.own = max(self.own, _peak("self"))
            self.workers = max(self.workers, sum(map(_peak, children)))
            if self._ended.wait(0.1):
                return


def _peak(process: str) -> int:
    """KiB; 0 for a process that has ended."""
    lines = _read(Path("/proc") / process / "status").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has just ended
        return ""
