"""Scores equal what their formulas say, and do not depend on the order of the candidates."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index.encoder import embed, passage_vectors
from index.passages import Passage, excerpts
from rag.retrieval.retrieve import Candidates
from rag.retrieval.scoring import (
    EXCERPT_DENSE,
    EXCERPT_LEXICAL,
    HEADING_WEIGHT,
    K1,
    NEIGHBOURS,
    B,
    Lexicon,
    order,
    similarities,
    standardise,
    terms,
    with_neighbours,
)
from tests.parts.tiny_encoders import WordEncoder

WORDS = st.sampled_from(["image", "images", "model", "noise", "vector", "edits", "the", "how"])
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


def passage(text: str, start: int = 0, heading: str = "") -> Passage:
    sentences, place = [], start
    for sentence in text.split(". "):
        sentences.append((place, place + len(sentence)))
        place += len(sentence) + 2
    return Passage(start, start + len(text), text, heading, (), tuple(sentences))


def work(texts: list[str], heading: str = "") -> list[Passage]:
    found, place = [], 0
    for text in texts:
        found.append(passage(text, place, heading))
        place += len(text) + 2
    return found


def bm25(texts: list[str], query: str) -> list[float]:
    """The textbook formula, one term and one text at a time."""
    counts = [Counter(terms(text)) for text in texts]
    mean = max(sum(c.total() for c in counts), 1) / len(texts)
    scores = []
    for count in counts:
        score = 0.0
        for term in terms(query):
            df = sum(term in c for c in counts)
            idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
            norm = K1 * (1 - B + B * count.total() / mean)
            score += idf * count[term] * (K1 + 1) / (count[term] + norm)
        scores.append(score)
    return scores


@given(st.lists(TEXTS, min_size=1, max_size=12), TEXTS)
def test_lexical_scores_are_exact(texts: list[str], query: str) -> None:
    assert np.allclose(Lexicon(texts).scores(query), bm25(texts, query), atol=1e-9)


def test_terms_are_stemmed_and_function_words_do_not_count() -> None:
    assert terms("How are the Images edited?") == terms("image edit") == ["imag", "edit"]
    assert Lexicon(["a model of it", "noise"]).scores("what is it").tolist() == [0, 0]
    assert Lexicon([]).scores("model").shape == (0,)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_standard_scores_have_mean_0_and_deviation_1_in_any_order(
    values: list[float], random: Random
) -> None:
    scores = np.array(values)
    found = standardise(scores)
    assert abs(found.mean()) < 1e-6
    assert found.any() == (abs(found.std() - 1) < 1e-6)
    rows = list(range(len(values)))
    random.shuffle(rows)
    assert standardise(scores[rows]).tobytes() == found[rows].tobytes()


def test_equal_scores_say_nothing() -> None:
    assert standardise(np.full(7, 0.1 + 0.2)).tolist() == [0] * 7
    assert standardise(np.zeros(0)).shape == (0,)


def test_neighbours_share_their_score_within_a_work_only() -> None:
    scores, works = np.array([1.0, 0, 0, 8, 0]), np.array([0, 0, 0, 1, 1])
    expected = [1, NEIGHBOURS, 0, 8, 8 * NEIGHBOURS]
    assert np.allclose(with_neighbours(scores, works), expected)


def test_ties_are_broken_by_key() -> None:
    assert order(np.array([1.0, 2.0, 1.0]), ["b", "c", "a"]) == [1, 2, 0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
@settings(max_examples=25)
def test_a_rows_similarity_does_not_depend_on_its_neighbours(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(rows, 384)).astype(np.float32)
    query = rng.normal(size=384).astype(np.float32)
    found = similarities(vectors, query)
    for row in range(rows):
        assert similarities(vectors[row : row + 1], query)[0] == found[row]
    assert np.allclose(found, vectors @ query, atol=1e-3)


WORKS = st.dictionaries(
    st.sampled_from(["arxiv:1", "arxiv:2", "github:a/b", "summary:0"]),
    st.lists(st.lists(TEXTS, min_size=1, max_size=3).map(". ".join), max_size=5),
    max_size=4,
)
ENCODER = WordEncoder()


def candidates(works: dict[str, list[str]]) -> Candidates:
    found = {source: work(texts, "The model") for source, texts in works.items()}
    return Candidates({s: (p, *embed(ENCODER, p)) for s, p in found.items()})


@given(WORKS, TEXTS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_ranks_equal_brute_force_whatever_the_order_of_the_works(
    works: dict[str, list[str]],
    query: str,
    random: Random,
) -> None:
    vector = ENCODER.encode_queries([query])[0]
    found = candidates(works)
    scored = found.score(query, vector)
    ranked = found.ranked_passages(scored)

    # By hand: every passage of every work, scored one at a time.
    rows = [(source, p) for source in sorted(works) for p in work(works[source], "The model")]
    if rows:
        texts = ["The model " * HEADING_WEIGHT + p.text for _, p in rows]
        dense = standardise(
            np.array([float(passage_vectors(ENCODER, [p])[0] @ vector) for _, p in rows])
        )
        lexical = standardise(np.array(bm25(texts, query)))
        shared = lexical.copy()
        for row, (source, _) in enumerate(rows):
            for other in (row - 1, row + 1):
                if 0 <= other < len(rows) and rows[other][0] == source:
                    shared[row] += NEIGHBOURS * lexical[other]
        scores = dense + standardise(shared)
        assert np.allclose(scored.passages, scores, atol=1e-3)
        cut = [(row, span) for row, (_, p) in enumerate(rows) for span in excerpts(p)]
        own = [p.text[a - p.start : b - p.start] for row, (a, b) in cut for p in [rows[row][1]]]
        wanted = scores[[row for row, _ in cut]] + EXCERPT_LEXICAL * standardise(
            np.array(bm25(own, query))
        )
        inside = [
            [p.text[a - p.start : b - p.start] for a, b in p.sentences if start <= a < end]
            for row, (start, end) in cut
            for p in [rows[row][1]]
        ]
        means = [ENCODER.encode_passages(sentences).mean(axis=0) for sentences in inside]
        near = [float(mean @ vector / max(np.linalg.norm(mean), 1e-12)) for mean in means]
        wanted += EXCERPT_DENSE * standardise(np.array(near))
        assert np.allclose(scored.excerpts, wanted, atol=1e-3)
    assert sorted((item.source_id, item.passage.start) for item in ranked) == [
        (source, p.start) for source, p in rows
    ]
    assert [item.score for item in ranked] == sorted((i.score for i in ranked), reverse=True)

    shuffled = list(works.items())
    random.shuffle(shuffled)
    mixed = candidates(dict(shuffled))
    again = mixed.score(query, vector)
    assert mixed.ranked_passages(again) == ranked
    assert mixed.ranked_excerpts(again) == found.ranked_excerpts(scored)


def test_every_sentence_lies_in_one_excerpt_and_its_text_is_the_slice() -> None:
    text = "First comes a short one. Then a second. " + "The third is a long sentence " * 8
    found = candidates({"arxiv:1": [text.strip(), "Another passage"]})
    ranked = found.ranked_excerpts(found.score("second", ENCODER.encode_queries(["second"])[0]))
    whole = text.strip() + "  Another passage"
    assert all(whole[item.start : item.end] == item.text for item in ranked)
    spans = sorted((item.start, item.end) for item in ranked)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert "second" in ranked[0].text


def test_no_candidates_give_no_ranks() -> None:
    found = Candidates({})
    scored = found.score("model", ENCODER.encode_queries(["model"])[0])
    assert found.ranked_passages(scored) == ()
    assert found.ranked_excerpts(scored) == ()
