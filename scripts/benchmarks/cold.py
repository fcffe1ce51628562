"""What a user waits for from a cold start: whole processes, in turn, the best of several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.benchmarks.clock import BenchError, Spent, machine, ratio, spent

LOAD = (
    "import sys; from index.encoder import load_encoder; "
    "load_encoder(sys.argv[1], offline=True).encode_queries(['What is this?'])"
)
RAG = "from rag.cli.main import main; main()"


def bench_cold(prompt: Path, data_dir: Path, *, encoder: str, repeats: int = 3) -> dict[str, Any]:
    """`rag ask` on an index that is complete, against importing and loading the encoder and
    asking it one question; and `rag --help`. Raises BenchError where a command fails."""
    ask = ["ask", str(prompt), "--writer", "extractive", "--offline", "--data-dir", str(data_dir)]
    commands = {
        "ask": [RAG, *ask, "--encoder", encoder],
        "load": [LOAD, encoder],
        "help": [RAG, "--help"],
    }
    for arguments in commands.values():  # files into the page cache, byte code onto the disk
        _run(arguments)
    taken: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, arguments in commands.items():
            taken[name].append(_run(arguments))
    best = {
        name: Spent(min(run.wall for run in runs), min(run.cpu for run in runs))
        for name, runs in taken.items()
    }
    return {
        "machine": machine(),
        "repeats": repeats,
        "seconds": {
            name: {"wall": round(run.wall, 3), "cpu": round(run.cpu, 3)}
            for name, run in best.items()
        },
        "ask_over_load_wall": ratio(best["ask"].wall, best["load"].wall),
        "ask_over_load_cpu": ratio(best["ask"].cpu, best["load"].cpu),
    }


def _run(arguments: list[str]) -> Spent:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}
    with spent() as found:
        ended = subprocess.run(
            [sys.executable, "-c", *arguments], env=environment, capture_output=True, check=False
        )
    if ended.returncode:
        said = ended.stderr.decode("utf-8", "replace").strip()[-300:]
        raise BenchError(f"{' '.join(arguments[1:3])} ended with {ended.returncode}: {said}")
    return found
