"""The `rag` command: its sub-commands, its exit codes and its logging.

A sub-command is one thin file, which imports what it needs when it runs: `rag --help` is quick.
"""

from __future__ import annotations

import io
import logging
import os
import sys

import typer

from index.errors import RagError
from rag.cli import ask, bench, catalog, evaluate, index, search, serve, verify
from rag.cli.terminal import say

app = typer.Typer(
    name="rag",
    help="Explains an AI effect from the works a prompt lists, with quotes that are chosen from "
    "the source and never typed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (index, ask, serve, verify, catalog, search):
    app.command(command.__name__.rpartition(".")[2])(command.run)
app.add_typer(evaluate.app, name="evaluate")
app.command("bench", context_settings=bench.CONTEXT)(bench.run)


def main(commands: typer.Typer = app) -> None:
    """Run `commands`. An expected error becomes one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Answers are UTF-8 (`docs/answer-format.md`), whatever the locale holds.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        _configure_logging(os.environ.get("RAG_LOG") or "ERROR")
        commands()
    except RagError as error:
        say(f"rag: {error}")
        sys.exit(2)
    except SystemExit as end:
        # Typer turns an interrupt into this code and prints nothing.
        if end.code == 130:
            say("rag: interrupted. What was done is stored: the same command continues from there.")
        raise
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(1)
    except OSError as error:
        # A full disk, a read-only folder, a file where a folder should be.
        where = f"{error.filename}: " if error.filename else ""
        say(f"rag: {where}{error.strerror or error}")
        _discard_stdout()
        sys.exit(2)


def _discard_stdout() -> None:
    """Drop what could not be written: Python would try to write it once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _configure_logging(level: str) -> None:
    levels = logging.getLevelNamesMapping()
    if level.upper() not in levels:
        raise RagError(f"RAG_LOG is {level!r}; expected one of {', '.join(levels)}")
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
