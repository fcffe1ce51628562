"""Catalog → segments: fetch what is missing, extract its text, split it, embed it, store it.

What is already there is left alone. Every source becomes one file on its own, so that a build
that is killed loses at most the source in hand, and one bad source costs one source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from index.catalog import Catalog
from index.documents import Document
from index.documents.extract import (
    Task,
    cache_document,
    cached_document,
    document_path,
    extract_isolated,
    extractor_of,
)
from index.encoder import Encoder
from index.errors import SegmentError, SourceError
from index.files import sweep
from index.passages import Passage, split
from index.settings import Settings
from index.sources import Attempt, Source, SourceStore
from index.sources.fetch import Fetcher, Step
from index.stores import open_store
from index.stores.segments import (
    Segment,
    embed_in_parts,
    make_segment,
    segment_name,
    sweep_vectors,
)

if TYPE_CHECKING:
    from index.cluster import Cluster
    from index.sources.http import HttpClient

log = logging.getLogger(__name__)

Notify = Callable[[str, int, int, str], None]
"""`notify(stage, done, total, what)`: `what` is the newest event, `done` of `total` are finished.
The first call of a stage has `done` 0."""

MOST_PASSAGES = 4_000
"""Of one source: some two million characters, or two minutes of one machine without a GPU."""

SPARE_SECONDS = 600.0
"""For so long an answer does not ask the network again for what it just refused."""


def silent(stage: str, done: int, total: int, what: str) -> None:
    """A `Notify` that does nothing."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """What there is of one source: its bytes, and the name of the segment made of them. `reason`
    is "" exactly when both are there."""

    source_id: str
    source: Source | None = None
    segment: str = ""
    reason: str = ""


@dataclass(slots=True)
class Build:
    """What a build did. `added` sources are new to the data directory. `states` has every source
    of the catalog, by id; `segments` has the segments by name where the build was asked to load
    them. `shortened` says, by id, how much is embedded of a source that is too long."""

    states: dict[str, SourceState] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    added: int = 0
    embedded: int = 0
    passages: int = 0
    damaged: tuple[str, ...] = ()
    shortened: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[SourceState, ...]:
        """The sources of which nothing can be used, by id."""
        return tuple(state for state in self.states.values() if state.reason)


def outdated(catalog: Catalog, settings: Settings, encoder: str) -> tuple[str, ...]:
    """The sources whose bytes are stored, and which have no segment by this encoder and this
    version of the program."""
    store = SourceStore(settings.sources)
    names = {
        source_id: current_segment_name(source, encoder)
        for source_id in catalog.source_ids
        if (source := store.get(source_id)) and not store.failure(source_id)
    }
    here = open_store(settings).known(names.values())
    return tuple(source_id for source_id, name in names.items() if name not in here)


def build(
    catalog: Catalog,
    settings: Settings,
    encoder: Encoder,
    *,
    notify: Notify = silent,
    retry: bool = True,
    load: bool = False,
    cluster: Cluster | None = None,
) -> Build:
    """Bring the index up to date with `catalog`, vectors by `encoder`. With `retry` off, a source
    that could not be fetched a moment ago is not asked for again. With `load`, the segments are
    returned too. The nodes of a `cluster` read and embed, and it speaks to arXiv and GitHub.
    Whatever is wrong with a single source stands in its state, and is not raised."""
    result = Build()
    store, segments = SourceStore(settings.sources), open_store(settings)
    unfinished, spare = settings.index / "unfinished", 0 if retry else SPARE_SECONDS
    http = cluster.http if cluster else None
    for _ in range(2):  # Damaged bytes are deleted, and fetched anew.
        sources = _fetch(catalog, store, settings, notify, result, http=http, spare=spare)
        held = {sid: source for sid, source in sources.items() if isinstance(source, Source)}
        names = {sid: current_segment_name(source, encoder.name) for sid, source in held.items()}
        here = segments.known(names.values())
        unread = [source for sid, source in held.items() if names[sid] not in here]
        if not [source for source in unread if not store.is_intact(source)]:
            break
    sweep(settings.index, settings.documents, unfinished)
    sweep_vectors(unfinished, here)

    missing: dict[str, Source] = {}
    present: dict[str, Source] = {}
    for source_id, source in sources.items():
        if isinstance(source, Attempt):
            result.states[source_id] = SourceState(source_id, reason=source.reason)
            continue
        name = names[source_id]
        result.states[source_id] = SourceState(source_id, source, name)
        (present if name in here else missing).setdefault(name, source)
    for name, found in segments.load_all(present) if load else segments.verify_all(present):
        if isinstance(found, SegmentError):
            log.warning("%s is rebuilt: %s", present[name].id, found)
            result.damaged += (present[name].id,)
            missing[name] = present[name]
        else:
            result.segments[name] = found

    shown = catalog.names
    notify("read and embed", 0, len(missing), "")
    done = 0

    def shorten(name: str, much: str) -> None:
        result.shortened[missing[name].id] = much
        notify("read and embed", done, len(missing), f"{shown[missing[name].id]}: {much}")

    made = (cluster.segments if cluster else _segments)(missing, store, settings, encoder, shorten)
    for done, (name, segment) in enumerate(made, start=1):
        source = missing[name]
        if isinstance(segment, Segment):
            segments.save(segment)
            result.embedded += 1
            result.passages += len(segment.passages)
            if load:
                result.segments[name] = segment
        else:
            for source_id, state in list(result.states.items()):
                if state.segment == name:
                    store.fail(source_id, sources[source_id].origin, segment.reason)
                    failed = replace(state, segment="", reason=segment.reason)
                    result.states[source_id] = failed
        notify("read and embed", done, len(missing), shown[source.id])
    return result


def _segments(
    missing: Mapping[str, Source],
    store: SourceStore,
    settings: Settings,
    encoder: Encoder,
    shorten: Callable[[str, str], None],
) -> Iterator[tuple[str, Segment | SourceError]]:
    """Every missing segment by name, as it comes; it is to be saved before the next one is asked
    for. `shorten` is called with a name and how many passages are embedded, where not all are."""
    for name, document in _documents(missing, store, settings):
        if isinstance(document, SourceError):
            yield name, document
            continue
        passages, much = passages_to_embed(document, encoder)
        if much:
            shorten(name, much)
        unfinished = settings.index / "unfinished"
        vectors = embed_in_parts(unfinished, name, encoder, passages)
        yield name, make_segment(name, document, passages, *vectors)
        sweep_vectors(unfinished, {name})


def passages_to_embed(document: Document, encoder: Encoder) -> tuple[tuple[Passage, ...], str]:
    """The passages; and how many these are, where they are not all of them."""
    passages = split(document, fits=lambda text: encoder.count_tokens(text) <= encoder.max_tokens)
    much = f"only the first {MOST_PASSAGES:,} of {len(passages):,} passages are embedded"
    return passages[:MOST_PASSAGES], much if len(passages) > MOST_PASSAGES else ""


def current_segment_name(source: Source, encoder: str) -> str:
    """The name of the segment that this version of the program makes of a source."""
    return segment_name(source, extractor_of(source.media_type), encoder)


def _fetch(
    catalog: Catalog,
    store: SourceStore,
    settings: Settings,
    notify: Notify,
    result: Build,
    *,
    http: HttpClient | None,
    spare: float,
) -> Mapping[str, Source | Attempt]:
    """What there is of each source of the catalog; counts in `result` what came anew."""
    total = len(catalog.source_ids)
    done = 0
    notify("find sources", 0, total, "")

    shown = catalog.names

    def progress(source_id: str, step: Step) -> None:
        nonlocal done
        result.added += step in ("fetched", "read")
        done += step != "asking"
        what = f"asking for {source_id}" if step == "asking" else f"{shown[source_id]} ({step})"
        notify("find sources", done, total, "" if step == "known" else what)

    fetcher = Fetcher(
        store, mirror=settings.mirror, offline=settings.offline, http=http, progress=progress
    )
    return fetcher.fetch(catalog, spare=spare)


def _documents(
    missing: Mapping[str, Source], store: SourceStore, settings: Settings
) -> Iterator[tuple[str, Document | SourceError]]:
    """The text of every missing segment's source, as it comes: from the cached documents at once,
    from worker processes where bytes have to be read."""
    unread: dict[str, str] = {}
    lost: list[tuple[str, SourceError]] = []
    for name, source in missing.items():
        if (cached := cached_document(source, settings)) is not None:
            yield name, cached
        else:
            unread[source.id] = name

    def tasks() -> Iterator[Task]:
        for source_id, name in unread.items():
            try:
                yield source_id, store.read(missing[name]), missing[name].media_type
            except SourceError as error:
                lost.append((name, error))

    for source_id, document in extract_isolated(
        tasks(), seconds=settings.pdf_seconds, memory_bytes=settings.pdf_memory_bytes
    ):
        name = unread[source_id]
        if isinstance(document, Document):
            cache_document(document, missing[name], settings)
        yield name, document
    yield from lost


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
