"""The processes that a process started."""

from __future__ import annotations

import os
from pathlib import Path


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
