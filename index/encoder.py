"""The embedding model: any of sentence-transformers, named at once and loaded at first use.

A run with nothing to embed, and `rag index` on an index that is up to date, never import torch.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from index.checkpoint import open_model
from index.errors import EncoderError
from index.packing import Packing, packing
from index.passages import Passage
from index.settings import DEFAULT_ENCODER, Settings
from index.weights import encoder_name, locate

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]

UNLIMITED = 1 << 30

# Where texts need no padding (`index.packing`), a batch holds at most this many tokens.
PACKED_TOKENS = 2_048
# Where they do, it holds texts of like length: together at most so many tokens with their padding,
# and none shorter than this share of the longest. Over the sentences of 18 papers that pads to 1.1
# times the tokens there are.
CPU_BATCH_TOKENS = 4_096
GPU_BATCH_TOKENS = 131_072
SHORTEST = 0.8

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
    passages of the same call (the order in which a matrix product sums); a query is
    encoded alone, so that its vector depends on nothing else.

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
        self._wanted_threads = threads
        self._wanted_device = settings.device
        # A tokenizer's padding and truncation are its state: no two threads may use it at once.
        self._lock = threading.Lock()

    @cached_property
    def _model(self) -> SentenceTransformer:
        device = device_of(self._wanted_device)
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
        if self._wanted_threads is not None:
            return self._wanted_threads
        return threads_on(self._model.device.type)

    @property
    def _batch_tokens(self) -> int:
        return CPU_BATCH_TOKENS if self._threads else GPU_BATCH_TOKENS

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
        return int(min(self._model.max_seq_length or UNLIMITED, UNLIMITED))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        if (packed := self._packing) is not None and texts:
            with self._lock:
                ids = packed.token_ids(texts)
            groups = batches([len(text) for text in ids], PACKED_TOKENS, shortest=0)
            return self._encode(lambda rows: packed.vectors([ids[r] for r in rows]), groups)
        lengths = [min(self.count_tokens(text), self.max_tokens) for text in texts]
        groups = batches(lengths, self._batch_tokens)
        return self._encode_padded(self._model.encode_document, texts, groups)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        # A command line gives halves of characters for bytes that are no text.
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        alone = [[row] for row in range(len(texts))]
        return self._encode_padded(self._model.encode_query, texts, alone)

    def token_states(self, texts: Sequence[str]) -> list[TokenStates]:
        """The states of each text's tokens, as far as the model reads it. They may differ in their
        last bits with the texts of the same call."""
        lengths = [min(self.count_tokens(text), self.max_tokens) for text in texts]
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

        run_groups(read, batches(lengths, self._batch_tokens), self._threads)
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

    def _encode_padded(
        self, encode: Callable[..., Any], texts: Sequence[str], groups: Sequence[Sequence[int]]
    ) -> Vectors:
        """Each batch as the library runs it."""

        def compute(rows: Sequence[int]) -> Vectors:
            vectors: Vectors = encode(
                [texts[row] for row in rows], batch_size=len(rows), show_progress_bar=False
            ).astype(np.float32)
            return vectors

        return self._encode(compute, groups)

    def _encode(
        self, compute: Callable[[Sequence[int]], Vectors], groups: Sequence[Sequence[int]]
    ) -> Vectors:
        """Every row once, [rows, dimension], computed group by group. In bf16 the model's own
        normalisation leaves lengths up to half a percent off one: done again in fp32."""
        vectors = np.zeros((sum(map(len, groups)), self.dimension), dtype=np.float32)

        def fill(rows: Sequence[int]) -> None:
            vectors[rows] = unit(compute(rows))

        run_groups(fill, groups, self._threads)
        return vectors


def threads_on(device: str) -> int:
    """How many batches are computed at once there: as many as there are cores, 0 on a GPU."""
    if not device.startswith("cpu"):
        return 0
    affinity = getattr(os, "sched_getaffinity", None)  # not on every Unix
    return len(affinity(0)) if affinity else os.cpu_count() or 1


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
    """The encoder `name` stands for (see `locate`), loaded. Nothing is asked of the network once
    its folder is known. Raises EncoderError."""
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


def device_of(wanted: str = "") -> str:
    """The device that `wanted` names, "" the first GPU or else the CPU. Raises EncoderError where
    this machine has no such device."""
    import torch

    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if not torch.cuda.is_available():
        gpus = ["mps"] if torch.backends.mps.is_available() else []
    if not wanted:
        return gpus[0].removesuffix(":0") if gpus else "cpu"
    devices = ["cpu", *dict.fromkeys(name.split(":")[0] for name in gpus), *gpus]
    if wanted not in devices:
        known = ", ".join(dict.fromkeys(devices))
        raise EncoderError(f"--device {wanted}: torch finds only {known} on this machine")
    return wanted


def dtype_on(device: str) -> torch.dtype:
    """The number type for weights on this device, by rule: bf16 where the hardware computes it;
    otherwise fp16 on a GPU and fp32 on a CPU. No timing decides: equal machines, equal answers."""
    import torch

    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device == "mps":
        return torch.float16
    able = torch.cpu.get_capabilities()
    bf16 = any(able.get(key) for key in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16"))
    return torch.bfloat16 if bf16 else torch.float32
