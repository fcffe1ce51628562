"""Systems side by side on the same questions: a table for each pair, one plot for all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from index.files import write_atomically
from rag.evaluation.report import LINES, Report, cell, percent
from rag.evaluation.statistics import Better, Estimate, PairedDifference
from rag.plaintext import plain


@dataclass(frozen=True, slots=True)
class ComparedMeasure:
    """One measure of two systems; `difference` is first minus second, question by question."""

    key: str
    line: int
    label: str
    better: Better
    first: float | None
    second: float | None
    difference: PairedDifference


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """The first system beside the second, for each measure that both have."""

    first: str
    second: str
    checkers: tuple[str, str]
    rows: tuple[ComparedMeasure, ...]

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
            rows = [_row(row) for row in self.rows if row.line == number]
            lines += [f"| **{number}. {title}** | | | | | | | |", *rows] if rows else []
        lines += [
            "",
            "The difference is the mean over the questions that both scored, each counting once; "
            "p is of a sign-flip test over questions, not corrected for the number of rows. With n "
            "questions it cannot fall below 2 in 2^n.",
        ]
        return "\n".join(lines) + "\n"


def compare(first: Report, second: Report) -> ReportComparison:
    """Every measure that both have."""
    rows = [
        ComparedMeasure(
            item.key,
            item.line,
            item.label,
            item.better,
            item.estimate().value,
            other.estimate().value,
            item.minus(other),
        )
        for item in first.measures
        if (other := second.measure(item.key)) is not None
    ]
    return ReportComparison(first.name, second.name, (first.checker, second.checker), tuple(rows))


def _row(row: ComparedMeasure) -> str:
    change = row.difference
    ends = "—"
    if change.low is not None and change.high is not None:
        ends = f"{100 * change.low:+.1f} – {100 * change.high:+.1f}"
    p = "—" if change.p is None else f"{change.p:.3f}"
    return (
        f"| {cell(row.label)} | {percent(row.first)} | {percent(row.second)} "
        f"| {percent(change.mean, signed=True)} | {ends} | {p} | {change.clusters} "
        f"| {row.better or '—'} |"
    )


def write_report(report: Report, folder: Path) -> bool:
    """Write the report as Markdown, JSON and a plot; False where it could not be drawn."""
    write_atomically(folder / "report.md", report.to_markdown().encode())
    write_atomically(folder / "report.json", report.to_json().encode())
    title = f"{report.name}: {report.answers} answers, {report.statements} statements"
    return plot_reports([report], folder / "report.png", title=title)


def write_comparisons(
    reports: Sequence[Report], comparisons: Sequence[ReportComparison], folder: Path
) -> bool:
    """Write the comparisons of these reports as Markdown, as one JSON list and as a plot; False
    where it could not be drawn."""
    page = "\n".join(each.to_markdown() for each in comparisons)
    data = json.dumps([asdict(each) for each in comparisons], ensure_ascii=False, indent=2)
    write_atomically(folder / "comparison.md", page.encode())
    write_atomically(folder / "comparison.json", f"{data}\n".encode())
    return plot_reports(reports, folder / "comparison.png", title="Side by side")


def plot_reports(reports: Sequence[Report], path: Path, *, title: str) -> bool:
    """Draw every share with its interval, a panel for each line. An arrow at a label points to
    where better is. False where matplotlib is not installed."""
    arrows = {"higher": " →", "lower": " ←", "": ""}
    panels: dict[str, dict[str, list[tuple[Estimate, str]]]] = {}
    for number, line in LINES.items():
        # Differences are no shares: they have no place on an axis from 0 to 1.
        items = {
            item.key: item
            for report in reports
            for item in report.measures
            if item.line == number and item.key != "recall_gap"
        }
        for key, item in items.items():
            measures = [report.measure(key) for report in reports]
            panels.setdefault(f"{number}. {line}", {})[item.label + arrows[item.better]] = [
                (each.estimate(), f" ({each.denominator})") if each else (Estimate(None), "")
                for each in measures
            ]
    axis = "share; bars: 95 % interval over questions; in brackets: how many"
    return plot_estimates(panels, [report.name for report in reports], path, title, axis)


Panels = Mapping[str, Mapping[str, Sequence[tuple[Estimate, str]]]]
"""panel → row → for each system the estimate, in [0, 1], and what is written behind it."""


def plot_estimates(
    panels: Panels, systems: Sequence[str], path: Path, title: str, axis: str
) -> bool:
    """Draw a dot and a bar for each estimate, a colour for each system; False where matplotlib is
    not installed. The kind of picture follows from the suffix of `path`."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError:
        return False
    heights = [len(rows) * len(systems) for rows in panels.values()] or [1]
    size = (10, 1.6 + 0.55 * len(heights) + 0.30 * sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    for axes, (name, rows) in zip(grid[:, 0], panels.items(), strict=False):
        for row, estimates in enumerate(rows.values()):
            for place, (estimate, note) in enumerate(estimates):
                at = row + 0.8 * (place - (len(systems) - 1) / 2) / len(systems)
                style = {"va": "center", "fontsize": 8, "color": f"C{place}"}
                if estimate.value is None:
                    axes.text(0.0, at, "not measured", **style)
                    continue
                if estimate.low is not None:
                    ends = [estimate.low, estimate.high]
                    axes.plot(ends, [at, at], color=f"C{place}", linewidth=2.5, alpha=0.5)
                axes.plot([estimate.value], [at], "o", color=f"C{place}", markersize=6)
                axes.text(1.03, at, f"{estimate.value:.2f}{note}", **style)
        axes.set_yticks(range(len(rows)), list(map(_drawn, rows)))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        axes.grid(axis="x", alpha=0.3)
    last = grid[-1, 0]
    last.set_xlim(-0.02, 1.14)
    last.set_xticks([0, 0.25, 0.5, 0.75, 1])
    last.set_xlabel(axis)
    handles = [
        Line2D([], [], color=f"C{place}", marker="o", label=_drawn(system))
        for place, system in enumerate(systems)
    ]
    if len(systems) > 1:
        figure.legend(
            handles=handles,
            title=_drawn(title),
            loc="outside upper center",
            ncols=min(4, len(handles)),
        )
    else:
        figure.suptitle(_drawn(title))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True


def _drawn(name: str) -> str:
    """A name from a file, in which a dollar sign would begin a formula."""
    return plain(name).replace("$", "\\$")
