"""A look into the index: which works there are, their passages, and what a query finds and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from index.catalog import Catalog
from index.encoder import Encoder
from index.errors import RagError
from index.passages import Passage
from index.settings import DEFAULT_ENCODER
from index.sources.store import SourceType
from index.stores.segments import Segment
from rag.answer.model import Quote
from rag.prompt import works_of
from rag.retrieval.evidence import Hit, Reading
from rag.retrieval.retrieve import search
from rag.retrieval.scoring import terms
from rag.views.markdown import place
from rag.views.notebook.session import Progress, open_pipeline
from rag.views.notebook.table import Cell, Marked, Table

if TYPE_CHECKING:
    from rag.chain import Asked
    from rag.views.notebook.passage_map import PassageMap

_WORD = re.compile(r"[^\W_]+")


def where(source_type: SourceType, passage: Passage) -> str:
    """`full text, p. 3`."""
    return place(Quote("", source_type, passage.start, passage.end, passage.text, passage.pages))


def with_words_of(query: str, text: str) -> Marked:
    """`text` with the words marked that BM25 finds for `query`."""
    wanted = set(terms(query))
    found = (match.span() for match in _WORD.finditer(text) if wanted & set(terms(match[0])))
    return Marked(text, tuple(found))


def look(
    *prompts: Asked,
    data_dir: str | Path | None = None,
    mirror: str | Path | None = None,
    offline: bool | None = None,
    encoder: str = DEFAULT_ENCODER,
) -> Library:
    """The works that `prompts` list, with what is in the index of each; those that are not
    indexed yet are indexed first. Options as for `ask`."""
    from rag.chain import as_prompt

    catalog = Catalog.of(item for each in prompts for item in as_prompt(each).listings)
    pipeline = open_pipeline(
        writer="extractive", data_dir=data_dir, mirror=mirror, offline=offline, encoder=encoder
    )
    with Progress() as progress:
        readings, segments = pipeline.read(catalog, progress)
    return Library(catalog, readings, segments, pipeline.encoder)


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

    def _repr_markdown_(self) -> str:
        return self.works._repr_markdown_()

    def _repr_html_(self) -> str:
        return self.works._repr_html_()

    @property
    def names(self) -> Mapping[str, str]:
        """The name of the work that each source belongs to."""
        return works_of(self.catalog.listings)

    @property
    def works(self) -> Table:
        """Every source of every listed work: how much of it is in the index, or why nothing."""
        rows: list[tuple[Cell, ...]] = []
        for listing in self.catalog.listings:
            for source_id in listing.source_ids:
                reading, segment = self.readings[source_id], self.segments.get(source_id)
                row: tuple[Cell, ...] = (None, None, None, reading.reason)
                if segment is not None:
                    sentences = sum(len(each.sentences) for each in segment.passages)
                    pages = len(segment.page_starts) or None
                    row = (pages, len(segment.passages), sentences, "")
                rows.append((listing.name, source_id, reading.source_type, *row))
        columns = ("work", "source", "what", "pages", "passages", "sentences", "not read because")
        return Table(columns, tuple(dict.fromkeys(rows)))

    def passages(self, work: str) -> Table:
        """The passages of the works whose name or source id holds `work`, in reading order."""
        meant = {
            source_id: self.readings[source_id].source_type
            for listing in self.catalog.listings
            for source_id in listing.source_ids
            if work.lower() in f"{listing.name} {source_id}".lower()
        }
        if not meant:
            listed = ", ".join(listing.name for listing in self.catalog.listings)
            raise RagError(f"no listed work matches {work!r}; there are: {listed}")
        rows = [
            (source_id, where(source_type, each), each.heading, len(each.text), each.text)
            for source_id, source_type in meant.items()
            if source_id in self.segments
            for each in self.segments[source_id].passages
        ]
        return Table(("source", "where", "section", "characters", "passage"), tuple(rows))

    def find(self, query: str, count: int = 5) -> Table:
        """The passages that `query` finds, the best first. `score` is made of the two beside it:
        the cosine of the meanings, and BM25 for the words in common, which are marked. Scores of
        different queries cannot be compared."""
        names = self.names
        rows = [
            (
                rank, hit.score, hit.dense, hit.lexical, names[hit.source_id],
                where(hit.source_type, hit.passage), hit.passage.heading, with_words_of(query, hit.text),
            )
            for rank, hit in enumerate(self.hits(query)[:count], start=1)
        ]  # fmt: skip
        columns = ("rank", "score", "cosine", "BM25", "work", "where", "section", "passage")
        return Table(columns, tuple(rows), caption=query)

    def hits(self, query: str) -> tuple[Hit, ...]:
        """Every passage, those for `query` first."""
        (hits,) = search(self.segments, self.encoder, [query])
        return hits

    def map(self, query: str = "", count: int = 5) -> PassageMap:
        """Every passage as a point, works by colour; with `query` where it falls, and the `count`
        passages that it finds."""
        from rag.views.notebook.passage_map import passage_map

        return passage_map(self, query, count)
