"""A look into the index: which works there are, their passages, and what a query finds and why."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

import numpy as np

from index.catalog import Catalog
from index.encoder import Encoder
from index.errors import RagError
from index.stores.segments import Segment
from rag.plaintext import plain
from rag.prompt import Asked, listings_of, title_of, works_of
from rag.retrieval import Hit, Reading
from rag.retrieval.retrieve import search
from rag.retrieval.scoring import terms
from rag.views.markdown import place
from rag.views.notebook.display import HIT_COLUMNS, expect, hit_cells, table
from rag.views.notebook.session import ProgressBar, SettingsOptions, open_pipeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rag.views.notebook.table import Table

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
        return table(columns, rows)

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
        return table(("source", "where", "section", "characters", "passage"), rows)

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
        return table(("rank", *HIT_COLUMNS), rows, caption=query)

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
