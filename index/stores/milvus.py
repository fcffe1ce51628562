"""Segments in Milvus, a server or an embedded file (Milvus Lite), for more works and more askers
than the files of one machine serve.

A passage is a row with its vector, its words and its place. What is only read together with the
whole segment (spans and vectors of sentences) stands beside the passages, in pieces of text. Piece
0 says how much there is, and is written last: without it nothing counts, and a build that died
writes the same rows again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from index.encoder import Vectors
from index.errors import SegmentError, StoreError
from index.stores.segments import Segment, unpack, without_vectors

# The 2 is the version of their columns.
PIECES = "grounded_rag_pieces_2"
PASSAGES = "grounded_rag_passages_2_{dimension}"

# Milvus holds 65,535 bytes in a text and returns at most 16,384 rows.
MOST_TEXT, MOST_ROWS = 65_535, 16_384
PIECE = 48_000  # bytes, a third more as base64
SECTION = 1_000  # bytes of a heading that a row shows; the whole one is in the pieces
NAMES_AT_ONCE = 1_000
ROWS_AT_ONCE = 4_096  # to read; a segment has at most 4,000 passages
WRITTEN_AT_ONCE = 500
SECONDS, SECONDS_TO_CONNECT = 60.0, 10.0
CHANNEL = {
    # By default a server that is back is not asked again for up to 20 s, by any new channel either.
    "grpc.use_local_subchannel_pool": 1,
    # Milvus Lite hangs up on clients that ask more often than that whether it lives.
    "grpc.keepalive_time_ms": 600_000,
}


class MilvusStore:
    """See `index.stores.Store`. `address` is that of a server (http://host:19530, with
    user:password@ and /database where needed), or a path that ends in .db."""

    def __init__(self, address: str) -> None:
        if "://" not in address and not address.endswith(".db"):
            raise StoreError(
                f"--store {address}: expected `segments`, the address of a Milvus server "
                "(http://host:19530), or a path ending in .db for an embedded Milvus Lite"
            )
        self.address = address
        self.shown = re.sub(r"//[^/]*@", "//", address)  # without a password

    def known(self, names: Collection[str]) -> frozenset[str]:
        """See Store."""
        return frozenset(self._contents(names))

    def save(self, segment: Segment) -> None:
        """See Store."""
        name, dimension = segment.name, segment.vectors.shape[1]
        wordless = tuple(replace(passage, text="") for passage in segment.passages)
        content = without_vectors(replace(segment, passages=wordless))
        contents = {
            "passages": len(segment.passages),
            "dimension": dimension,
            "sha256": _checksum(segment),
        }
        pieces = [
            {"content": b64encode(content[start : start + PIECE]).decode()}
            for start in range(0, len(content), PIECE)
        ]
        passages = [
            {
                "start": passage.start,
                "end": passage.end,
                "text": passage.text,
                "section": passage.heading.encode()[:SECTION].decode(errors="ignore"),
                "pages": list(passage.pages),
                "vector": vector,
            }
            for passage, vector in zip(segment.passages, segment.vectors, strict=True)
        ]
        self._write(PASSAGES.format(dimension=dimension), name, passages)
        self._write(PIECES, name, pieces, first=1)
        self._write(PIECES, name, [{"content": json.dumps(contents)}])

    def delete(self, names: Collection[str]) -> None:
        """See Store. Piece 0 goes first, as without it nothing counts; then nothing says which
        table the passages are in, and all are asked."""
        listed = sorted(set(names))
        for start in range(0, len(listed), NAMES_AT_ONCE):
            these = f"segment in {json.dumps(listed[start : start + NAMES_AT_ONCE])}"
            with self._speaking() as client:
                tables = client.list_collections(timeout=SECONDS)
                of_passages = [t for t in tables if t.startswith(PASSAGES.format(dimension=""))]
                steps = [(PIECES, f"number == 0 and {these}"), (PIECES, these)]
                for table, which in (*steps, *((table, these) for table in of_passages)):
                    if table in tables:
                        _open_table(client, table)
                        client.delete(table, filter=which, timeout=SECONDS)

    def load(self, name: str) -> Segment:
        """See Store."""
        ((_, found),) = self.load_all([name])
        if isinstance(found, SegmentError):
            raise found
        return found

    def load_all(self, names: Collection[str]) -> Iterator[tuple[str, Segment | SegmentError]]:
        """See Store. Several are read at once where they are small: the names are the filter."""
        here = self._contents(names)
        for name in (name for name in names if name not in here):
            reason = f"{self.shown} has no segment {name}. Run `rag index` to build it."
            yield name, SegmentError(reason)
        group: dict[str, Any] = {}
        for name in (name for name in names if name in here):
            contents = here[name]
            rows = sum(each["passages"] for each in (contents, *group.values()))
            same = all(each["dimension"] == contents["dimension"] for each in group.values())
            if group and (rows > ROWS_AT_ONCE or not same):
                yield from self._read(group)
                group = {}
            group[name] = contents
        if group:
            yield from self._read(group)

    def verify_all(self, names: Collection[str]) -> Iterator[tuple[str, SegmentError]]:
        """See Store. Milvus looks after its own files; what it returns is compared at loading."""
        yield from ()

    def nearest(
        self, names: Collection[str], query: str, vector: Vectors, count: int
    ) -> frozenset[str]:
        """See Store. By two indexes over all passages with vectors of this dimension: of the
        vectors, and of the words by Milvus's own BM25."""
        table = PASSAGES.format(dimension=len(vector))
        found: set[str] = set()
        with self._speaking() as client:
            _open_table(client, table)
            for field, sought in (("vector", vector.tolist()), ("words", query)):
                (hits,) = client.search(
                    table,
                    data=[sought],
                    anns_field=field,
                    limit=min(count, MOST_ROWS),
                    output_fields=["segment"],
                    timeout=SECONDS,
                )
                found |= {hit["entity"]["segment"] for hit in hits}
        return frozenset(names) & found

    def _contents(self, names: Collection[str]) -> dict[str, Any]:
        """What piece 0 says of each segment that is here."""
        listed = sorted(set(names))
        return {
            row["segment"]: json.loads(row["content"])
            for start in range(0, len(listed), NAMES_AT_ONCE)
            for row in self._rows(
                PIECES, listed[start : start + NAMES_AT_ONCE], "content", where="number == 0 and "
            )
        }

    def _read(self, group: Mapping[str, Any]) -> Iterator[tuple[str, Segment | SegmentError]]:
        """These segments, all of one dimension, whose piece 0 is given."""
        dimension = next(iter(group.values()))["dimension"]
        table = PASSAGES.format(dimension=dimension)
        rows, pieces = (
            {name: list(own) for name, own in groupby(found, key=lambda row: row["segment"])}
            for found in (
                self._rows(table, list(group), "text", "vector"),
                self._rows(PIECES, list(group), "content", where="number > 0 and "),
            )
        )
        for name, contents in group.items():
            try:
                segment = _segment(name, dimension, rows.get(name, []), pieces[name])
            except (KeyError, ValueError, TypeError):
                segment = None
            if segment is not None and _checksum(segment) == contents["sha256"]:
                yield name, segment
                continue
            what = f"{self.shown}: the segment {name} is damaged: its checksum does not match."
            advice = "It is built anew when `rag ask` or `rag search` names its work."
            yield name, SegmentError(f"{what} {advice}")

    def _rows(
        self, table: str, names: Sequence[str], *fields: str, where: str = ""
    ) -> list[dict[str, Any]]:
        """The rows of these segments, by segment and number."""
        with self._speaking() as client:
            if not names or not client.has_collection(table, timeout=SECONDS):
                return []
            _open_table(client, table)
            rows: list[dict[str, Any]] = client.query(
                table,
                filter=f"{where}segment in {json.dumps(names)}",
                output_fields=["segment", "number", *fields],
                limit=MOST_ROWS,
                timeout=SECONDS,
            )
        return sorted(rows, key=lambda row: (row["segment"], row["number"]))

    def _write(
        self,
        table: str,
        name: str,
        rows: Sequence[dict[str, Any]],
        first: int = 0,
    ) -> None:
        """Put rows of a segment into a table, numbered from `first`; equal ones take the place of
        those that are there."""
        numbered = [
            # Milvus wants a vector in every row.
            {"id": f"{name}-{n}", "segment": name, "number": n, "vector": (0.0, 0.0)} | row
            for n, row in enumerate(rows, first)
        ]
        with self._speaking() as client:
            _open_table(client, table)
            for start in range(0, len(numbered), WRITTEN_AT_ONCE):
                some = numbered[start : start + WRITTEN_AT_ONCE]
                client.upsert(table, some, timeout=SECONDS)

    @contextmanager
    def _speaking(self) -> Iterator[Any]:
        """The client, whose errors become StoreErrors."""
        # gRPC's core prints what it then raises; it reads this at its import.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            from grpc import RpcError
            from pymilvus import MilvusException
        except ImportError as error:
            raise StoreError(
                f"--store {self.shown} needs the extra `milvus` ({error.name} missing): "
                "pip install 'grounded-rag[milvus]'"
            ) from None
        try:
            yield _client(self.address)
        except (MilvusException, RpcError, OSError) as error:
            advice = (
                "start it, and repeat the command"
                if "://" in self.address
                else "one process at a time may open it; for several start `milvus-lite server` "
                "and name its address"
            )
            reason = " ".join(str(getattr(error, "message", error)).split())
            raise StoreError(
                f"Milvus at {self.shown} did not answer as it should ({reason:.300}): {advice}; "
                "what was stored is kept"
            ) from error


@cache
def _client(address: str) -> Any:
    """One connection for a process. Milvus Lite locks its files for as long."""
    from pymilvus import MilvusClient

    # Every error is raised; they need not be printed too, with their tracebacks.
    for library in ("pymilvus", "milvus_lite", "grpc"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    if "://" not in address:
        Path(address).absolute().parent.mkdir(parents=True, exist_ok=True)
    return MilvusClient(address, timeout=SECONDS_TO_CONNECT, grpc_options=CHANNEL)


def _is_complete(client: Any, table: str) -> bool:
    """Whether the table is there with all its indexes: one without is being created by another
    process, or its creation died, or somebody dropped an index."""
    indexes = 2 if table == PIECES else 3
    return client.has_collection(table, timeout=SECONDS) and indexes <= len(
        client.list_indexes(table, timeout=SECONDS)
    )


def _open_table(client: Any, table: str) -> None:
    """Create what the table lacks, and load it. Several processes may do so at once, and what one
    finds done by another in the middle of its own steps is no error."""
    from pymilvus import MilvusException

    end = time.monotonic() + SECONDS_TO_CONNECT
    refused = MilvusException(message=f"the table {table} stays without its indexes")
    while not _is_complete(client, table):
        if time.monotonic() > end:
            raise refused
        try:
            _create(client, table)
        except MilvusException as error:
            refused = error
            time.sleep(0.1)
    # A server that was started again has nothing loaded; otherwise this costs nothing.
    client.load_collection(table, timeout=SECONDS)


def _create(client: Any, table: str) -> None:
    """What is missing of the table of the pieces, or of one of passages with vectors of as many
    dimensions as its name ends in. The vectors come back bit for bit, so that given works are
    searched exactly; an index is for everything: HNSW, or every vector where the server is Milvus
    Lite, which is for as many as that is good for."""
    from pymilvus import DataType, Function, FunctionType, MilvusClient

    dimension = None if table == PIECES else int(table.rpartition("_")[2])
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
    schema.add_field("segment", DataType.VARCHAR, max_length=64)
    schema.add_field("number", DataType.INT64)
    if dimension is None:
        schema.add_field("content", DataType.VARCHAR, max_length=MOST_TEXT)
    else:
        schema.add_field("start", DataType.INT64)
        schema.add_field("end", DataType.INT64)
        schema.add_field("text", DataType.VARCHAR, max_length=MOST_TEXT, enable_analyzer=True)
        schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(Function("bm25", FunctionType.BM25, ["text"], ["words"]))
        schema.add_field("section", DataType.VARCHAR, max_length=SECTION)
        schema.add_field("pages", DataType.JSON)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension or 2)
    is_small = dimension is None or "lite" in client.get_server_version()
    indexes = {
        "vector": {"index_type": "FLAT" if is_small else "HNSW", "metric_type": "IP"},
        "segment": {"index_type": "INVERTED"},
    }
    if dimension is not None:
        indexes["words"] = {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "BM25"}
    if not client.has_collection(table, timeout=SECONDS):
        client.create_collection(table, schema=schema, consistency_level="Strong", timeout=SECONDS)
    for field, options in indexes.items():
        if not client.list_indexes(table, field, timeout=SECONDS):
            index = MilvusClient.prepare_index_params(field, **options)
            client.create_index(table, index, timeout=SECONDS)


def _segment(
    name: str,
    dimension: int,
    rows: Sequence[Mapping[str, Any]],
    pieces: Sequence[Mapping[str, Any]],
) -> Segment:
    """What the rows add up to. Raises ValueError, KeyError or TypeError where that is nothing."""
    vectors = np.array([row["vector"] for row in rows], dtype=np.float32)
    content = b"".join(b64decode(piece["content"]) for piece in pieces)
    segment = unpack(name, content, vectors.reshape(len(rows), dimension))
    texts = [row["text"] for row in rows]
    passages = zip(segment.passages, texts, strict=True)
    return replace(segment, passages=tuple(replace(p, text=text) for p, text in passages))


def _checksum(segment: Segment) -> str:
    content = hashlib.sha256(without_vectors(segment))
    content.update(segment.vectors.tobytes())
    return content.hexdigest()
