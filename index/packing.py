"""Texts of different lengths through a transformer as one row, without padding.

What a transformer does to each token alone (all but its attention) is one large matrix product
for all texts; attention is computed for texts of equal length together. The library does this
for flash attention on a GPU; here is the same for a CPU, by the same seams: a registered
attention function, `cu_seq_lens_q` in the features, and the pooling that understands it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import accumulate, chain, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)
ATTENTION = "sdpa_by_text"
# Rows are filled up to a multiple of this many tokens: for every length of row the matrix products
# are compiled anew and cached, which over a thousand papers took half a gigabyte.
STEP = 64
# Least cosine of a text's vector with the library's own: bf16 alone leaves .9999.
MIN_COSINE = 0.999
TRIAL = ("A model.", "What is it that the model reads, and what does it give back?", "Yes: it is.")


class Packing:
    """A model of sentence-transformers whose texts need no padding. See `packing`."""

    def __init__(self, model: SentenceTransformer, prompt: str) -> None:
        self._model = model
        self._prompt = prompt

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """What the model reads of each text, cut at its maximum length. For one thread at a time:
        cutting is a state of the tokenizer."""
        ids: list[list[int]] = self._model.tokenizer(
            [self._prompt + text for text in texts],
            truncation=True,
            max_length=self._model.max_seq_length,
            return_attention_mask=False,
        )["input_ids"]
        return ids

    def vectors(self, ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """[len(ids), dimension] as the model gives them. Quickest where texts of equal length
        stand together."""
        import torch

        # The row is filled with the first text again, whole and then in part.
        whole, rest = divmod(-sum(map(len, ids)) % STEP, len(ids[0]))
        row = [*ids, *[ids[0]] * whole, *filter(None, [ids[0][:rest]])]
        bounds = list(accumulate((len(text) for text in row), initial=0))
        features: dict[str, Any] = {
            "input_ids": torch.tensor([list(chain.from_iterable(row))]),
            "position_ids": torch.tensor([list(chain.from_iterable(range(len(t)) for t in row))]),
            "cu_seq_lens_q": torch.tensor(bounds, dtype=torch.int32),
            "modality": "text",
        }
        with torch.inference_mode():
            vectors = self._model(features)["sentence_embedding"].float().numpy()
        return np.asarray(vectors[: len(ids)], dtype=np.float32)


def packing(model: SentenceTransformer, prompt: str) -> Packing | None:
    """How to run `model` without padding, its documents' `prompt` before every text; None where
    it cannot be done: whether it can is seen by trying it."""
    from sentence_transformers.sentence_transformer.modules import Transformer
    from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
    from transformers.masking_utils import sdpa_mask

    inner = model[0].model if isinstance(model[0], Transformer) else None
    if not isinstance(inner, PreTrainedModel) or inner.config._attn_implementation != "sdpa":
        return None
    expected = model.encode_document(list(TRIAL), show_progress_bar=False)
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    packed = Packing(model, prompt)
    try:
        inner.set_attn_implementation(ATTENTION)
        vectors = packed.vectors(packed.token_ids(TRIAL))
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
        if min((vectors * expected).sum(axis=1) / lengths) >= MIN_COSINE:
            return packed
        log.info("texts are padded: without padding their vectors differ")
    except Exception as error:  # whatever this architecture does not take
        log.info("texts are padded: %s", error)
    inner.set_attn_implementation("sdpa")
    return None


def _attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    cu_seq_lens_q: Any = None,
    **options: Any,
) -> tuple[Any, None]:
    """Attention within each text only: q, k, v are [1, heads, tokens, size], the result is
    [1, tokens, heads, size]. In fp32, which for texts of a few dozen tokens is quicker."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    _, heads, tokens, size = query.shape
    result = query.new_empty(tokens, heads, size)
    first = 0
    for length, group in groupby(cu_seq_lens_q.diff().tolist()):
        count = sum(1 for _ in group)
        last = first + length * count
        q, k, v = (
            part[0, :, first:last].float().view(heads, count, length, size).transpose(0, 1)
            for part in (query, key, value)
        )
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scaling)
        result[first:last].view(count, length, heads, size).copy_(attended.transpose(1, 2))
        first = last
    return result.unsqueeze(0), None
