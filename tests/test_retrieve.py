"""Search is exact, over the given works and nothing else, in whatever order they come; a reranker
orders the best passages anew, and leaves the others where they are."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.errors import EncoderError, SegmentError, SourceError
from index.passages import Passage
from rag.pipeline import Pipeline
from rag.retrieval import Hit, Span, best_first
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
from tests.parts.works import PROMPTS

WORDS = ["picture", "colour", "prompt", "network", "decoder", "hole", "edge", "light", "noise"]
# Few words and short sentences: equal passages, within a work and across works, are common.
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
CATALOGS = st.dictionaries(
    st.integers(0, 99).map("arxiv:2401.{:05}".format), st.lists(SENTENCES, max_size=6)
)
SLOW = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_exact(hits: Sequence[Hit], expected: Mapping[tuple[str, int], float]) -> None:
    """`hits` are the first of all passages by these scores, each with its own; equal ones stand in
    the order of their works."""
    assert len({hit.key for hit in hits}) == len(hits)
    assert list(hits) == sorted(hits, key=best_first)
    assert [hit.score for hit in hits] == pytest.approx(
        [expected[hit.key] for hit in hits], abs=1e-4
    )
    best = sorted(expected.values(), reverse=True)[: len(hits)]
    assert [hit.score for hit in hits] == pytest.approx(best, abs=1e-4)


@given(
    catalog=CATALOGS,
    queries=st.lists(SENTENCES, min_size=1, max_size=3),
    heading=st.sampled_from(["", "edge light"]),
    shuffle=st.randoms(use_true_random=False),
)
@SLOW
def test_search_equals_brute_force_whatever_the_order_of_the_works_and_the_other_queries(
    catalog: dict[str, list[str]], queries: list[str], heading: str, shuffle: random.Random
) -> None:
    works = [(sid, segment(texts, heading=heading)) for sid, texts in catalog.items()]
    rankings = search(dict(works), ENCODER, queries)
    shuffle.shuffle(works)
    for query, hits in zip(queries, rankings, strict=True):
        expected = brute_force(catalog, query, heading=heading)
        assert len(hits) == len(expected)
        assert_exact(hits, expected)
        assert search(dict(works), ENCODER, [query]) == (hits,)


# --- the evidence for a prompt --------------------------------------------------------------


@pytest.mark.parametrize("name", PROMPTS)
def test_the_evidence_is_every_passage_of_the_listed_works_with_the_context_of_each_sentence(
    pipeline: Pipeline, name: str
) -> None:
    """A sentence that explains may share no word with the question."""
    asked = PROMPTS[name]
    evidence = pipeline.gather(asked)
    _, segments = pipeline.read(asked.catalog)
    listed = [source_id for listing in asked.listings for source_id in listing.source_ids]
    assert [reading.source_id for reading in evidence.readings] == listed
    for listing, hits in zip(asked.listings, evidence.works, strict=True):
        own = [sid for sid in listing.source_ids if sid in segments]
        assert own
        assert list(hits) == sorted(hits, key=best_first)
        assert {hit.key for hit in hits} == {
            (sid, passage.start) for sid in own for passage in segments[sid].passages
        }
    for hit in evidence.hits():
        assert evidence.text(Span(hit.source_id, hit.passage.start, hit.passage.end)) == hit.text
        for span, words in hit.sentences():
            assert evidence.text(span) == words
            assert evidence.contexts[span].total > evidence.contexts[span].number >= 0


def test_of_many_works_each_has_its_best_passages_and_its_opening(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline.gather(PROMPTS["remove"])
    monkeypatch.setattr("rag.retrieval.retrieve.PASSAGES", 1)
    monkeypatch.setattr("rag.retrieval.retrieve.PER_WORK", 2)
    for every, hits in zip(whole.works, pipeline.gather(PROMPTS["remove"]).works, strict=True):
        in_order = sorted(every, key=lambda hit: hit.key)
        openings = {
            opening.key
            for source_id in {hit.source_id for hit in every}
            for opening in islice((h for h in in_order if h.source_id == source_id), OPENING)
        }
        assert list(hits) == [hit for hit in every if hit in every[:2] or hit.key in openings]


# --- search without a prompt ----------------------------------------------------------------

PAPER, EDGE, NOISE = "arxiv:2401.00001v2", "github:some/edge", "github:other/noise"


class Lengths:
    """A reranker that likes long texts."""

    name = "lengths"

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        return np.array([float(len(text)) for text in texts])


@pytest.fixture
def indexed(tmp_path: Path) -> IndexedWorks:
    works = IndexedWorks(tmp_path)
    works.add(PAPER, ["a hole", "an edge of light"])
    works.add(EDGE, ["the edge", "a hole in the edge"])
    works.add(NOISE, ["noise", "an edge"])
    return works


def look(works: IndexedWorks, *names: str) -> tuple[Hit, ...]:
    return search_data_dir("edge", 99, works.settings, ENCODER, works=names)


@given(
    catalog=st.lists(st.lists(SENTENCES, max_size=5), min_size=1, max_size=6).filter(any),
    query=SENTENCES,
    count=st.integers(1, 40),
)
@settings(SLOW, max_examples=25)
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
    ("names", "works"),
    [
        ([PAPER], {PAPER}),
        (["http://arxiv.org/pdf/2401.00001v2.pdf"], {PAPER}),
        (["https://arxiv.org/abs/2401.00001"], {PAPER}),
        (["2401.00001"], {PAPER}),
        (["GitHub:", EDGE], {EDGE, NOISE}),
        ([], {PAPER, EDGE, NOISE}),
    ],
)
def test_works_are_named_by_their_ids_links_or_parts_of_ids(
    indexed: IndexedWorks, names: list[str], works: set[str]
) -> None:
    hits = look(indexed, *names)
    assert {hit.source_id for hit in hits} == works
    assert len(hits) == 2 * len(works)


def test_a_whole_id_is_found_without_reading_the_ledger_of_any_other(indexed: IndexedWorks) -> None:
    for path in indexed.sources.folder.glob("ledger/*/*"):
        if path != indexed.sources.ledger(EDGE):
            path.unlink()
            path.mkdir()  # reading it now fails
    assert {hit.source_id for hit in look(indexed, EDGE)} == {EDGE}


def test_the_newest_text_of_a_work_is_searched(indexed: IndexedWorks) -> None:
    indexed.add(EDGE, ["a newer edge"])
    assert [hit.text for hit in look(indexed, EDGE)] == ["a newer edge"]


def test_a_work_that_is_unknown_or_not_indexed_is_named(indexed: IndexedWorks) -> None:
    with pytest.raises(SourceError, match="arxiv:9: no work in this data directory"):
        look(indexed, "arxiv:9")
    indexed.put("github:a/new", "text")
    with pytest.raises(EncoderError, match=r"a/new: nothing here is indexed.*rag index"):
        look(indexed, "a/new")
    with pytest.raises(EncoderError, match="nothing here is indexed"):
        look(IndexedWorks(indexed.settings.data_dir / "empty"))


def test_a_damaged_segment_is_named_and_the_others_are_searched(
    indexed: IndexedWorks, caplog: pytest.LogCaptureFixture
) -> None:
    source = indexed.sources.get(EDGE)
    assert source is not None
    path = indexed.segments.path(indexed.name(source))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert {hit.source_id for hit in look(indexed)} == {PAPER, NOISE}
    assert f"{EDGE} is not searched" in caplog.text
    with pytest.raises(SegmentError, match="is damaged"):
        look(indexed, EDGE)


# --- reranking ------------------------------------------------------------------------------


def test_reranking_orders_the_best_and_leaves_the_rest() -> None:
    scores = np.linspace(9, 6, DEPTH + 5).tolist()
    hits = [
        Hit("arxiv:1", "full text", Passage(n, 2 * n + 1, "x" * (n + 1)), score)
        for n, score in enumerate(scores)
    ]
    reranked = rerank(Lengths(), "?", hits)
    assert [len(hit.text) for hit in reranked[:DEPTH]] == list(range(DEPTH, 0, -1))
    assert list(reranked[DEPTH:]) == hits[DEPTH:]
    assert min(hit.score for hit in reranked[:DEPTH]) > hits[DEPTH].score
    assert rerank(Lengths(), "?", []) == ()


def test_a_search_over_everything_reranks_more_than_it_gives(indexed: IndexedWorks) -> None:
    hits = search_data_dir("edge", 2, indexed.settings, ENCODER, reranker=Lengths())
    assert [hit.text for hit in hits] == ["a hole in the edge", "an edge of light"]


def test_a_cross_encoder_of_a_folder_gives_each_text_one_score(tmp_path: Path) -> None:
    reranker = load_reranker(str(write_reranker(tmp_path / "cross")), offline=True)
    scores = reranker.scores("the model", ["we train a model", "the image", "it maps text"])
    assert len(set(scores.tolist())) == len(scores) == 3
    classes = str(write_reranker(tmp_path / "classes", outputs=3))
    with pytest.raises(EncoderError, match="3 scores"):
        load_reranker(classes, offline=True)
