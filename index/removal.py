"""Sources removed: their bytes, texts and segments, as if they had never been fetched."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from index.build import current_segment_name
from index.documents.extract import document_path
from index.settings import Settings
from index.sources.store import Source, SourceStore
from index.stores import open_store
from index.stores.parts import sweep_vectors


def remove(source_ids: Collection[str], settings: Settings, encoder: str) -> dict[str, int]:
    """Remove every version of these sources: the segments by this encoder in the store of
    `settings`, the cached texts, the bytes, and last the ledger, which names all of them: what a
    removal that died has left is removed by the next. What other sources with the same bytes need
    stays. Returns, by the id of each that was here, how many segments it had."""
    store, segments = SourceStore(settings.sources), open_store(settings)
    own: dict[str, set[Source]] = {
        source_id: sources
        for source_id in source_ids
        if (sources := {each.source for each in store.attempts(source_id) if each.source})
    }
    hashes = {source.sha256 for sources in own.values() for source in sources}
    needed = store.besides(source_ids) if hashes else ()
    shared = [source for source in needed if source.sha256 in hashes]

    def paths(source: Source) -> set[Path]:
        return {document_path(source, settings), settings.sources / source.sha256}

    named = {
        source_id: {current_segment_name(source, encoder) for source in sources}
        for source_id, sources in own.items()
    }
    names = set[str]().union(*named.values())
    names -= {current_segment_name(source, encoder) for source in shared}
    here = segments.known(names)
    segments.delete(names)
    sweep_vectors(settings.index / "unfinished", names)
    files = set[Path]().union(*(paths(each) for sources in own.values() for each in sources))
    for path in files.difference(*map(paths, shared)):
        path.unlink(missing_ok=True)
    for source_id in source_ids:
        store.ledger(source_id).unlink(missing_ok=True)
    return {source_id: len(own_names & here) for source_id, own_names in named.items()}
