"""Lines that share a baseline: rows of tables, formulas with their number, stretched lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from index.pdf.headings import NUMBERED
from index.pdf.lines import Line
from index.pdf.measures import Measures

FORMULA_TEXT = re.compile(r"[=+−×÷∑∏∫√∞≈≤≥≠∈∀∃∂∇→←↔∥⟨⟩⊙⊗⊕|^_{}<>/\\~(),.;:\[\]\d\s]")
EQUATION_NUMBER = re.compile(r"\(?[A-Z]?\d+(\.\d+)?[a-z]?\)")


def mended(page: Sequence[Line], usual: Measures) -> list[Line]:
    """Stretched lines in one piece again: headings, and body lines from edge to edge."""
    done: list[Line] = []
    row: list[Line] = []
    for line in [*page, None]:
        if row and (line is None or line.cells != row[0].cells or len(row) == row[0].cells):
            done += _row_mended(row, usual, done[-1] if done else None)
            row = []
        if line is not None:
            row.append(line)
    return done


def _row_mended(row: list[Line], usual: Measures, above: Line | None) -> list[Line]:
    if any(line.math > 0.3 and line.words <= 2 and len(line.text) > 1 for line in row) or (
        len(row) > 1 and EQUATION_NUMBER.fullmatch(row[-1].text)
    ):
        return [replace(line, math=max(line.math, 0.31)) for line in row]
    first, last = row[0], row[-1]
    gaps = [b.x0 - a.x1 for a, b in pairwise(row)]
    if not gaps or max(gaps) > 4 * first.size:
        return row
    heading = all(line.bold for line in row) and first.size > 1.05 * usual.size
    body = all(abs(line.size - usual.size) < 0.3 for line in row)
    edges = abs(first.x0 - usual.left_of(first)) < 2 and abs(last.x1 - usual.right_of(last)) < 2
    words = sum(line.words for line in row)
    wordy = words >= 3 * len(row) and max(gaps) < 2.5 * first.size
    goes_on = (
        above is not None
        and words >= 4
        and len(row) < 4
        and above.cells == 1
        and above.x1 > usual.right_of(above) - 2
        and 0 < above.y - first.y < 1.3 * usual.leading
    )
    named = bool(NUMBERED.fullmatch(first.text + " x")) and row[1].bold and len(row) == 2
    if not (heading or named or (edges and (goes_on or (body and wordy)))):
        return row
    text = " ".join(line.text for line in row)
    return [replace(row[1] if named else first, text=text, x0=first.x0, x1=last.x1, cells=1)]


def _is_formula(line: Line, usual: Measures) -> bool:
    letters = re.sub(FORMULA_TEXT, "", line.text)
    words = line.words
    if line.cells > 1 and line.math > 0.3:
        return True
    if line.cells > 1 and line.math < 0.1 and not EQUATION_NUMBER.fullmatch(line.text):
        return False
    if line.math > 0.3 and words <= 2:
        return True
    return (
        (line.math > 0.12 or len(letters) < 0.35 * len(line.text))
        and words <= 3
        and (line.x0 > usual.left_of(line) + 2 * usual.size or line.cells > 1 or words == 0)
    )


def kind_of_line(line: Line, usual: Measures) -> Literal["text", "cells", "formula"]:
    """What the line is by itself."""
    if _is_formula(line, usual):
        return "formula"
    return "cells" if line.cells > 1 else "text"
