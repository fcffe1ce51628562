"""The `rag` command, inside this process or as one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import typer
from typer.testing import CliRunner

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


def invoke(*arguments: object, code: int = 0, commands: typer.Typer = app) -> Output:
    """Run a sub-command inside this process; errors that it does not catch are raised."""
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
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
        timeout=120,
        check=False,
    )
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    return Output(process.stdout, process.stderr)
