"""Some tens of thousands of passages in one file, ready to be scored for any query.

A shard is made of whole segments and holds what scoring needs of them: the passages' vectors and
the terms that BM25 counts, as arrays that are mapped into memory. Its name is a hash of what it
was made of, so a shard that exists is never out of date. Its head is sealed; a changed bit in the
arrays moves a score, or is noticed. It holds no text: what is found is read from the segments,
which are sealed. Knows nothing of how shards are put together
(`rag.retrieval.whole_catalog`).
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from index.encoder import Vectors
from index.errors import SegmentError
from index.files import parts_of, write_atomically
from index.stores.segments import Segment
from rag.retrieval.retrieve import counted_text
from rag.retrieval.scoring import HEADING_WEIGHT, TERMS, Scores, terms

FORMAT = "shard/2"
_ALIGNED = 64

Keys = npt.NDArray[np.uint64]


class ShardError(SegmentError):
    """A shard whose arrays make no sense: it can be made again."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path} is damaged: {message}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Held:
    """A work in a shard: the first of the ids its text is known by, its segment, its passages."""

    source_id: str
    segment: str
    passages: int


def shard_name(works: Iterable[tuple[str, str]]) -> str:
    """32 hex digits that name a shard of these (source id, segment), in this order."""
    key = json.dumps([FORMAT, TERMS, HEADING_WEIGHT, list(works)])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def term_keys(words: Sequence[str]) -> Keys:
    """A 64-bit hash for each term. That two of a million terms have one hash, and count as one
    term, happens in one catalog of thirty million."""
    digests = (hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)


class Shard:
    """An open shard. Rows are the passages of its works, work by work, in reading order."""

    def __init__(self, path: Path) -> None:
        """Raises SegmentError where the file is not a whole shard."""
        self.path = path
        try:
            with path.open("rb") as file:
                head, seal = file.readline(), file.readline()
                if hashlib.sha256(head).hexdigest().encode() != seal[:-1]:
                    raise ValueError("its head is not what was written")
                header: dict[str, Any] = json.loads(head)
                self._first = -(-file.tell() // _ALIGNED) * _ALIGNED
            self._arrays: dict[str, tuple[str, list[int], int]] = header["arrays"]
            self.works = tuple(Held(*work) for work in header["works"])
            self.total_terms = int(header["terms"])
            if header["format"] != FORMAT or path.stat().st_size != self._first + header["bytes"]:
                raise ValueError("it is cut short or of another format")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SegmentError(f"{path} is no shard: {error}") from error

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """[works + 1]: the row at which each work begins, and the number of rows."""
        return np.cumsum([0, *(work.passages for work in self.works)])

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @cached_property
    def owners(self) -> npt.NDArray[np.int64]:
        """[n]: the number of the work that each row is of."""
        return np.repeat(np.arange(len(self.works)), np.diff(self.offsets))

    def cosines(self, vector: Vectors) -> Scores:
        """[n]: of every passage with a query, in single precision. The vectors are mapped for this
        call alone: what is resident stays one shard's. Raises ShardError where some are none."""
        with np.errstate(all="ignore"):
            found: Scores = (self._map("vectors") @ vector).astype(np.float64)
        if not np.isfinite(found).all():
            raise ShardError(self.path, "a vector is none")
        return found

    def vectors(self, rows: npt.NDArray[np.int64]) -> Vectors:
        """[len(rows), d]: those of some passages."""
        found: Vectors = np.array(self._map("vectors")[rows])
        return found

    def starts(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[len(rows)]: where passages begin in their documents."""
        starts: npt.NDArray[np.int64] = self._map("starts")[rows].astype(np.int64)
        return starts

    def lengths(self) -> npt.NDArray[np.int64]:
        """[n]: the terms of each passage."""
        lengths: npt.NDArray[np.int64] = self._map("lengths").astype(np.int64)
        return lengths

    def postings(self, keys: Keys) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """For each term the rows that hold it and how often they do. Raises ShardError where there
        are no such rows."""
        vocabulary, ends = self._map("vocabulary"), self._map("ends")
        rows, counts = self._map("rows"), self._map("counts")
        found = []
        for key, at in zip(keys, np.searchsorted(vocabulary, keys), strict=True):
            here = at < len(vocabulary) and vocabulary[at] == key
            span = slice(int(ends[at]), int(ends[at + 1])) if here else slice(0, 0)
            if len(rows[span]) and rows[span].max() >= len(self):
                raise ShardError(self.path, "a term stands in a passage that is not there")
            found.append((rows[span].astype(np.int64), counts[span].astype(np.int64)))
        return found

    def _map(self, name: str) -> npt.NDArray[Any]:
        dtype, shape, at = self._arrays[name]
        if 0 in shape:
            return np.zeros(shape, dtype=dtype)
        return np.memmap(
            self.path, dtype=dtype, mode="r", offset=self._first + at, shape=tuple(shape)
        )


def write_shard(folder: Path, works: Sequence[tuple[str, Segment]]) -> Path:
    """Make the shard of these (source id, segment), all of one encoder, whole or not at all."""
    held = [(source_id, segment.name, len(segment.passages)) for source_id, segment in works]
    passages = [passage for _, segment in works for passage in segment.passages]
    vectors = np.concatenate([segment.vectors for _, segment in works])
    lengths = np.zeros(len(passages), dtype=np.uint16)
    numbers: dict[str, int] = {}
    columns = array("I"), array("I"), array("H")  # term, row, count
    for row, passage in enumerate(passages):
        counted = Counter(terms(counted_text(passage)))
        lengths[row] = counted.total()
        for term, count in counted.items():
            for column, value in zip(
                columns, (numbers.setdefault(term, len(numbers)), row, count), strict=True
            ):
                column.append(value)
    numbered, rows, counts = (np.array(column, dtype=np.int64) for column in columns)
    keys = term_keys(list(numbers))
    of_posting = keys[numbered] if len(numbered) else np.zeros(0, dtype=np.uint64)
    order = np.argsort(of_posting, kind="stable")  # rows stay ascending within a term
    vocabulary, sizes = np.unique(of_posting, return_counts=True)
    arrays: dict[str, npt.NDArray[Any]] = {
        "vectors": np.ascontiguousarray(vectors, dtype="<f4"),
        "starts": np.array([passage.start for passage in passages], dtype="<u4"),
        "lengths": lengths.astype("<u2"),
        "vocabulary": vocabulary.astype("<u8"),
        "ends": np.cumsum([0, *sizes]).astype("<u8"),
        "rows": rows[order].astype("<u4"),
        "counts": counts[order].astype("<u2"),
    }
    pieces: list[bytes] = []
    places, end = {}, 0
    for name, values in arrays.items():
        padding = -end % _ALIGNED
        places[name] = values.dtype.str, list(values.shape), end + padding
        pieces += [bytes(padding), values.tobytes()]
        end += padding + values.nbytes
    header = {
        "format": FORMAT,
        "works": held,
        "terms": int(lengths.sum(dtype=np.int64)),
        "arrays": places,
        "bytes": end,
    }
    head = json.dumps(header).encode() + b"\n"
    first = head + hashlib.sha256(head).hexdigest().encode() + b"\n"
    path = folder / f"{shard_name([(source_id, name) for source_id, name, _ in held])}.shard"
    whole = b"".join([first, bytes(-len(first) % _ALIGNED), *pieces])
    write_atomically(path, whole, parts=parts_of(folder))
    return path
