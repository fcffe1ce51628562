"""What it costs to add one work to a small data directory and to a large one.

Each added work goes the whole way: its README from a mirror, through a worker process, into
passages, vectors and files. The vectors are random ones, which cost next to nothing: with a real
encoder a work costs more, and the size of the data directory weighs less.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from index.build import build
from index.catalog import Catalog
from scripts.benchmarks.catalogs import PER_WORK, GrowingCatalog, invented
from scripts.benchmarks.clock import BenchError, machine, ratio

Say = Callable[[str], None]


def bench_add(works: Sequence[int], *, repeats: int = 5, say: Say) -> dict[str, Any]:
    """The median time of a build of one new work in homes of each size; and of a build that lists
    it beside all that is there, each of which is then looked up and its checksum compared."""
    rows = []
    for size in works:
        with tempfile.TemporaryDirectory() as folder:
            catalog = GrowingCatalog(Path(folder) / "data_dir")
            catalog.grow(size * PER_WORK)
            say(f"a data directory of {size} works")
            rows.append({"works": size, **_added(catalog, Path(folder) / "mirror", repeats)})
    return {
        "machine": machine(),
        "passages_per_work": PER_WORK,
        "adding": rows,
        "last_over_first": ratio(rows[-1]["one_listed_ms"], rows[0]["one_listed_ms"]),
    }


def _added(catalog: GrowingCatalog, mirror: Path, repeats: int) -> dict[str, float]:
    settings = replace(catalog.settings, mirror=mirror)
    here = [catalog.listing(number) for number in range(catalog.works)]
    alone: list[float] = []
    among: list[float] = []
    for number in range(catalog.works, catalog.works + 2 * repeats):
        listing = catalog.listing(number)
        readme = mirror / "github" / "bench" / f"w{number:07}" / "README.md"
        readme.parent.mkdir(parents=True, exist_ok=True)
        readme.write_text(invented(number)[0].text, encoding="utf-8")
        listed = [listing] if number % 2 else [*here, listing]
        before = time.perf_counter()
        built = build(Catalog.of(listed), settings, catalog.encoder)
        (alone if number % 2 else among).append(1000 * (time.perf_counter() - before))
        if built.failed or built.embedded != 1:
            raise BenchError(f"{built.embedded} works were embedded, failed: {built.failed}")
    return {
        "one_listed_ms": round(float(np.median(alone)), 1),
        "all_listed_ms": round(float(np.median(among)), 1),
    }
