"""`rag search`: the passages that a question finds, with scores."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.options import ENCODER, HOME, EncoderName, Home, Mirror, Offline, Prompts, settings
from scripts.terminal import Bars


def run(
    question: Annotated[str, typer.Argument(help="What is looked for.", show_default=False)],
    prompts: Prompts,
    work: Annotated[
        list[str] | None,
        typer.Option(help="Only works whose name or source id holds this; may be repeated."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many passages.")] = 5,
    home: Home = HOME,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Show the passages that QUESTION finds among the works that PROMPT… list, best first, with
    their scores, source, page and section."""
    from index.catalog import Catalog
    from rag.pipeline import Pipeline
    from rag.prompt import read_prompt
    from rag.render import plain
    from rag.writers.extractive import ExtractiveWriter

    listings = [item for path in prompts for item in read_prompt(path).listings]
    if work:
        listings = [
            item
            for item in listings
            if any(part.lower() in " ".join((item.name, *item.source_ids)).lower() for part in work)
        ]
        if not listings:
            raise typer.BadParameter(f"no listed work matches {work}", param_hint="--work")
    pipeline = Pipeline.of(
        settings(home, mirror, offline=offline, encoder=encoder), ExtractiveWriter()
    )
    with Bars() as bars:
        hits = pipeline.search(question, Catalog.of(listings), notify=bars)
    for number, hit in enumerate(hits[:count], start=1):
        pages = f" p. {'–'.join(map(str, hit.passage.pages))}" if hit.passage.pages else ""
        heading = f" · {plain(hit.passage.heading)}" if hit.passage.heading else ""
        typer.echo(
            f"{number}. {hit.score:.2f} (cosine {hit.dense:.2f}, BM25 {hit.lexical:.1f}) "
            f"{hit.source_id}{pages}{heading}\n   {plain(hit.text)}\n"
        )
