"""The embedding model: any of sentence-transformers, named at once and loaded at first use.

A run with nothing to embed, and `rag index` on an index that is up to date, never import torch.

On a CPU texts of different lengths go through a transformer as one row, without padding. What it
does to each token alone (all but its attention) is one large matrix product for all texts;
attention is computed for texts of equal length together. The library does this for flash
attention on a GPU; here are the same seams for a CPU: a registered attention function,
`cu_seq_lens_q` in the features, and the pooling that understands it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import accumulate, chain, groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from index.errors import EncoderError
from index.passages import Passage
from index.settings import DEFAULT_ENCODER, Settings
from index.weights import device_of, dtype_on, encoder_name, locate, open_model, threads_on

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]

# Where texts need no padding, a batch holds at most this many tokens.
PACKED_TOKENS = 2_048
# Where they do, it holds texts of like length: together at most so many tokens with their padding,
# and none shorter than this share of the longest. Over the sentences of 18 papers that pads to 1.1
# times the tokens there are.
CPU_BATCH_TOKENS = 4_096
GPU_BATCH_TOKENS = 131_072
SHORTEST = 0.8

ATTENTION = "sdpa_by_text"
# Rows are filled up to a multiple of this many tokens: for every length of row the matrix products
# are compiled anew and cached, which over a thousand papers took half a gigabyte.
STEP = 64
# Least cosine of a text's vector with the library's own: bf16 alone leaves .9999.
MIN_COSINE = 0.999
TRIAL = ("A model.", "What is it that the model reads, and what does it give back?", "Yes: it is.")

# Names this way of making vectors: part of a segment's name, beside the splitter and the encoder.
EMBEDDING = "sentence-mean-3"


class Encoder(Protocol):
    """Texts to unit-length vectors, [n, dimension], one row for each text, in their order.

    `name`, fit for a file name, identifies the weights and how texts are presented to them
    (prompts, maximum length, pooling), not where they were found and not the precision they run
    in: equal names mean that vectors may be compared.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def max_tokens(self) -> int:
        """What of a text the model reads, in tokens, special ones included."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors to be found."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors to find them with."""

    def count_tokens(self, text: str) -> int:
        """Length of a passage as `max_tokens` counts it: prompt and special tokens included."""


class TokenStates(NamedTuple):
    """`vectors[i]`, of unit length, is the state of `tokens[i]` in its text; no special tokens."""

    tokens: tuple[str, ...]
    vectors: Vectors


class LazyEncoder:
    """See Encoder. `name` costs no loading. Raises EncoderError at once where there is no model,
    and at first use where it cannot be loaded.

    The same call gives the same bytes. A passage's vector may differ in its last bits with the
    passages of the same call (the order in which a matrix product sums); a query is encoded alone.

    On a CPU every batch is computed by one thread, and several batches at once: threads that share
    one small matrix product wait for each other at its end, thousands of times for each paper, and
    where other processes want the cores too (as those do that read PDFs) each wait lasts until
    the scheduler comes round. It also makes the bytes independent of the number of cores.
    """

    def __init__(self, settings: Settings, *, threads: int | None = None) -> None:
        """`threads` batches are computed at once; 0 leaves all to the device, one by one. By
        default that is as many as there are cores, and 0 on a GPU."""
        self.folder = locate(settings.encoder, offline=settings.offline)
        self.name = encoder_name(self.folder)
        self._wanted = settings.device, threads
        # A tokenizer's padding and truncation are its state: no two threads may use it at once.
        self._lock = threading.Lock()

    @cached_property
    def _model(self) -> SentenceTransformer:
        device = device_of(self._wanted[0])
        model: SentenceTransformer = open_model(
            "SentenceTransformer", self.folder, "encoder", device=device
        )
        model.to(dtype_on(device))
        model.eval()
        log.info("encoder %s: %s, %s", self.folder, device, dtype_on(device))
        preprocess = model.preprocess

        def one_at_a_time(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                return preprocess(*arguments, **options)

        model.preprocess = one_at_a_time  # type: ignore[method-assign]
        return model

    @cached_property
    def _threads(self) -> int:
        _, threads = self._wanted
        return threads_on(self._model.device.type) if threads is None else threads

    @property
    def _prompt(self) -> str:
        prompts = self._model.prompts
        return prompts.get("document") or prompts.get("passage") or ""

    @cached_property
    def _packing(self) -> Packing | None:
        """Tried when passages come: queries are encoded alone and need none."""
        return packing(self._model, self._prompt) if self._threads else None

    @property
    def dimension(self) -> int:
        """See Encoder."""
        return int(self._model.get_embedding_dimension() or 0)

    @property
    def max_tokens(self) -> int:
        """See Encoder."""
        # Static models read any length and say infinity.
        return int(min(self._model.max_seq_length or 1 << 30, 1 << 30))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        if (packed := self._packing) is not None and texts:
            with self._lock:
                ids = packed.token_ids(texts)
            groups = batches([len(text) for text in ids], PACKED_TOKENS, shortest=0)
            return self._encode(lambda rows: packed.vectors([ids[r] for r in rows]), groups)
        return self._encode_padded(self._model.encode_document, texts, self._groups(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        # A command line gives halves of characters for bytes that are no text.
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        alone = [[row] for row in range(len(texts))]
        return self._encode_padded(self._model.encode_query, texts, alone)

    def token_states(self, texts: Sequence[str]) -> list[TokenStates]:
        """The states of each text's tokens, as far as the model reads it. They may differ in their
        last bits with the texts of the same call."""
        states: dict[int, TokenStates] = {}

        def read(rows: Sequence[int]) -> None:
            items: Any = self._model.encode(
                [texts[row] for row in rows], batch_size=len(rows), output_value=None,
                show_progress_bar=False,
            )  # fmt: skip
            for row, item in zip(rows, items, strict=True):
                own = item["attention_mask"].bool()
                tokens = self._model.tokenizer.convert_ids_to_tokens(item["input_ids"][own][1:-1])
                vectors = item["token_embeddings"][own][1:-1].float().cpu().numpy()
                states[row] = TokenStates(tuple(tokens), unit(vectors))

        run_groups(read, self._groups(texts), self._threads)
        return [states[row] for row in range(len(texts))]

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        tokenizer = self._model.tokenizer
        tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
        # Truncation is a state of the tokenizer that encoding sets; the count wants none.
        with self._lock:
            if tokenizer.truncation is not None:
                tokenizer.no_truncation()
            if tokenizer.padding is not None:
                tokenizer.no_padding()
            return len(tokenizer.encode(self._prompt + text).ids)

    def _groups(self, texts: Sequence[str]) -> list[list[int]]:
        """The rows of texts of like length, to be padded."""
        lengths = [min(self.count_tokens(text), self.max_tokens) for text in texts]
        return batches(lengths, CPU_BATCH_TOKENS if self._threads else GPU_BATCH_TOKENS)

    def _encode_padded(
        self, encode: Callable[..., Any], texts: Sequence[str], groups: Sequence[Sequence[int]]
    ) -> Vectors:
        """Each batch as the library runs it."""

        def compute(rows: Sequence[int]) -> Any:
            these = [texts[row] for row in rows]
            return encode(these, batch_size=len(rows), show_progress_bar=False)

        return self._encode(compute, groups)

    def _encode(
        self, compute: Callable[[Sequence[int]], Any], groups: Sequence[Sequence[int]]
    ) -> Vectors:
        """Every row once, [rows, dimension], computed group by group. In bf16 the model's own
        normalisation leaves lengths up to half a percent off one: done again in fp32."""
        vectors = np.zeros((sum(map(len, groups)), self.dimension), dtype=np.float32)

        def fill(rows: Sequence[int]) -> None:
            vectors[rows] = unit(np.asarray(compute(rows), np.float32))

        run_groups(fill, groups, self._threads)
        return vectors


def run_groups(
    compute: Callable[[Sequence[int]], None], groups: Sequence[Sequence[int]], threads: int
) -> None:
    """`compute` on each group of rows, each by one of so many threads; with 0, as it is called. The
    result does not depend on their number."""
    if not threads:
        for rows in groups:
            compute(rows)
        return
    import torch

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(compute, groups))
    finally:
        # The number is set per thread, and new threads start with the latest one.
        torch.set_num_threads(before)


def load_encoder(name: str = DEFAULT_ENCODER, *, offline: bool = False) -> Encoder:
    """The encoder `name` stands for (see `index.weights.locate`), loaded. Nothing is asked of the
    network once its folder is known. Raises EncoderError."""
    encoder = LazyEncoder(Settings(encoder=name, offline=offline))
    _ = encoder.dimension
    return encoder


def batches(lengths: Sequence[int], total: int, shortest: float = SHORTEST) -> list[list[int]]:
    """Rows from longest to shortest, cut where rows times the longest would exceed `total`, or
    where a row is shorter than `shortest` of the longest; a row that exceeds `total` alone is a
    batch by itself."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        longest = lengths[groups[-1][0]] if groups else 0
        fits = groups and (len(groups[-1]) + 1) * longest <= total
        if fits and lengths[row] >= shortest * longest:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def unit(vectors: npt.NDArray[Any]) -> Vectors:
    """The rows, [n, d], each of length one. Raises EncoderError where one is no vector."""
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise EncoderError(
            "the model computes vectors that are no numbers: its weights are damaged; name another "
            "one, or load it anew"
        )
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def embed(encoder: Encoder, passages: Sequence[Passage]) -> tuple[Vectors, Vectors]:
    """The vectors of the passages, [len(passages), encoder.dimension], and those of all their
    sentences in order, one row each, of unit length, in one call of the encoder: the same
    passages give the same bytes. A passage's vector is the mean of its sentences'."""
    texts = [
        passage.text[start - passage.start : end - passage.start]
        for passage in passages
        for start, end in passage.sentences
    ]
    if not texts:
        none = np.zeros((0, encoder.dimension), dtype=np.float32)
        return none, none
    sentences = encoder.encode_passages(texts)
    starts = np.cumsum([0, *(len(passage.sentences) for passage in passages[:-1])])
    return unit(np.add.reduceat(sentences.astype(np.float64), starts, axis=0)), sentences


class Packing:
    """A model of sentence-transformers whose texts need no padding. See `packing`."""

    def __init__(self, model: SentenceTransformer, prompt: str) -> None:
        self._model = model
        self._prompt = prompt

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """What the model reads of each text, cut at its maximum length. For one thread at a time:
        cutting is a state of the tokenizer."""
        prompted = [self._prompt + text for text in texts]
        read = self._model.tokenizer(
            prompted, truncation=True, max_length=self._model.max_seq_length
        )
        ids: list[list[int]] = read["input_ids"]
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
    module: Any, *inputs: Any, scaling: Any = None, cu_seq_lens_q: Any = None, **options: Any
) -> tuple[Any, None]:
    """Attention within each text only. `inputs` are queries, keys and values, [1, heads, tokens,
    size], and a mask; the result is [1, tokens, heads, size]. In fp32, which for texts of a few
    dozen tokens is quicker."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    query, key, value, mask = inputs
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **options)
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
