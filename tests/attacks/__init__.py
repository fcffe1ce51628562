"""What is tried against the system, and how often it held: `make hostile` prints the table.

An attack does one hostile thing as often as it is asked to, at random from a seed, and counts what
became of it. What must never happen (a traceback, something lost, something wrong and unnoticed) is
a fault, with what is needed to see it again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from index.encoder import Encoder
from index.settings import Settings
from rag.answer import Answer
from rag.pipeline import Pipeline


@dataclass(frozen=True)
class Target:
    """What is attacked: a pipeline with an answer that was made by it, over a mirror of small
    works; `folder` is a place to break things in."""

    pipeline: Pipeline
    answer: Answer
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.pipeline.settings

    @property
    def encoder(self) -> Encoder:
        return self.pipeline.encoder


@dataclass
class Tally:
    """How often each outcome came, and every fault."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, outcome: str) -> None:
        self.outcomes[outcome] += 1

    def fault(self, what: object) -> None:
        """One more thing that must not happen."""
        self.outcomes["FAULT"] += 1
        self.faults.append(ascii(str(what))[:300])


Attack = Callable[[Target, int, random.Random, Tally], None]


@dataclass(frozen=True)
class Entry:
    """An attack: how often it is tried in the short form, which is a test, and in the long one."""

    attack: Attack
    short: int
    long: int


def table(tallies: Mapping[str, Tally]) -> str:
    """Markdown."""
    rows = ["| tried | times | what became of it |", "| --- | ---: | --- |"]
    for name, tally in tallies.items():
        outcomes = ", ".join(f"{count:,} {what}" for what, count in tally.outcomes.most_common())
        rows.append(f"| {name} | {tally.outcomes.total():,} | {outcomes} |")
    faults = [f"- {name}: {fault}" for name, tally in tallies.items() for fault in tally.faults]
    return "\n".join([*rows, "", *(faults or ["No fault."])])
