"""`rag catalog`: what is stored of each work, and why not more."""

from __future__ import annotations

from index.catalog import Listing
from index.sources import SourceStore, source_type_of
from rag.cli.options import DATA_DIR, DataDir, Works, listings_in, settings
from rag.plaintext import plain


def run(works: Works, data_dir: DataDir = DATA_DIR) -> None:
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
        if source is not None and failure is None:
            available.append(f"{source_type_of(source_id)} {(source.version or '')[:12]}".strip())
        if failure is not None:
            missing.append(f"{source_id}: {failure.reason}")
        elif source is None:
            missing.append(f"{source_id}: not fetched yet (run `rag index`)")
    sources = " · ".join(available) or ("summary only" if listing.summary else "nothing")
    return plain(listing.label), sources, plain("; ".join(missing))
