"""Scores equal what their formulas say, and do not depend on the order of the passages."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.retrieval.scoring import (
    NEIGHBOURS,
    Lexicon,
    order,
    similarities,
    standardise,
    terms,
    with_neighbours,
)
from tests.parts.indexed import bm25

WORDS = st.sampled_from(["image", "images", "model", "noise", "vector", "edits", "the", "how"])
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


@given(st.lists(TEXTS, min_size=1, max_size=12), st.lists(TEXTS, min_size=1, max_size=3))
def test_bm25_is_exact_for_every_query_however_the_texts_are_added(
    texts: list[str], queries: list[str]
) -> None:
    whole, in_parts = Lexicon(texts), Lexicon(queries=queries)
    in_parts.add(texts[:3])
    in_parts.add(texts[3:])
    for query in queries:
        assert np.allclose(whole.scores(query), bm25(texts, query), atol=1e-9)
        assert in_parts.scores(query).tolist() == whole.scores(query).tolist()


def test_terms_are_stemmed_and_function_words_do_not_count() -> None:
    assert terms("How are the Images edited?") == terms("image edit") == ["imag", "edit"]
    assert Lexicon(["a model of it", "noise"]).scores("what is it").tolist() == [0, 0]
    assert Lexicon([]).scores("model").shape == (0,)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_standard_scores_have_mean_0_and_deviation_1_in_any_order(
    values: list[float], random: Random
) -> None:
    scores = np.array(values)
    standard = standardise(scores)
    assert abs(standard.mean()) < 1e-6
    assert standard.any() == (abs(standard.std() - 1) < 1e-6)
    rows = list(range(len(values)))
    random.shuffle(rows)
    assert standardise(scores[rows]).tobytes() == standard[rows].tobytes()


def test_equal_scores_are_all_zero() -> None:
    assert standardise(np.full(7, 0.1 + 0.2)).tolist() == [0] * 7
    assert standardise(np.zeros(0)).shape == (0,)


def test_neighbours_share_their_score_within_a_work_only() -> None:
    scores, works = np.array([1.0, 0, 0, 8, 0]), np.array([0, 0, 0, 1, 1])
    expected = [1, NEIGHBOURS, 0, 8, 8 * NEIGHBOURS]
    assert np.allclose(with_neighbours(scores, works), expected)


def test_ties_stay_in_the_order_of_the_rows() -> None:
    assert order(np.array([1.0, 2.0, 1.0, 2.0])) == [1, 3, 0, 2]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(max_examples=25)
def test_a_rows_similarity_does_not_depend_on_its_neighbours(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, 384)).astype(np.float32)
    query = rng.normal(size=384).astype(np.float32)
    products = similarities(vectors, query)
    for row in range(rows):
        assert similarities(vectors[row : row + 1], query)[0] == products[row]
    assert np.allclose(products, vectors @ query, atol=1e-3)
