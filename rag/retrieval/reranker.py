"""A model that reads question and passage together orders the best passages anew. Off unless the
user names one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from index.checkpoint import open_model
from index.encoder import device_of
from index.errors import EncoderError
from index.weights import locate
from rag.retrieval import Hit, best_first
from rag.retrieval.scoring import Scores, standardise

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

# How many of the best passages are read again.
DEPTH = 32


class Reranker(Protocol):
    """Scores texts for a question; higher is better, and only the order of one call counts."""

    name: str
    """Which model this is, for reports."""

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        """[len(texts)]."""


def rerank(reranker: Reranker, query: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """`hits` (best first) with the first DEPTH of them rescored, and ordered anew, by `reranker`.
    They stay before all others, on the scale of standardised scores."""
    best = hits[:DEPTH]
    if not best:
        return ()
    scores = standardise(reranker.scores(query, [hit.text for hit in best]))
    floor = best[-1].score - scores.min()
    rescored = [
        replace(hit, score=float(floor + own)) for hit, own in zip(best, scores, strict=True)
    ]
    return (*sorted(rescored, key=best_first), *hits[DEPTH:])


class CrossEncoderReranker:
    """Any cross-encoder of sentence-transformers with one output."""

    def __init__(self, model: CrossEncoder, name: str) -> None:
        self._model = model
        self.name = name

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        """See Reranker."""
        scores = self._model.predict([(query, text) for text in texts], show_progress_bar=False)
        return np.asarray(scores, dtype=np.float64).reshape(len(texts))


def load_reranker(name: str, *, offline: bool = False, device: str = "") -> Reranker:
    """The cross-encoder `name` stands for: a local folder, else a model of the hub. `device` as for
    `index.encoder.device_of`. Raises EncoderError."""
    folder, place = locate(name, offline=offline), device_of(device)
    model = open_model("CrossEncoder", folder, "reranker", device=place)
    if model.num_labels != 1:
        raise EncoderError(f"{name} gives {model.num_labels} scores for a passage: one is needed")
    return CrossEncoderReranker(model, name)
