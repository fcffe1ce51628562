"""Measures of retrieval, by hand and by property."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.evaluation.evidence_recall import (
    MEASURES,
    Span,
    bootstrap,
    evidence_recall,
    hits,
    overlap,
    paired_test,
    question_measures,
    union,
)

SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda s: (s[0], s[0] + s[1])), max_size=8
)


def characters(spans: list[Span]) -> set[int]:
    return {offset for start, end in spans for offset in range(start, end)}


@given(SPANS, SPANS)
def test_spans_are_sets_of_characters(left: list[Span], right: list[Span]) -> None:
    assert characters(list(union(left))) == characters(left)
    assert overlap(left, right) == len(characters(left) & characters(right))


@given(SPANS, SPANS.filter(bool), st.integers(0, 120))
def test_recall_is_the_share_of_gold_characters_among_the_first_ones_read(
    ranked: list[Span], gold: list[Span], budget: int
) -> None:
    read = [offset for start, end in ranked for offset in range(start, end)][:budget]
    expected = len(set(read) & characters(gold)) / len(characters(gold))
    assert evidence_recall(ranked, gold, budget) == pytest.approx(expected)


def test_the_last_passage_is_cut_at_the_budget() -> None:
    assert evidence_recall([(0, 80), (100, 200)], [(100, 200)], 130) == 0.5


def test_a_hit_overlaps_half_of_the_shorter_of_the_two() -> None:
    assert hits((0, 100), [(90, 110)])
    assert not hits((0, 100), [(91, 111)])
    assert hits((0, 10), [(5, 500)])
    assert not hits((0, 10), [(6, 500)])
    assert not hits((0, 10), [])


def test_ranks_are_measured_as_the_field_defines_them() -> None:
    passages = [(n * 10, n * 10 + 10) for n in range(12)]
    gold = [[(20, 30), (50, 60)], [(110, 120)], [(500, 510)]]
    found = question_measures([passages] * 3, [passages] * 3, gold)
    assert set(found) == set(MEASURES)
    assert found["hit@1"].tolist() == [0, 0, 0]
    assert found["hit@3"].tolist() == [1, 0, 0]
    assert found["hit@10"].tolist() == [1, 0, 0]
    assert found["MRR"] == pytest.approx([1 / 3, 1 / 12, 0])
    ideal = 1 + 1 / math.log2(3)
    gained = 1 / math.log2(4) + 1 / math.log2(7)
    assert found["nDCG@10"] == pytest.approx([gained / ideal, 0, 0])
    assert found["recall@2000c"].tolist() == [1, 1, 0]


def test_the_interval_treats_the_document_as_what_was_sampled() -> None:
    # Ten documents, each all right or all wrong: a hundred questions, but ten facts.
    values = np.repeat([1.0, 0.0] * 5, 10)
    documents = [f"d{n // 10}" for n in range(100)]
    clustered = bootstrap(values, documents)
    alone = bootstrap(values, [str(n) for n in range(100)])
    assert clustered.mean == alone.mean == 0.5
    assert clustered.low < alone.low < 0.5 < alone.high < clustered.high
    assert bootstrap(values, documents) == clustered


def test_the_paired_test_sees_a_difference_that_all_documents_share() -> None:
    rng = np.random.default_rng(1)
    documents = [f"d{n % 20}" for n in range(200)]
    second = rng.random(200)
    better = paired_test(second + 0.05, second, documents)
    assert better.mean == pytest.approx(0.05)
    assert better.p < 0.001
    same = paired_test(second, second, documents)
    assert (same.mean, same.p) == (0, 1)
    # The same mean difference, from one document alone, is no evidence.
    one = second + np.array([1.0 if name == "d0" else 0 for name in documents])
    assert paired_test(one, second, documents).p > 0.5


def test_p_of_differences_by_chance_is_uniform_enough() -> None:
    rng = np.random.default_rng(2)
    documents = [f"d{n % 15}" for n in range(60)]
    found = [
        paired_test(rng.random(60), rng.random(60), documents, resamples=400).p for _ in range(200)
    ]
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.11
