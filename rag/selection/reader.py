"""The encoder that is installed anyway, with low-rank adapters (Hu et al. 2021, arXiv 2106.09685)
in its upper layers, reading a sentence in its place: what it says beside its heading, its role and
the sentence before it.

The only module of the selection that knows torch. `scripts.train_selection` trains what
`adapted` layers and `head` hold; here they are applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.selection.features import Candidate, Matrix

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ADAPTED_LAYERS = 3
RANK = 8
SENTENCE_TOKENS, CONTEXT_TOKENS = 72, 16
BATCH = 32
QUESTION_SCALE = 8.0
_LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


class TokenPair(NamedTuple):
    """Token ids of a sentence, special tokens included, and of its context."""

    sentence: list[int]
    context: list[int]


class States(NamedTuple):
    """A batch between two layers: `hidden` [b, t, d], `mask` [b, t] of tokens, `words` [b, t] of
    the sentence's own tokens, over which is averaged."""

    hidden: Tensor
    mask: Tensor
    words: Tensor


class SentenceReader:
    """Vectors of sentences in context, computed on `device`. `weights` are the trained tensors by
    name; without them the adapters change nothing. Raises EncoderError where the encoder is not
    installed."""

    def __init__(
        self, weights: Mapping[str, npt.NDArray[np.float16]] | None = None, device: str = "cpu"
    ) -> None:
        self._arrays = weights
        self._device = device

    @cached_property
    def _weights(self) -> dict[str, Tensor] | None:
        import torch

        if self._arrays is None:
            return None
        return {name: torch.tensor(each).float() for name, each in self._arrays.items()}

    @cached_property
    def tokenizer(self) -> Any:
        """The encoder's own."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder, trust_remote_code=False)

    @cached_property
    def _folder(self) -> str:
        return str(locate(DEFAULT_ENCODER, offline=True))

    @cached_property
    def _model(self) -> Any:
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        model = AutoModel.from_pretrained(
            self._folder, trust_remote_code=False, use_safetensors=True
        )
        return model.float().eval().requires_grad_(False).to(self._device)

    @cached_property
    def adapted(self) -> torch.nn.ModuleList:
        """Copies of the upper layers whose matrices have a low-rank term added."""
        import copy

        import torch
        from torch.nn.utils import parametrize

        device = self._device

        class LowRank(torch.nn.Module):
            """W ↦ W + BA, with B zero at first."""

            def __init__(self, rows: int, columns: int) -> None:
                super().__init__()
                a = torch.randn(RANK, columns) * 0.4 / RANK**0.5
                self.a = torch.nn.Parameter(a.to(device))
                self.b = torch.nn.Parameter(torch.zeros(rows, RANK, device=device))

            def forward(self, weight: Tensor) -> Tensor:
                return weight + 2.0 * self.b @ self.a

        layers = torch.nn.ModuleList(
            copy.deepcopy(layer) for layer in self._model.encoder.layer[-ADAPTED_LAYERS:]
        )
        for layer in layers:
            for name in _LINEARS:
                linear = cast("torch.nn.Linear", layer.get_submodule(name))
                parametrize.register_parametrization(
                    linear, "weight", LowRank(linear.out_features, linear.in_features)
                )
        if self._weights is not None:
            trained = {k: v for k, v in self._weights.items() if not k.startswith("head.")}
            layers.load_state_dict(trained, strict=False)
        return layers.eval()

    def head(self, dense: int) -> torch.nn.ModuleDict:
        """`project` compares a sentence with the question, `logits` gives the scores of
        [vector, product with the question, `dense` features]."""
        import torch

        width = self._model.config.hidden_size
        project = torch.nn.Linear(width, width, bias=False)
        torch.nn.init.eye_(project.weight)
        logits = torch.nn.Linear(2 * width + dense, 15)
        torch.nn.init.zeros_(logits.weight)
        head = torch.nn.ModuleDict({"project": project, "logits": logits})
        if self._weights is not None:
            names = [key for key in self._weights if key.startswith("head.")]
            head.load_state_dict({key[5:]: self._weights[key] for key in names})
        return head.to(self._device)

    def tokens(self, item: Candidate, *, recommended: bool) -> TokenPair:
        """The sentence; and its role, heading and predecessor as the second text."""
        heading = item.heading.rpartition("›")[2].strip()
        role = "the model" if recommended else "other"
        about = f"{role}: {heading}. {item.context.previous}"
        first = self.tokenizer(item.text, truncation=True, max_length=SENTENCE_TOKENS)
        second = self.tokenizer(about, truncation=True, max_length=CONTEXT_TOKENS)
        return TokenPair(first["input_ids"], second["input_ids"][1:])

    def lower(self, pairs: Sequence[TokenPair]) -> States:
        """The batch after the layers that are as they came."""
        import torch

        longest = max(len(pair.sentence) + len(pair.context) for pair in pairs)
        ids = torch.zeros(len(pairs), longest, dtype=torch.long)
        types, mask, words = torch.zeros_like(ids), torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (sentence, context) in enumerate(pairs):
            both, own = len(sentence) + len(context), len(sentence)
            ids[row, :both] = torch.tensor(sentence + context)
            types[row, own:both] = 1
            mask[row, :both] = 1
            words[row, 1 : own - 1] = 1
        ids, types, mask, words = (each.to(self._device) for each in (ids, types, mask, words))
        hidden = self._model.embeddings(input_ids=ids, token_type_ids=types)
        states = States(hidden, mask.float(), words.float())
        return self._through(self._model.encoder.layer[:-ADAPTED_LAYERS], states)

    def upper(self, states: States) -> Tensor:
        """[b, d]: the mean of the sentence's own tokens after the adapted layers."""
        return _mean(self._through(self.adapted, states))

    def question(self, text: str) -> Tensor:
        """[d], of unit length: the question as the unchanged encoder reads it."""
        import torch

        ids = self.tokenizer(text, truncation=True, max_length=256)["input_ids"]
        with torch.no_grad():
            states = self.lower([TokenPair(ids, [])])
            vector = _mean(self._through(self._model.encoder.layer[-ADAPTED_LAYERS:], states))[0]
        return torch.nn.functional.normalize(vector, dim=0)

    def logits(
        self, head: torch.nn.ModuleDict, vectors: Tensor, questions: Tensor, dense: Tensor
    ) -> Tensor:
        """[b, 15]: three levels for each of five places."""
        import torch

        near = torch.nn.functional.normalize(head["project"](vectors), dim=-1) * questions
        rows = torch.cat((vectors, near * QUESTION_SCALE, dense), dim=1)
        scores: Tensor = head["logits"](rows)
        return scores

    def probabilities(self, question: str, pairs: Sequence[TokenPair], dense: Matrix) -> Matrix:
        """[n, 15]: what `logits` gives for every pair, batched by length."""
        import torch

        # Made before autocast begins: it keeps copies of weights, and would keep the untrained ones.
        _, head = self.adapted, self.head(dense.shape[1])
        order = sorted(range(len(pairs)), key=lambda row: (sum(map(len, pairs[row])), row))
        result = np.zeros((len(pairs), 15), dtype=np.float32)
        # One thread: the sums, and so the choice, do not depend on how many cores there are.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with torch.no_grad(), half(self._device):
            asked = self.question(question)
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                vectors = self.upper(self.lower([pairs[row] for row in rows])).float()
                about = torch.tensor(dense[rows], device=self._device)
                scores = self.logits(head, vectors, asked.float(), about)
                result[rows] = torch.sigmoid(scores.float()).cpu().numpy()
        torch.set_num_threads(threads)
        return result

    def _through(self, layers: Any, states: States) -> States:
        hidden, mask = states.hidden, (1.0 - states.mask)[:, None, None, :] * -1e4
        for layer in layers:
            output = layer(hidden, mask)
            hidden = output[0] if isinstance(output, tuple) else output
        return states._replace(hidden=hidden)


def half(device: str = "cpu") -> Any:
    """Where matrix products are computed in half precision, if `device` does that."""
    import torch

    from index.encoder import dtype_on

    dtype = dtype_on(device)
    kind = torch.device(device).type
    return nullcontext() if dtype == torch.float32 else torch.autocast(kind, dtype)


def _mean(states: States) -> Tensor:
    words = states.words[:, :, None]
    mean: Tensor = (states.hidden * words).sum(1) / words.sum(1).clamp(min=1.0)
    return mean
