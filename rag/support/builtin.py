"""The built-in support checker: a logistic regression over a few features of words and, where the
default encoder can be had, an alignment of its token states and the logit of the adapted encoder
that reads the pair (`rag.support.entailment`). Fitted by scripts/train_support.py."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from index.encoder import LazyEncoder, TokenStates, device_of
from index.settings import Settings
from rag.support import Finding, Pair, Support, SupportChecker
from rag.support.findings import findings
from rag.support.text import STOPWORDS, all_sentences, content_stems, words

COEFFICIENTS = Path(__file__).with_name("coefficients.json")
SOFT, READ = "soft", "read"
LEXICAL = (
    "window", "bigrams", "novel", "sentence_share", "evidence_length", "statement_length",
    "wrong_names", "wrong_numbers", "wrong_polarity",
)  # fmt: skip

# Of longer evidence, so many sentences with most of the statement's words are aligned.
_SENTENCES = 24
# Characters, about 180 tokens: below the 256 that the default encoder reads.
_CHUNK = 700
# Texts whose token states are cached; pairs whose texts are encoded together, far fewer texts.
_CACHED = 4096
_TOGETHER = 64
_READABLE = re.compile(r"[^\W_]")
_CITATION = re.compile(r"\[\d{1,3}\]")
_KIND = {"name": "wrong_names", "comparison": "wrong_polarity", "negation": "wrong_polarity"}
# Shorter stems must be equal; longer ones may differ in the last three tenths.
_ROOT = 5
_ALIKE = 0.7


TokenEncoder = Callable[[Sequence[str]], list[TokenStates]]
"""Texts to the states of their tokens. What lies beyond the model's length has no states."""


class PairReader(Protocol):
    """What reads pairs: see `rag.support.entailment.EntailmentReader`."""

    def logits(self, pairs: Sequence[Pair]) -> list[float]:
        """A logit of support for each pair, in order."""


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
    content = [
        at
        for at, token in enumerate(own.tokens)
        if _READABLE.search(token) and token not in STOPWORDS
    ]
    vectors = own.vectors[content or range(len(own.tokens))]
    cosines = [vectors @ chunk.vectors.T for chunk in chunks if own.tokens and chunk.tokens]
    return max((float(it.max(axis=1).mean()) for it in cosines), default=0.0)


def _chunks(statement: str, evidence: Sequence[str]) -> list[str]:
    sentences = list(filter(_READABLE.search, all_sentences(evidence)))
    if len(sentences) > _SENTENCES:
        content = content_stems(statement)
        shared = [len(content & content_stems(sentence)) for sentence in sentences]
        order = sorted(range(len(sentences)), key=lambda at: -shared[at])
        sentences = [sentences[at] for at in sorted(order[:_SENTENCES])]
    chunks: list[str] = []
    for sentence in sentences:
        if chunks and len(chunks[-1]) + len(sentence) <= _CHUNK:
            chunks[-1] += " " + sentence
        else:
            chunks.append(sentence)
    return chunks


def features_of(
    statement: str, evidence: Sequence[str], encoder: TokenEncoder | None
) -> tuple[dict[str, float], tuple[Finding, ...]]:
    """The features of a pair, those named by LEXICAL and with an encoder SOFT, and its findings.

    `window`: share of the content words met by two neighbouring sentences, the best two;
    `bigrams`: share of the neighbouring word pairs that the evidence has; `novel`: how many
    content words nothing meets; `sentence_share`: share of a sentence's content that the statement
    takes up, the best sentence; lengths are logarithms of word counts; the last three count
    findings, two at most.
    """
    wrong = findings(statement, evidence)
    counts = Counter(_KIND.get(finding.kind, "wrong_numbers") for finding in wrong)
    unmarked = _CITATION.sub(lambda mark: " " * len(mark[0]), statement)
    content = content_stems(unmarked)
    sentences = [sentence for sentence in all_sentences(evidence) if words(sentence)]
    stems = [content_stems(sentence) for sentence in sentences]
    met = _met(content, stems)
    windows = [one | two for one, two in pairwise(met)] or met
    shares = [len(its) / max(1, len(all_its)) for its, all_its in zip(met, stems, strict=True)]
    known = set().union(*map(_bigrams, sentences))
    bigrams = _bigrams(unmarked)
    size = max(1, len(content))
    features = {
        "window": max(map(len, windows), default=0) / size,
        "bigrams": len(bigrams & known) / max(1, len(bigrams)),
        "novel": float(len(content.difference(*met))),
        "sentence_share": max(shares, default=0.0),
        "evidence_length": math.log1p(sum(len(words(sentence)) for sentence in sentences)),
        "statement_length": math.log(size),
        **{name: float(min(2, counts[name])) for name in LEXICAL if name.startswith("wrong_")},
    }
    if encoder is not None:
        features[SOFT] = soft_alignment(statement, evidence, encoder)
    return features, wrong


def _bigrams(text: str) -> set[tuple[str, str]]:
    return {(one.stem, two.stem) for one, two in pairwise(words(text))}


def _met(content: set[str], stems: Sequence[set[str]]) -> list[set[str]]:
    """For each sentence, which of the statement's stems it has, if in another form."""
    every = set().union(*stems)
    forms = {stem: {other for other in every if _same_root(stem, other)} for stem in content}
    return [{stem for stem in content if forms[stem] & its} for its in stems]


def _same_root(one: str, other: str) -> bool:
    size = max(_ROOT, math.ceil(_ALIKE * max(len(one), len(other))))
    return one == other or (min(len(one), len(other)) >= size and one[:size] == other[:size])


@cache
def coefficients() -> dict[str, Any]:
    """The file of the training script: version, and for each set intercept, weights, threshold."""
    return dict(json.loads(COEFFICIENTS.read_text(encoding="utf-8")))


class BuiltinChecker:
    """Scores any statement that has words against any evidence that has words.

    An encoder must be the one whose states the coefficients were fitted on, the default
    all-MiniLM-L6-v2, and comes with a reader; without the two there are coefficients of their own.
    """

    def __init__(
        self, encoder: TokenEncoder | None = None, reader: PairReader | None = None
    ) -> None:
        self._encoder, self._reader = encoder, reader
        features = "lexical" if reader is None else READ
        self._model = coefficients()[features]
        self.name = f"builtin-{features}-{coefficients()['version']}"
        # Of the best balanced accuracy out of fold on the training data.
        self.threshold = float(self._model["threshold"])

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """Unscored only where one of the two has no words."""
        return self.check_all([(statement, evidence)])[0]

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """See SupportChecker. The texts of many pairs are encoded and read together."""
        supports = []
        every = list(pairs)
        for first in range(0, len(every), _TOGETHER):
            batch = every[first : first + _TOGETHER]
            logits = self._reader.logits(batch) if self._reader else [0.0] * len(batch)
            if self._encoder is not None:
                self._encoder([text for pair in batch for text in (pair[0], *_chunks(*pair))])
            supports += [
                self._support(*pair, logit) for pair, logit in zip(batch, logits, strict=True)
            ]
        return supports

    def _support(self, statement: str, evidence: Sequence[str], logit: float) -> Support:
        if not words(statement):
            return Support(None, checker=self.name, reason="the statement has no words")
        if not any(map(words, evidence)):
            return Support(None, checker=self.name, reason="there is no evidence with words")
        features, wrong = features_of(statement, evidence, self._encoder)
        features[READ] = logit
        score = self._model["intercept"] + sum(
            weight * features[feature] for feature, weight in self._model["weights"].items()
        )
        # A name that is merely missing weighs in the score: most false alarms were such names.
        certain = tuple(item for item in wrong if item.kind != "name" or item.found)
        return Support(1 / (1 + math.exp(-score)), certain, self.name)


def open_checker(
    name: str = "", *, offline: bool = False, lexical: bool = False, device: str = ""
) -> SupportChecker:
    """The NLI cross-encoder `name` (hub id or folder), or with "" the built-in checker, with the
    default encoder or, if `lexical`, without a model. `device` as for `index.encoder.device_of`.
    Raises EncoderError."""
    if name:
        from rag.support.nli import CrossEncoderChecker

        return CrossEncoderChecker(name, offline=offline, device=device)
    if lexical:
        return BuiltinChecker()
    from rag.support.entailment import EntailmentReader

    encoder = LazyEncoder(Settings(offline=offline, device=device_of(device)))
    reader = EntailmentReader(offline=offline, device=device)
    return BuiltinChecker(CachedTokenStates(encoder), reader)


def default_checker(
    *, offline: bool, announce: Callable[[str], None], device: str = ""
) -> SupportChecker:
    """The built-in checker; without a model where the encoder cannot be had for whatever reason,
    which `announce` is told, since an answer without that part of the check is better than none."""
    try:
        return open_checker(offline=offline, device=device)
    except Exception as error:
        announce(f"statements are checked without a model: {error}")
        return open_checker(lexical=True)
