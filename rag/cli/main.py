"""The `rag` command. Each sub-command is one thin file, and imports what it needs when it runs,
so that `rag --help` is quick."""

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


def main() -> None:
    """The entry point: errors of ours become one line and exit code 2."""
    _write_utf8()
    try:
        _log(os.environ.get("RAG_LOG") or "ERROR")
        app()
    except RagError as error:
        say(f"rag: {error}")
        sys.exit(2)
    except SystemExit as end:
        # Typer has turned an interrupt into this code, without a word.
        if end.code == 130:
            say("rag: interrupted. What was done is kept: the same command goes on from there.")
        raise
    except BrokenPipeError:
        # The reader of our output left; there is nobody to tell.
        _drop_output()
        sys.exit(1)
    except OSError as error:
        # Whatever a disk or a path may refuse: full, read-only, a file where a folder should be.
        where = f"{error.filename}: " if error.filename else ""
        say(f"rag: {where}{error.strerror or error}")
        _drop_output()
        sys.exit(2)


def _write_utf8() -> None:
    """Answers are UTF-8 (`docs/answer-format.md`), whatever the locale holds."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _drop_output() -> None:
    """Let go of what could not be written, or Python would try it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _log(level: str) -> None:
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise RagError(f"RAG_LOG is {level!r}; expected one of {', '.join(known)}")
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
