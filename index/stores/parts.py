"""The vectors of a long source, written down part by part, so that a kill loses one part."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from index.encoder import Encoder, Vectors, embed
from index.errors import SegmentError
from index.files import read_checksummed, write_checksummed
from index.passages import Passage

PART = 1_024  # sentences: a few seconds of work


class UnfinishedVectors:
    """`name` is that of the segment they are for: whatever would change a vector changes it."""

    def __init__(self, folder: Path, name: str, encoder: Encoder) -> None:
        self.folder = folder
        self.name = name
        self.encoder = encoder

    def embed(self, passages: Sequence[Passage]) -> tuple[Vectors, Vectors]:
        """As `index.encoder.embed`. A source of one part writes nothing."""
        groups = list(_groups(passages))
        if len(groups) < 2:
            return embed(self.encoder, passages)
        pairs = [self._part(number, group) for number, group in enumerate(groups)]
        vectors, sentences = zip(*pairs, strict=True)
        return np.concatenate(vectors), np.concatenate(sentences)

    def delete(self) -> None:
        """Once the segment is saved."""
        for path in self.folder.glob(f"{self.name}-*"):
            path.unlink(missing_ok=True)

    def _part(self, number: int, group: Sequence[Passage]) -> tuple[Vectors, Vectors]:
        path = self.folder / f"{self.name}-{number}.vectors"
        rows = len(group) + sum(len(passage.sentences) for passage in group)
        with contextlib.suppress(FileNotFoundError, SegmentError, ValueError):
            both = np.frombuffer(read_checksummed(path), np.float32)
            both = both.reshape(rows, self.encoder.dimension)
            return both[: len(group)], both[len(group) :]
        vectors, sentences = embed(self.encoder, group)
        write_checksummed(path, np.concatenate([vectors, sentences]).astype("f4").tobytes())
        return vectors, sentences


def sweep_vectors(folder: Path, segments: Collection[str]) -> None:
    """Remove the parts of these segments, which a kill left between `save` and `delete`."""
    for path in folder.glob("*.vectors"):
        if path.name.partition("-")[0] in segments:
            path.unlink(missing_ok=True)


def _groups(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Consecutive passages with some `PART` sentences together."""
    group: list[Passage] = []
    count = 0
    for passage in passages:
        group.append(passage)
        count += len(passage.sentences)
        if count >= PART:
            yield group
            group, count = [], 0
    if group:
        yield group
