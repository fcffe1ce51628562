"""Tables as pandas DataFrames that show themselves whole, with all text escaped.

The one module that imports pandas. It is imported where a table is asked for: answers need none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from index.errors import RagError
from rag.plaintext import plain, visible
from rag.views.notebook.display import NO_FORMULAS, Cell, Marked, as_plain_text

try:
    import pandas as pd
    from pandas.io.formats.style import Styler
except ImportError as error:
    raise RagError("a table needs pandas: pip install 'grounded-rag[notebook]'") from error

LONG = 200
"""Characters of a cell from which on its column is shown wide."""
_STYLE = "padding: 0.3em 0.9em 0.3em 0; text-align: start; vertical-align: top; white-space: normal"


class Table(pd.DataFrame):  # type: ignore[misc]
    """A DataFrame that is never cut off, neither as HTML nor as text."""

    @property
    def _constructor(self) -> type[Table]:
        return Table

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str) -> Table:
        """Columns of numbers alone are numeric, and may have gaps."""
        made = cls(list(rows), columns=list(columns), dtype=object)
        for name in columns:
            numbers = [cell for cell in made[name] if cell is not None]
            if numbers and all(isinstance(cell, int | float) for cell in numbers):
                made[name] = pd.array(made[name].tolist())
        made.attrs["caption"] = caption
        return made

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
        # Equal tables have equal HTML: the id of their style must not be random.
        content = repr((list(self.columns), self.to_numpy().tolist(), self.attrs))
        style_id = hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:8]
        styles = [
            {"selector": "td, th, caption", "props": _STYLE},
            {"selector": "caption", "props": "caption-side: top"},
        ]
        for number, name in enumerate(self.columns):
            if self[name].map(lambda cell: len(str(cell))).max() > LONG:
                # A share of the window: on a narrow one, or on paper, nothing may be cut off.
                styles.append({"selector": f".col{number}", "props": "min-width: min(26em, 15vw)"})
            if self[name].map(lambda cell: max(map(len, str(cell).split()), default=0)).max() > 30:
                styles.append({"selector": f".col{number}", "props": "overflow-wrap: anywhere"})
        caption = _html(self.attrs.get("caption", ""))
        styler = Styler(self, uuid=style_id, cell_ids=False, caption=caption or None)
        styler.hide(axis="index").format(_html, na_rep="–").format_index(_html, axis=1)
        styler.set_table_styles(styles).set_table_attributes(f'class="{NO_FORMULAS}"')
        return str(styler.to_html())


def _written(cell: object) -> str:
    """A cell in words: scores with two decimals, a gap as a dash."""
    if not isinstance(cell, str) and pd.isna(cell):
        return "–"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def _html(cell: object) -> str:
    if not isinstance(cell, Marked):
        return str(escape(plain(_written(cell))))
    return "".join(
        Markup("<mark>{}</mark>" if marked else "{}").format(visible(re.sub(r"\s", " ", piece)))
        for piece, marked in cell.pieces()
    )
