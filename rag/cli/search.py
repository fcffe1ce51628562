"""`rag search`: the passages nearest to a question, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import DATA_DIR, ENCODER, DataDir, EncoderName, Mirror, Offline, settings
from rag.cli.terminal import Bars

if TYPE_CHECKING:
    from index.catalog import Listing
    from rag.retrieval.evidence import Hit


def run(
    question: Annotated[str, typer.Argument(help="What to search for.", show_default=False)],
    prompts: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Prompt documents, to search what they list and nothing else.",
            show_default=False,
            metavar="[PROMPT…]",
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
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Show the passages that QUESTION finds, best first, with their scores, source, page and
    section: in everything that was indexed, in the works that --work names, or in those that
    PROMPT… list, which are indexed first where they are not yet."""
    from index.catalog import Catalog
    from index.encoder import LazyEncoder
    from rag.pipeline import Pipeline
    from rag.prompt import read_prompt
    from rag.retrieval.reranker import load_reranker
    from rag.retrieval.retrieve import search_data_dir
    from rag.writers.extractive import ExtractiveWriter

    if not question.strip():
        raise typer.BadParameter("the question is empty", param_hint="QUESTION")
    chosen = settings(data_dir, mirror, offline=offline, encoder=encoder)
    listings = [item for path in prompts or () for item in read_prompt(path).listings]
    if prompts and work:
        listings = _matching(listings, work)
    loaded = LazyEncoder(chosen)
    cross_encoder = load_reranker(reranker, offline=offline) if reranker else None
    with Bars() as bars:
        if prompts:
            pipeline = Pipeline(chosen, loaded, ExtractiveWriter())
            hits = pipeline.search(
                question, Catalog.of(listings), reranker=cross_encoder, notify=bars
            )
        else:
            hits = search_data_dir(
                question,
                count,
                chosen,
                loaded,
                works=work or (),
                reranker=cross_encoder,
                notify=bars,
            )
    for rank, hit in enumerate(hits[:count], start=1):
        typer.echo(_format(rank, hit))


def _matching(listings: Sequence[Listing], work: Sequence[str]) -> list[Listing]:
    matches = [
        item
        for item in listings
        if any(part.lower() in " ".join((item.name, *item.source_ids)).lower() for part in work)
    ]
    if not matches:
        raise typer.BadParameter(f"no listed work matches {work}", param_hint="--work")
    return matches


def _format(rank: int, hit: Hit) -> str:
    from rag.plaintext import plain

    pages = f" p. {'–'.join(map(str, hit.passage.pages))}" if hit.passage.pages else ""
    heading = f" · {plain(hit.passage.heading)}" if hit.passage.heading else ""
    return (
        f"{rank}. {hit.score:.2f} (cosine {hit.dense:.2f}, BM25 {hit.lexical:.1f}) "
        f"{hit.source_id}{pages}{heading}\n   {plain(hit.text)}\n"
    )
