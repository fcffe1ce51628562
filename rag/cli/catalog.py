"""`rag catalog`: each work, what there is of it, and why not more."""

from __future__ import annotations

from rag.cli.options import DATA_DIR, DataDir, Prompts, settings


def run(prompts: Prompts, data_dir: DataDir = DATA_DIR) -> None:
    """Show each work that PROMPT… list: what was kept of it (full text, README or only the
    summary), and why not more. Fetches nothing."""
    from rich.console import Console
    from rich.table import Table

    from index.catalog import Catalog, Listing
    from index.sources.store import SourceStore, source_type_of
    from rag.plaintext import plain
    from rag.prompt import read_prompt

    store = SourceStore(settings(data_dir).sources)
    catalog = Catalog.of(item for path in prompts for item in read_prompt(path).listings)

    def row(listing: Listing) -> tuple[str, str, str]:
        kept, missing = [], []
        for source_id in listing.source_ids:
            if source_id.startswith("summary:"):
                continue
            source = store.get(source_id)
            failure = store.failure(source_id)
            if source is not None:
                version = f" {source.version[:12]}" if source.version else ""
                kept.append(f"{source_type_of(source_id)}{version}")
            if failure is not None:
                missing.append(f"{source_id}: {failure.reason}")
            elif source is None:
                missing.append(f"{source_id}: not fetched yet (run `rag index`)")
        there = " · ".join(kept) or ("summary only" if listing.summary else "nothing")
        return plain(listing.name), there, plain("; ".join(missing))

    table = Table("work", "there is", "why not more", title=None)
    # A work that is recommended here and related there is one work.
    for cells in dict.fromkeys(map(row, catalog.listings)):
        table.add_row(*cells)
    Console(soft_wrap=False).print(table, markup=False)
