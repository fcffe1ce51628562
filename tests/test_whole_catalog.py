"""Search over everything indexed gives what a prompt that lists everything would give."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.documents.document import Document, Section
from index.documents.extract import extractor_of
from index.encoder import embed
from index.errors import SegmentError
from index.passages import Passage
from index.settings import Settings
from index.sources.store import Source, SourceStore
from index.stores.segments import Segment, SegmentStore, make_segment, segment_name
from rag.retrieval.evidence import Hit, Reading
from rag.retrieval.retrieve import Pool, search
from rag.retrieval.shards import Shard, term_keys
from rag.retrieval.whole_catalog import ShardedCatalog
from tests.parts.tiny_encoders import WordEncoder

ENCODER = WordEncoder()
WORDS = ["picture", "colour", "prompt", "network", "decoder", "hole", "edge", "light", "noise"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
WORKS = st.lists(st.lists(SENTENCES, max_size=5), min_size=1, max_size=6)
SLOW = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class DataDir:
    """A data directory of works whose passages are given, one sentence each."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(folder, offline=True)
        self.store = SourceStore(self.settings.sources)
        self.segments = SegmentStore(self.settings.index)

    def add(self, source_id: str, texts: Sequence[str], heading: str = "") -> Source:
        """Put a work here, or a newer text of one."""
        text = "\n".join(texts)
        source = self.store.put(
            source_id, text.encode(), source_type="readme", media_type="text/plain", origin="test"
        )
        passages, start = [], 0
        for words in texts:
            span = start, start + len(words)
            passages.append(Passage(*span, words, heading, sentences=(span,)))
            start += len(words) + 1
        document = Document(text, "", (), (Section(0, len(text)),), extractor_of("text/plain"))
        segment = make_segment(
            self.name(source), document, tuple(passages), *embed(ENCODER, passages)
        )
        self.segments.save(segment)
        return source

    def name(self, source: Source) -> str:
        return segment_name(source, extractor_of(source.media_type), ENCODER.name)

    def catalog(self, shard_size: int = 4) -> ShardedCatalog:
        return ShardedCatalog(self.settings, ENCODER.name, shard_size=shard_size)

    def listed(self, query: str) -> tuple[Hit, ...]:
        """What a prompt would find that lists each distinct text, under the first of its ids."""
        first: dict[str, str] = {}
        for source in sorted(self.store.everything(), key=lambda source: source.id):
            first.setdefault(self.name(source), source.id)
        loaded: dict[str, Segment] = {
            source_id: self.segments.load(name) for name, source_id in first.items()
        }
        readings = [Reading(source_id, "readme") for source_id in loaded]
        (hits,) = search(Pool.of(readings, loaded), ENCODER, [query])
        return hits

    def shards(self) -> set[str]:
        return {path.name for path in self.settings.catalog.rglob("*.shard")}


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path)


def best(catalog: ShardedCatalog, query: str, k: int) -> tuple[Hit, ...]:
    return catalog.best(query, ENCODER.encode_queries([query])[0], k)


def same(found: Sequence[Hit], expected: Sequence[Hit]) -> None:
    """Equal scores in order, and at each score no passage that is not due there."""
    assert [hit.score for hit in found] == pytest.approx(
        [hit.score for hit in expected[: len(found)]], abs=1e-4
    )
    due = {(hit.source_id, hit.passage.start): hit for hit in expected}
    for hit in found:
        other = due[hit.source_id, hit.passage.start]
        assert hit.passage == other.passage
        assert (hit.score, hit.dense, hit.lexical) == pytest.approx(
            (other.score, other.dense, other.lexical), abs=1e-4
        )


@given(works=WORKS, query=SENTENCES, k=st.integers(1, 40), size=st.integers(1, 12))
@SLOW
def test_it_finds_what_a_prompt_that_lists_everything_would_find(
    works: list[list[str]], query: str, k: int, size: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = DataDir(Path(folder))
        for number, texts in enumerate(works):
            data_dir.add(f"github:a/{number:02}", texts)
        expected = data_dir.listed(query)
        found = best(data_dir.catalog(size), query, k)
        assert len(found) == min(k, len(expected))
        same(found, expected)


@given(works=WORKS, query=SENTENCES, order=st.randoms(use_true_random=False))
@SLOW
def test_what_was_indexed_when_and_searched_between_changes_nothing(
    works: list[list[str]], query: str, order: random.Random
) -> None:
    """Shards come to be in another way each time; scores, ranks and ties do not."""
    found = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            data_dir = DataDir(Path(folder))
            numbered = list(enumerate(works))
            order.shuffle(numbered)
            catalog = data_dir.catalog()
            for number, texts in numbered:
                data_dir.add(f"github:a/{number:02}", texts)
                if order.random() < 0.5:
                    best(catalog, query, 1)
            hits = best(catalog, query, 50)
            same(hits, data_dir.listed(query))
            found.append([(hit.source_id, hit.passage) for hit in hits])
    assert found[0] == found[1]


def test_equal_passages_stand_in_the_order_of_their_places(data_dir: DataDir) -> None:
    for number in (7, 3, 5, 1):
        data_dir.add(f"github:a/{number}", [f"only {number}", "a hole in the edge", "noise"])
    hits = best(data_dir.catalog(3), "hole edge", 4)
    assert [hit.source_id for hit in hits] == [f"github:a/{number}" for number in (1, 3, 5, 7)]
    assert len({hit.score for hit in hits}) == 1


def test_a_text_that_several_sources_share_is_found_once(data_dir: DataDir) -> None:
    for source_id in ("github:b/b", "arxiv:1", "github:a/a"):
        data_dir.add(source_id, ["a hole", "an edge"])
    assert [hit.source_id for hit in best(data_dir.catalog(), "hole", 9)] == ["arxiv:1", "arxiv:1"]


def test_the_newest_text_of_a_source_is_searched_and_no_older_one(data_dir: DataDir) -> None:
    data_dir.add("github:a/a", ["a hole", "an edge"])
    data_dir.add("github:a/b", ["a network"])
    catalog = data_dir.catalog()
    for texts in (["the light"], ["a hole", "an edge"], ["noise"], ["the light"]):
        data_dir.add("github:a/a", texts)
        found = {hit.text for hit in best(catalog, "light", 9)}
        assert found == {*texts, "a network"}


def test_headings_count_as_they_do_elsewhere(data_dir: DataDir) -> None:
    data_dir.add("github:a/a", ["a hole", "an edge"], heading="colour and light")
    data_dir.add("github:a/b", ["a light"])
    same(best(data_dir.catalog(), "light", 9), data_dir.listed("light"))


def test_nothing_changed_means_nothing_is_written(data_dir: DataDir) -> None:
    for number in range(9):
        data_dir.add(f"github:a/{number}", [f"edge {number}", "noise"])
    before = best(data_dir.catalog(), "edge", 5)
    files = {path: path.stat().st_ino for path in data_dir.settings.catalog.rglob("*")}
    assert best(data_dir.catalog(), "edge", 5) == before
    assert {path: path.stat().st_ino for path in data_dir.settings.catalog.rglob("*")} == files


def test_one_more_work_leaves_the_large_shards_alone(data_dir: DataDir) -> None:
    for number in range(8):
        data_dir.add(f"github:a/{number}", [f"edge {number}", f"hole {number}"])
    catalog = data_dir.catalog(shard_size=4)
    best(catalog, "edge", 1)
    before = data_dir.shards()
    assert len(before) == 4
    data_dir.add("github:b/b", ["one more"])
    best(catalog, "edge", 1)
    assert before < data_dir.shards()
    assert len(data_dir.shards()) == 5
    data_dir.add("github:b/c", ["another"])
    best(catalog, "edge", 1)
    assert before < data_dir.shards()
    assert len(data_dir.shards()) == 5, "two small ones are one by now"


@pytest.mark.parametrize("length", [0, 10, -1])
def test_what_is_lost_or_cut_is_made_again(data_dir: DataDir, length: int) -> None:
    for number in range(4):
        data_dir.add(f"github:a/{number}", [f"edge {number}", "noise"])
    expected = best(data_dir.catalog(), "edge", 5)
    files = sorted(path for path in data_dir.settings.catalog.rglob("*") if path.is_file())
    assert {path.suffix for path in files} == {".json", ".shard"}
    for path in files:
        data = path.read_bytes()
        path.write_bytes(data[:length])
        assert best(data_dir.catalog(), "edge", 5) == expected
        path.unlink()
        assert best(data_dir.catalog(), "edge", 5) == expected


def test_a_changed_byte_in_a_shard_moves_a_score_at_most(data_dir: DataDir) -> None:
    for number in range(2):
        data_dir.add(f"github:a/{number}", [f"edge {number}", "noise"])
    expected = best(data_dir.catalog(), "edge", 4)
    (path,) = data_dir.settings.catalog.rglob("*.shard")
    whole = path.read_bytes()
    texts = sorted((hit.source_id, hit.text) for hit in expected)
    head = whole.index(b"\n", whole.index(b"\n") + 1)
    for at in range(0, len(whole), 3):
        for changed in (whole[at] ^ 64, 255):
            path.write_bytes(whole[:at] + bytes([changed]) + whole[at + 1 :])
            found = best(data_dir.catalog(), "edge", 4)
            assert sorted((hit.source_id, hit.text) for hit in found) == texts
            assert at > head or found == expected
            path.write_bytes(whole)


def test_a_damaged_segment_costs_itself_alone(
    data_dir: DataDir, caplog: pytest.LogCaptureFixture
) -> None:
    whole, damaged = (
        data_dir.add("github:a/a", ["an edge"]),
        data_dir.add("github:a/b", ["the edge"]),
    )
    path = data_dir.segments.path(data_dir.name(damaged))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert [hit.source_id for hit in best(data_dir.catalog(), "edge", 5)] == [whole.id]
    assert "github:a/b is not searched" in caplog.text


def test_a_segment_damaged_later_is_named_and_never_shown(data_dir: DataDir) -> None:
    source = data_dir.add("github:a/a", ["an edge"])
    catalog = data_dir.catalog()
    best(catalog, "edge", 1)
    path = data_dir.segments.path(data_dir.name(source))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(SegmentError, match="is damaged"):
        best(catalog, "edge", 1)


def test_what_another_encoder_indexed_is_not_there(data_dir: DataDir) -> None:
    data_dir.add("github:a/a", ["an edge"])
    assert (
        ShardedCatalog(data_dir.settings, "another").best(
            "edge", ENCODER.encode_queries(["e"])[0], 3
        )
        == ()
    )
    assert len(best(data_dir.catalog(), "edge", 3)) == 1


def test_an_empty_home_holds_nothing(data_dir: DataDir) -> None:
    assert best(data_dir.catalog(), "edge", 3) == ()
    data_dir.add("github:a/a", [])
    assert best(data_dir.catalog(), "edge", 3) == ()


def test_two_searches_at_once_do_not_disturb_each_other(data_dir: DataDir) -> None:
    for number in range(6):
        data_dir.add(f"github:a/{number}", [f"edge {number}", "noise"])
    one, other = data_dir.catalog(), data_dir.catalog()
    expected = best(one, "edge", 5)
    data_dir.add("github:b/b", ["the edge of it"])
    assert best(other, "edge", 7) == best(one, "edge", 7) == best(data_dir.catalog(), "edge", 7)
    assert len(expected) == 5


def test_shards_that_another_search_united_are_opened_anew(data_dir: DataDir) -> None:
    data_dir.add("github:a/a", ["an edge", "noise"])
    catalog = data_dir.catalog()
    expected = best(catalog, "edge", 5)
    for path in data_dir.settings.catalog.rglob("*.shard"):
        path.unlink()
    assert best(catalog, "edge", 5) == expected


def test_a_shard_knows_the_terms_of_its_passages(data_dir: DataDir) -> None:
    data_dir.add("github:a/a", ["edge edge hole", "hole"])
    best(data_dir.catalog(), "edge", 1)
    (path,) = data_dir.settings.catalog.rglob("*.shard")
    shard = Shard(path)
    found = shard.postings(term_keys(["edg", "hole", "absent"]))
    assert [(rows.tolist(), counts.tolist()) for rows, counts in found] == [
        ([0], [2]),
        ([0, 1], [1, 1]),
        ([], []),
    ]
    assert (len(shard), shard.lengths().tolist(), shard.total_terms) == (2, [3, 1], 4)
