"""`rag bench`: runs the benchmarks of the repository, which are not installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from index.errors import RagError

# Arguments and --help are those of the benchmarks.
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def run(context: typer.Context) -> None:
    """Measure speed and memory, as ratios of one run. Only in a checkout of the repository."""
    repository = Path(__file__).parents[2]
    if not (repository / "scripts" / "benchmarks").is_dir():
        raise RagError(
            "the benchmarks are not installed: run `rag bench` in a checkout of the repository "
            "that was installed with `make install`"
        )
    # `scripts` is above `rag` in the layers: a new process instead of an import.
    path = os.pathsep.join(filter(None, (str(repository), os.environ.get("PYTHONPATH"))))
    arguments = [sys.executable, "-m", "scripts.benchmarks", *context.args]
    os.execve(sys.executable, arguments, {**os.environ, "PYTHONPATH": path})
