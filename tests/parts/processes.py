"""Python programs in processes of their own, and the processes that a process started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import ROOT


@contextmanager
def program(code: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A program to talk to by lines: with the context its input ends, and it is waited for."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    ) as process:
        yield process
        process.communicate()


def children(process: int | None = None) -> set[int]:
    """The ids of those that this one, or another, started."""
    tasks = Path(f"/proc/{process or os.getpid()}/task").glob("*/children")
    return {int(pid) for listed in tasks for pid in listed.read_text().split()}


def is_running(process: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
