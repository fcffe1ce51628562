"""Catalog → segments: fetch what is missing, read it, cut it, embed it, keep it.

What is already there is left alone. Every source becomes one file on its own, so that a build
that is killed loses at most the source in hand, and one bad source costs one source.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from index import files as journal
from index.catalog import Catalog
from index.documents.document import Document
from index.documents.extract import cache_document, cached_document, document_path, extractor_of
from index.documents.worker import Task, extract_isolated
from index.encoder import Encoder, embed
from index.errors import SegmentError, SourceError
from index.files import sweep
from index.passages import Passage, split
from index.settings import Settings
from index.sources.fetch import Fetcher, Step
from index.sources.store import Attempt, Source, SourceStore
from index.stores.segments import SegmentStore, make_segment, packed_size, segment_name

Notify = Callable[[str, int, int, str], None]
"""`notify(stage, done, total, what)`: `what` was just dealt with, `done` of `total` are behind
us. The first call of a stage has `done` 0."""


def silent(stage: str, done: int, total: int, what: str) -> None:
    """Tell nobody."""


SAMPLE = 8
"""Documents from which the number of passages is inferred."""
FIRST_BATCH = 96
"""Passages that are embedded to measure the speed; a sixth of them before the clock starts."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one build embedded: `encoder` as segments are named by it, `called` as the user named
    it, `seconds` in the encoder alone, `disk` in bytes."""

    when: str
    encoder: str
    called: str
    sources: int
    passages: int
    seconds: float
    disk: int

    @classmethod
    def from_json(cls, line: bytes) -> Record:
        """Raises ValueError for what is no record."""
        try:
            record = cls(**json.loads(line))
        except (TypeError, RecursionError) as error:
            raise ValueError(f"not a record of a build: {error}") from error
        numbers = record.sources, record.passages, record.seconds, record.disk
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("not a record of a build: what should be numbers are none")
        return record


@dataclass(frozen=True, slots=True)
class Estimate:
    """`passages`, `seconds` and `disk` (bytes) are estimates. `others` are the encoders that this
    data_dir is known to be indexed with, beside the one that is asked about. `measured` says on what
    the speed was measured."""

    sources: int
    passages: int
    seconds: float
    disk: int
    others: tuple[str, ...]
    measured: str


def write_down(settings: Settings, encoder: str, **done: Any) -> None:
    """Record a build that embedded something."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    record = Record(when=when, encoder=encoder, called=settings.encoder, **done)
    journal.append(_records(settings), json.dumps(asdict(record)))


def estimate(catalog: Catalog, settings: Settings, encoder: Encoder) -> Estimate | None:
    """What is to be embedded anew for `catalog`; None where there is nothing. Only what was read
    before is counted: how much is in a paper that is not here yet, nobody knows."""
    store, segments = SourceStore(settings.sources), SegmentStore(settings.index)
    anew: dict[str, Source] = {}
    sizes: dict[str, int] = {}
    for source in filter(None, map(store.get, catalog.source_ids)):
        name = segment_name(source, extractor_of(source.media_type), encoder.name)
        path = document_path(source, settings)
        if not segments.path(name).exists() and path.exists():
            anew[name], sizes[name] = source, path.stat().st_size
    sample, read = _sample(anew, sizes, settings, encoder)
    if not sample:
        return None
    growth = sum(sizes.values()) / read
    records = journal.read(_records(settings), Record.from_json)
    own = [item for item in records if item.encoder == encoder.name and item.seconds > 0]
    if own:
        rate, measured = own[-1].passages / own[-1].seconds, "in the last build"
    else:
        rate, count = _measured(encoder, sample)
        measured = f"on {count} of them just now"
    passages = len(sample) * growth
    return Estimate(
        sources=len(anew),
        passages=round(passages),
        seconds=passages / rate,
        disk=round(packed_size(sample, encoder.dimension) * growth),
        others=tuple(sorted({item.called for item in records if item.encoder != encoder.name})),
        measured=f"{rate:.0f} passages a second, measured {measured}",
    )


def _sample(
    anew: Mapping[str, Source], sizes: Mapping[str, int], settings: Settings, encoder: Encoder
) -> tuple[list[Passage], int]:
    """The passages of a few documents, small ones and large ones, and the bytes of their files."""
    ordered = sorted(sizes, key=lambda name: (sizes[name], name))
    step = max(1, len(ordered) // SAMPLE)
    passages: list[Passage] = []
    read = 0
    for name in ordered[step // 2 :: step]:
        document = cached_document(anew[name], settings)
        if document is not None:
            passages += split(
                document, fits=lambda text: encoder.count_tokens(text) <= encoder.max_tokens
            )
            read += sizes[name]
    return passages, read


def _measured(encoder: Encoder, sample: Sequence[Passage]) -> tuple[float, int]:
    """Passages a second, and on how many that was measured."""
    # Spread over the sample: one document alone may have short sentences.
    chosen = sample[:: max(1, len(sample) // FIRST_BATCH)][:FIRST_BATCH]
    warm = len(chosen) // 6
    embed(encoder, chosen[: max(1, warm)])
    began = time.perf_counter()
    embed(encoder, chosen[warm:])
    return (len(chosen) - warm) / max(time.perf_counter() - began, 1e-9), len(chosen) - warm


def _records(settings: Settings) -> Path:
    return settings.index / "builds.jsonl"


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

    passages = embedded = size = 0
    seconds = 0.0
    notify("read and embed", 0, len(missing), "")
    for done, (name, document) in enumerate(_documents(missing, store, settings), start=1):
        source = missing[name]
        if isinstance(document, Document):
            cut = split(document, fits=fits)
            began = time.perf_counter()
            vectors = embed(encoder, cut)
            seconds += time.perf_counter() - began
            size += segments.save(make_segment(name, document, cut, *vectors)).stat().st_size
            embedded += 1
            passages += len(cut)
        else:
            store.fail(source.id, source.origin, document.reason)
            for state in [s for s in states.values() if s.segment == name]:
                states[state.source_id] = SourceState(
                    state.source_id, source, reason=document.reason
                )
        notify("read and embed", done, len(missing), source.id)
    if passages:
        write_down(
            settings,
            encoder.name,
            sources=embedded,
            passages=passages,
            seconds=seconds,
            disk=size,
        )
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
        if (document := cached_document(source, settings)) is not None:
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
            cache_document(outcome, source, settings)
        yield name, outcome
    yield from lost
