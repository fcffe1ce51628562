"""`rag index`: download, read and embed the works of prompt documents."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from index.catalog import Catalog
from rag.cli.options import (
    Bars,
    OpenSettings,
    Works,
    listings_in,
    say,
    settings,
    with_options_of,
)

if TYPE_CHECKING:
    from index.cluster import Cluster


@with_options_of(settings)
def run(
    open_settings: OpenSettings,
    works: Works,
    ray: Annotated[
        str,
        typer.Option(
            help="Read and embed on a Ray cluster: host:port of its head, or auto for the one that "
            "runs on this machine.",
            metavar="auto|ADDRESS",
        ),
    ] = "",
) -> None:
    """Download, read and embed the works that PROMPT… list or LINK… name.

    What is there already is left alone; what could not be fetched is tried again. Where works have
    to be embedded anew, for another encoder or by a newer version of this program, it says so
    first."""
    from index.build import build, outdated
    from index.encoder import LazyEncoder

    chosen = open_settings()
    catalog = Catalog.of(listings_in(works))
    encoder = LazyEncoder(chosen)
    if (chosen.sources / "ledger.jsonl").exists():
        say("the ledger of an older version is not read: its sources are read anew")
    if stored := outdated(catalog, chosen, encoder.name):
        say(
            f"{len(stored)} stored sources have no segment by this encoder and this version of the "
            "program: they are embedded now, and what is there stays"
        )
    began = time.monotonic()
    with _cluster(ray, chosen.device) as cluster, Bars() as bars:
        built = build(catalog, chosen, encoder, notify=bars, cluster=cluster)
    names = catalog.names
    for state in built.failed:
        say(f"not read: {names[state.source_id]}: {state.reason}")
    for source_id, much in built.shortened.items():
        say(f"{names[source_id]}: {much}; what comes after them is not found")
    for source_id in built.damaged:
        say(f"was damaged and is rebuilt: {source_id}")
    count = len({(listing.name, listing.source_ids) for listing in catalog.listings})
    say(
        f"{count} works, {len(built.states) - len(built.failed)} of {len(built.states)} sources "
        f"usable: {built.added} new, {built.embedded} embedded ({built.passages} passages) "
        f"in {time.monotonic() - began:.1f} s"
    )


def _cluster(address: str, device: str) -> AbstractContextManager[Cluster | None]:
    if not address:
        return nullcontext()
    from index.cluster import open_cluster

    return open_cluster(address, device=device)
