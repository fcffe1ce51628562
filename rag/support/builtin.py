"""The built-in support checker: a logistic regression over a few features of words and, where the
default encoder can be had, an alignment of its token states. Fitted by scripts/train_support.py."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from index.encoder import LazyEncoder, TokenStates, device_of
from index.settings import Settings
from rag.retrieval.scoring import terms
from rag.support import Finding, Pair, Support, SupportChecker, sentences
from rag.support.findings import findings, novelties, tokens

WINDOW = "window"
SOFT = "soft"
SHARED = ("sentence_share", "evidence_length", "new_quantities", "new_names", "findings")

# Of longer evidence, so many sentences with most of the statement's words are aligned.
_SENTENCES = 24
# Characters, about 180 tokens: below the 256 that the default encoder reads.
_CHUNK = 700
# Texts whose token states are cached; pairs whose texts are encoded together, far fewer texts.
_CACHED = 4096
_TOGETHER = 64
_READABLE = re.compile(r"[^\W_]")
_CITATION = re.compile(r"\[\d{1,3}\]")


TokenEncoder = Callable[[Sequence[str]], list[TokenStates]]
"""Texts to the states of their tokens. What lies beyond the model's length has no states."""


class CachedTokenStates:
    """The TokenEncoder of `encoder`, with a cache."""

    def __init__(self, encoder: LazyEncoder) -> None:
        self._encoder = encoder
        self._cache: dict[str, TokenStates] = {}

    def __call__(self, texts: Sequence[str]) -> list[TokenStates]:
        """See TokenEncoder."""
        if len(self._cache) + len(texts) > _CACHED:
            self._cache.clear()
        missing = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if missing:
            self._cache |= dict(zip(missing, self._encoder.token_states(missing), strict=True))
        return [self._cache[text] for text in texts]


def soft_alignment(statement: str, evidence: Sequence[str], encoder: TokenEncoder) -> float:
    """Mean cosine of the statement's content tokens to the nearest token of one chunk of the
    evidence, the best chunk; 0 where either has no tokens."""
    own, *chunks = encoder([statement, *_chunks(statement, evidence)])
    content = [at for at, token in enumerate(own.tokens) if terms(token)]
    vectors = own.vectors[content or range(len(own.tokens))]
    cosines = [vectors @ chunk.vectors.T for chunk in chunks if own.tokens and chunk.tokens]
    return max((float(it.max(axis=1).mean()) for it in cosines), default=0.0)


def _chunks(statement: str, evidence: Sequence[str]) -> list[str]:
    pieces = list(filter(_READABLE.search, sentences(evidence)))
    if len(pieces) > _SENTENCES:
        content = set(terms(statement))
        shared = [len(content.intersection(terms(piece))) for piece in pieces]
        order = sorted(range(len(pieces)), key=lambda at: -shared[at])
        pieces = [pieces[at] for at in sorted(order[:_SENTENCES])]
    chunks: list[str] = []
    for piece in pieces:
        if chunks and len(chunks[-1]) + len(piece) <= _CHUNK:
            chunks[-1] += " " + piece
        else:
            chunks.append(piece)
    return chunks


def features_of(
    statement: str, evidence: Sequence[str], encoder: TokenEncoder | None
) -> tuple[dict[str, float], tuple[Finding, ...]]:
    """The features of a pair, those named by SHARED, WINDOW, and with an encoder SOFT, and its
    findings.

    `window`: share of the content words in three neighbouring sentences, the best three;
    `sentence_share`: share of a sentence's content that the statement takes up, the best sentence;
    `evidence_length`: logarithm of its content words; `new_quantities`: share of the statement's
    quantities that no evidence has; `new_names` (three at most) and `findings` (two) are counts.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    wrong = findings(statement, evidence)
    quantities, names = novelties(statement, evidence)
    content = set(terms(_CITATION.sub(" ", statement)))
    pieces = sentences(evidence)
    met = [content.intersection(terms(piece)) for piece in pieces]
    windows = [set().union(*met[at : at + 3]) for at in range(len(met))]
    own, *theirs = (
        {token.key for token in tokens(text) if token.text.lower() not in ENGLISH_STOP_WORDS}
        for text in (statement, *pieces)
    )
    features = {
        WINDOW: max(map(len, windows), default=0) / max(1, len(content)),
        "sentence_share": max((len(own & its) / max(1, len(its)) for its in theirs), default=0.0),
        "evidence_length": math.log1p(sum(len(terms(piece)) for piece in pieces)),
        "new_quantities": quantities,
        "new_names": float(min(3, names)),
        "findings": float(min(2, len(wrong))),
    }
    if encoder is not None:
        features[SOFT] = soft_alignment(statement, evidence, encoder)
    return features, wrong


@cache
def coefficients() -> dict[str, Any]:
    """The file of the training script: version, and for each set intercept, weights, threshold."""
    text = (files("rag.support") / "coefficients.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


class BuiltinChecker:
    """Scores any statement that has words against any evidence that has words.

    An encoder must be the one whose states the coefficients were fitted on, the default
    all-MiniLM-L6-v2; without one there are coefficients of their own.
    """

    def __init__(self, encoder: TokenEncoder | None = None) -> None:
        self._encoder = encoder
        features = "lexical" if encoder is None else "soft"
        self._model = coefficients()[features]
        self.name = f"builtin-{features}-{coefficients()['version']}"
        # Of the best balanced accuracy out of fold on the training data.
        self.threshold = float(self._model["threshold"])

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Unscored only where one of the two has no words."""
        if not _READABLE.search(statement):
            return Support(None, checker=self.name, reason="the statement has no words")
        if not any(map(_READABLE.search, evidence)):
            return Support(None, checker=self.name, reason="there is no evidence with words")
        features, wrong = features_of(statement, evidence, self._encoder)
        score = self._model["intercept"] + sum(
            weight * features[feature] for feature, weight in self._model["weights"].items()
        )
        return Support(1 / (1 + math.exp(-score)), wrong, self.name)

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """See SupportChecker. The texts of many pairs are encoded together."""
        supports = []
        every = list(pairs)
        for first in range(0, len(every), _TOGETHER):
            batch = every[first : first + _TOGETHER]
            if self._encoder is not None:
                self._encoder([text for pair in batch for text in (pair[0], *_chunks(*pair))])
            supports += [self.check(*pair) for pair in batch]
        return supports


def open_checker(
    name: str = "", *, offline: bool = False, token_states: bool = True, device: str = ""
) -> SupportChecker:
    """The NLI cross-encoder `name` (hub id or folder), or with "" the built-in checker: with the
    default encoder's token states, or without them. `device` as for `index.encoder.device_of`.
    Raises EncoderError."""
    if name:
        from rag.support.nli import CrossEncoderChecker

        return CrossEncoderChecker(name, offline=offline, device=device)
    if not token_states:
        return BuiltinChecker()
    encoder = LazyEncoder(Settings(offline=offline, device=device_of(device)))
    return BuiltinChecker(CachedTokenStates(encoder))
