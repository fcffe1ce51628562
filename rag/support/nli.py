"""An NLI cross-encoder as a support checker, through sentence-transformers.

Evidence longer than the model takes is split at sentences, and the part that supports the
statement best counts, as in MiniCheck (Tang, Laban and Durrett 2024, arXiv 2404.10774).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from index.documents.repair import encodable
from index.errors import EncoderError
from index.weights import device_of, locate, open_model
from rag.support import Pair, Support, SupportChecker, sentences
from rag.support.findings import Comparison, findings

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

_ENTAILED = ("entailment", "entailed", "supported", "support", "consistent", "faithful")
# Special tokens around and between the two texts, at most.
_SPECIAL = 4
# Tokens for a model that states no limit.
_LIMIT = 512
_SHORTEST_PART = 8


class CrossEncoderChecker(SupportChecker):
    """Probability of entailment, the evidence as premise; findings by rule come with it. Unscored
    where a text is missing or the statement fills the model."""

    threshold = 0.5

    def __init__(self, name: str, *, offline: bool = False, device: str = "") -> None:
        """By hub id or folder; `offline` takes only what is there already. Raises EncoderError
        where there is no such device, the model cannot be loaded, or its labels name no
        entailment."""
        place = device_of(device)
        try:
            folder = locate(name, offline=offline)
            self._model = open_model("CrossEncoder", folder, "support checker", device=place)
        except EncoderError as error:
            raise EncoderError(
                f"the support checker {name!r} cannot be loaded ({error}); give the hub id or "
                "the folder of an NLI cross-encoder, or leave it out to use the built-in checker"
            ) from error
        self.name = name
        self._entailment = _entailment_label(self._model, name)
        limit = int(self._model.max_seq_length or _LIMIT)
        self._limit = min(limit, getattr(self._model.config, "max_position_embeddings", limit))

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """All parts of all pairs go through the model in one batch."""
        split = [(*pair, *self._parts(*pair)) for pair in map(_encodable, pairs)]
        texts = [(part, statement) for statement, _, parts, _ in split for part in parts]
        probabilities = iter(self._probabilities(texts))
        supports = []
        for statement, evidence, parts, reason in split:
            best = max((next(probabilities) for _ in parts), default=None)
            wrong = findings(Comparison(statement, evidence))
            supports.append(Support(best, wrong, self.name, reason))
        return supports

    def _parts(self, statement: str, evidence: Sequence[str]) -> tuple[list[str], str]:
        """The evidence in pieces that fit beside the statement, or why there are none."""
        whole = sentences(evidence)
        if not statement.strip():
            return [], "the statement is empty"
        if not whole:
            return [], "there is no evidence"
        room = self._limit - self._length(statement) - _SPECIAL
        if room < _SHORTEST_PART:
            return [], f"the statement fills the {self._limit} tokens the model takes"
        # A sentence longer than the room is cut between any two words.
        pieces = ([it] if self._length(it) <= room else it.split() for it in whole)
        parts: list[str] = []
        used = 0
        for piece in chain.from_iterable(pieces):
            length = self._length(piece)
            if parts and used + length <= room:
                parts[-1] += f" {piece}"
                used += length
            else:
                parts.append(piece)
                used = length
        return parts, ""

    def _length(self, text: str) -> int:
        return len(self._model.tokenizer.encode(text, add_special_tokens=False))

    def _probabilities(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Probability of entailment of every (premise, hypothesis)."""
        if not pairs:
            return []
        import torch

        single = self._entailment is None
        activation = torch.nn.Sigmoid() if single else torch.nn.Softmax(dim=-1)
        scores = self._model.predict(pairs, activation_fn=activation, show_progress_bar=False)
        return [float(score) for score in (scores if single else scores[:, self._entailment])]


def _encodable(pair: Pair) -> Pair:
    """As tokenizers take it: without lone surrogates."""
    return encodable(pair[0]), [encodable(piece) for piece in pair[1]]


def _entailment_label(model: CrossEncoder, name: str) -> int | None:
    """The index of entailment among the labels of the model's config, whatever their order; None
    for a model with a single score."""
    named = getattr(model.config, "id2label", None) or {}
    labels = {int(at): str(label).lower() for at, label in named.items()}
    if len(labels) == 1:
        return None
    for at, label in sorted(labels.items()):
        if label.replace("_", " ").split()[-1] in _ENTAILED and "not" not in label:
            return at
    raise EncoderError(
        f"the labels of {name!r} are {', '.join(labels.values())}: none of them says entailment, "
        "so it is unknown which score means support; use an NLI model whose config names its labels"
    )
