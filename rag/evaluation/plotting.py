"""One page: every share with its interval, a panel for each line, a colour for each system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.evaluation.comparison import Compared
from rag.evaluation.outcomes import Measure
from rag.evaluation.rendering import LINES
from rag.plaintext import plain

__all__ = ["plot"]

_ARROWS = {"higher": " →", "lower": " ←", "": ""}
_UNPLOTTED = {"recall_gap"}
"""Differences, not shares: they have no place on an axis from 0 to 1."""


def plot(systems: Sequence[Compared], path: Path, *, title: str) -> bool:
    """Draw the page; False where matplotlib is not installed. An arrow at a label points to where
    the better figures are."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError:
        return False
    drawn = {
        number: _keys(systems, number)
        for number in LINES
        if any(item.line == number for system in systems for item in system.measures)
    }
    rows = [len(keys) * max(1, len(systems)) for keys in drawn.values()]
    figure = Figure(figsize=(10, 1.6 + 0.55 * len(rows) + 0.30 * sum(rows)), layout="constrained")
    panels = figure.subplots(
        max(1, len(drawn)), 1, sharex=True, squeeze=False, height_ratios=rows or [1]
    )[:, 0]
    for axes, (number, keys) in zip(panels, drawn.items(), strict=False):
        _panel(axes, systems, number, keys)
    panels[-1].set_xlabel("share; bars: 95 % interval over questions; in brackets: how many")
    if len(systems) > 1:
        handles = [
            Line2D([], [], color=f"C{place}", marker="o", label=_words(system.name))
            for place, system in enumerate(systems)
        ]
        figure.legend(
            handles=handles,
            title=_words(title),
            loc="outside upper center",
            ncols=min(4, len(systems)),
        )
    else:
        figure.suptitle(_words(title))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True


def _words(name: str) -> str:
    """A name from a file, which a dollar sign would turn into a formula."""
    return plain(name).replace("$", "\\$")


def _keys(systems: Sequence[Compared], number: int) -> dict[str, str]:
    """The measures of a line that some system has, with their labels, in the report's order."""
    return {
        item.key: item.label + _ARROWS[item.better]
        for system in systems
        for item in system.measures
        if item.line == number and item.key not in _UNPLOTTED
    }


def _panel(axes: object, systems: Sequence[Compared], number: int, keys: dict[str, str]) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    height = 0.8 / len(systems)
    for place, system in enumerate(systems):
        found = {item.key: item for item in system.measures}
        for row, key in enumerate(keys):
            at = row + height * (place - (len(systems) - 1) / 2)
            _mark(axes, found.get(key), at, f"C{place}")
    axes.set_yticks(range(len(keys)), list(keys.values()))
    axes.set_ylim(len(keys) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.14)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(f"{number}. {LINES[number]}", loc="left", fontsize=10, fontweight="bold")


def _mark(axes: object, item: Measure | None, at: float, colour: str) -> None:
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    found = item.estimate() if item else None
    if item is None or found is None or found.value is None:
        axes.text(0.0, at, "not measured", va="center", fontsize=8, color=colour)
        return
    if found.low is not None and found.high is not None:
        axes.plot([found.low, found.high], [at, at], color=colour, linewidth=2.5, alpha=0.5)
    axes.plot([found.value], [at], "o", color=colour, markersize=6)
    axes.text(
        1.03, at, f"{found.value:.2f} ({item.denominator})", va="center", fontsize=8, color=colour
    )
