"""`rag search`: the passages nearest to a question, with scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import Bars, OpenSettings, listings_in, settings, with_options_of

if TYPE_CHECKING:
    from rag.retrieval.evidence import Hit


@with_options_of(settings)
def run(
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
) -> None:
    """Show the passages that QUESTION finds, best first, with their scores, source, page and
    section: in everything that was indexed, in the works that --work names, or in those that
    PROMPT… list or LINK… name, which are indexed first where they are not yet."""
    from index.catalog import Catalog
    from rag.pipeline import Pipeline
    from rag.retrieval.reranker import load_reranker
    from rag.retrieval.retrieve import search_data_dir
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
    loaded = load_reranker(reranker, offline=chosen.offline) if reranker else None
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
    for rank, hit in enumerate(hits[:count], start=1):
        typer.echo(_format(rank, hit))


def _format(rank: int, hit: Hit) -> str:
    from rag.plaintext import plain

    pages = f" p. {'–'.join(map(str, hit.passage.pages))}" if hit.passage.pages else ""
    heading = f" · {plain(hit.passage.heading)}" if hit.passage.heading else ""
    return (
        f"{rank}. {hit.score:.2f} (cosine {hit.dense:.2f}, BM25 {hit.lexical:.1f}) "
        f"{hit.source_id}{pages}{heading}\n   {plain(hit.text)}\n"
    )
