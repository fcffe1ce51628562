"""How long work tells what it is doing: one call per step, drawn by whoever listens."""

from __future__ import annotations

from collections.abc import Callable

Notify = Callable[[str, int, int, str], None]
"""`notify(stage, done, total, what)`: `what` was just dealt with, `done` of `total` are behind
us. The first call of a stage has `done` 0."""


def silent(stage: str, done: int, total: int, what: str) -> None:
    """Tell nobody."""
