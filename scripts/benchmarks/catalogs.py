"""Synthetic catalogs of any size: works of invented words with random vectors, on disk.

Each work has what an indexed one has: bytes among the sources, a ledger entry, a document and a
segment, under the names that a build looks for. Beyond `unique` works the files repeat: they are
hard links under names and ids of their own, so that the folders have as many entries and the disk
need not hold ten million vectors.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from index.catalog import GithubLink, Listing
from index.documents.document import Document, Section
from index.documents.extract import extractor_of
from index.encoder import Vectors, embed
from index.files import append
from index.passages import Passage
from index.settings import Settings
from index.sources.store import Attempt, Source, SourceStore
from index.stores.segments import SegmentStore, make_segment, segment_name
from rag.prompt import Prompt

PER_WORK = 100
UNIQUE = 200
DIMENSION = 384
MEDIA_TYPE = "text/markdown"


class RandomEncoder:
    """A random direction for every text, the same for the same text."""

    name = "random"
    dimension = DIMENSION
    max_tokens = 1 << 20

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        seeds = [hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts]
        vectors = np.stack(
            [
                np.random.default_rng(int.from_bytes(seed, "little")).standard_normal(DIMENSION)
                for seed in seeds
            ]
        )
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit.astype(np.float32)

    encode_queries = encode_passages

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        return len(text.split())


def invented(number: int, passages: int = PER_WORK) -> tuple[Document, tuple[Passage, ...]]:
    """A document of invented sentences, two to a passage, that no other number shares."""
    rng = np.random.default_rng(number)
    text, cut = "", []
    for row in range(passages):
        start = len(text)
        ends = []
        for half in "ab":
            words = " ".join(f"w{word}" for word in rng.integers(0, 5000, 36))
            text += f"{words} {half}{number}x{row}."
            ends.append(len(text))
            text += " "
        spans = ((start, ends[0]), (ends[0] + 1, ends[1]))
        cut.append(Passage(start, ends[1], text[start : ends[1]], sentences=spans))
    document = Document(
        text=text,
        sections=(Section(0, len(text)),),
        page_starts=(),
        title=f"Work {number}",
        extractor=extractor_of(MEDIA_TYPE),
    )
    return document, tuple(cut)


class GrowingCatalog:
    """A data directory that grows to any number of works; a prompt lists work n as `listing(n)`."""

    def __init__(self, data_dir: Path, *, per_work: int = PER_WORK, unique: int = UNIQUE) -> None:
        self.settings = Settings(data_dir, offline=True)
        self.encoder = RandomEncoder()
        self.works = 0
        self._per_work = per_work
        self._unique = unique
        self._written: list[Source] = []
        self._store = SourceStore(self.settings.sources)
        self._segments = SegmentStore(self.settings.index)

    def grow(self, passages: int) -> None:
        """Add works until there are `passages` in all, rounded down to whole works."""
        while self.works < passages // self._per_work:
            if self.works < self._unique:
                self._write(self.works)
            else:
                self._link(self.works)
            self.works += 1

    def listing(self, number: int) -> Listing:
        """Work `number`."""
        link = GithubLink(f"https://github.com/bench/w{number:07}", "bench", f"w{number:07}")
        return Listing(f"Work {number}", "recommended", github=link)

    def prompt(self, question: str, works: int) -> Prompt:
        """A prompt that lists the first `works` works."""
        return Prompt.build(question, recommended=[self.listing(n) for n in range(works)])

    def vectors(self, works: int) -> tuple[list[tuple[str, int]], Vectors]:
        """Source id and start of every passage of the first works, and their vectors [n, d],
        computed anew: nothing is read from the disk."""
        keys: list[tuple[str, int]] = []
        rows = []
        for number in range(works):
            _, cut = invented(number, self._per_work)
            keys += [(self._id(number), passage.start) for passage in cut]
            rows.append(embed(self.encoder, cut)[0])
        return keys, np.concatenate(rows)

    def _id(self, number: int) -> str:
        (source_id,) = self.listing(number).source_ids
        return source_id

    def _name(self, source: Source) -> str:
        return segment_name(source, extractor_of(source.media_type), self.encoder.name)

    def _write(self, number: int) -> None:
        document, cut = invented(number, self._per_work)
        source = self._store.put(
            self._id(number),
            document.text.encode(),
            media_type=MEDIA_TYPE,
            origin="bench",
        )
        vectors = embed(self.encoder, cut)
        self._segments.save(make_segment(self._name(source), document, cut, *vectors))
        path = self.settings.documents / f"{number:032x}.document"
        path.parent.mkdir(exist_ok=True)
        path.write_text(document.to_json(), encoding="utf-8")
        self._written.append(source)

    def _link(self, number: int) -> None:
        """Add a work whose files are those of one that was written."""
        first = number % self._unique
        original = self._written[first]
        sha256 = hashlib.sha256(f"{original.sha256} {number}".encode()).hexdigest()
        source = replace(original, id=self._id(number), sha256=sha256)
        entry = Attempt(source.id, "2026-01-01T00:00:00+00:00", "bench", source=source)
        append(self._store.ledger(source.id), entry.to_json())
        documents = self.settings.documents
        for existing, path in (
            (self._store.folder / original.sha256, self._store.folder / sha256),
            (self._segments.path(self._name(original)), self._segments.path(self._name(source))),
            (documents / f"{first:032x}.document", documents / f"{number:032x}.document"),
        ):
            try:
                os.link(existing, path)
            except OSError:  # a file system that allows only so many links, or none
                with contextlib.suppress(FileExistsError):
                    path.symlink_to(existing.resolve())
