"""Two or more systems side by side: on the same questions, pair by pair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rag.evaluation.outcomes import Change, Measure, change
from rag.evaluation.rendering import LINES, cell, share

__all__ = ["Compared", "Comparison", "compare"]


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared: a name, the checker that judged it, its measures."""

    name: str
    checker: str
    measures: Sequence[Measure]


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of two systems. The changes are first minus second, question by question."""

    key: str
    line: int
    label: str
    better: str
    first: float | None
    second: float | None
    change: Change


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first system minus the second, for each measure that both have."""

    first: str
    second: str
    checkers: tuple[str, str]
    rows: tuple[Row, ...]

    def to_json(self) -> str:
        """One JSON object with these fields."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    def to_markdown(self) -> str:
        """A row for each measure."""
        first, second, *checkers = map(cell, (self.first, self.second, *self.checkers))
        lines = [f"## {first} against {second}", ""]
        if self.checkers[0] != self.checkers[1]:
            lines += [
                f"Judged by two checkers ({'; '.join(checkers)}): lines 2 and 3 "
                "cannot be compared.", "",
            ]  # fmt: skip
        lines += [
            f"| | {first} | {second} | difference, by question | 95 % interval "
            "| p | questions | better |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for number, title in LINES.items():
            rows = [row for row in self.rows if row.line == number]
            lines += [f"| **{number}. {title}** | | | | | | | |"] if rows else []
            lines += [_line(row) for row in rows]
        lines += [
            "",
            "The difference is the mean over the questions that both scored, each counting once; "
            "p is of a sign-flip test over questions, not corrected for the number of rows. With n "
            "questions it cannot fall below 2 in 2^n.",
        ]
        return "\n".join(lines) + "\n"


def compare(first: Compared, second: Compared) -> Comparison:
    """Every measure that both have."""
    others = {item.key: item for item in second.measures}
    rows = [
        Row(
            key=item.key,
            line=item.line,
            label=item.label,
            better=item.better,
            first=item.estimate().value,
            second=others[item.key].estimate().value,
            change=change(item, others[item.key]),
        )
        for item in first.measures
        if item.key in others
    ]
    return Comparison(first.name, second.name, (first.checker, second.checker), tuple(rows))


def _line(row: Row) -> str:
    found = row.change
    ends = "—"
    if found.low is not None and found.high is not None:
        ends = f"{100 * found.low:+.1f} – {100 * found.high:+.1f}"
    p = "—" if found.p is None else f"{found.p:.3f}"
    return (
        f"| {cell(row.label)} | {share(row.first)} | {share(row.second)} "
        f"| {share(found.mean, signed=True)} | {ends} | {p} | {found.prompts} "
        f"| {cell(row.better) or '—'} |"
    )
