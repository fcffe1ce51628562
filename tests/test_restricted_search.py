"""Search over the listed works equals brute force over them, whatever else the catalog holds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.stores.segments import Segment
from rag.retrieval.evidence import Hit, Reading
from rag.retrieval.retrieve import Pool, search
from tests.parts.tiny_encoders import WordEncoder
from tests.test_retrieval import fused_by_brute_force, segment

ENCODER = WordEncoder()
WORDS = ["picture", "colour", "prompt", "network", "decoder", "hole", "edge", "light", "noise"]
# Few words and short sentences: equal passages, within a work and across works, are common.
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
CATALOGS = st.dictionaries(
    st.integers(0, 99).map("arxiv:2401.{:05}".format), st.lists(SENTENCES, max_size=6), min_size=1
)
SLOW = settings(deadline=None, max_examples=80)


def segments_of(catalog: Mapping[str, Sequence[str]]) -> dict[str, Segment]:
    return {sid: segment(sid, list(texts), ENCODER) for sid, texts in catalog.items()}


def found(listed: Sequence[str], segments: Mapping[str, Segment], query: str) -> tuple[Hit, ...]:
    pool = Pool.of([Reading(source_id, "full text") for source_id in listed], segments)
    (hits,) = search(pool, ENCODER, [query])
    return hits


def keys(hits: Sequence[Hit]) -> Iterator[tuple[str, int]]:
    return ((hit.source_id, hit.passage.start) for hit in hits)


@given(catalog=CATALOGS, query=SENTENCES, data=st.data())
@SLOW
def test_the_k_best_of_the_listed_works_are_those_of_brute_force(
    catalog: dict[str, list[str]], query: str, data: st.DataObject
) -> None:
    listed = data.draw(st.lists(st.sampled_from(sorted(catalog)), unique=True))
    k = data.draw(st.integers(1, 60))  # often more than there is
    hits = found(listed, segments_of(catalog), query)
    works = [catalog[source_id] for source_id in sorted(listed) if catalog[source_id]]
    there = {(sid, p.start) for sid in listed for p in segments_of(catalog)[sid].passages}
    assert set(keys(hits)) == there
    assert len(hits) == len(there)
    if there:
        expected = np.sort(fused_by_brute_force(works, query, ENCODER))[::-1]
        assert [hit.score for hit in hits[:k]] == pytest.approx(expected[:k].tolist(), abs=1e-4)


@given(catalog=CATALOGS, query=SENTENCES, order=st.randoms(use_true_random=False))
@SLOW
def test_what_is_not_listed_and_the_order_of_everything_change_nothing(
    catalog: dict[str, list[str]], query: str, order: random.Random
) -> None:
    segments = segments_of(catalog)
    listed = sorted(catalog)[: 1 + len(catalog) // 2]
    alone = found(listed, {sid: segments[sid] for sid in listed}, query)
    shuffled, names = list(segments.items()), list(listed)
    order.shuffle(shuffled)
    order.shuffle(names)
    assert found(names, dict(shuffled), query) == alone


@given(texts=st.lists(SENTENCES, min_size=1, max_size=4), query=SENTENCES, copies=st.integers(2, 6))
@SLOW
def test_equal_works_stand_side_by_side_in_the_order_of_their_ids(
    texts: list[str], query: str, copies: int
) -> None:
    ids = [f"arxiv:{number}" for number in range(copies)]
    hits = found(ids[::-1], segments_of(dict.fromkeys(ids, texts)), query)
    for place in range(0, len(hits), copies):
        together = hits[place : place + copies]
        assert len({hit.score for hit in together}) == 1
    for start in {hit.passage.start for hit in hits}:
        assert [hit.source_id for hit in hits if hit.passage.start == start] == ids


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("passages", [0, 1, 10_000])
def test_a_work_may_have_no_passages_one_or_ten_thousand(passages: int, others: int) -> None:
    choose = random.Random(passages)
    catalog = {
        "arxiv:1": [" ".join(choose.choices(WORDS, k=8)) for _ in range(passages)],
        **{f"arxiv:{number}": ["a hole", "the edge"] for number in range(2, 2 + others)},
    }
    hits = found(sorted(catalog), segments_of(catalog), "hole edge")
    assert len(hits) == passages + 2 * others
    works = [texts for texts in catalog.values() if texts]
    if works:
        expected = np.sort(fused_by_brute_force(works, "hole edge", ENCODER))[::-1]
        assert [hit.score for hit in hits] == pytest.approx(expected.tolist(), abs=1e-3)
