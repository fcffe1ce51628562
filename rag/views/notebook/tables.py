"""A look into the index (`from rag import look`), in tables: which works there are, their passages,
and what a query finds and why.

The one module that imports pandas. Asking does not import it: answers need none.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Unpack

import numpy as np
from markupsafe import Markup, escape

from index.catalog import Catalog
from index.encoder import Encoder
from index.errors import RagError
from index.stores.segments import Segment
from rag.plaintext import plain, visible
from rag.prompt import Asked, listings_of, title_of, works_of
from rag.retrieval import Hit, Reading
from rag.retrieval.retrieve import search
from rag.retrieval.scoring import terms
from rag.views.markdown import place
from rag.views.notebook import ProgressBar, SettingsOptions, open_pipeline
from rag.views.notebook.display import as_plain_text, expect

try:
    import pandas as pd
    from pandas.io.formats.style import Styler
except ImportError as error:
    raise RagError("a table needs pandas: pip install 'grounded-rag[notebook]'") from error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""The classes with which MathJax 3 and 2 leave text alone."""
LONG = 200
"""Characters of a cell from which on its column is shown wide."""
_STYLE = "padding: 0.3em 0.9em 0.3em 0; text-align: start; vertical-align: top; white-space: normal"
HIT_COLUMNS = ("work", "where", "section", "score", "cosine", "BM25", "passage")
_WORD = re.compile(r"[^\W_]+")
# Okabe and Ito's colours, which people with any colour vision can tell apart; without the black.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#d8c700", "#0072b2", "#d55e00", "#cc79a7")
_MARKERS = ("o", "^", "s", "D")


def look(*prompts: Asked, **options: Unpack[SettingsOptions]) -> Library:
    """The works that `prompts` list, or that links, PDFs and folders of PDFs stand for, with their
    passages; works that are not indexed yet are indexed first. `data_dir`, `mirror`, `offline` and
    `encoder` are as for `rag.ask`."""
    catalog = Catalog.of(item for prompt in prompts for item in listings_of(prompt))
    pipeline = open_pipeline(writer="extractive", **options)
    with ProgressBar() as progress:
        readings, segments = pipeline.read(catalog, progress)
    titles = {source_id: reading.title for source_id, reading in readings.items()}
    named = (replace(item, name=title_of(item, titles)) for item in catalog.listings)
    return Library(Catalog.of(named), readings, segments, pipeline.encoder)


@dataclass(frozen=True, slots=True, repr=False)
class Library:
    """The indexed works of some prompts. `readings` has every source, by id; `segments` those
    that could be read."""

    catalog: Catalog
    readings: Mapping[str, Reading]
    segments: Mapping[str, Segment]
    encoder: Encoder

    def __repr__(self) -> str:
        return repr(self.works)

    def _repr_html_(self) -> str:
        return self.works._repr_html_()

    @property
    def names(self) -> Mapping[str, str]:
        """The name of the work that each source belongs to."""
        return works_of(self.catalog.listings)

    @property
    def works(self) -> Table:
        """Every source of the listed works: how much of it is in the index, or why nothing."""
        rows = []
        for source_id, name in self.names.items():
            reading, segment = self.readings[source_id], self.segments.get(source_id)
            counts: tuple[int | None, ...] = (None, None, None)
            if segment is not None:
                sentences = sum(len(passage.sentences) for passage in segment.passages)
                counts = (len(segment.page_starts) or None, len(segment.passages), sentences)
            rows.append((name, source_id, reading.source_type, *counts, reading.reason))
        columns = ("work", "source", "type", "pages", "passages", "sentences", "not read because")
        return Table.of(columns, rows)

    def passages(self, work: str) -> Table:
        """The passages of the works whose name or source id contains `work`, in reading order."""
        expect(str, work=work)
        sources = [
            source_id
            for listing in self.catalog.listings
            for source_id in listing.source_ids
            if work.lower() in f"{listing.name} {source_id}".lower()
        ]
        if not sources:
            listed = ", ".join(listing.name for listing in self.catalog.listings)
            raise RagError(f"no listed work matches {work!r}; there are: {listed}")
        rows = [
            (source_id, place(self.readings[source_id].source_type, passage.pages),
             passage.heading, len(passage.text), passage.text)
            for source_id in dict.fromkeys(sources)
            if source_id in self.segments
            for passage in self.segments[source_id].passages
        ]  # fmt: skip
        return Table.of(("source", "where", "section", "characters", "passage"), rows)

    def find(self, query: str, count: int = 5) -> Table:
        """The passages that `query` finds, best first. `score` is fused from the two scores
        beside it: the cosine, and BM25, whose matching words are marked. Scores of different
        queries cannot be compared."""
        expect(str, query=query)
        expect(int, count=count)
        if not query.strip():
            raise RagError("the query is empty")
        names = self.names
        rows = [
            (rank, *hit_cells(hit, names[hit.source_id], term_spans(query, hit.text)))
            for rank, hit in enumerate(self.hits(query)[:count], start=1)
        ]
        return Table.of(("rank", *HIT_COLUMNS), rows, caption=query)

    def hits(self, query: str) -> tuple[Hit, ...]:
        """Every passage, best first."""
        (hits,) = search(self.segments, self.encoder, [query])
        return hits

    def map(self, query: str = "", count: int = 5) -> PassageMap:
        """Every passage as a point on the first two principal components, works by colour; with
        `query` where it falls, and the ranks of the `count` passages that it finds."""
        expect(str, query=query)
        expect(int, count=count)
        from matplotlib.figure import Figure
        from sklearn.decomposition import PCA

        names = self.names
        places = [
            (source_id, passage.start)
            for source_id, segment in self.segments.items()
            for passage in segment.passages
        ]
        if len(places) < 2:
            raise RagError("a map needs at least two passages in the index")
        pca = PCA(n_components=2, svd_solver="full")
        points = pca.fit_transform(
            np.concatenate([each.vectors for each in self.segments.values()])
        )
        works = np.array([names[source_id] for source_id, _ in places])

        figure = Figure(figsize=(10, 6), layout="constrained")
        axes = figure.add_subplot()
        for number, name in enumerate(sorted(set(works))):
            x, y = points[works == name].T
            axes.scatter(
                x, y, s=44, alpha=0.75, linewidths=0, label=_label(name),
                color=_COLOURS[number % len(_COLOURS)],
                marker=_MARKERS[number // len(_COLOURS) % len(_MARKERS)],
            )  # fmt: skip
        if query:
            x, y = pca.transform(self.encoder.encode_queries([query])).T
            axes.scatter(x, y, s=190, marker="*", color="black", zorder=3, label="the query")
            for rank, hit in enumerate(self.hits(query)[:count], start=1):
                x, y = points[places.index((hit.source_id, hit.passage.start))]
                axes.scatter(x, y, s=170, facecolors="none", edgecolors="black", zorder=3)
                axes.annotate(str(rank), (x, y), xytext=(6, 6), textcoords="offset points")
        first, second = pca.explained_variance_ratio_
        axes.set_xlabel(f"first principal component ({first:.0%} of the variance)")
        axes.set_ylabel(f"second ({second:.0%})")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(_label(query) if query else f"{len(points)} passages")
        figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
        return PassageMap(figure)


@dataclass(frozen=True, slots=True, repr=False)
class PassageMap:
    """A drawing that shows itself; its `figure` can be saved with `savefig`."""

    figure: Figure

    def __repr__(self) -> str:
        return "A map of passages; its `figure` can be saved with savefig"

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.figure.savefig(out, format="png", dpi=110)
        return out.getvalue()


def term_spans(query: str, text: str) -> list[tuple[int, int]]:
    """Where `text` has words that BM25 matches with `query`."""
    query_terms = set(terms(query))
    return [match.span() for match in _WORD.finditer(text) if query_terms & set(terms(match[0]))]


def _label(text: str) -> str:
    """At most 60 characters of it, in which a dollar sign begins no formula."""
    shown = plain(text)
    return (shown if len(shown) <= 60 else shown[:59] + "…").replace("$", "\\$")


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


def hit_cells(hit: Hit, work: str, marks: Sequence[tuple[int, int]]) -> tuple[Cell, ...]:
    """A row of `HIT_COLUMNS`: the hit of a work, with `marks` in its text."""
    where = place(hit.source_type, hit.passage.pages)
    scores = (hit.score, hit.dense, hit.lexical)
    return work, where, hit.passage.heading, *scores, Marked(hit.text, marks)


class Table(pd.DataFrame):  # type: ignore[misc]
    """A DataFrame that is never cut off, neither as HTML nor as text, with all text escaped."""

    @property
    def _constructor(self) -> type[Table]:
        return Table

    @classmethod
    def of(cls, columns: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str = "") -> Table:
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

        grid = Grid(title=Text(plain(self.attrs.get("caption", ""))) or None, title_justify="left")
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
