"""Catalog → segments: fetch what is missing, read it, cut it, embed it, keep it.

What is already there is left alone. Every source becomes one file on its own, so that a build
that is killed loses at most the source in hand, and one bad source costs one source.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from index.catalog import Catalog
from index.document import Document
from index.embedding import embed
from index.encoder import Encoder
from index.errors import SegmentError, SourceError
from index.extract import extractor_of
from index.fetch import Fetcher, Step
from index.isolation import Task, extract_isolated
from index.passages import split
from index.progress import Notify, silent
from index.sealed import seal, sweep, unseal
from index.segments import SegmentStore, make_segment, segment_name
from index.settings import Settings
from index.sources import Attempt, Source, SourceStore

log = logging.getLogger(__name__)

SPARE_SECONDS = 600.0
"""For so long an answer does not ask the network again for what it just refused."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """What there is of one source: its bytes, and the segment made of them. `reason` is ""
    exactly when both are there."""

    source_id: str
    source: Source | None = None
    segment: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """What a build found and did. `states` has every source of the catalog, by id."""

    states: Mapping[str, SourceState]
    fetched: int = 0
    embedded: int = 0
    passages: int = 0
    damaged: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[SourceState, ...]:
        """The sources of which nothing can be used, by id."""
        return tuple(state for _, state in sorted(self.states.items()) if state.reason)


def build(
    catalog: Catalog,
    settings: Settings,
    encoder: Encoder,
    *,
    notify: Notify = silent,
    retry: bool = True,
) -> Build:
    """Bring the index up to date with `catalog`, vectors by `encoder`. With `retry` off, a source
    that could not be had a moment ago is not asked for again. Whatever is wrong with a single
    source stands in its state; nothing is raised for it."""
    store = SourceStore(settings.sources)
    found, fetched = _fetch(catalog, store, settings, notify, spare=0 if retry else SPARE_SECONDS)
    segments = SegmentStore(settings.index)
    segments.sweep()
    sweep(settings.documents)

    states: dict[str, SourceState] = {}
    missing: dict[str, Source] = {}
    damaged = []
    for source_id, outcome in found.items():
        if not isinstance(outcome, Source):
            states[source_id] = SourceState(source_id, reason=outcome.reason)
            continue
        name = segment_name(outcome, extractor_of(outcome.media_type), encoder.name)
        states[source_id] = SourceState(source_id, outcome, name)
        try:
            if not segments.intact(name):
                missing[name] = outcome
        except SegmentError as error:
            log.warning("%s is rebuilt: %s", source_id, error)
            damaged.append(source_id)
            missing[name] = outcome

    def fits(text: str) -> bool:
        return encoder.count_tokens(text) <= encoder.max_tokens

    passages = embedded = 0
    notify("read and embed", 0, len(missing), "")
    for done, (name, document) in enumerate(_documents(missing, store, settings), start=1):
        source = missing[name]
        if isinstance(document, Document):
            cut = split(document, fits=fits)
            segments.save(make_segment(name, document, cut, *embed(encoder, cut)))
            embedded += 1
            passages += len(cut)
        else:
            store.fail(source.id, source.origin, document.reason)
            for state in [s for s in states.values() if s.segment == name]:
                states[state.source_id] = SourceState(
                    state.source_id, source, reason=document.reason
                )
        notify("read and embed", done, len(missing), source.id)
    return Build(
        states=states,
        fetched=fetched,
        embedded=embedded,
        passages=passages,
        damaged=tuple(damaged),
    )


def _fetch(
    catalog: Catalog, store: SourceStore, settings: Settings, notify: Notify, *, spare: float
) -> tuple[Mapping[str, Source | Attempt], int]:
    """What there is of each source, and how many were not here before."""
    total = len(catalog.source_ids)
    ended: list[Step] = []
    notify("fetch", 0, total, "")

    def progress(source_id: str, step: Step) -> None:
        if step == "asking":
            notify("fetch", len(ended), total, f"asking for {source_id}")
        else:
            ended.append(step)
            # What is kept already, or was refused a moment ago, is no news.
            what = "" if step in {"already kept", "spared"} else f"{source_id} ({step})"
            notify("fetch", len(ended), total, what)

    fetcher = Fetcher(store, mirror=settings.mirror, offline=settings.offline, progress=progress)
    return fetcher.fetch(catalog, spare=spare), ended.count("fetched")


def _documents(
    missing: Mapping[str, Source], store: SourceStore, settings: Settings
) -> Iterator[tuple[str, Document | SourceError]]:
    """The text of every missing segment's source, as it comes: from the kept documents at once,
    from worker processes where bytes have to be read."""
    unread: dict[str, tuple[str, Source]] = {}
    lost: list[tuple[str, SourceError]] = []
    for name, source in missing.items():
        if (document := kept_document(source, settings)) is not None:
            yield name, document
        else:
            unread[source.id] = name, source

    def tasks() -> Iterator[Task]:
        for name, source in unread.values():
            try:
                yield source.id, store.read(source), source.media_type
            except SourceError as error:
                lost.append((name, error))

    for source_id, outcome in extract_isolated(
        tasks(), seconds=settings.pdf_seconds, memory_bytes=settings.pdf_memory_bytes
    ):
        name, source = unread[source_id]
        if isinstance(outcome, Document):
            keep_document(source, outcome, settings)
        yield name, outcome
    yield from lost


def _document_path(source: Source, settings: Settings) -> Path:
    key = f"{source.sha256}\n{extractor_of(source.media_type)}"
    return settings.documents / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.document"


def keep_document(source: Source, document: Document, settings: Settings) -> None:
    """Keep the text of a source, so that nobody has to read its bytes again."""
    seal(_document_path(source, settings), document.to_json().encode())


def kept_document(source: Source, settings: Settings) -> Document | None:
    """The text of a source, where it was read before and is kept undamaged."""
    path = _document_path(source, settings)
    if not path.exists():
        return None
    try:
        return Document.from_json(unseal(path).decode())
    except SegmentError as error:
        log.warning("read again: %s", error)
        return None
