"""One segment per source: its passages and their FAISS vectors, in one sealed file.

The file's name is a hash of (source bytes, extractor, splitter, encoder): whatever would change
the content changes the name, so a segment that exists is never out of date. Adding a work writes
one small file; the cost of an answer depends on the works it lists, not on the catalog.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from index.documents.document import Document
from index.encoder import EMBEDDING, Vectors
from index.errors import SegmentError
from index.files import read_checksummed, sweep, write_checksummed
from index.passages import SPLITTER, Passage

if TYPE_CHECKING:
    from index.sources.store import Source

FORMAT = "segment/2"

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
    if vectors.ndim != 2 or len(vectors) != len(passages):
        raise ValueError(f"{len(passages)} passages, vectors of shape {vectors.shape}")
    if sentences.shape != (_sentences(passages), vectors.shape[1]):
        raise ValueError(f"{_sentences(passages)} sentences, vectors of shape {sentences.shape}")
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
        path = self.path(segment.name)
        write_checksummed(path, _pack(segment))
        return path

    def load(self, name: str) -> Segment:
        """The segment of this name. Raises SegmentError where it is absent or damaged."""
        path = self.path(name)
        if not path.exists():
            raise SegmentError(f"{path} does not exist. Run `rag index` to build it.")
        content = read_checksummed(path)
        try:
            return _unpack(name, content)
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise SegmentError(
                f"{path} is not a segment of format {FORMAT} ({error}). Run `rag index`."
            ) from error

    def intact(self, name: str) -> bool:
        """Whether the segment is here and its checksum holds. False for a damaged one, which
        is the caller's to report and rebuild."""
        path = self.path(name)
        if not path.exists():
            return False
        read_checksummed(path)
        return True

    def size(self, name: str) -> int:
        """How many passages the segment says it has; its first line is read, and nothing checked.
        Raises SegmentError where it has no such line."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                return int(json.loads(file.readline())["passages"])
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise SegmentError(f"{path} cannot be read ({error}). Run `rag index`.") from error

    def names(self) -> Iterator[str]:
        """The names of all segments here, sorted."""
        return iter(sorted(path.stem for path in self.folder.glob("*.segment")))

    def sweep(self) -> None:
        """Remove what a killed build left half written."""
        sweep(self.folder)


def packed_size(passages: Iterable[Passage], dimension: int) -> int:
    """About the bytes that passages take up in a file, vectors of `dimension` included."""
    found = 0
    for passage in passages:
        found += len(_passage_line(passage).encode()) + 1
        found += dimension * (4 + 2 * len(passage.sentences))
    return found


def _pack(segment: Segment) -> bytes:
    import faiss

    flat = faiss.IndexFlatIP(segment.vectors.shape[1] or 1)
    if len(segment.vectors):
        flat.add(segment.vectors)
    lines = [_passage_line(passage) for passage in segment.passages]
    header = {
        "format": FORMAT,
        "document": segment.document,
        "extractor": segment.extractor,
        "title": segment.title,
        "page_starts": segment.page_starts,
        "passages": len(lines),
        "dimension": segment.vectors.shape[1],
    }
    text = "\n".join([json.dumps(header, ensure_ascii=False, sort_keys=True), *lines]) + "\n"
    return text.encode() + segment.sentences.tobytes() + faiss.serialize_index(flat).tobytes()


def _unpack(name: str, content: bytes) -> Segment:
    import faiss

    first = content.index(b"\n")
    header: dict[str, Any] = json.loads(content[:first])
    if header["format"] != FORMAT:
        raise ValueError(f"format {header['format']!r}")
    at = first + 1
    passages = []
    for _ in range(header["passages"]):
        end = content.index(b"\n", at)
        passages.append(_passage(json.loads(content[at:end])))
        at = end + 1
    rows, dimension = _sentences(passages), header["dimension"]
    sentences = np.frombuffer(content, dtype="<f2", count=rows * dimension, offset=at)
    at += sentences.nbytes
    flat = faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8, offset=at))
    if flat.ntotal != len(passages):
        raise ValueError(f"{len(passages)} passages, {flat.ntotal} vectors")
    vectors = (
        flat.reconstruct_n(0, flat.ntotal)
        if flat.ntotal
        else np.zeros((0, flat.d), dtype=np.float32)
    )
    return Segment(
        name=name,
        passages=tuple(passages),
        vectors=vectors,
        sentences=sentences.reshape(rows, dimension),
        document=header["document"],
        extractor=header["extractor"],
        title=header["title"],
        page_starts=tuple(header["page_starts"]),
    )


def _sentences(passages: Iterable[Passage]) -> int:
    return sum(len(passage.sentences) for passage in passages)


def _passage_line(passage: Passage) -> str:
    fields = [
        passage.start,
        passage.end,
        passage.text,
        passage.heading,
        passage.pages,
        passage.sentences,
    ]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _passage(fields: list[Any]) -> Passage:
    start, end, text, heading, pages, sentences = fields
    return Passage(
        start=start,
        end=end,
        text=text,
        heading=heading,
        pages=tuple(pages),
        sentences=tuple((first, last) for first, last in sentences),
    )
