"""Search over everything that a data directory holds, and not over the works of one prompt.

It is exact, and one stage: every passage gets the score that `rag.retrieval.search` would give it
if all works were listed (cosine and BM25, each standardised over all passages, BM25 with its
neighbours' share), with the statistics of the whole catalog. Vectors and terms are read from a few
large files (`rag.retrieval.shards`) that are made of the segments; text is read of what is found alone.

Beyond that ranking there is one difference to a prompt that lists everything: text that several
sources share is searched once, under the first of their ids.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from index.build import Notify, silent
from index.documents.extract import extractor_of
from index.encoder import Vectors
from index.errors import SegmentError
from index.files import parts_of, sweep, write_atomically
from index.settings import Settings
from index.sources.store import SourceStore, source_type_of
from index.stores.segments import Segment, SegmentStore, segment_name
from rag.retrieval.evidence import Hit
from rag.retrieval.scoring import (
    Scores,
    length_norms,
    similarities,
    terms,
    weights,
    with_neighbours,
)
from rag.retrieval.shards import Keys, Shard, ShardError, term_keys, write_shard

log = logging.getLogger(__name__)

SHARD = 16_384
"""Passages from which on a shard is full: 25 MB of vectors at 384 dimensions."""
MARGIN = 1e-3
"""How far, in standard deviations, single precision may have moved a score. By far not so far."""


class CatalogStore(Protocol):
    """Where everything indexed is searched: the seam at which another store (a server, several
    machines) takes the place of files on this one."""

    def best(self, query: str, vector: Vectors, k: int) -> tuple[Hit, ...]:
        """The `k` best passages for `query`, whose vector is `vector` [d], best first; fewer where
        there are fewer. By which ranking, and whether exactly, is the store's to say."""


class ShardedCatalog:
    """The exact `CatalogStore` of this machine, over the segments that a data directory holds of one
    encoder. Memory: 40 bytes a passage, and one shard's vectors at a time."""

    def __init__(
        self,
        settings: Settings,
        encoder_name: str,
        *,
        notify: Notify = silent,
        shard_size: int = SHARD,
    ) -> None:
        self._encoder_name = encoder_name
        self._folder = settings.catalog / encoder_name
        self._segments = SegmentStore(settings.index)
        self._sources = SourceStore(settings.sources)
        self._notify = notify
        self._size = shard_size
        self._seen = ""
        self._shards: list[Shard] = []

    def best(self, query: str, vector: Vectors, k: int) -> tuple[Hit, ...]:
        """See CatalogStore. Exact; ties by source id and place."""
        self.refresh()
        try:
            return self._best(query, vector, k)
        except FileNotFoundError:  # another search has just united shards that this one had open
            pass
        except ShardError as error:
            log.warning("made again: %s", error)
            error.path.unlink(missing_ok=True)
        self._seen = ""
        self.refresh()
        return self._best(query, vector, k)

    def _best(self, query: str, vector: Vectors, k: int) -> tuple[Hit, ...]:
        shards = [shard for shard in self._shards if len(shard)]
        if not shards or k < 1:
            return ()
        dense = [shard.cosines(vector) for shard in shards]
        lexical = _bm25(shards, query)
        near, alone = _Scale(dense), _Scale(lexical)
        shared = [
            with_neighbours(alone(scores), shard.owners)
            for shard, scores in zip(shards, lexical, strict=True)
        ]
        worded = _Scale(shared)
        fused = [near(here) + worded(there) for here, there in zip(dense, shared, strict=True)]
        ranked: list[tuple[tuple[float, str, int], Shard, int, float, float]] = []
        for number, rows in _near_the_top(fused, k):
            shard = shards[number]
            # As every other search computes it: equal passages score alike wherever they stand.
            cosines = similarities(shard.vectors(rows), vector)
            scores = near(cosines) + worded(shared[number][rows])
            starts = shard.starts(rows)
            ranked += [
                (
                    (-score, shard.works[owner].source_id, start),
                    shard,
                    row,
                    cosine,
                    float(lexical[number][row]),
                )
                for score, owner, start, row, cosine in zip(
                    scores.tolist(),
                    shard.owners[rows].tolist(),
                    starts.tolist(),
                    rows.tolist(),
                    cosines.tolist(),
                    strict=True,
                )
            ]
        ranked.sort(key=lambda item: item[0])
        return tuple(
            self._hit(shard, row, -key[0], cosine, words)
            for key, shard, row, cosine, words in ranked[:k]
        )

    def __len__(self) -> int:
        """How many passages were searched last."""
        return sum(map(len, self._shards))

    def refresh(self) -> None:
        """Take up what was indexed since. Where nothing was, this looks at the names of the
        segments and at nothing else."""
        names = {path.stem for path in self._segments.folder.glob("*.segment")}
        if not names:  # and nothing is made in a data directory that holds nothing
            self._seen, self._shards = "", []
            return
        state = json.dumps([sorted(names), self._sources.state()])
        seen = hashlib.sha256(state.encode()).hexdigest()
        if seen == self._seen:
            return
        shards = self._listed(seen)
        if shards is None:
            shards = self._rebuilt(self._wanted(names))
            listed = json.dumps({"seen": seen, "shards": [shard.path.name for shard in shards]})
            # Last: a list that exists names shards that are whole.
            parts = parts_of(self._folder)
            write_atomically(self._folder / "shards.json", listed.encode(), parts=parts)
            for path in self._folder.glob("*.shard"):
                if path not in {shard.path for shard in shards}:
                    path.unlink(missing_ok=True)
        self._seen, self._shards = seen, shards

    def _listed(self, seen: str) -> list[Shard] | None:
        """The shards that were there when the data directory was last in this state; None where it never
        was, or where one is gone."""
        try:
            listed = json.loads((self._folder / "shards.json").read_bytes())
            if listed["seen"] == seen:
                return [Shard(self._folder / name) for name in listed["shards"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError, SegmentError):
            pass
        return None

    def _wanted(self, names: set[str]) -> dict[str, str]:
        """Segment → source id of all that is to be searched: the newest text of every source."""
        found: dict[str, str] = {}
        for source in sorted(self._sources.everything(), key=lambda source: source.id):
            name = segment_name(source, extractor_of(source.media_type), self._encoder_name)
            if name in names:
                found.setdefault(name, source.id)
        return found

    def _rebuilt(self, wanted: dict[str, str]) -> list[Shard]:
        """Shards that hold just what is wanted: those that are here and hold nothing else stay,
        but for small ones, which are united with what is missing (none is remade before what is
        added is as large as it, so that each passage is taken up a few times only)."""
        sweep(self._folder)
        kept: list[Shard] = []
        missing = dict(wanted)
        for path in sorted(self._folder.glob("*.shard")):
            try:
                shard = Shard(path)
            except SegmentError as error:
                log.warning("made again: %s", error)
                continue
            if all(missing.get(work.segment) == work.source_id for work in shard.works):
                kept.append(shard)
                for work in shard.works:
                    del missing[work.segment]
        sizes = {name: self._size_of(name) for name in missing}
        added = sum(sizes.values())
        for shard in sorted(kept, key=len):
            if not missing or len(shard) > min(added, self._size - 1):
                break
            kept.remove(shard)
            added += len(shard)
            missing |= {work.segment: work.source_id for work in shard.works}
        kept.sort(key=lambda shard: shard.path.name)
        return kept + [
            Shard(write_shard(self._folder, works)) for works in self._in_portions(missing)
        ]

    def _size_of(self, name: str) -> int:
        try:
            return self._segments.size(name)
        except SegmentError:
            return 0  # said when it is read

    def _in_portions(self, missing: dict[str, str]) -> Iterator[list[tuple[str, Segment]]]:
        """The segments of what is missing, by source id, in portions of one shard each."""
        works: list[tuple[str, Segment]] = []
        passages = 0
        self._notify("catalog", 0, len(missing), "")
        for done, name in enumerate(sorted(missing, key=lambda name: (missing[name], name)), 1):
            try:
                works.append((missing[name], self._segments.load(name)))
            except SegmentError as error:
                log.warning("%s is not searched: %s", missing[name], error)
                continue
            finally:
                self._notify("catalog", done, len(missing), "")
            passages += len(works[-1][1].passages)
            if passages >= self._size:
                yield works
                works, passages = [], 0
        if works:
            yield works

    def _hit(self, shard: Shard, row: int, score: float, dense: float, lexical: float) -> Hit:
        number = int(shard.owners[row])
        work = shard.works[number]
        passage = self._segments.load(work.segment).passages[row - int(shard.offsets[number])]
        return Hit(work.source_id, source_type_of(work.source_id), passage, score, dense, lexical)


class _Scale:
    """What `standardise` does, for scores that lie in several arrays."""

    def __init__(self, parts: Sequence[Scores]) -> None:
        size = sum(map(len, parts))
        self._mean = math.fsum(float(part.sum()) for part in parts) / size
        spread = math.fsum(float(np.square(part - self._mean).sum()) for part in parts)
        top = max(float(part.max()) for part in parts)
        deviation = math.sqrt(spread / size)
        self._deviation = 0.0 if deviation <= 1e-6 * max(1.0, abs(top)) else deviation

    def __call__(self, scores: Scores) -> Scores:
        if not self._deviation:
            return np.zeros_like(scores)
        standard: Scores = (scores - self._mean) / self._deviation
        return standard


def _bm25(shards: Sequence[Shard], query: str) -> list[Scores]:
    """[n] for each shard: exact, with the statistics of all of them together."""
    asked = sorted(Counter(terms(query)).items())
    keys: Keys = term_keys([term for term, _ in asked])
    found = [shard.postings(keys) for shard in shards]
    size = sum(map(len, shards))
    total = sum(shard.total_terms for shard in shards)
    df = [sum(len(postings[n][0]) for postings in found) for n in range(len(asked))]
    scores = []
    for shard, postings in zip(shards, found, strict=True):
        own = np.zeros(len(shard), dtype=np.float64)
        norms = length_norms(shard.lengths(), total, size)
        for (_, repeated), (rows, counts), held in zip(asked, postings, df, strict=True):
            own[rows] += repeated * weights(counts, norms[rows], df=held, size=size)
        scores.append(own)
    return scores


def _near_the_top(fused: Sequence[Scores], k: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """For each array the rows of every score that may be among the `k` best of all once it is
    known exactly."""
    best = np.concatenate([np.partition(part, -min(k, len(part)))[-k:] for part in fused])
    limit = np.partition(best, -min(k, len(best)))[-min(k, len(best))] - MARGIN
    for number, part in enumerate(fused):
        yield number, np.flatnonzero(part >= limit)
