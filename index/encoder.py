"""An encoder whose name is known at once and whose weights are loaded at first use.

A run with nothing to embed, and `rag index` on an index that is up to date, never import torch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from index.errors import EncoderError
from index.packing import Packing, packing
from index.passages import Passage
from index.settings import DEFAULT_ENCODER, Settings
from index.weights import encoder_name, locate

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

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


class Encoder(Protocol):
    """Texts to unit-length vectors, one row for each text, in their order.

    `name` identifies the weights and how texts are presented to them (prompts, maximum length,
    pooling), not where they were found and not the precision they run in: equal names mean
    that vectors may be compared.
    """

    @property
    def name(self) -> str:
        """Short, fit for a file name."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def max_tokens(self) -> int:
        """What of a text the model reads, in tokens, special ones included."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """[n, dimension]."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """[n, dimension]."""

    def count_tokens(self, text: str) -> int:
        """Length of a passage as `max_tokens` counts it: prompt and special tokens included."""


def batches(lengths: Sequence[int], total: int, shortest: float = SHORTEST) -> list[list[int]]:
    """Rows from longest to shortest, cut where rows times the longest would exceed `total`, or
    where a row is shorter than `shortest` of the longest; a row that exceeds `total` alone is a
    batch by itself."""
    found: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        longest = lengths[found[-1][0]] if found else 0
        if found and (len(found[-1]) + 1) * longest <= total and lengths[row] >= shortest * longest:
            found[-1].append(row)
        else:
            found.append([row])
    return found


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 in hardware; without it bf16 is slower than fp32."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    words: Iterable[str] = next(
        (line.split() for line in flags.splitlines() if line.startswith(("flags", "Features"))), ()
    )
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


class SentenceTransformerEncoder:
    """Any model of sentence-transformers, with its own prompts and maximum length.

    The same call gives the same bytes. A passage's vector may differ in its last bits with the
    passages of the same call (the order in which a matrix product sums); a query is
    encoded alone, so that its vector depends on nothing else.

    On a CPU every batch is computed by one thread, and several batches at once: threads that share
    one small matrix product wait for each other at its end, thousands of times for each paper, and
    where other processes want the cores too (as those do that read PDFs) each wait lasts until
    the scheduler comes round. It also makes the bytes independent of the number of cores.
    """

    def __init__(
        self, model: SentenceTransformer, name: str, *, batch_tokens: int, threads: int = 1
    ) -> None:
        """`threads` batches are computed at once; 0 leaves all to the device, one by one."""
        self._model = model
        self._name = name
        self._batch_tokens = batch_tokens
        self._threads = threads
        # A tokenizer's padding and truncation are its state: no two threads may use it at once.
        lock, preprocess = threading.Lock(), model.preprocess

        def one_at_a_time(*arguments: Any, **options: Any) -> Any:
            with lock:
                return preprocess(*arguments, **options)

        self._lock = lock
        model.preprocess = one_at_a_time  # type: ignore[method-assign]
        # Static models read any length and say infinity.
        self._max_tokens = int(min(model.max_seq_length or UNLIMITED, UNLIMITED))
        dimension = model.get_embedding_dimension()
        if dimension is None:
            raise EncoderError(f"{name}: the model does not say how long its vectors are")
        self._dimension = int(dimension)
        self._prompt = model.prompts.get("document") or model.prompts.get("passage") or ""

    @cached_property
    def _packing(self) -> Packing | None:
        """Tried when passages come: queries are encoded alone and need none."""
        return packing(self._model, self._prompt) if self._threads else None

    @property
    def name(self) -> str:
        """See Encoder."""
        return self._name

    @property
    def dimension(self) -> int:
        """See Encoder."""
        return self._dimension

    @property
    def max_tokens(self) -> int:
        """See Encoder."""
        return self._max_tokens

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        if (packed := self._packing) is not None and texts:
            with self._lock:
                ids = packed.token_ids(texts)
            groups = batches([len(text) for text in ids], PACKED_TOKENS, shortest=0)
            return self._encode(lambda rows: packed.vectors([ids[r] for r in rows]), groups)
        lengths = [min(self.count_tokens(text), self._max_tokens) for text in texts]
        return self._encode(
            lambda rows: self._padded(self._model.encode_document, [texts[r] for r in rows]),
            batches(lengths, self._batch_tokens),
        )

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        # A command line gives halves of characters for bytes that are no text.
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        return self._encode(
            lambda rows: self._padded(self._model.encode_query, [texts[r] for r in rows]),
            [[row] for row in range(len(texts))],
        )

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        tokenizer = self._model.tokenizer
        text = self._prompt + text
        if hasattr(tokenizer, "backend_tokenizer"):
            tokenizer = tokenizer.backend_tokenizer
        # Truncation is a state of the tokenizer that encoding sets; the count wants none.
        with self._lock:
            if tokenizer.truncation is not None:
                tokenizer.no_truncation()
            if tokenizer.padding is not None:
                tokenizer.no_padding()
            return len(tokenizer.encode(text).ids)

    def _encode(
        self, compute: Callable[[Sequence[int]], Vectors], groups: Sequence[Sequence[int]]
    ) -> Vectors:
        """Every row once, [rows, dimension], computed group by group. In bf16 the model's own
        normalisation leaves lengths up to half a percent off one: done again in fp32."""
        found = np.zeros((sum(map(len, groups)), self._dimension), dtype=np.float32)

        def one(rows: Sequence[int]) -> None:
            vectors = compute(rows)
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            found[rows] = vectors / np.maximum(lengths, np.float32(1e-12))

        if not self._threads:
            for rows in groups:
                one(rows)
            return found
        import torch

        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(
                self._threads, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                for _ in pool.map(one, groups):
                    pass
        finally:
            # The number is kept for each thread, but threads to come start with the newest.
            torch.set_num_threads(before)
        return found

    def _padded(self, encode: Any, texts: list[str]) -> Vectors:
        """One batch as the library runs it."""
        vectors: Vectors = encode(
            texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
        ).astype(np.float32)
        return vectors


def load_encoder(name: str = DEFAULT_ENCODER, *, offline: bool = False) -> Encoder:
    """The encoder `name` stands for (see `locate`), in the quickest precision that this machine
    computes in hardware. Nothing is asked of the network once its folder is known."""
    folder = locate(name, offline=offline)
    title = encoder_name(folder)
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.is_available()
    if cuda:
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    else:
        dtype = torch.bfloat16 if _cpu_has_bf16() else torch.float32
    try:
        model = SentenceTransformer(
            str(folder),
            device="cuda" if cuda else "cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    except Exception as error:
        raise EncoderError(f"the encoder in {folder} cannot be loaded: {error}") from error
    model.to(dtype)
    model.eval()
    if cuda:
        return SentenceTransformerEncoder(model, title, batch_tokens=GPU_BATCH_TOKENS, threads=0)
    return SentenceTransformerEncoder(
        model, title, batch_tokens=CPU_BATCH_TOKENS, threads=available_cores()
    )


# Names this way of making vectors: part of a segment's name, beside the splitter and the encoder.
EMBEDDING = "sentence-mean-3"


def passage_vectors(encoder: Encoder, passages: Sequence[Passage]) -> Vectors:
    """[len(passages), encoder.dimension], unit length."""
    return embed(encoder, passages)[0]


def embed(encoder: Encoder, passages: Sequence[Passage]) -> tuple[Vectors, Vectors]:
    """The vectors of the passages, [len(passages), encoder.dimension], and those of all their
    sentences in order, one row each, of unit length, in one call of the encoder: the same
    passages give the same bytes."""
    texts = [
        passage.text[start - passage.start : end - passage.start]
        for passage in passages
        for start, end in passage.sentences
    ]
    if not texts:
        none = np.zeros((0, encoder.dimension), dtype=np.float32)
        return none, none
    sentences = encoder.encode_passages(texts)
    counts = [len(passage.sentences) for passage in passages]
    sums = np.add.reduceat(sentences.astype(np.float64), np.cumsum([0, *counts[:-1]]), axis=0)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit: Vectors = (sums / np.maximum(lengths, 1e-12)).astype(np.float32)
    return unit, sentences


class LazyEncoder:
    """See Encoder. Raises EncoderError at once where there is no such model."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = encoder_name(locate(settings.encoder, offline=settings.offline))

    @cached_property
    def loaded(self) -> Encoder:
        """The encoder itself, loaded now if it was not before."""
        return load_encoder(self._settings.encoder, offline=self._settings.offline)

    @property
    def name(self) -> str:
        """See Encoder; costs no loading."""
        return self._name

    @property
    def dimension(self) -> int:
        """See Encoder."""
        return self.loaded.dimension

    @property
    def max_tokens(self) -> int:
        """See Encoder."""
        return self.loaded.max_tokens

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        return self.loaded.encode_passages(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        return self.loaded.encode_queries(texts)

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        return self.loaded.count_tokens(text)
