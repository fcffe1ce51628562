"""`rag search`: the passages nearest to a question, with scores."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from index.catalog import Catalog, Listing
from index.settings import Settings
from index.sources import SourceStore
from rag.cli.options import Bars, OpenSettings, listings_in, settings, with_options_of
from rag.plaintext import plain

if TYPE_CHECKING:
    from rag.retrieval import Hit


@with_options_of(settings)
def search(
    open_settings: OpenSettings,
    question: Annotated[str, typer.Argument(help="What to search for.", show_default=False)],
    prompts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Prompt documents, links, PDFs or folders of PDFs, to search these works and "
            "nothing else.",
            show_default=False,
            metavar="PROMPT | LINK",
        ),
    ] = None,
    work: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this work: a source id, a link or a part of an id; of works that PROMPT… "
            "list also a part of the name. May be repeated.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many passages.")] = 5,
    reranker: Annotated[
        str,
        typer.Option(help="A cross-encoder that reranks the best passages: name or folder."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON Lines, an object for each passage.")
    ] = False,
) -> None:
    """Show the passages that QUESTION finds, best first, with score, source, page and section.

    It searches everything that was indexed, the works that --work names, or those that PROMPT…
    list or LINK… name, which are indexed first where they are not yet. A score is the sum of
    cosine and BM25, each in standard deviations above the mean of all passages searched (or the
    reranker's own): it orders the passages of one search, and says nothing beside another's."""
    from rag.pipeline import Pipeline
    from rag.retrieval.retrieve import load_reranker, search_data_dir
    from rag.writers.extractive import ExtractiveWriter

    if not question.strip():
        raise typer.BadParameter("the question is empty", param_hint="QUESTION")
    chosen = open_settings()
    listings = listings_in(prompts or ())
    if prompts and work:
        listings = [
            item
            for item in listings
            if any(
                part.lower() in " ".join((item.label, *item.source_ids)).lower() for part in work
            )
        ]
        if not listings:
            raise typer.BadParameter(f"no listed work matches {work}", param_hint="--work")
    pipeline = Pipeline.of(chosen, ExtractiveWriter())
    loaded = (
        load_reranker(reranker, offline=chosen.offline, device=chosen.device) if reranker else None
    )
    with Bars() as bars:
        if prompts:
            catalog = Catalog.of(listings)
            hits = pipeline.search(question, catalog, reranker=loaded, notify=bars)
        else:
            hits = search_data_dir(
                question,
                count,
                chosen,
                pipeline.encoder,
                works=work or (),
                reranker=loaded,
                notify=bars,
            )
    hits = hits[:count]
    titles = _titles(hits, listings, chosen, pipeline.encoder.name)
    show = _as_json if as_json else _as_text
    for rank, hit in enumerate(hits, start=1):
        typer.echo(show(rank, hit, titles.get(hit.source_id, "")))


def _titles(
    hits: Sequence[Hit], listings: Sequence[Listing], chosen: Settings, encoder: str
) -> dict[str, str]:
    """What the works of the hits are called, by source: in the prompts, or else in their text."""
    from index.build import current_segment_name
    from index.stores import open_store

    titles = {sid: item.name for item in listings if item.name for sid in item.source_ids}
    sources, segments = SourceStore(chosen.sources), open_store(chosen)
    for source_id in {hit.source_id for hit in hits} - titles.keys():
        if source := sources.get(source_id):
            name = current_segment_name(source, encoder)
            own = segments.load(name).title
            titles[source_id] = source.title or own
    return titles


def _as_json(rank: int, hit: Hit, title: str) -> str:
    passage = hit.passage
    fields = {
        "rank": rank,
        "score": hit.score,
        "cosine": hit.dense,
        "bm25": hit.lexical,
        "source_id": hit.source_id,
        "title": title,
        "pages": passage.pages,
        "section": passage.heading,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
    }
    return json.dumps(fields, ensure_ascii=False)


def _as_text(rank: int, hit: Hit, title: str) -> str:
    """Source and place, scores, and the words, wrapped to the width of the terminal."""
    from rag.views.markdown import place

    where = place(hit.source_type, hit.passage.pages)
    heading = " · ".join(filter(None, (title or hit.source_id, where, hit.passage.heading)))
    scores = f"score {hit.score:.2f} (cosine {hit.dense:.2f}, BM25 {hit.lexical:.1f})"
    width = min(100, shutil.get_terminal_size().columns)
    words = textwrap.fill(
        plain(hit.text), width, initial_indent="   ", subsequent_indent="   ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return f"{rank}. {plain(heading)}\n   {scores} {hit.source_id}\n{words}\n"
