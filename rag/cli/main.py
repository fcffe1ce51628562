"""The `rag` command: its sub-commands, its exit codes and its logging.

A sub-command is one thin file, which imports what it needs when it runs: `rag --help` is quick.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from pathlib import Path

import typer

from index.errors import RagError
from rag.cli import ask, catalog, evaluate, index, search, serve, verify
from rag.cli.options import say

app = typer.Typer(
    name="rag",
    help="Explains an AI effect from the works a prompt lists, with quotes that are chosen from "
    "the source and never typed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (index, ask, serve, verify, catalog, search):
    app.command(module.__name__.rpartition(".")[2])(module.run)
app.add_typer(evaluate.app, name="evaluate")


# Arguments and --help are those of the benchmarks.
@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    }
)
def bench(context: typer.Context) -> None:
    """Measure speed and memory, as ratios of one run. Only in a checkout of the repository."""
    repository = Path(__file__).parents[2]
    if not (repository / "scripts" / "benchmarks").is_dir():
        raise RagError("the benchmarks are not installed: run `rag bench` in a checkout")
    # `scripts` is above `rag` in the layers: a new process instead of an import.
    path = os.pathsep.join(filter(None, (str(repository), os.environ.get("PYTHONPATH"))))
    arguments = [sys.executable, "-m", "scripts.benchmarks", *context.args]
    os.execve(sys.executable, arguments, {**os.environ, "PYTHONPATH": path})


def main(commands: typer.Typer = app) -> None:
    """Run `commands`. An expected error becomes one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Answers are UTF-8 (`docs/answer-format.md`), whatever the locale holds.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        level, levels = os.environ.get("RAG_LOG") or "ERROR", logging.getLevelNamesMapping()
        if level.upper() not in levels:
            raise RagError(f"RAG_LOG is {level!r}; expected one of {', '.join(levels)}")
        logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
        commands()
    except RagError as error:
        say(f"rag: {error}")
        sys.exit(2)
    except SystemExit as end:
        # Typer turns an interrupt into this code and prints nothing.
        if end.code == 130:
            say("rag: interrupted. What was done is stored: the same command continues from there.")
        raise
    except OSError as error:
        # What could not be written is dropped: Python would try to write it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        # A full disk, a read-only folder, a file where a folder should be.
        where = f"{error.filename}: " if error.filename else ""
        say(f"rag: {where}{error.strerror or error}")
        sys.exit(2)
