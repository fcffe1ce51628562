"""Search is exact, over the listed works and nothing else; the order of listings is nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.documents.document import Document, Section
from index.encoder import Encoder, embed
from index.passages import Passage
from index.sources.store import source_type_of
from index.stores.segments import Segment, make_segment
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.retrieval.evidence import FACETS, Evidence, Hit, Reading, Span
from rag.retrieval.retrieve import Pool, search
from rag.retrieval.scoring import K1, B, terms
from tests.parts.works import LISTED, PROMPTS, prompt

WORDS = ["picture", "colour", "prompt", "network", "decoder", "hole", "edge", "light", "noise"]
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
SLOW = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def segment(name: str, texts: list[str], encoder: Encoder) -> Segment:
    passages, start = [], 0
    for text in texts:
        span = start, start + len(text)
        passages.append(Passage(*span, text, sentences=(span,)))
        start += len(text) + 1
    document = Document(" ".join(texts), "", (), (Section(0, start),), "test")
    return make_segment(name, document, tuple(passages), *embed(encoder, passages))


def read(source_id: str) -> Reading:
    return Reading(source_id, source_type_of(source_id), sha256="0" * 64, document_sha256="1" * 64)


def fused_by_brute_force(
    works: list[list[str]], query: str, encoder: Encoder
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """z-score of the cosine, plus z-score of: z-score of BM25 plus 0.3 of that of each neighbour
    in the same work; straight from their definitions."""
    texts = [text for work in works for text in work]
    vectors = encoder.encode_passages(texts).astype(np.float64)
    dense = vectors @ encoder.encode_queries([query])[0].astype(np.float64)
    counted = [Counter(terms(text)) for text in texts]
    mean = sum(counts.total() for counts in counted) / len(texts)
    lexical = np.zeros(len(texts))
    for term in terms(query):
        df = sum(term in counts for counts in counted)
        for row, counts in enumerate(counted):
            norm = K1 * (1 - B + B * counts.total() / mean)
            idf = np.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
            lexical[row] += idf * counts[term] * (K1 + 1) / (counts[term] + norm)

    def standard(
        scores: np.ndarray[tuple[int], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        flat = np.ptp(scores) < 1e-6
        return 0 * scores if flat else (scores - scores.mean()) / scores.std()

    own = [number for number, work in enumerate(works) for _ in work]
    alone = standard(lexical)
    shared = alone.copy()
    for row, work in enumerate(own):
        for beside in (row - 1, row + 1):
            if 0 <= beside < len(own) and own[beside] == work:
                shared[row] += 0.3 * alone[beside]
    return standard(dense) + standard(shared)


@given(
    works=st.lists(st.lists(SENTENCES, min_size=1, max_size=6), min_size=1, max_size=4),
    query=SENTENCES,
    k=st.integers(1, 24),
)
@SLOW
def test_search_equals_brute_force(
    encoder: Encoder, works: list[list[str]], query: str, k: int
) -> None:
    ids = [f"arxiv:2401.{number:05}" for number in range(len(works))]
    segments = {sid: segment(sid, texts, encoder) for sid, texts in zip(ids, works, strict=True)}
    pool = Pool.of([read(sid) for sid in ids], segments)
    (found,) = search(pool, encoder, [query])
    expected = fused_by_brute_force(works, query, encoder)
    keys = [(sid, passage.start) for sid, passage in pool.candidates().passages]
    score = dict(zip(keys, expected, strict=True))
    assert sorted((hit.source_id, hit.passage.start) for hit in found) == sorted(keys)
    best = [score[hit.source_id, hit.passage.start] for hit in found[:k]]
    assert best == pytest.approx(sorted(expected, reverse=True)[:k], abs=1e-4)
    assert [hit.score for hit in found[:k]] == pytest.approx(best, abs=1e-4)


@given(shuffled=st.permutations(range(4)))
@SLOW
def test_the_order_of_readings_changes_nothing(encoder: Encoder, shuffled: list[int]) -> None:
    ids = [f"arxiv:2401.{number:05}" for number in range(4)]
    segments = {sid: segment(sid, [f"colour {sid} {w}" for w in WORDS], encoder) for sid in ids}
    straight = search(Pool.of([read(sid) for sid in ids], segments), encoder, ["edge", "colour"])
    other = Pool.of(
        [read(ids[number]) for number in shuffled],
        {ids[number]: segments[ids[number]] for number in reversed(shuffled)},
    )
    assert search(other, encoder, ["edge", "colour"]) == straight


def test_a_query_finds_the_same_whatever_was_asked_with_it(encoder: Encoder) -> None:
    pool = Pool.of(
        [read("arxiv:2401.00001")],
        {"arxiv:2401.00001": segment("s", [f"{a} {b}" for a in WORDS for b in WORDS], encoder)},
    )
    together = search(pool, encoder, WORDS)
    assert [search(pool, encoder, [word])[0] for word in WORDS] == list(together)


def test_what_was_not_read_is_not_searched(encoder: Encoder) -> None:
    one = segment("s", ["colour"], encoder)
    pool = Pool.of(
        [read("arxiv:1"), replace(read("arxiv:2"), reason="lost"), read("arxiv:3")],
        {"arxiv:1": one, "arxiv:2": one, "arxiv:9": one},
    )
    assert [source_id for source_id, _ in pool.sources] == ["arxiv:1"]


def test_nothing_to_read_is_nothing_found(encoder: Encoder) -> None:
    assert search(Pool.of([], {}), encoder, ["a", "b"]) == ((), ())
    assert Pool.of([], {}).sentence_vectors() == {}


@pytest.mark.parametrize("name", PROMPTS)
def test_every_hit_is_of_a_listed_work_and_says_where_it_stands(
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


def test_every_listed_work_gets_its_chance_in_every_part(pipeline: Pipeline) -> None:
    evidence = pipeline.gather(prompt("How are colours chosen?", ["Lantern"], ["Kite", "Willow"]))
    assert set(evidence.facets) == set(FACETS)
    for listing, hits, opening in zip(
        evidence.prompt.listings, evidence.works, evidence.openings, strict=True
    ):
        own = set(listing.source_ids)
        assert hits
        assert {hit.source_id for hit in (*hits, *opening)} <= own
        for found in evidence.facets.values():
            assert own & {hit.source_id for hit in found}


def test_the_openings_are_the_first_passages_in_reading_order(pipeline: Pipeline) -> None:
    evidence = pipeline.gather(PROMPTS["remove"])
    for opening in evidence.openings:
        starts: dict[str, list[int]] = {}
        for hit in opening:
            starts.setdefault(hit.source_id, []).append(hit.passage.start)
        for found in starts.values():
            assert found == sorted(found)
            assert len(found) <= 3


@given(order=st.permutations(sorted(LISTED)))
@SLOW
def test_the_order_of_listings_changes_no_hit(pipeline: Pipeline, order: list[str]) -> None:
    def by_source(evidence: Evidence) -> object:
        works = {item.name: evidence.works[n] for n, item in enumerate(evidence.prompt.listings)}
        return evidence.facets, works, frozenset(evidence.readings)

    straight = pipeline.gather(prompt("colour", [], sorted(LISTED)))
    assert by_source(pipeline.gather(prompt("colour", [], order))) == by_source(straight)


class TestEvidence:
    """The words behind a pointer are looked up in what was retrieved, or there are none."""

    def evidence(self, question: str = "How?") -> Evidence:
        passage = Passage(10, 20, "0123456789", sentences=((10, 14), (14, 20)))
        asked = Prompt.build(
            question, related=[{"model": "A", "paper": "arxiv.org/abs/2401.00001"}]
        )
        hit = Hit("arxiv:2401.00001", "full text", passage, 1.0)
        facets = dict.fromkeys(FACETS, (hit,))
        return Evidence(asked, (read("arxiv:2401.00001"),), facets, ((hit,),))

    @given(st.integers(0, 30), st.integers(0, 30))
    def test_a_span_inside_a_passage_has_its_words_and_no_other_has_any(
        self, start: int, end: int
    ) -> None:
        span = Span("arxiv:2401.00001", start, end)
        if 10 <= start < end <= 20:
            assert self.evidence().text(span) == "0123456789"[start - 10 : end - 10]
        else:
            with pytest.raises(ValueError, match="no retrieved passage"):
                self.evidence().text(span)

    def test_another_source_at_the_same_place_has_none(self) -> None:
        with pytest.raises(ValueError, match="no retrieved passage"):
            self.evidence().text(Span("arxiv:2401.00002", 10, 14))

    def test_two_listings_may_share_a_source(self) -> None:
        shared = {"paper": "arxiv.org/abs/2401.00001"}
        evidence = replace(
            self.evidence(),
            prompt=Prompt.build(
                "How?", related=[{"model": "A", **shared}, {"model": "B", **shared}]
            ),
        )
        assert evidence.listings_of("arxiv:2401.00001") == (0, 1)
        assert evidence.listings_of("arxiv:2401.00002") == ()

    @given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=8))
    def test_a_source_is_of_every_listing_that_lists_it(
        self, works: list[tuple[int, bool]]
    ) -> None:
        related = [
            {
                "model": f"Work {number}",
                "paper": f"arxiv.org/abs/2401.0000{paper}",
                "summary": "Of this and that." if summary else None,
            }
            for number, (paper, summary) in enumerate(works)
        ]
        asked = Prompt.build("How?", related=related)
        evidence = replace(self.evidence(), prompt=asked)
        known = {sid for listing in asked.listings for sid in listing.source_ids}
        for source_id in (*known, "arxiv:2401.00009"):
            assert evidence.listings_of(source_id) == tuple(
                n for n, listing in enumerate(asked.listings) if source_id in listing.source_ids
            )

    def test_pages_follow_from_the_page_starts(self) -> None:
        reading = replace(read("arxiv:2401.00001"), page_starts=(0, 100, 100, 250))
        assert reading.pages(0, 100) == (1,)
        assert reading.pages(99, 101) == (1, 2, 3)
        assert reading.pages(249, 260) == (3, 4)
        assert replace(reading, page_starts=()).pages(0, 1) == ()
