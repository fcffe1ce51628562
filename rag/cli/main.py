"""The `rag` command: its sub-commands, its exit codes and its logging.

A sub-command imports what it needs when it runs, so that `rag --help` is quick.
"""

from __future__ import annotations

import importlib.metadata
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from index.errors import RagError
from index.settings import CONFIGURABLE, config_path, read_config, variable, write_config
from rag.cli import ask, evaluate, index, search, serve
from rag.cli.options import say, with_verbosity

app = typer.Typer(
    name="rag",
    help="Explains an AI effect from the works a prompt lists, with quotes that are chosen from "
    "the source and never typed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="What no option says is taken from the environment (RAG_DATA_DIR, RAG_MIRROR, "
    "RAG_OFFLINE, RAG_MODEL, …) and then from a file of settings: see rag config.",
)
COMMANDS: tuple[Callable[..., None], ...] = (
    index.index, ask.ask, serve.serve, ask.verify, index.catalog, search.search, index.remove,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)


@app.command()
def config(
    key: Annotated[str, typer.Argument(help="A setting.", show_default=False)] = "",
    value: Annotated[str, typer.Argument(help="Its new value.", show_default=False)] = "",
    unset: Annotated[bool, typer.Option("--unset", help="Forget this setting.")] = False,
) -> None:
    """Show what is set where no option is given, or set KEY to VALUE.

    That is done in a file of settings; the environment comes before it, an option before both."""
    if key and key not in CONFIGURABLE:
        raise RagError(f"there is no setting {key!r}; expected one of {', '.join(CONFIGURABLE)}")
    stored = read_config()
    if unset:
        stored.pop(key, None)
    elif value:
        stored[key] = value
    if unset or value:
        write_config(stored)
        stored = read_config()
    typer.echo(config_path())
    for name in [key] if key else CONFIGURABLE:
        set_by = os.environ.get(variable(name))
        shown = set_by or stored.get(name)
        where = f"{shown}  ({variable(name) if set_by else 'this file'})"
        typer.echo(f"  {name:<9} " + (where if shown else f"– {CONFIGURABLE[name]}"))


app.add_typer(evaluate.app, name="evaluate")
for registered in (*app.registered_commands, *evaluate.app.registered_commands):
    if registered.callback:
        registered.callback = with_verbosity(registered.callback)


def show_version(wanted: bool) -> None:
    """Print the version and end, where it is wanted."""
    if wanted:
        typer.echo(f"rag {importlib.metadata.version('grounded-rag')}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=show_version, help="Show the version."),
    ] = False,
) -> None:
    """Make the file of settings the defaults of every command."""
    if context.invoked_subcommand != "config":
        values = {key.replace("-", "_"): value for key, value in read_config().items()}
        context.default_map = _for_each(context.command, values)


def _for_each(command: Any, values: Mapping[str, str]) -> dict[str, Any]:
    """These defaults for a command, or for each of a group."""
    commands = getattr(command, "commands", {})
    return {name: _for_each(inner, values) for name, inner in commands.items()} or dict(values)


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
    # `scripts` is above `rag` in the layers: a new process instead of an import, whose path does
    # not begin with the working folder, which may hold other `scripts`.
    path = os.pathsep.join(filter(None, (str(repository), os.environ.get("PYTHONPATH"))))
    arguments = [sys.executable, "-m", "scripts.benchmarks", *context.args]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    os.execve(sys.executable, arguments, environment)


DEFECT = 70
"""The exit code of a defect: EX_SOFTWARE of sysexits.h."""


def main(commands: Callable[[], Any] = app) -> None:
    """Run `commands`. An expected error becomes one line on stderr and exit code 2, any other one
    line that asks for a report and exit code DEFECT."""
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
        say(f"rag: {error}", always=True)
        sys.exit(2)
    except SystemExit as end:
        # Typer turns an interrupt into this code and prints nothing.
        if end.code == 130:
            say(
                "rag: interrupted. What was done is stored: the same command continues from there.",
                always=True,
            )
        raise
    except OSError as error:
        # What could not be written is dropped: Python would try to write it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        # A full disk, a read-only folder, a file where a folder should be.
        where = f"{error.filename}: " if error.filename else ""
        say(f"rag: {where}{error.strerror or error}", always=True)
        sys.exit(2)
    except Exception as error:
        # Whatever is refused on purpose was caught above: this is a defect of the program.
        logging.debug("the defect", exc_info=error)
        place = traceback.extract_tb(error.__traceback__)[-1]
        say(
            f"rag: this is a defect of the program: {type(error).__name__}: {error} "
            f"({Path(place.filename).name}, line {place.lineno}). Please report this line and the "
            "command that you gave; with -vv it shows more.",
            always=True,
        )
        sys.exit(DEFECT)
