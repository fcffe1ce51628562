"""Soft alignment: each token of the statement with the nearest token of the evidence, in context.

The recall of BERTScore (Zhang et al. 2020, arXiv 1904.09675) over the content tokens, from the
last token states of the sentence encoder. Evidence is encoded in chunks of neighbouring sentences,
so that each of its tokens is encoded once, in its context.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.support.text import STOPWORDS, all_sentences, content_stems, words

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["SOFT", "SentenceTransformerTokens", "TokenEncoder", "TokenStates", "soft_alignment"]

SOFT = "soft"

# Beyond these sentences, those with most of the statement's words stand for the evidence.
_SENTENCES = 24
# About 180 tokens: below the 256 the default encoder reads.
_CHUNK = 700
_READABLE = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class TokenStates:
    """`vectors[i]`, of unit length, is the state of `tokens[i]` in its text; no special tokens."""

    tokens: tuple[str, ...]
    vectors: NDArray[np.float32]


class TokenEncoder(Protocol):
    """Texts to the states of their tokens."""

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenStates]:
        """One for each text, in order."""
        ...


class SentenceTransformerTokens:
    """Token states of a SentenceTransformer; what was encoded last is kept."""

    def __init__(self, model: SentenceTransformer, *, kept: int = 4096) -> None:
        self._model = model
        self._kept = kept
        self._states: dict[str, TokenStates] = {}

    @classmethod
    def load(cls, folder: Path) -> SentenceTransformerTokens:
        """From the folder of the default encoder."""
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        return cls(SentenceTransformer(str(folder)))

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenStates]:
        """What of a text lies beyond the model's length has no states."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._states]
        if len(self._states) + len(missing) > self._kept:
            self._states.clear()
            missing = list(dict.fromkeys(texts))
        if missing:
            encoded = self._model.encode(
                missing, output_value="token_embeddings", convert_to_numpy=False, batch_size=8,
                show_progress_bar=False,
            )  # fmt: skip
            self._states |= {
                text: self._read(text, states)
                for text, states in zip(missing, encoded, strict=True)
            }
        return [self._states[text] for text in texts]

    def _read(self, text: str, states: Any) -> TokenStates:
        vectors = states.float().cpu().numpy()[1:-1]
        ids = self._model.tokenizer(text, truncation=True, max_length=self._model.max_seq_length)[
            "input_ids"
        ][1:-1]
        tokens = tuple(self._model.tokenizer.convert_ids_to_tokens(ids))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return TokenStates(tokens, np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32))


def soft_alignment(statement: str, evidence: Sequence[str], encoder: TokenEncoder) -> float:
    """Mean cosine of the statement's content tokens to the nearest token of one chunk of the
    evidence, the best chunk; 0 where either has no tokens."""
    chunks = _chunks(statement, evidence)
    mine, *others = encoder.encode_tokens([statement, *chunks])
    theirs = [each for each in others if each.tokens]
    if not mine.tokens or not theirs:
        return 0.0
    kept = [at for at, token in enumerate(mine.tokens) if _content(token)]
    vectors = mine.vectors[kept or range(len(mine.tokens))]
    return max(float((vectors @ each.vectors.T).max(axis=1).mean()) for each in theirs)


def _content(token: str) -> bool:
    return bool(_READABLE.search(token)) and token not in STOPWORDS


def _chunks(statement: str, evidence: Sequence[str]) -> list[str]:
    sentences = [sentence for sentence in all_sentences(evidence) if _READABLE.search(sentence)]
    if len(sentences) > _SENTENCES:
        wanted = set(content_stems(words(statement)))
        shared = [len(wanted & set(content_stems(words(sentence)))) for sentence in sentences]
        order = sorted(range(len(sentences)), key=lambda at: -shared[at])
        sentences = [sentences[at] for at in sorted(order[:_SENTENCES])]
    chunks: list[str] = []
    for sentence in sentences:
        if chunks and len(chunks[-1]) + len(sentence) <= _CHUNK:
            chunks[-1] += " " + sentence
        else:
            chunks.append(sentence)
    return chunks
