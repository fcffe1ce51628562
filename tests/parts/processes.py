"""The processes that this one started."""

from __future__ import annotations

import os
from pathlib import Path


def children() -> set[int]:
    """Their ids."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return {int(pid) for pid in listed.read_text().split()}
