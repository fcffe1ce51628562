"""A segment comes back as it was saved, or its damage is named; what was embedded of a long source
when the process was killed is not embedded anew."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.documents import Document, Section
from index.encoder import Vectors
from index.errors import SegmentError
from index.files import read_checksummed, write_checksummed
from index.passages import Passage
from index.sources import Source
from index.stores.segments import (
    COMPARED,
    PART,
    Segment,
    SegmentStore,
    embed_in_parts,
    make_segment,
    segment_name,
    sweep_vectors,
)
from tests.parts.indexed import segment
from tests.parts.tiny_encoders import WordEncoder

SOURCE = Source("arxiv:2401.00001", "application/pdf", "0" * 64, 1, "mirror:x", "v1")

NONE = np.zeros((0, 8), dtype=np.float32)
WORDS = st.text(min_size=1, max_size=40)
OFFSETS = st.integers(0, 10**9)
PAGES = st.lists(st.integers(1, 999), max_size=3).map(tuple)
SPANS = st.lists(st.tuples(OFFSETS, OFFSETS), max_size=3).map(tuple)
LOST = st.lists(OFFSETS, max_size=3).map(tuple)
PASSAGE = st.builds(Passage, OFFSETS, OFFSETS, WORDS, st.text(max_size=20), PAGES, SPANS, LOST)
PASSAGES = st.lists(PASSAGE, max_size=5).map(tuple)
DOCUMENTS = st.builds(Document, WORDS, st.text(max_size=20), PAGES, st.just(()), WORDS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SegmentStore:
    return SegmentStore(tmp_path_factory.mktemp("segments"))


def verify(store: SegmentStore, name: str) -> None:
    for _, error in store.verify_all([name]):
        raise error


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    passages = draw(PASSAGES)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = sum(len(passage.sentences) for passage in passages)
    width = draw(st.integers(1, 9))
    vectors = random.standard_normal((len(passages), width)).astype(np.float32)
    sentences = random.standard_normal((rows, width)).astype(np.float32)
    return make_segment("name", draw(DOCUMENTS), passages, vectors, sentences)


@given(segment=segments())
@settings(max_examples=50)
def test_loading_after_saving_is_the_identity_and_equal_segments_are_equal_bytes(
    store: SegmentStore, segment: Segment
) -> None:
    first = store.save(segment).read_bytes()
    loaded = store.load("name")
    for field in dataclasses.fields(Segment):
        value, saved = getattr(loaded, field.name), getattr(segment, field.name)
        if isinstance(value, np.ndarray):
            assert (value.shape, value.dtype) == (saved.shape, saved.dtype)
            value, saved = value.tobytes(), saved.tobytes()
        assert value == saved
    assert store.save(loaded).read_bytes() == first


@given(segment=segments(), data=st.data())
@settings(max_examples=50)
def test_any_damage_is_named(store: SegmentStore, segment: Segment, data: st.DataObject) -> None:
    path = store.save(segment)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    for look in (store.load, partial(verify, store)):
        with pytest.raises(SegmentError, match=r"name\.segment is damaged"):
            look("name")


def test_a_segment_is_compared_once_after_every_write_and_at_every_load(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path)
    for copy in (False, True):
        path = store.save(segment(["A kite takes wind."], name="name"))
        if copy:
            path.write_bytes(path.read_bytes())
        assert (path.stat().st_mtime_ns == COMPARED) is not copy
        verify(store, "name")
        assert path.stat().st_mtime_ns == COMPARED
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(SegmentError, match="damaged"):
            verify(store, "name")
        os.utime(path, ns=(COMPARED, COMPARED))
        verify(store, "name")  # not read: a disk that forgets is found by whoever reads it
        with pytest.raises(SegmentError, match="damaged"):
            store.load("name")


def test_vectors_that_do_not_belong_to_the_passages_are_refused() -> None:
    document = Document("text", "", (), (Section(0, 4),), "test")
    for shape in ((2, 8), (0, 8), (8,)):
        with pytest.raises(ValueError, match="1 passages"):
            make_segment("name", document, (Passage(0, 4, "text"),), np.zeros(shape, "f4"), NONE)


def test_a_missing_segment_is_named_with_what_to_do(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path)
    for look in (store.load, partial(verify, store)):
        with pytest.raises(SegmentError, match=r"absent\.segment does not exist.*rag index"):
            look("absent")


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"no line end", b"no JSON\n", b"[]\n", b"{}\n", b'{"format": "segment/0"}\n'),
        b'{"format": "segment/4", "passages": 2}\n[]\n',
        b'{"format": "segment/4", "passages": 1, "dimension": 1}\n[[0,1,"","",[],[],[]]]\nno index',
        b'{"format": "segment/4", "passages": "many"}\n',
    ],
)
def test_a_checksummed_file_that_is_no_segment_is_refused(tmp_path: Path, content: bytes) -> None:
    store = SegmentStore(tmp_path)
    write_checksummed(store.path("other"), content)
    with pytest.raises(SegmentError, match=r"other\.segment is not a segment of format segment/4"):
        store.load("other")


def test_a_file_is_two_lines_of_json_and_a_faiss_index_of_as_many_passages(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path)
    path = store.save(segment(["one", "two"], name="name"))
    content = read_checksummed(path)
    header, passages, vectors = content.split(b"\n", 2)
    assert json.loads(header)["format"] == "segment/4"
    assert [text for _, _, text, *_ in json.loads(passages)] == ["one", "two"]
    assert b"IxFI" in vectors  # FAISS's own mark of a flat inner-product index
    for old, new, reason in (
        (b'"passages": 2', b'"passages": 3', "3 passages, 2 vectors"),
        (b"segment/4", b"segment/3", "format 'segment/3'"),
    ):
        write_checksummed(path, content.replace(old, new))
        with pytest.raises(SegmentError, match=reason):
            store.load("name")


def test_the_name_is_the_content() -> None:
    def name(source: Source = SOURCE, extractor: str = "pdf-1", encoder: str = "bert-1") -> str:
        return segment_name(source, extractor, encoder)

    assert len(name()) == 32
    assert name(replace(SOURCE, id="other", origin="else")) == name()
    others = {name(replace(SOURCE, sha256="1" * 64)), name(extractor="pdf-2"), name(encoder="b")}
    assert len(others - {name()}) == 3


class Counting(WordEncoder):
    """Counts what it encodes, and is killed when told to."""

    def __init__(self, most: int = 1 << 30) -> None:
        super().__init__()
        self.most, self.count = most, 0

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        self.count += len(texts)
        if self.count > self.most:
            raise KeyboardInterrupt
        return super().encode_passages(texts)


SENTENCES = [
    Passage(10 * n, 10 * n + 5, f"w{n:04}", sentences=((10 * n, 10 * n + 5),))
    for n in range(3 * PART + 7)
]


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_done_is_not_done_again(tmp_path: Path, damaged: bool) -> None:
    whole = embed_in_parts(tmp_path / "a", "name", Counting(), SENTENCES)
    with pytest.raises(KeyboardInterrupt):
        embed_in_parts(tmp_path / "b", "name", Counting(2 * PART), SENTENCES)
    files = sorted((tmp_path / "b").glob("*.vectors"))
    assert len(files) == 2
    if damaged:
        files[0].write_bytes(files[0].read_bytes()[:-1] + b"?")
    encoder = Counting()
    again = embed_in_parts(tmp_path / "b", "name", encoder, SENTENCES)
    for ours, undisturbed in zip(again, whole, strict=True):
        assert np.array_equal(ours, undisturbed)
    assert encoder.count == len(SENTENCES) - (1 if damaged else 2) * PART
    sweep_vectors(tmp_path / "b", {"name"})
    assert not list((tmp_path / "b").glob("*.vectors"))


def test_a_short_source_writes_nothing(tmp_path: Path) -> None:
    embed_in_parts(tmp_path / "a", "name", WordEncoder(), SENTENCES[:PART])
    assert not (tmp_path / "a").exists()
