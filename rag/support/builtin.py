"""Which checker of support a user asked for, loaded."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.support.checker import Finding, Pair, Support, SupportChecker
from rag.support.findings import findings
from rag.support.text import STOPWORDS, Word, all_sentences, content_stems, words

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

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


LEXICAL = (
    "window", "bigrams", "novel", "sentence_share", "evidence_length", "statement_length",
    "wrong_names", "wrong_numbers", "wrong_polarity",
)  # fmt: skip

_CITATION = re.compile(r"\[\d{1,3}\]")
_KIND = {"name": "wrong_names", "comparison": "wrong_polarity", "negation": "wrong_polarity"}
# Shorter stems must be equal; longer ones may differ in the last three tenths.
_ROOT = 5
_ALIKE = 0.7


def lexical_features(
    statement: str, evidence: Sequence[str], findings: Sequence[Finding]
) -> dict[str, float]:
    """The features that need no model, named by LEXICAL.

    `window`: share of the content words met by two neighbouring sentences, the best two;
    `bigrams`: share of the neighbouring word pairs that the evidence has; `novel`: how many
    content words nothing meets; `sentence_share`: share of a sentence's content that the statement
    takes up, the best sentence; lengths are logarithms of word counts; the last three count
    findings, two at most.
    """
    said = words(_CITATION.sub(lambda match: " " * len(match.group()), statement))
    wanted = {word.stem for word in said if word.folded not in STOPWORDS}
    there = [found for sentence in all_sentences(evidence) if (found := words(sentence))]
    stems = [{word.stem for word in found if word.folded not in STOPWORDS} for found in there]
    met = _met(wanted, stems)
    size = max(1, len(wanted))
    windows = [one | two for one, two in pairwise(met)] or met
    shares = [len(its) / max(1, len(all_its)) for its, all_its in zip(met, stems, strict=True)]
    wrong = Counter(_KIND.get(finding.kind, "wrong_numbers") for finding in findings)
    return {
        "window": max((len(window) for window in windows), default=0) / size,
        "bigrams": _bigram_share(said, there),
        "novel": float(len(wanted.difference(*met))),
        "sentence_share": max(shares, default=0.0),
        "evidence_length": math.log1p(sum(len(found) for found in there)),
        "statement_length": math.log(size),
        **{name: float(min(2, wrong[name])) for name in LEXICAL if name.startswith("wrong_")},
    }


def _met(wanted: set[str], stems: Sequence[set[str]]) -> list[set[str]]:
    """For each sentence, the wanted stems it meets."""
    by_root: dict[str, set[str]] = {}
    for stem in set().union(*stems):
        by_root.setdefault(stem[:_ROOT], set()).add(stem)
    forms: Mapping[str, set[str]] = {
        stem: {other for other in by_root.get(stem[:_ROOT], ()) if _same_root(stem, other)}
        for stem in wanted
    }
    return [{stem for stem in wanted if forms[stem] & its} for its in stems]


def _same_root(one: str, other: str) -> bool:
    if one == other:
        return True
    if min(len(one), len(other)) < _ROOT:
        return False
    common = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return common >= _ALIKE * max(len(one), len(other))


def _bigram_share(said: Sequence[Word], there: Sequence[Sequence[Word]]) -> float:
    pairs = {(one.stem, two.stem) for one, two in pairwise(said)}
    known = {(one.stem, two.stem) for found in there for one, two in pairwise(found)}
    return len(pairs & known) / max(1, len(pairs))


@lru_cache(maxsize=1)
def coefficients() -> Mapping[str, Any]:
    """What the recipe wrote: version, and for each set intercept, weights and threshold."""
    text = (files("rag.support") / "coefficients.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def features_of(
    statement: str, evidence: Sequence[str], encoder: TokenEncoder | None
) -> tuple[dict[str, float], Support]:
    """All features of a pair that can be had, and its findings in an unscored Support."""
    wrong = findings(statement, evidence)
    features = lexical_features(statement, evidence, wrong)
    if encoder is not None:
        features[SOFT] = soft_alignment(statement, evidence, encoder)
    return features, Support(None, wrong)


class BuiltinChecker:
    """Scores any statement that has words against any evidence that has words.

    With an encoder it must be the one whose states the coefficients were fitted on, the
    default all-MiniLM-L6-v2; without one it has coefficients of its own.
    """

    def __init__(self, encoder: TokenEncoder | None = None) -> None:
        self._encoder = encoder
        self._set = "lexical" if encoder is None else "soft"
        self._model = coefficients()[self._set]

    @property
    def name(self) -> str:
        """With the set and version of the coefficients."""
        return f"builtin-{self._set}-{coefficients()['version']}"

    @property
    def threshold(self) -> float:
        """Best balanced accuracy out of fold on the data of the recipe."""
        return float(self._model["threshold"])

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Unscored only where one of the two has no words."""
        if not words(statement):
            return Support(None, checker=self.name, reason="the statement has no words")
        if not any(words(piece) for piece in evidence):
            return Support(None, checker=self.name, reason="there is no evidence with words")
        features, found = features_of(statement, evidence, self._encoder)
        score = self._model["intercept"] + sum(
            weight * features[feature] for feature, weight in self._model["weights"].items()
        )
        return Support(1 / (1 + math.exp(-score)), found.findings, self.name)

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """One after the other; the encoder keeps what it has encoded."""
        return [self.check(statement, evidence) for statement, evidence in pairs]


def open_checker(
    name: str = "", *, offline: bool = False, token_states: bool = True
) -> SupportChecker:
    """The NLI cross-encoder `name` (hub id or folder), or with "" the checker built in: with the
    default encoder's token states, as it was fitted, or without them. Raises EncoderError."""
    if name:
        from rag.support.nli import CrossEncoderChecker

        return CrossEncoderChecker.load(name, offline=offline)
    if not token_states:
        return BuiltinChecker()

    folder = locate(DEFAULT_ENCODER, offline=offline)
    return BuiltinChecker(SentenceTransformerTokens.load(folder))
