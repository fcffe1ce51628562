"""The encoder that is installed anyway, with low-rank adapters (Hu et al. 2021, arXiv 2106.09685)
in all its layers, reading a statement and its evidence together: a small cross-encoder.

The only module of the built-in checker that knows torch. `scripts.train_entailment` trains what
an `entailment_network` adds to the encoder; here it is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from index.encoder import batches, run_groups
from index.errors import EncoderError
from index.weights import device_of, dtype_on, open_model, threads_on
from rag.retrieval.scoring import terms
from rag.support import sentences

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WEIGHTS = Path(__file__).with_name("weights.safetensors")
RANK = 16
STATEMENT_TOKENS, PAIR_TOKENS = 96, 224
WINDOW = 700
"""Characters of evidence that are read, about 180 tokens: as many as were learned from."""
BATCH_TOKENS = 1_024
_ALIGNED, _HEAD = 64, 128
_SHARPNESS = 8.0
_DROPOUT = 0.1


class PairTokens(NamedTuple):
    """Token ids of a statement and of its evidence, without special tokens."""

    statement: list[int]
    evidence: list[int]

    @property
    def length(self) -> int:
        """With the three special tokens."""
        return len(self.statement) + len(self.evidence) + 3


def window(statement: str, evidence: Sequence[str]) -> str:
    """Of all runs of neighbouring sentences, each as long as WINDOW allows and a longer sentence
    alone, the first of those with most of the statement's words; "" where there is none."""
    pieces = [" ".join(sentence.split()) for sentence in sentences(evidence)]
    content = set(terms(statement))
    shared = [content.intersection(terms(piece)) for piece in pieces]
    runs = []
    last = 0
    for first in range(len(pieces)):
        last = max(last, first + 1)
        while last < len(pieces) and len(" ".join(pieces[first : last + 1])) <= WINDOW:
            last += 1
        runs.append(slice(first, last))
    best = max(runs, key=lambda run: len(set[str]().union(*shared[run])), default=slice(0))
    return " ".join(pieces[best])


def entailment_network(encoder: Any) -> torch.nn.Module:
    """Token ids, their types (0 the statement's, 1 the evidence's) and a mask, each [b, t], to the
    logits [b] of support. `encoder` is a BERT, whose layers get a low-rank term beside each of
    their matrices; all that is learned is kept in float32.

    The logit is that of a small network over the state of the first token, the mean states of the
    two texts, and how well the statement's tokens are met by the evidence's: the mean of their
    greatest cosines, weighted by what a token says, and a smooth minimum of them.
    """
    import torch
    from torch import nn
    from torch.nn import functional

    class LowRank(nn.Module):
        """x ↦ Wx + BAx, with B zero at first."""

        def __init__(self, linear: nn.Linear) -> None:
            super().__init__()
            self.linear = linear
            self.a = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
            self.b = nn.Parameter(torch.zeros(linear.out_features, RANK))

        def train(self, mode: bool = True) -> LowRank:
            if self.training and not mode:  # One product instead of three.
                own = self.linear.weight
                self.whole = (own + self.b @ self.a).detach().to(own.dtype)
            return super().train(mode)

        def forward(self, states: Tensor) -> Tensor:
            if not self.training:
                return functional.linear(states, self.whole, self.linear.bias)
            low = functional.linear(states, self.a.to(states.dtype))
            added: Tensor = self.linear(states)
            return added + functional.linear(low, self.b.to(states.dtype))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = encoder.config.hidden_size
            self.encoder = encoder.requires_grad_(False)
            for layer in encoder.encoder.layer:
                own = layer.attention.self
                own.query, own.key, own.value = map(LowRank, (own.query, own.key, own.value))
                for part in (layer.attention.output, layer.intermediate, layer.output):
                    part.dense = LowRank(part.dense)
            self.types = nn.Parameter(torch.zeros(2, width))
            self.align = nn.Linear(width, _ALIGNED, bias=False)
            self.gate = nn.Linear(width, 1)
            self.hidden = nn.Linear(3 * width + 2, _HEAD)
            self.logit = nn.Linear(_HEAD, 1)

        def forward(self, ids: Tensor, types: Tensor, mask: Tensor) -> Tensor:
            words = self.encoder.embeddings.word_embeddings(ids)
            words = words + functional.embedding(types, self.types).to(words.dtype)
            states = self.encoder(
                inputs_embeds=words, token_type_ids=types, attention_mask=mask
            ).last_hidden_state.float()
            own, other = (types == 0) & mask, (types == 1) & mask
            own[:, 0] = False
            means = [
                (states * words[:, :, None]).sum(1) / words.sum(1, keepdim=True).clamp(min=1)
                for words in (own, other)
            ]
            aligned = functional.normalize(self.align(states), dim=-1)
            cosines = (aligned @ aligned.mT).masked_fill(~other[:, None, :], -1.0).amax(-1)
            gates = self.gate(states)[..., 0].masked_fill(~own, -1e4).softmax(1)
            met = (gates * cosines).sum(1)
            least = (-_SHARPNESS * cosines).masked_fill(~own, -1e4).logsumexp(1) / -_SHARPNESS
            alignment = 4 * torch.stack((met, least), dim=1)
            both = 4 * means[0] * means[1]
            row = torch.cat((states[:, 0], means[0], both, alignment), dim=1)
            row = functional.dropout(row, _DROPOUT, self.training)
            logits: Tensor = self.logit(functional.gelu(self.hidden(row)))[:, 0]
            return logits

    return Network()


def learned(network: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """What is trained, by name; the rest is the encoder's own."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def collate(pairs: Sequence[PairTokens]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, types and mask of a batch, each [b, t]."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def padded(rows: list[list[int]]) -> Tensor:
        return pad_sequence([torch.tensor(row) for row in rows], batch_first=True)

    first, middle = 101, 102  # [CLS] and [SEP] of every BERT's vocabulary
    ids = padded([[first, *pair.statement, middle, *pair.evidence, middle] for pair in pairs])
    types = [[0] * (len(pair.statement) + 2) + [1] * (len(pair.evidence) + 1) for pair in pairs]
    return ids, padded(types), padded([[1] * pair.length for pair in pairs]).bool()


class EntailmentReader:
    """Logits of support, computed on `device` by the trained weights. `folder` holds the default
    encoder (`index.weights.locate`). Raises EncoderError where it cannot be loaded."""

    def __init__(self, folder: Path, device: str = "") -> None:
        self._folder, self._device = folder, device_of(device)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _network(self) -> torch.nn.Module:
        from safetensors.torch import load_file

        network = self.untrained()
        weights = {name: tensor.float() for name, tensor in load_file(WEIGHTS).items()}
        if weights.keys() != learned(network).keys():
            raise EncoderError(
                f"{WEIGHTS} holds the weights of another network: install the package anew"
            )
        network.load_state_dict(weights, strict=False)
        return network.eval()

    def untrained(self) -> torch.nn.Module:
        """The network around the encoder as it is, in the number type the device is fast in."""
        model = open_model("SentenceTransformer", self._folder, "encoder", device=self._device)
        encoder = model[0].model.to(dtype_on(self._device))
        encoder.set_attn_implementation("eager")  # whose gradients take a fraction of the time
        return entailment_network(encoder).to(self._device)

    def tokens(self, pairs: Sequence[tuple[str, str]]) -> list[PairTokens]:
        """Of statements, each with a piece of evidence, as much as is read."""
        texts = [" ".join(text.split()) for pair in pairs for text in pair]
        ids = [it.ids for it in self._tokenizer.encode_batch(texts, add_special_tokens=False)]
        cut = [own[:STATEMENT_TOKENS] for own in ids[::2]]
        return [
            PairTokens(own, other[: PAIR_TOKENS - 3 - len(own)])
            for own, other in zip(cut, ids[1::2], strict=True)
        ]

    def logits(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The logit of each statement's support by its piece of evidence."""
        return self.score(self._network, self.tokens(pairs))

    def score(self, network: torch.nn.Module, pairs: Sequence[PairTokens]) -> list[float]:
        """The network's logit of each pair, batched by length."""
        import torch

        result = [0.0] * len(pairs)

        def read(rows: Sequence[int]) -> None:
            with torch.inference_mode():
                inputs = [each.to(self._device) for each in collate([pairs[row] for row in rows])]
                for row, logit in zip(rows, network(*inputs).tolist(), strict=True):
                    result[row] = logit

        groups = batches([pair.length for pair in pairs], BATCH_TOKENS)
        run_groups(read, groups, threads_on(self._device))
        return result
