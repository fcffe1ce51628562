"""The `rag` command, inside this process or as one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextvars import copy_context
from dataclasses import dataclass

import typer
from typer.testing import CliRunner

from index.settings import Settings
from rag.cli.main import app
from tests.parts import ROOT

MAIN = "from rag.cli.main import main; main()"


@dataclass(frozen=True)
class Output:
    """What a command printed."""

    out: str
    err: str

    @property
    def refusal(self) -> str:
        """Standard error as one line, without the box that is drawn around usage errors."""
        return " ".join(self.err.replace("│", " ").split())


def options_of(settings: Settings) -> tuple[object, ...]:
    """The options that stand for these settings: first of all where the data directory is."""
    where = ("--data-dir", settings.data_dir, "--mirror", settings.mirror)
    return (*where, "--encoder", settings.encoder, "--offline")


def invoke(
    *arguments: object, code: int = 0, commands: typer.Typer = app, given: str | None = None
) -> Output:
    """Run a sub-command inside this process, with `given` on standard input; errors that it does
    not catch are raised."""
    words = [str(argument) for argument in arguments]
    # What a command sets for its context, as --quiet, ends with it.
    result = copy_context().run(CliRunner().invoke, commands, words, input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return Output(result.stdout, result.stderr)


def run(*arguments: object, code: int = 0, program: str = MAIN) -> Output:
    """Run the command in a process of its own, in which warnings are errors."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        timeout=600,
        check=False,
    )
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    return Output(process.stdout, process.stderr)
