"""Search is exact, over the given works and nothing else, in whatever order they come; a reranker
orders the best passages anew, and leaves the others where they are."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.encoder import Encoder
from index.errors import EncoderError, SegmentError, SourceError
from index.passages import Passage
from index.stores.segments import Segment
from rag.pipeline import Pipeline
from rag.retrieval import Evidence, Hit, Span, best_first
from rag.retrieval.retrieve import (
    DEPTH,
    OPENING,
    load_reranker,
    rerank,
    search,
    search_data_dir,
)
from rag.retrieval.scoring import Scores
from tests.parts.indexed import ENCODER, IndexedWorks, brute_force, segment
from tests.parts.tiny_encoders import write_reranker
from tests.parts.works import LISTED, PROMPTS, prompt

WORDS = ["picture", "colour", "prompt", "network", "decoder", "hole", "edge", "light", "noise"]
# Few words and short sentences: equal passages, within a work and across works, are common.
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
CATALOGS = st.dictionaries(
    st.integers(0, 99).map("arxiv:2401.{:05}".format), st.lists(SENTENCES, max_size=6), min_size=1
)
SLOW = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def segments_of(catalog: Mapping[str, Sequence[str]], heading: str = "") -> dict[str, Segment]:
    return {sid: segment(texts, heading=heading) for sid, texts in catalog.items()}


def assert_exact(hits: Sequence[Hit], expected: Mapping[tuple[str, int], float]) -> None:
    """`hits` are the first of all passages by these scores, each with its own."""
    assert len({hit.key for hit in hits}) == len(hits)
    assert [hit.score for hit in hits] == pytest.approx(
        [expected[hit.key] for hit in hits], abs=1e-4
    )
    best = sorted(expected.values(), reverse=True)[: len(hits)]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-4)


@given(catalog=CATALOGS, query=SENTENCES, heading=st.sampled_from(["", "edge light"]))
@SLOW
def test_search_equals_brute_force(catalog: dict[str, list[str]], query: str, heading: str) -> None:
    (hits,) = search(segments_of(catalog, heading), ENCODER, [query])
    expected = brute_force(catalog, query, heading=heading)
    assert len(hits) == len(expected)
    assert_exact(hits, expected)


def test_search_equals_brute_force_with_a_real_encoder(encoder: Encoder) -> None:
    catalog = {"arxiv:1": [f"{a} {b}" for a in WORDS for b in WORDS], "arxiv:2": WORDS}
    segments = {sid: segment(texts, encoder) for sid, texts in catalog.items()}
    rankings = search(segments, encoder, WORDS)
    for query, hits in zip(WORDS, rankings, strict=True):
        assert_exact(hits, brute_force(catalog, query, encoder))
    alone = [search(segments, encoder, [word])[0] for word in WORDS]
    assert alone == list(rankings), "what is asked beside a query changes nothing"


@given(catalog=CATALOGS, query=SENTENCES, shuffle=st.randoms(use_true_random=False))
@SLOW
def test_the_order_of_the_works_changes_nothing(
    catalog: dict[str, list[str]], query: str, shuffle: random.Random
) -> None:
    items = list(segments_of(catalog).items())
    straight = search(dict(items), ENCODER, [query])
    shuffle.shuffle(items)
    assert search(dict(items), ENCODER, [query]) == straight


@given(texts=st.lists(SENTENCES, min_size=1, max_size=4), query=SENTENCES, copies=st.integers(2, 6))
@SLOW
def test_equal_works_stand_side_by_side_in_the_order_of_their_ids(
    texts: list[str], query: str, copies: int
) -> None:
    ids = [f"arxiv:{number}" for number in range(copies)]
    (hits,) = search(segments_of(dict.fromkeys(ids[::-1], texts)), ENCODER, [query])
    for place in range(0, len(hits), copies):
        assert len({hit.score for hit in hits[place : place + copies]}) == 1
    for start in {hit.passage.start for hit in hits}:
        assert [hit.source_id for hit in hits if hit.passage.start == start] == ids


@pytest.mark.parametrize(("passages", "others"), [(0, 0), (0, 3), (1, 0), (1, 3), (10_000, 3)])
def test_a_work_may_have_no_passages_one_or_ten_thousand(passages: int, others: int) -> None:
    choose = random.Random(passages)
    catalog = {
        "arxiv:1": [" ".join(choose.choices(WORDS, k=8)) for _ in range(passages)],
        **{f"arxiv:{number}": ["a hole", "the edge"] for number in range(2, 2 + others)},
    }
    (hits,) = search(segments_of(catalog), ENCODER, ["hole edge"])
    assert len(hits) == passages + 2 * others
    assert_exact(hits, brute_force(catalog, "hole edge"))


def test_without_works_every_query_finds_nothing() -> None:
    assert search({}, ENCODER, ["a", "b"]) == ((), ())


# --- the evidence for a prompt --------------------------------------------------------------


@pytest.mark.parametrize("name", PROMPTS)
def test_every_hit_is_of_a_listed_work_and_every_sentence_has_its_context(
    pipeline: Pipeline, name: str
) -> None:
    evidence = pipeline.gather(PROMPTS[name])
    listed = {sid for listing in evidence.prompt.listings for sid in listing.source_ids}
    assert {reading.source_id for reading in evidence.readings} == listed
    for hit in evidence.hits():
        assert hit.source_id in listed
        assert evidence.text(Span(hit.source_id, hit.passage.start, hit.passage.end)) == hit.text
        for span, words in hit.sentences():
            assert evidence.text(span) == words
            assert evidence.contexts[span].total > evidence.contexts[span].number >= 0


def test_every_listed_work_has_its_own_passages_best_first(pipeline: Pipeline) -> None:
    evidence = pipeline.gather(prompt("How are colours chosen?", ["Lantern"], ["Kite", "Willow"]))
    for listing, hits in zip(evidence.prompt.listings, evidence.works, strict=True):
        assert hits
        assert {hit.source_id for hit in hits} <= set(listing.source_ids)
        assert list(hits) == sorted(hits, key=best_first)


def test_works_that_fit_are_there_whole(pipeline: Pipeline) -> None:
    """A sentence that explains may share no word with the question."""
    asked = PROMPTS["remove"]
    _, segments = pipeline.read(asked.catalog)
    for listing, hits in zip(asked.listings, pipeline.gather(asked).works, strict=True):
        read = [source_id for source_id in listing.source_ids if source_id in segments]
        assert len(hits) == sum(len(segments[source_id].passages) for source_id in read)


def test_of_many_works_each_has_its_best_passages_and_its_opening(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.retrieval.retrieve.PASSAGES", 1)
    monkeypatch.setattr("rag.retrieval.retrieve.PER_WORK", 2)
    asked = PROMPTS["remove"]
    whole = pipeline.gather(asked)
    monkeypatch.undo()
    _, segments = pipeline.read(asked.catalog)
    for listing, hits, every in zip(
        asked.listings, whole.works, pipeline.gather(asked).works, strict=True
    ):
        openings = [
            passage
            for source_id in listing.source_ids
            if source_id in segments
            for passage in segments[source_id].passages[:OPENING]
        ]
        assert [hit for hit in every if hit in every[:2] or hit.passage in openings] == list(hits)


@given(order=st.permutations(sorted(LISTED)))
@SLOW
def test_the_order_of_listings_changes_no_hit(pipeline: Pipeline, order: list[str]) -> None:
    def by_source(evidence: Evidence) -> object:
        works = {item.name: evidence.works[n] for n, item in enumerate(evidence.prompt.listings)}
        return works, frozenset(evidence.readings)

    straight = pipeline.gather(prompt("colour", [], sorted(LISTED)))
    assert by_source(pipeline.gather(prompt("colour", [], order))) == by_source(straight)


# --- search without a prompt ----------------------------------------------------------------


class Lengths:
    """A reranker that likes long texts."""

    name = "lengths"

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        return np.array([float(len(text)) for text in texts])


@pytest.fixture
def indexed(tmp_path: Path) -> IndexedWorks:
    works = IndexedWorks(tmp_path)
    works.add("arxiv:2401.00001v2", ["a hole", "an edge of light"])
    works.add("github:some/edge", ["the edge", "a hole in the edge"])
    works.add("github:other/noise", ["noise", "an edge"])
    return works


def look(works: IndexedWorks, *names: str, count: int = 99) -> tuple[Hit, ...]:
    return search_data_dir("edge", count, works.settings, ENCODER, works=names)


@given(
    catalog=st.lists(st.lists(SENTENCES, max_size=5), min_size=1, max_size=6).filter(any),
    query=SENTENCES,
    count=st.integers(1, 40),
)
@SLOW
def test_everything_is_searched_as_if_a_prompt_listed_it(
    catalog: list[list[str]], query: str, count: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        works = IndexedWorks(Path(folder))
        texts: dict[tuple[str, ...], str] = {}
        for number, work in enumerate(catalog):
            works.add(f"github:a/{number}", work)
            texts.setdefault(tuple(work), f"github:a/{number}")
        hits = search_data_dir(query, count, works.settings, ENCODER)
        # Text that several sources share is searched once, under the first of their ids.
        expected = brute_force({sid: list(text) for text, sid in texts.items()}, query)
    assert len(hits) == min(count, len(expected))
    assert_exact(hits, expected)


@pytest.mark.parametrize(
    "name",
    [
        "arxiv:2401.00001v2",
        "http://arxiv.org/pdf/2401.00001v2.pdf",
        "https://arxiv.org/abs/2401.00001",
        "2401.00001",
    ],
)
def test_a_work_is_named_by_its_id_a_link_or_a_part_of_the_id(
    indexed: IndexedWorks, name: str
) -> None:
    hits = look(indexed, name)
    assert [hit.text for hit in hits] == ["an edge of light", "a hole"]
    assert {hit.source_id for hit in hits} == {"arxiv:2401.00001v2"}


def test_several_names_are_searched_together(indexed: IndexedWorks) -> None:
    hits = look(indexed, "GitHub:", "github:some/edge")
    assert {hit.source_id for hit in hits} == {"github:some/edge", "github:other/noise"}
    assert len(hits) == 4
    assert len(look(indexed)) == 6


def test_a_whole_id_is_found_without_reading_the_ledger_of_any_other(indexed: IndexedWorks) -> None:
    for path in indexed.sources.folder.glob("ledger/*/*"):
        if path != indexed.sources.ledger("github:some/edge"):
            path.unlink()
            path.mkdir()  # reading it now fails
    assert {hit.source_id for hit in look(indexed, "github:some/edge")} == {"github:some/edge"}


def test_the_newest_text_of_a_work_is_searched(indexed: IndexedWorks) -> None:
    indexed.add("github:some/edge", ["a newer edge"])
    assert [hit.text for hit in look(indexed, "github:some/edge")] == ["a newer edge"]


@pytest.mark.parametrize("works", [(), ("arxiv:", "github:")])
def test_a_reranker_orders_the_best_anew(indexed: IndexedWorks, works: tuple[str, ...]) -> None:
    hits = search_data_dir("edge", 2, indexed.settings, ENCODER, works=works, reranker=Lengths())
    assert [hit.text for hit in hits] == ["a hole in the edge", "an edge of light"]
    assert hits[0].score > hits[1].score


def test_a_work_that_is_unknown_or_not_indexed_is_named(indexed: IndexedWorks) -> None:
    with pytest.raises(SourceError, match="arxiv:9: no work in this data directory"):
        look(indexed, "arxiv:9")
    indexed.put("github:a/new", "text")
    with pytest.raises(EncoderError, match=r"a/new: nothing here is indexed.*rag index"):
        look(indexed, "a/new")
    with pytest.raises(EncoderError, match="nothing here is indexed"):
        look(IndexedWorks(indexed.settings.data_dir / "empty"))


@pytest.mark.parametrize("names", [(), ("github:", "arxiv:")])
def test_a_damaged_segment_is_named_and_the_others_are_searched(
    indexed: IndexedWorks, caplog: pytest.LogCaptureFixture, names: tuple[str, ...]
) -> None:
    source = indexed.sources.get("github:some/edge")
    assert source is not None
    path = indexed.segments.path(indexed.name(source))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    hits = look(indexed, *names)
    assert {hit.source_id for hit in hits} == {"arxiv:2401.00001v2", "github:other/noise"}
    assert "github:some/edge is not searched" in caplog.text
    with pytest.raises(SegmentError, match="is damaged"):
        look(indexed, "github:some/edge")


def test_reranking_orders_the_best_and_leaves_the_rest() -> None:
    scores = np.linspace(3, -3, DEPTH + 5).tolist()
    hits = [
        Hit("arxiv:1", "full text", Passage(n, 2 * n + 1, "x" * (n + 1)), score)
        for n, score in enumerate(scores)
    ]
    reranked = rerank(Lengths(), "?", hits)
    assert [len(hit.text) for hit in reranked[:DEPTH]] == list(range(DEPTH, 0, -1))
    assert list(reranked[DEPTH:]) == hits[DEPTH:]
    assert min(hit.score for hit in reranked[:DEPTH]) > hits[DEPTH].score
    assert rerank(Lengths(), "?", []) == ()


def test_a_cross_encoder_of_a_folder_gives_each_text_its_score(tmp_path: Path) -> None:
    reranker = load_reranker(str(write_reranker(tmp_path / "cross")), offline=True)
    scores = reranker.scores("the model", ["we train a model", "the image", "it maps text"])
    assert scores.shape == (3,)
    assert len(set(scores.tolist())) == 3


def test_a_model_with_several_outputs_is_no_reranker(tmp_path: Path) -> None:
    folder = write_reranker(tmp_path / "classes", outputs=3)
    with pytest.raises(EncoderError, match="3 scores"):
        load_reranker(str(folder), offline=True)
