"""An NLI cross-encoder as a checker of support, through sentence-transformers.

Evidence longer than the model takes is split at sentences, and the part that supports the
statement best counts, as in MiniCheck (Tang, Laban and Durrett 2024, arXiv 2404.10774).
The order of the labels is the model's own: read from its config, never assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from index.errors import EncoderError
from rag.support.checker import Pair, Support
from rag.support.findings import findings
from rag.support.text import all_sentences

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

__all__ = ["CrossEncoderChecker"]

_ENTAILED = ("entailment", "entailed", "supported", "support", "consistent", "faithful")
# What a tokenizer puts around and between the two texts, at most.
_SPECIAL = 4
# A model without a stated limit is not given more than the usual one.
_USUAL = 512


class CrossEncoderChecker:
    """Probability of entailment, the evidence as premise; findings by rule come with it."""

    def __init__(self, model: CrossEncoder, *, name: str, threshold: float = 0.5) -> None:
        """`model` is loaded already; EncoderError where its labels name no entailment."""
        self._model = model
        self._name = name
        self.threshold = threshold
        self._entailment = _entailment_label(model, name)
        limit = model.max_seq_length or _USUAL
        self._limit = min(int(limit), int(getattr(model.config, "max_position_embeddings", limit)))

    @classmethod
    def load(
        cls, model: str, *, device: str | None = None, offline: bool = False,
        threshold: float = 0.5,
    ) -> CrossEncoderChecker:  # fmt: skip
        """By hub id or local path; `offline` takes only what is there already."""
        from sentence_transformers import CrossEncoder

        try:
            loaded = CrossEncoder(model, device=device, local_files_only=offline)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise EncoderError(
                f"the checker of support {model!r} cannot be loaded ({error}); give the hub id or "
                "the folder of an NLI cross-encoder, or leave it out to use the built-in checker"
            ) from error
        return cls(loaded, name=model, threshold=threshold)

    @property
    def name(self) -> str:
        """The hub id or path it was loaded by."""
        return self._name

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        """One statement; unscored where a text is missing or the statement fills the model."""
        return self.check_all([(statement, evidence)])[0]

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        """All parts of all pairs go through the model in one batch."""
        asked = list(pairs)
        parts: list[tuple[str, str]] = []
        spans: list[tuple[int, int] | str] = []
        for statement, evidence in asked:
            split = self._parts(statement, evidence)
            if isinstance(split, str):
                spans.append(split)
                continue
            spans.append((len(parts), len(parts) + len(split)))
            parts += [(part, statement) for part in split]
        entailed = self._entailed(parts)
        answers = []
        for (statement, evidence), span in zip(asked, spans, strict=True):
            wrong = findings(statement, evidence) if statement.strip() else ()
            if isinstance(span, str):
                answers.append(Support(None, wrong, self.name, span))
            else:
                best = float(max(entailed[span[0] : span[1]]))
                answers.append(Support(best, wrong, self.name))
        return answers

    def _parts(self, statement: str, evidence: Sequence[str]) -> list[str] | str:
        """The evidence in pieces that fit beside the statement, or why there are none."""
        if not statement.strip():
            return "the statement is empty"
        sentences = all_sentences(evidence)
        if not sentences:
            return "there is no evidence"
        room = self._limit - self._length(statement) - _SPECIAL
        if room < 8:
            return f"the statement fills the {self._limit} tokens the model takes"
        parts: list[str] = []
        current: list[str] = []
        used = 0
        for sentence in sentences:
            for piece in self._pieces(sentence, room):
                length = self._length(piece)
                if current and used + length > room:
                    parts.append(" ".join(current))
                    current, used = [], 0
                current.append(piece)
                used += length
        parts.append(" ".join(current))
        return parts

    def _pieces(self, sentence: str, room: int) -> list[str]:
        """A sentence longer than the room, cut in halves at words until it fits."""
        tokens = sentence.split()
        if len(tokens) < 2 or self._length(sentence) <= room:
            return [sentence]
        middle = len(tokens) // 2
        return [
            *self._pieces(" ".join(tokens[:middle]), room),
            *self._pieces(" ".join(tokens[middle:]), room),
        ]

    def _length(self, text: str) -> int:
        return len(self._model.tokenizer.encode(text, add_special_tokens=False))

    def _entailed(self, parts: list[tuple[str, str]]) -> np.ndarray:
        """Probability of entailment of every (premise, hypothesis), shape (len(parts),)."""
        if not parts:
            return np.zeros(0)
        import torch

        logits = self._model.predict(
            parts, activation_fn=torch.nn.Identity(), convert_to_numpy=True, show_progress_bar=False
        )
        scores = np.asarray(logits, dtype=np.float64)
        if self._entailment is None:
            return 1 / (1 + np.exp(-scores.reshape(len(parts))))
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(shifted[:, self._entailment] / shifted.sum(axis=1))


def _entailment_label(model: CrossEncoder, name: str) -> int | None:
    """The index of entailment among the model's labels; None for a model with a single score."""
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
