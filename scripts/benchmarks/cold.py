"""The time of `rag ask` from a cold start: whole processes, in turn, the best of several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.benchmarks import Stopwatch, machine, ratio, run_python

LOAD = (
    "import sys; from index.encoder import load_encoder; "
    "load_encoder(sys.argv[1], offline=True).encode_queries(['What is this?'])"
)
RAG = "from rag.cli.main import main; main()"


def bench_cold(prompt: Path, data_dir: Path, *, encoder: str, repeats: int = 3) -> dict[str, Any]:
    """`rag ask` on a complete index, against importing and loading the encoder and embedding one
    question; and `rag --help`. Raises BenchmarkError where a command fails."""
    ask = ("ask", str(prompt), "--writer", "extractive", "--offline", "--data-dir", str(data_dir))
    commands = {
        "ask": (RAG, *ask, "--encoder", encoder),
        "load": (LOAD, encoder),
        "help": (RAG, "--help"),
    }
    for command in commands.values():  # files into the page cache, byte code onto the disk
        run_python(*command)
    runs: dict[str, list[Stopwatch]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            with Stopwatch() as stopwatch:
                run_python(*command)
            runs[name].append(stopwatch)
    wall = {name: min(run.wall for run in each) for name, each in runs.items()}
    cpu = {name: min(run.cpu for run in each) for name, each in runs.items()}
    return {
        "machine": machine(),
        "repeats": repeats,
        "seconds": {
            name: {"wall": round(wall[name], 3), "cpu": round(cpu[name], 3)} for name in commands
        },
        "ask_over_load_wall": ratio(wall["ask"], wall["load"]),
        "ask_over_load_cpu": ratio(cpu["ask"], cpu["load"]),
    }
