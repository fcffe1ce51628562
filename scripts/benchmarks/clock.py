"""Wall time and processor time of a stretch of work, and the machine it was taken on."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.errors import RagError


@dataclass(slots=True)
class Spent:
    """Seconds; `cpu` is that of this process and of the children that it waited for."""

    wall: float = 0.0
    cpu: float = 0.0


def _cpu() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@contextmanager
def spent(total: Spent | None = None) -> Iterator[Spent]:
    """Adds what the block takes to `total`, which is new where none is given."""
    found = total or Spent()
    wall, cpu = time.perf_counter(), _cpu()
    try:
        yield found
    finally:
        found.wall += time.perf_counter() - wall
        found.cpu += _cpu() - cpu


def ratio(first: float, second: float) -> float:
    """`first` over `second`, to three digits; 0 where there is nothing to compare with."""
    return round(first / second, 3) if second > 0 else 0.0


def machine() -> dict[str, object]:
    """Processor, cores, and how busy it is at this moment: what a figure is worth without."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return {
        "processor": next(names, platform.processor() or platform.machine()),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
    }


class BenchError(RagError):
    """A benchmark lacks what it compares with, or finds something wrong instead of slow."""


def missing(error: ImportError) -> BenchError:
    """What to install, where the other side of a comparison is not here."""
    return BenchError(
        f"{error.name or error} is not installed: pip install 'grounded-rag[bench]' (only "
        "benchmarks need it)"
    )
