"""The `rag` command. Each sub-command is one thin file, and imports what it needs when it runs,
so that `rag --help` is quick."""

from __future__ import annotations

import logging
import os
import sys

import typer

from index.errors import RagError
from scripts import ask, bench, catalog, evaluate, index, search, verify
from scripts.terminal import say

app = typer.Typer(
    name="rag",
    help="Explains an AI effect from the works a prompt lists, with quotes that are chosen from "
    "the source and never typed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (index, ask, verify, catalog, search):
    app.command(command.__name__.rpartition(".")[2])(command.run)


app.add_typer(evaluate.app, name="evaluate")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """The entry point: errors of ours become one line and exit code 2."""
    logging.basicConfig(
        level=os.environ.get("RAG_LOG", "ERROR").upper(),
        format="%(levelname)s %(name)s: %(message)s",
    )
    try:
        app()
    except RagError as error:
        say(f"rag: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        say("rag: interrupted. What was done is kept: the same command goes on from there.")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
