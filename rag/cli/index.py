"""`rag index`, `rag catalog`, `rag remove`: what the data directory holds of works."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from index.catalog import Catalog, Listing
from index.sources import SourceStore, source_type_of
from rag.cli import options
from rag.cli.options import Bars, OpenSettings, Works, listings_in, say, settings, with_options_of
from rag.plaintext import plain

if TYPE_CHECKING:
    from index.cluster import Cluster


@with_options_of(settings)
def index(
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
    from rag.views.markdown import counted

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
        f"{counted(count, 'work') or 'no works'}, {len(built.states) - len(built.failed)} of "
        f"{len(built.states)} sources usable: {built.added} new, {built.embedded} embedded "
        f"({built.passages} passages) in {time.monotonic() - began:.1f} s"
    )


def _cluster(address: str, device: str) -> AbstractContextManager[Cluster | None]:
    if not address:
        return nullcontext()
    from index.cluster import open_cluster

    return open_cluster(address, device=device)


def catalog(works: Works, data_dir: options.DataDir = options.DATA_DIR) -> None:
    """Show what is stored of each work that PROMPT… list or LINK… name, and why not more.

    That is its full text, its README, or only its summary. Fetches nothing."""
    from rich.console import Console
    from rich.table import Table

    store = SourceStore(settings(data_dir).sources)
    table = Table("work", "available", "missing")
    # A work that one prompt recommends and another calls related is listed twice: shown once.
    for cells in dict.fromkeys(_row(listing, store) for listing in listings_in(works)):
        table.add_row(*cells)
    Console().print(table, markup=False)


def _row(listing: Listing, store: SourceStore) -> tuple[str, str, str]:
    available, missing = [], []
    for source_id in listing.source_ids:
        if source_id.startswith("summary:"):
            continue
        source, failure = store.get(source_id), store.failure(source_id)
        if failure is not None:
            missing.append(f"{source_id}: {failure.reason}")
        elif source is None:
            missing.append(f"{source_id}: not fetched yet (run `rag index`)")
        else:
            available.append(f"{source_type_of(source_id)} {(source.version or '')[:12]}".strip())
    sources = " · ".join(available) or ("summary only" if listing.summary else "nothing")
    return plain(listing.label), sources, plain("; ".join(missing))


def remove(
    works: Works,
    data_dir: options.DataDir = options.DATA_DIR,
    encoder: options.EncoderName = options.ENCODER,
    store: options.StoreName = options.STORE,
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
        segments = counted(sum(counts), "segment") or "no segment"
        what = f"removed: {label} ({counted(len(counts), 'source')}, {segments})"
        typer.echo(plain(what if counts else f"nothing is stored: {label}"))
    if not removed:
        raise typer.Exit(1)
