"""`rag bench`: hands over to the benchmarks of the repository, which are not installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from index.errors import RagError

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run(context: typer.Context) -> None:
    """Speed and memory as ratios of one run (only in a checkout of the repository)."""
    repository = Path(__file__).resolve().parents[2]
    if not (repository / "scripts" / "benchmarks").is_dir():
        raise RagError(
            "benchmarks are not installed: run `rag bench` in a checkout of the repository, "
            "installed with `make install`"
        )
    path = os.pathsep.join(filter(None, (str(repository), os.environ.get("PYTHONPATH"))))
    sys.stdout.flush()
    os.execve(
        sys.executable,
        [sys.executable, "-m", "scripts.benchmarks", *context.args],
        {**os.environ, "PYTHONPATH": path},
    )
