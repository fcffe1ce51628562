"""A small table that shows itself: as HTML in a notebook, as Markdown, as text on a terminal.

Cells hold what others wrote: every form escapes them, and none has control characters.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import overload

from rag.plaintext import escape, plain

WIDTH = 100
"""Characters; fixed, so that equal values have equal texts wherever they are shown."""


def markdown_in_plain_text(markdown: str) -> str:
    """Markdown as a person reads it: headings, lists and quotes by layout alone."""
    from rich.console import Console
    from rich.markdown import Markdown

    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, force_jupyter=False)
    console.print(Markdown(markdown, hyperlinks=True))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def in_lines(text: str, first: str, rest: str) -> str:
    """`text` in lines that fit; `first` and `rest` are what they begin with."""
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marked:
    """Text with some of it marked: half-open offsets, in order, none within another."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """The text in pieces, and whether each is marked."""
        at = 0
        for start, end in self.marks:
            yield self.text[at:start], False
            yield self.text[start:end], True
            at = end
        yield self.text[at:], False

    def __str__(self) -> str:
        return self.text


LONG = 24
"""Characters of a cell from which on its column does not fit beside others on a terminal."""

Cell = str | int | float | Marked | None


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows under named columns. A row by its number is a mapping from column to cell; a slice is
    a table again."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Cell]]:
        return (self._named(row) for row in self.rows)

    @overload
    def __getitem__(self, which: int) -> Mapping[str, Cell]: ...
    @overload
    def __getitem__(self, which: slice) -> Table: ...
    def __getitem__(self, which: int | slice) -> Mapping[str, Cell] | Table:
        if isinstance(which, slice):
            return Table(self.columns, self.rows[which], self.caption)
        return self._named(self.rows[which])

    def _named(self, row: Sequence[Cell]) -> Mapping[str, Cell]:
        return dict(zip(self.columns, row, strict=True))

    def __repr__(self) -> str:
        table = self._filled()
        long = [place for place in range(len(table.columns)) if table._width(place) > LONG]
        lines = [plain(self.caption), ""] if self.caption else []
        return "\n".join((*lines, *(table._records(long) if long else table._grid())))

    def _repr_markdown_(self) -> str:
        table = self._filled()
        rules = ["--:" if table._numeric(place) else "---" for place in range(len(table.columns))]
        lines = [f"{escape(self.caption)}\n"] if self.caption else []
        lines += [_line(tuple(map(escape, table.columns))), _line(rules)]
        lines += [_line(tuple(map(_in_markdown, row))) for row in table.rows]
        return "\n".join(lines) + "\n"

    def _repr_html_(self) -> str:
        from markupsafe import Markup

        table = self._filled()
        kinds = [Markup(' class="{}"').format(table._kind(n)) for n in range(len(table.columns))]
        head = Markup().join(
            Markup('<th scope="col"{}>{}</th>').format(kind, plain(name))
            for kind, name in zip(kinds, table.columns, strict=True)
        )
        rows = Markup().join(
            Markup("<tr>{}</tr>\n").format(
                Markup().join(
                    Markup("<td{}>{}</td>").format(kind, _in_html(cell))
                    for kind, cell in zip(kinds, row, strict=True)
                )
            )
            for row in table.rows
        )
        caption = Markup("<caption>{}</caption>").format(plain(self.caption))
        shown = Markup(
            '<div class="grounded-table mathjax_ignore tex2jax_ignore" tabindex="0" role="group">\n'
            "<style>{}</style>\n"
            "<table>{}<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table>\n</div>"
        ).format(Markup(_style()), caption if self.caption else "", head, rows)
        return str(shown)

    def _filled(self) -> Table:
        """The table without the columns in which no row has anything: they are not shown."""
        some = [
            place
            for place in range(len(self.columns))
            if not self.rows or any(row[place] not in (None, "") for row in self.rows)
        ]
        return Table(
            tuple(self.columns[place] for place in some),
            tuple(tuple(row[place] for place in some) for row in self.rows),
            self.caption,
        )

    def _records(self, long: Sequence[int]) -> Iterator[str]:
        """Rows one below the other: the short cells in a line, each long one under them."""
        for row in self.rows:
            short = [
                f"{self.columns[place]} {written(cell)}" if self._numeric(place) else str(cell)
                for place, cell in enumerate(row)
                if place not in long and cell not in (None, "")
            ]
            yield in_lines(plain(" · ".join(short)), "- ", "  ")
            for place in long:
                if row[place] not in (None, ""):
                    words = f"{self.columns[place]}: {written(row[place])}"
                    yield in_lines(plain(words), "  ", "    ")

    def _grid(self) -> Iterator[str]:
        """Columns side by side."""
        sides = [str.rjust if self._numeric(n) else str.ljust for n in range(len(self.columns))]
        widths = [max(self._width(n), len(name)) for n, name in enumerate(self.columns)]
        for row in (self.columns, *self.rows):
            cells = [plain(written(cell)) for cell in row]
            placed = zip(sides, cells, widths, strict=True)
            yield "  ".join(side(cell, width) for side, cell, width in placed).rstrip()

    def _width(self, place: int) -> int:
        """The length of the longest cell of a column."""
        return max((len(plain(written(row[place]))) for row in self.rows), default=0)

    def _numeric(self, place: int) -> bool:
        """Whether a column has numbers and nothing else."""
        cells = [row[place] for row in self.rows if row[place] is not None]
        return bool(cells) and all(isinstance(cell, int | float) for cell in cells)

    def _kind(self, place: int) -> str:
        """How wide a column wants to be."""
        if self._numeric(place):
            return "number"
        longest = self._width(place)
        return "text" if longest > 200 else "name" if longest > LONG else "word"


def written(cell: Cell) -> str:
    """A cell in words: shares and scores with two decimals, nothing as a dash."""
    if cell is None:
        return "–"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(cell: Cell) -> str:
    if not isinstance(cell, Marked):
        return escape(cell) if isinstance(cell, str) else written(cell)
    # Stars close nothing beside a space: the spaces of a piece stay outside them.
    shown = [(piece, escape(piece), marked) for piece, marked in cell.pieces() if piece]
    return "".join(
        _spaced(piece, f"**{text}**" if marked and text else text) for piece, text, marked in shown
    )


def _spaced(piece: str, text: str) -> str:
    """`text` with the space that `piece` begins and ends with."""
    return f"{' ' * piece[:1].isspace()}{text}{' ' * (piece[-1:].isspace() and bool(text))}"


def _in_html(cell: Cell) -> str:
    from markupsafe import Markup, escape

    if not isinstance(cell, Marked):
        return escape(plain(written(cell)))
    return Markup().join(
        Markup("<mark>{}</mark>").format(_kept(piece)) if marked else escape(_kept(piece))
        for piece, marked in cell.pieces()
    )


def _kept(piece: str) -> str:
    """A piece as `plain` shows it, with the space that it begins and ends with."""
    return _spaced(piece, plain(piece)) if piece else ""


@cache
def _style() -> str:
    return (files("rag.views.notebook") / "table.css").read_text(encoding="utf-8").strip()
