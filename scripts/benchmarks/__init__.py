"""Benchmarks: ratios of two sides measured in one run. Here is what all of them measure with.

Each prints its figures as JSON. On a busy machine ratios mean more than times.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from index.errors import RagError


class Stopwatch:
    """Seconds spent in the `with` blocks of this object, summed: wall time, and processor time of
    this process and of the children it waited for."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> Stopwatch:
        self._start = time.perf_counter(), sum(os.times()[:4])
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._start[0]
        self.cpu += sum(os.times()[:4]) - self._start[1]

    def mean(self, repeats: int = 1) -> dict[str, float]:
        """Seconds per repeat, for a report."""
        return {"wall": round(self.wall / repeats, 3), "cpu": round(self.cpu / repeats, 3)}


def ratio(first: float, second: float) -> float:
    """`first` over `second`, to three digits; 0 where `second` is 0."""
    return round(first / second, 3) if second > 0 else 0.0


def report(figures: dict[str, Any]) -> None:
    """Print the figures of one benchmark, and the machine they were taken on."""
    cpuinfo = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    machine = {
        "processor": name[1] if name else platform.machine(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
    }
    print(json.dumps({"machine": machine, **figures}, indent=2))  # noqa: T201


def peak(process: str) -> int:
    """The most memory that a process held, in MiB; 0 for one that has ended. The resource usage of
    children would count what they were forked from."""
    with suppress(OSError, ValueError):
        words = Path("/proc", process, "status").read_text().split()
        return int(words[words.index("VmHWM:") + 1]) >> 10
    return 0


def run_python(code: str, *arguments: str) -> str:
    """The stdout of `code` in a new process with this one's import path. Raises RagError where it
    fails."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if run.returncode:
        raise RagError(
            f"{' '.join(arguments[:2])} ended with {run.returncode}: {run.stderr.strip()[-300:]}"
        )
    return run.stdout


def import_langchain(*names: str) -> list[Any]:
    """What LangChain calls `names` (`module.Class`): the other side of a comparison."""
    paths = (name.rpartition(".") for name in names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # importing langchain-community warns of its end
            return [getattr(import_module(module), name) for module, _, name in paths]
    except ImportError as error:
        raise RagError(
            f"{error.name or error} is not installed: pip install 'grounded-rag[bench]' (only "
            "benchmarks need it)"
        ) from error
