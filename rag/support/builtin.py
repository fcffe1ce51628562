"""The built-in support checker: a logistic regression over a few features of words and, where the
default encoder can be had, an alignment of its token states and the logit of the adapted encoder
that reads the pair (`rag.support.entailment`). Fitted by scripts/train_support.py."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from index.documents.repair import encodable
from index.encoder import LazyEncoder, TokenStates
from index.settings import Settings
from index.weights import device_of
from rag.retrieval.scoring import terms
from rag.support import Finding, Pair, Support, SupportChecker
from rag.support.entailment import EntailmentReader, window
from rag.support.findings import Comparison, findings
from rag.support.nli import CrossEncoderChecker
from rag.support.quantities import CITED

COEFFICIENTS = Path(__file__).with_name("coefficients.json")
SOFT, READ, READ_LONG = "soft", "read", "read_long"
LEXICAL = (
    "window", "sentence_share", "evidence_length", "new_quantities", "new_names", "findings",
)  # fmt: skip

# Pairs whose texts are encoded together.
_TOGETHER = 64
_READABLE = re.compile(r"[^\W_]")

Meaning = Callable[[Sequence[tuple[str, str]]], list[float]]
"""A feature that a model computes: a number for each statement and the window of its evidence."""


def soft_alignments(
    states_of: Callable[[Sequence[str]], list[TokenStates]], pairs: Sequence[tuple[str, str]]
) -> list[float]:
    """For each pair the mean cosine of the first text's content tokens to the nearest token of the
    second; 0 where `states_of` gives either no tokens."""
    texts = [*dict.fromkeys(text for pair in pairs for text in pair)]
    states = dict(zip(texts, states_of(texts), strict=True))
    alignments = []
    for own, other in ((states[first], states[second]) for first, second in pairs):
        content = [at for at, token in enumerate(own.tokens) if terms(token)]
        cosines = own.vectors[content or range(len(own.tokens))] @ other.vectors.T
        alignments.append(float(cosines.max(axis=1).mean()) if cosines.size else 0.0)
    return alignments


def features_of(
    statement: str, evidence: Sequence[str], **meanings: float
) -> tuple[dict[str, float], tuple[Finding, ...]]:
    """The features of a pair, and its findings: those named by LEXICAL, the `meanings`, and with
    READ also READ_LONG, since the logit of one window says less, the longer the evidence.

    `window`: share of the statement's content words and quantities that three neighbouring
    sentences have, the best three; `sentence_share`: share of a sentence's, the best sentence's;
    `evidence_length`: logarithm of its content words; `new_quantities`: share of the statement's
    quantities that no evidence has; `new_names`: how many of its names, as a share of its content;
    `findings`: their number, two at most.
    """
    pair = Comparison(statement, evidence)
    wrong = findings(pair)
    known = frozenset[str]().union(*pair.keys)
    own, *stems = (
        {it.key for it in its if it.content or (it.quantity and it.quantity.bound != CITED)}
        for its in (pair.own, *pair.theirs)
    )
    joined = [own & set[str]().union(*stems[at : at + 3]) for at in range(len(stems))]
    # Armenian is met by Armenia.
    roots = {key[:5] for key in known if len(key) >= 5}
    names = {it.key for it in pair.own if it.named and it.key not in known
             and not (len(it.key) >= 6 and it.key[:5] in roots)}  # fmt: skip
    length = math.log1p(sum(token.content for its in pair.theirs for token in its))
    features = {
        "window": max(map(len, joined), default=0) / max(1, len(own)),
        "sentence_share": max((len(own & its) / max(1, len(its)) for its in stems), default=0.0),
        "evidence_length": length,
        "new_quantities": len(pair.missing) / max(1, len(pair.definite)),
        "new_names": len(names) / max(1, len(own)),
        "findings": float(min(2, len(wrong))),
        **meanings,
    }
    if READ in meanings:
        features[READ_LONG] = meanings[READ] * length
    return features, wrong


@cache
def coefficients() -> dict[str, Any]:
    """The file of the training script: version, and for each set intercept, weights, threshold."""
    return dict(json.loads(COEFFICIENTS.read_text(encoding="utf-8")))


class BuiltinChecker(SupportChecker):
    """Scores any statement that has words against any evidence that has words, and no other.

    `meanings` are SOFT and READ, by the default encoder all-MiniLM-L6-v2, on which their
    coefficients were fitted; without them there are coefficients of their own.
    """

    def __init__(self, meanings: Mapping[str, Meaning] | None = None) -> None:
        self._meanings = meanings or {}
        features = READ if meanings else "lexical"
        self._model = coefficients()[features]
        self.name = f"builtin-{features}-{coefficients()['version']}"
        # Of the best balanced accuracy out of fold on the training data.
        self.threshold = float(self._model["threshold"])

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """See SupportChecker. The texts of many pairs are encoded and read together."""
        supports = []
        every = list(pairs)
        for first in range(0, len(every), _TOGETHER):
            batch = every[first : first + _TOGETHER]
            # A tokenizer takes no lone surrogate.
            windows = [
                (encodable(pair[0]), encodable(window(*pair))) for pair in batch if self._meanings
            ]
            values = {name: meaning(windows) for name, meaning in self._meanings.items()}
            for row, pair in enumerate(batch):
                own = {name: numbers[row] for name, numbers in values.items()}
                supports.append(self._support(pair, own))
        return supports

    def _support(self, pair: Pair, meanings: Mapping[str, float]) -> Support:
        if not _READABLE.search(pair[0]):
            return Support(None, checker=self.name, reason="the statement has no words")
        if not any(map(_READABLE.search, pair[1])):
            return Support(None, checker=self.name, reason="there is no evidence with words")
        features, wrong = features_of(pair[0], pair[1], **meanings)
        weights = self._model["weights"].items()
        score = self._model["intercept"] + sum(its * features[name] for name, its in weights)
        return Support(1 / (1 + math.exp(-score)), wrong, self.name)


def open_checker(name: str = "", *, offline: bool = False, device: str = "") -> SupportChecker:
    """The NLI cross-encoder `name` (hub id or folder), or with "" the built-in checker with the
    default encoder. `device` as for `index.weights.device_of`. Raises EncoderError."""
    if name:
        return CrossEncoderChecker(name, offline=offline, device=device)
    encoder = LazyEncoder(Settings(offline=offline, device=device_of(device)))
    reader = EntailmentReader(encoder.folder, device)
    return BuiltinChecker(
        {SOFT: partial(soft_alignments, encoder.token_states), READ: reader.logits}
    )


def default_checker(
    *, offline: bool, announce: Callable[[str], None], device: str = ""
) -> SupportChecker:
    """The built-in checker; without a model where the encoder cannot be had for whatever reason,
    which `announce` is told, since an answer without that part of the check is better than none."""
    try:
        checker = open_checker(offline=offline, device=device)
        checker.check("It is read.", ["It is read."])  # Damaged weights are noticed here.
    except Exception as error:
        announce(f"statements are checked without a model: {error}")
        return BuiltinChecker()
    return checker


shared_checker = cache(default_checker)
"""`default_checker`, opened once in a process for the same arguments."""
