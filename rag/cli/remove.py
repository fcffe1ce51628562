"""`rag remove`: works that are no longer wanted."""

from __future__ import annotations

import typer

from rag.cli.options import (
    DATA_DIR,
    ENCODER,
    STORE,
    DataDir,
    EncoderName,
    StoreName,
    Works,
    listings_in,
    settings,
)
from rag.plaintext import plain


def run(
    works: Works,
    data_dir: DataDir = DATA_DIR,
    encoder: EncoderName = ENCODER,
    store: StoreName = STORE,
) -> None:
    """Remove what is stored of each work that PROMPT… list or LINK… name.

    That is what was fetched, the record of it, the text, and the passages by --encoder in --store:
    name those it was indexed with, as without its record no others are found. What another work
    needs (equal bytes) stays. A version of a paper is a source of its own.

    Nothing is asked first: `rag index` fetches it again, or reads a file of your own where it is.
    Answers stay, and `rag verify` fails on those that quote it until then. Interrupted, repeat the
    command. Exit code 1: there was nothing of any of them."""
    from index.build import remove
    from index.encoder import LazyEncoder
    from rag.views.markdown import counted

    chosen = settings(data_dir, offline=True, encoder=encoder, store=store)
    named = dict.fromkeys((each.label, each.source_ids) for each in listings_in(works))
    removed = remove({each for _, ids in named for each in ids}, chosen, LazyEncoder(chosen).name)
    for label, source_ids in named:
        counts = [removed[source_id] for source_id in source_ids if source_id in removed]
        what = (
            f"{counted(len(counts), 'source')}, {counted(sum(counts), 'segment') or 'no segment'}"
        )
        line = f"removed: {label} ({what})" if counts else f"nothing is stored: {label}"
        typer.echo(plain(line))
    if not removed:
        raise typer.Exit(1)
