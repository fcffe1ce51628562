"""The encoder that is installed anyway, with low-rank adapters (Hu et al. 2021, arXiv 2106.09685)
in its upper layers, reading a sentence in its place: what it says beside its heading, its role and
the sentence before it.

The only module of the selection that knows torch. `scripts.train_selection` trains what an
`adapter` holds; here several are applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from index.settings import DEFAULT_ENCODER
from index.weights import dtype_on, locate, open_model
from rag.retrieval import Evidence
from rag.selection.features import Candidate, Matrix

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ADAPTED_LAYERS = 3
RANK = 8
SENTENCE_TOKENS, CONTEXT_TOKENS = 72, 16
BATCH = 32
QUESTION_SCALE = 8.0
DROPOUT = 0.1
_LINEARS = (
    *(f"attention.self.{name}" for name in ("query", "key", "value")),
    *(f"{name}.dense" for name in ("attention.output", "intermediate", "output")),
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


@dataclass(eq=False)
class SentenceReader:
    """Scores of sentences in context, computed on `device`. `adapters` are the trained tensors by
    name of each of several adapters, which are averaged. Raises EncoderError where the encoder is
    not installed."""

    adapters: Sequence[Mapping[str, npt.NDArray[np.float16]]] = ()
    device: str = "cpu"

    @cached_property
    def _adapters(self) -> list[torch.nn.ModuleDict]:
        import torch

        weights = [
            {name: torch.tensor(each).float() for name, each in arrays.items()}
            for arrays in self.adapters
        ]
        wide = 2 * self._model.config.hidden_size
        return [self.adapter(each["logits.weight"].shape[1] - wide, each) for each in weights]

    @cached_property
    def _encoder(self) -> Any:
        return open_model(
            "SentenceTransformer", locate(DEFAULT_ENCODER, offline=True), "encoder", device="cpu"
        )

    @cached_property
    def _model(self) -> Any:
        return self._encoder[0].model.float().eval().requires_grad_(False).to(self.device)

    def adapter(
        self, dense: int, weights: Mapping[str, Tensor] | None = None
    ) -> torch.nn.ModuleDict:
        """`layers` are copies of the upper ones whose matrices have a low-rank term added;
        `logits` gives the scores of [vector, product with the question, `dense` features]. Without
        `weights` the former change nothing and the latter are 0."""
        import copy

        import torch
        from torch.nn.utils import parametrize

        class LowRank(torch.nn.Module):
            """W ↦ W + BA, with B zero at first."""

            def __init__(self, rows: int, columns: int) -> None:
                super().__init__()
                self.a = torch.nn.Parameter(torch.randn(RANK, columns) * 0.4 / RANK**0.5)
                self.b = torch.nn.Parameter(torch.zeros(rows, RANK))

            def forward(self, weight: Tensor) -> Tensor:
                return weight + 2.0 * self.b @ self.a

        layers = torch.nn.ModuleList(
            copy.deepcopy(layer) for layer in self._model.encoder.layer[-ADAPTED_LAYERS:]
        )
        for layer in layers:
            for name in _LINEARS:
                linear = cast("torch.nn.Linear", layer.get_submodule(name))
                low_rank = LowRank(linear.out_features, linear.in_features).to(self.device)
                parametrize.register_parametrization(linear, "weight", low_rank)
        logits = torch.nn.Linear(2 * self._model.config.hidden_size + dense, 15)
        torch.nn.init.zeros_(logits.weight)
        adapter = torch.nn.ModuleDict({"layers": layers, "logits": logits})
        if weights is not None:
            adapter.load_state_dict(weights, strict=False)
        return adapter.to(self.device).eval()

    def tokens(self, evidence: Evidence, item: Candidate) -> TokenPair:
        """The sentence; and its role, heading and predecessor as the second text."""
        recommended = evidence.prompt.listings[item.listing].role != "related"
        heading = item.heading.rpartition("›")[2].strip()
        role = "the model" if recommended else "other"
        about = f"{role}: {heading}. {item.context.previous}"
        first = self._encoder.tokenizer(item.text, truncation=True, max_length=SENTENCE_TOKENS)
        second = self._encoder.tokenizer(about, truncation=True, max_length=CONTEXT_TOKENS)
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
        ids, types, mask, words = (each.to(self.device) for each in (ids, types, mask, words))
        hidden = self._model.embeddings(input_ids=ids, token_type_ids=types)
        states = States(hidden, mask.float(), words.float())
        return self._through(self._model.encoder.layer[:-ADAPTED_LAYERS], states)

    def question(self, text: str) -> Tensor:
        """[d], of unit length: the question as the unchanged encoder reads it."""
        import torch

        ids = self._encoder.tokenizer(text, truncation=True, max_length=256)["input_ids"]
        with torch.no_grad():
            states = self.lower([TokenPair(ids, [])])
            vector = _mean(self._through(self._model.encoder.layer[-ADAPTED_LAYERS:], states))[0]
        return torch.nn.functional.normalize(vector, dim=0)

    def logits(
        self, adapter: torch.nn.ModuleDict, states: States, questions: Tensor, dense: Tensor
    ) -> Tensor:
        """[b, 15]: three levels for each of five places, from the mean of a sentence's own tokens
        after the adapted layers."""
        import torch

        vectors = _mean(self._through(adapter["layers"], states)).float()
        vectors = torch.nn.functional.dropout(vectors, DROPOUT, adapter.training)
        near = torch.nn.functional.normalize(vectors, dim=-1) * questions
        rows = torch.cat((vectors, near * QUESTION_SCALE, dense), dim=1)
        scores: Tensor = adapter["logits"](rows).float()
        return scores

    def probabilities(self, question: str, pairs: Sequence[TokenPair], dense: Matrix) -> Matrix:
        """[n, 15]: the mean over the adapters of what `logits` gives for every pair, batched by
        length."""
        import torch

        # Made before autocast begins: it keeps copies of weights, and would keep the untrained ones.
        adapters = self._adapters
        order = sorted(range(len(pairs)), key=lambda row: (sum(map(len, pairs[row])), row))
        result = np.zeros((len(pairs), 15), dtype=np.float32)
        # One thread: the sums, and so the choice, do not depend on how many cores there are.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with torch.no_grad(), half(self.device):
            asked = self.question(question).float()
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                states = self.lower([pairs[row] for row in rows])
                about = torch.tensor(dense[rows], device=self.device)
                scores = [self.logits(each, states, asked, about) for each in adapters]
                result[rows] = torch.sigmoid(torch.stack(scores)).mean(0).cpu().numpy()
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

    dtype = dtype_on(device)
    kind = torch.device(device).type
    return nullcontext() if dtype == torch.float32 else torch.autocast(kind, dtype)


def _mean(states: States) -> Tensor:
    words = states.words[:, :, None]
    mean: Tensor = (states.hidden * words).sum(1) / words.sum(1).clamp(min=1.0)
    return mean
