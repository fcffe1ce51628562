"""A cross-encoder orders the best passages anew, and leaves the others where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.errors import EncoderError
from index.passages import Passage
from rag.retrieval import Hit
from rag.retrieval.retrieve import DEPTH, load_reranker, rerank
from rag.retrieval.scoring import Scores
from tests.parts.tiny_encoders import write_reranker


class Lengths:
    """Likes long texts."""

    name = "lengths"

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        return np.array([float(len(text)) for text in texts])


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
