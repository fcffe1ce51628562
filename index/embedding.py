"""Which vector stands for a passage: the mean of its sentences' vectors, made unit length.

Each sentence is encoded alone. The mean of the sentences found the evidence more often than the
vector of the passage as a whole (docs/decisions/0011), costs no more to compute, and nothing is
ever cut off at the encoder's maximum length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.encoder import Encoder, Vectors
from index.passages import Passage

# Names this way of making vectors: part of a segment's name, beside the splitter and the encoder.
EMBEDDING = "sentence-mean-3"


def passage_vectors(encoder: Encoder, passages: Sequence[Passage]) -> Vectors:
    """[len(passages), encoder.dimension], unit length."""
    return embed(encoder, passages)[0]


def embed(encoder: Encoder, passages: Sequence[Passage]) -> tuple[Vectors, Vectors]:
    """The vectors of the passages, [len(passages), encoder.dimension], and those of all their
    sentences in order, one row each, of unit length, in one call of the encoder: the same
    passages give the same bytes."""
    texts = [
        passage.text[start - passage.start : end - passage.start]
        for passage in passages
        for start, end in passage.sentences
    ]
    if not texts:
        none = np.zeros((0, encoder.dimension), dtype=np.float32)
        return none, none
    sentences = encoder.encode_passages(texts)
    counts = [len(passage.sentences) for passage in passages]
    sums = np.add.reduceat(sentences.astype(np.float64), np.cumsum([0, *counts[:-1]]), axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit: Vectors = (sums / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit, sentences
