"""What it will cost to embed anew what is kept already: after a change of the encoder, or of a
version that goes into a segment's name.

Counted, not guessed, where that is cheap: the sources. Inferred from a sample of their documents:
passages and disk. Measured: the speed, in the last build by the same encoder, or else here and
now on the sample's first passages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from index import journal
from index.catalog import Catalog
from index.embedding import embed
from index.encoder import Encoder
from index.extract import extractor_of
from index.kept import document_path, kept_document
from index.passages import Passage, split
from index.segments import SegmentStore, packed_size, segment_name
from index.settings import Settings
from index.sources import Source, SourceStore

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
    home is known to be indexed with, beside the one that is asked about. `measured` says on what
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
        document = kept_document(anew[name], settings)
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
