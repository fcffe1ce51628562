"""One segment per source: its passages and their FAISS vectors, in one checksummed file.

The file's name is a hash of (source bytes, extractor, splitter, encoder): whatever would change
the content changes the name, so a segment that exists is never out of date. Adding a work writes
one small file; the cost of an answer depends on the works it lists, not on the catalog.

A file holds a line of JSON about the segment, a line of JSON with the passages, the sentences'
vectors as raw float16, and a serialized FAISS index of the passages' vectors.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from index.documents import Document
from index.encoder import EMBEDDING, Encoder, Vectors, embed
from index.errors import SegmentError
from index.files import read_checksummed, write_checksummed
from index.passages import SPLITTER, Passage

if TYPE_CHECKING:
    from index.sources import Source

FORMAT = "segment/4"
COMPARED = 1_000_000_000
"""The modification time, in nanoseconds since 1970, of a segment whose checksum was compared:
whatever writes into the file afterwards gives it another one."""

PART = 1_024
"""Sentences of a long source that are embedded and written down together: a few seconds of work."""

SentenceVectors = npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """`vectors` is [n, d] float32 with rows of unit length: row i is passage i. `sentences` is
    [m, d] float16: a row for each sentence of each passage, in order. `document` is the hash of
    the text that the offsets count in."""

    name: str
    passages: tuple[Passage, ...]
    vectors: Vectors
    sentences: SentenceVectors
    document: str
    extractor: str
    title: str
    page_starts: tuple[int, ...]


def segment_name(source: Source, extractor: str, encoder: str) -> str:
    """32 hex digits that name the content a segment of this source would have."""
    key = json.dumps([FORMAT, source.sha256, extractor, SPLITTER, EMBEDDING, encoder])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def make_segment(
    name: str,
    document: Document,
    passages: tuple[Passage, ...],
    vectors: Vectors,
    sentences: Vectors,
) -> Segment:
    """Bind passages and vectors of one document. Raises ValueError where they do not match."""
    counts = len(passages), _sentence_count(passages)
    shapes = vectors.shape, sentences.shape
    if shapes != tuple((count, vectors.shape[-1]) for count in counts):
        raise ValueError(f"{counts[0]} passages, {counts[1]} sentences, vectors of shapes {shapes}")
    return Segment(
        name=name,
        passages=passages,
        vectors=np.ascontiguousarray(vectors, dtype=np.float32),
        # Half precision moves a cosine by less than 0.001, and halves the file.
        sentences=np.ascontiguousarray(sentences, dtype="<f2"),
        document=document.sha256,
        extractor=document.extractor,
        title=document.title,
        page_starts=document.page_starts,
    )


class SegmentStore:
    """The segments under one folder, opened by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where the segment of this name is, or would be."""
        return self.folder / f"{name}.segment"

    def save(self, segment: Segment) -> Path:
        """Write the segment, whole or not at all. Equal segments give equal bytes."""
        import faiss

        flat = faiss.IndexFlatIP(segment.vectors.shape[1] or 1)
        if len(segment.vectors):
            flat.add(segment.vectors)
        content = without_vectors(segment) + faiss.serialize_index(flat).tobytes()
        write_checksummed(path := self.path(segment.name), content)
        _date(path)
        return path

    def delete(self, names: Collection[str]) -> None:
        """See `index.stores.Store`."""
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def load(self, name: str) -> Segment:
        """The segment of this name, its file read once. Raises SegmentError where it is absent or
        damaged."""
        try:
            return unpack(name, self._content(name))
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise SegmentError(
                f"{self.path(name)} is not a segment of format {FORMAT} ({error}). Run `rag index`."
            ) from error

    def known(self, names: Collection[str]) -> frozenset[str]:
        """See Store. Whole or not."""
        # A Path takes longer to make than the system to look, and builds list ten thousand works.
        here = (name for name in names if os.path.exists(f"{self.folder}/{name}.segment"))  # noqa: PTH110
        return frozenset(here)

    def load_all(self, names: Collection[str]) -> Iterator[tuple[str, Segment | SegmentError]]:
        """See Store."""
        for name in names:
            try:
                yield name, self.load(name)
            except SegmentError as error:
                yield name, error

    def nearest(
        self, names: Collection[str], query: str, vector: Vectors, count: int
    ) -> frozenset[str]:
        """See Store: all of them."""
        return frozenset(names)

    def verify_all(self, names: Collection[str]) -> Iterator[tuple[str, SegmentError]]:
        """See Store. Each file is compared with its checksum, unless nothing was written into it
        since that was done."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                state = os.stat(f"{self.folder}/{name}.segment")  # noqa: PTH116 (see `known`)
                if state.st_mtime_ns == COMPARED:
                    continue
            try:
                self._content(name)
            except SegmentError as error:
                yield name, error
            else:
                _date(self.path(name))

    def _content(self, name: str) -> bytes:
        path = self.path(name)
        try:
            return read_checksummed(path)
        except FileNotFoundError:
            raise SegmentError(f"{path} does not exist. Run `rag index` to build it.") from None


def _date(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder of somebody else: compared at every build
        os.utime(path, ns=(COMPARED, COMPARED))


def without_vectors(segment: Segment) -> bytes:
    """All of a segment but the vectors of its passages; equal segments give equal bytes."""
    header = {
        "format": FORMAT,
        "document": segment.document,
        "extractor": segment.extractor,
        "title": segment.title,
        "page_starts": segment.page_starts,
        "passages": len(segment.passages),
        "dimension": segment.vectors.shape[1],
    }
    passages = [
        [p.start, p.end, p.text, p.heading, p.pages, p.sentences, p.lost] for p in segment.passages
    ]
    lines = [json.dumps(part, ensure_ascii=False) + "\n" for part in (header, passages)]
    return "".join(lines).encode() + segment.sentences.tobytes()


def unpack(name: str, content: bytes, vectors: Vectors | None = None) -> Segment:
    """The inverse of `without_vectors`; where no vectors are given, a FAISS index follows in the
    content. Raises KeyError, ValueError, TypeError or RuntimeError for what is no segment."""
    head, body, _ = content.split(b"\n", 2)
    header = json.loads(head)
    if header["format"] != FORMAT:
        raise ValueError(f"format {header['format']!r}")
    passages = tuple(
        Passage(
            start,
            end,
            text,
            heading,
            tuple(pages),
            tuple((a, b) for a, b in sentences),
            tuple(lost),
        )
        for start, end, text, heading, pages, sentences, lost in json.loads(body)
    )
    count, dimension = _sentence_count(passages), header["dimension"]
    offset = len(head) + len(body) + 2
    sentences = np.frombuffer(content, dtype="<f2", count=count * dimension, offset=offset)
    if vectors is None:
        import faiss

        index = np.frombuffer(content, dtype=np.uint8, offset=offset + sentences.nbytes)
        flat = faiss.deserialize_index(index)
        # FAISS reads no vectors out of an empty index.
        vectors = flat.reconstruct_n() if flat.ntotal else np.zeros((0, dimension), np.float32)
    if not len(vectors) == len(passages) == header["passages"]:
        raise ValueError(f"{header['passages']} passages, {len(vectors)} vectors")
    return Segment(
        name=name,
        passages=passages,
        vectors=vectors,
        sentences=sentences.reshape(count, dimension),
        document=header["document"],
        extractor=header["extractor"],
        title=header["title"],
        page_starts=tuple(header["page_starts"]),
    )


def _sentence_count(passages: Iterable[Passage]) -> int:
    return sum(len(passage.sentences) for passage in passages)


def embed_in_parts(
    folder: Path, name: str, encoder: Encoder, passages: Sequence[Passage]
) -> tuple[Vectors, Vectors]:
    """As `index.encoder.embed`; the vectors of a long source are written down in `folder` part by
    part, so that a kill loses one part. `name` is that of the segment they are for: whatever would
    change a vector changes it."""
    groups = list(_groups(passages))
    if len(groups) < 2:
        return embed(encoder, passages)
    pairs = [
        _part(folder / f"{name}-{number}.vectors", encoder, group)
        for number, group in enumerate(groups)
    ]
    vectors, sentences = zip(*pairs, strict=True)
    return np.concatenate(vectors), np.concatenate(sentences)


def _part(path: Path, encoder: Encoder, group: Sequence[Passage]) -> tuple[Vectors, Vectors]:
    rows = len(group) + _sentence_count(group)
    with contextlib.suppress(FileNotFoundError, SegmentError, ValueError):
        both = np.frombuffer(read_checksummed(path), np.float32)
        both = both.reshape(rows, encoder.dimension)
        return both[: len(group)], both[len(group) :]
    vectors, sentences = embed(encoder, group)
    write_checksummed(path, np.concatenate([vectors, sentences]).astype("f4").tobytes())
    return vectors, sentences


def sweep_vectors(folder: Path, segments: Collection[str]) -> None:
    """Remove the parts of these segments, once they are saved."""
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
