"""Tables as pandas DataFrames that show themselves whole, with all text escaped.

The one module that imports pandas. It is imported where a table is asked for: answers need none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from index.errors import RagError
from rag.plaintext import plain, visible
from rag.views.notebook.display import NO_FORMULAS, as_plain_text

try:
    import pandas as pd
    from pandas.io.formats.style import Styler
except ImportError as error:
    raise RagError("a table needs pandas: pip install 'grounded-rag[notebook]'") from error

LONG = 200
"""Characters of a cell from which on its column is shown wide."""
_CELL = "text-align: start; vertical-align: top; white-space: normal; overflow-wrap: break-word"


class Marked(str):
    """Text of which `marks`, half-open offsets in any order, are highlighted."""

    marks: tuple[tuple[int, int], ...]

    def __new__(cls, text: str, marks: Sequence[tuple[int, int]] = ()) -> Marked:  # noqa: D102
        marked = super().__new__(cls, text)
        marked.marks = tuple(marks)
        return marked

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """The text in pieces, and whether each is marked."""

        def is_marked(offset: int) -> bool:
            return any(start <= offset < end for start, end in self.marks)

        for marked, offsets in groupby(range(len(self)), is_marked):
            yield "".join(self[offset] for offset in offsets), marked


Cell = str | int | float | None


class Table(pd.DataFrame):  # type: ignore[misc]
    """A DataFrame that is never cut off, neither as HTML nor as text."""

    @property
    def _constructor(self) -> type[Table]:
        return Table

    def __repr__(self) -> str:
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(title=plain(self.attrs.get("caption", "")) or None, title_justify="left")
        for name in self.columns:
            grid.add_column(Text(plain(str(name))), overflow="fold")
        for row in self.itertuples(index=False):
            grid.add_row(*(Text(plain(_written(cell))) for cell in row))
        return as_plain_text(grid)

    def _repr_html_(self) -> str:
        # Equal tables have equal HTML: the ids must not be random.
        content = repr((list(self.columns), self.to_numpy().tolist(), self.attrs))
        name = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:8]
        wide = [
            f".col{place}"
            for place in range(self.shape[1])
            if any(len(_written(cell)) > LONG for cell in self.iloc[:, place])
        ]
        styles = [
            {"selector": "td, th, caption", "props": _CELL},
            {"selector": "caption", "props": "caption-side: top"},
            {"selector": ", ".join(wide) or "none", "props": "min-width: 26em"},
        ]
        styler = Styler(self, uuid=name, cell_ids=False, caption=_html(self.attrs.get("caption")))
        styler.hide(axis="index").set_table_styles(styles)
        styler.format(_html, na_rep="–").format_index(_html, axis=1)
        return str(styler.set_table_attributes(f'class="{NO_FORMULAS}"').to_html())


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str = "") -> Table:
    """Rows under named columns. Columns of numbers alone are numeric, and may have gaps."""
    made = Table(list(rows), columns=list(columns), dtype=object)
    for name in columns:
        numbers = [cell for cell in made[name] if cell is not None]
        if numbers and all(isinstance(cell, int | float) for cell in numbers):
            made[name] = pd.array(made[name].tolist())
    made.attrs["caption"] = caption
    return made


def _written(cell: object) -> str:
    """A cell in words: scores with two decimals, a gap as a dash."""
    if not isinstance(cell, str) and pd.isna(cell):
        return "–"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _html(cell: object) -> str:
    from markupsafe import Markup, escape

    if cell is None:
        return ""
    if not isinstance(cell, Marked):
        return str(escape(plain(_written(cell))))
    return "".join(
        Markup("<mark>{}</mark>" if marked else "{}").format(visible(re.sub(r"\s", " ", piece)))
        for piece, marked in cell.pieces()
    )
