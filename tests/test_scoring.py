"""Scores equal what their formulas say, and do not depend on the order of the passages."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag.retrieval.scoring import Lexicon, similarities, standardise, terms
from tests.parts.indexed import bm25

WORDS = st.sampled_from(["image", "images", "model", "noise", "vector", "edits", "the", "how"])
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


@given(st.lists(TEXTS, max_size=12), st.lists(TEXTS, min_size=1, max_size=3))
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


@given(st.lists(st.floats(-5, 5), max_size=20), st.randoms(use_true_random=False))
@example([0.1 + 0.2] * 7, Random(0))
def test_standard_scores_have_mean_0_and_deviation_1_in_any_order(
    values: list[float], random: Random
) -> None:
    scores = np.array(values)
    standard = standardise(scores)
    if len(set(values)) < 2:
        assert standard.tolist() == [0] * len(values)
    else:
        assert abs(standard.mean()) < 1e-6
        assert standard.any() == (abs(standard.std() - 1) < 1e-6)
    rows = list(range(len(values)))
    random.shuffle(rows)
    assert standardise(scores[rows]).tobytes() == standard[rows].tobytes()


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
