"""Loads a causal language model and its tokenizer, or says why it cannot.

Safetensors only and no code from a checkpoint: loading a model runs nothing but this project's
libraries. Nothing is downloaded here that `rag.writers.choice` has not announced.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import WriterError
from rag.writers.base import error_line
from rag.writers.local.tokenizer import TokenVocabulary

if TYPE_CHECKING:
    import torch

# In tokens, where neither the model nor its tokenizer says: what the smallest of today take.
ASSUMED_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to write. `context` is in tokens, `note` says how dtype was chosen."""

    model: Any
    vocabulary: TokenVocabulary
    name: str
    revision: str | None
    dtype: str
    device: str
    context: int
    note: str = ""

    @classmethod
    def of(
        cls, model: Any, tokenizer: Any, *, name: str, revision: str | None = None, note: str = ""
    ) -> LoadedModel:
        """A model that is in memory already. Raises WriterError where the two do not fit."""
        ends = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        limits = (
            getattr(model.config.get_text_config(), "max_position_embeddings", None),
            getattr(tokenizer, "model_max_length", None),
        )
        # Tokenizers that know no limit say 10^30.
        known = [int(limit) for limit in limits if limit and limit < 10**9]
        return cls(
            model=model.eval(),
            vocabulary=TokenVocabulary(
                tokenizer,
                rows=int(model.get_input_embeddings().weight.shape[0]),
                stops=ends if isinstance(ends, list) else [] if ends is None else [ends],
            ),
            name=name,
            revision=revision,
            dtype=str(model.dtype).removeprefix("torch."),
            device=str(model.device),
            context=min(known, default=ASSUMED_CONTEXT),
            note=note,
        )


def load_model(
    name: str, *, device: str = "auto", dtype: str = "auto", offline: bool = False
) -> LoadedModel:
    """The model of this hub id or folder. `dtype` "auto" takes bfloat16 on a GPU, and on a CPU
    whichever of bfloat16 and float32 multiplies faster there. Raises WriterError."""
    from huggingface_hub import try_to_load_from_cache
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    pretrained: Any = AutoModelForCausalLM.from_pretrained
    place = _device(device)
    with _as_writer_error(name), _quiet():
        if offline and not (Path(name).exists() or try_to_load_from_cache(name, "config.json")):
            raise WriterError(f"{name} is not in the model cache, and offline none is fetched")
        config = AutoConfig.from_pretrained(name, local_files_only=offline)
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=offline)
        kind, note = _dtype(dtype, place, config)
        _check_memory(name, config, kind, place)
        options = {"use_safetensors": True, "output_loading_info": True}
        model, report = pretrained(
            name, config=config, dtype=kind, local_files_only=offline, **options
        )
        if missing := sorted(report["missing_keys"]):
            raise WriterError(
                f"{name}: the checkpoint lacks {len(missing)} of the model's weights "
                f"(the first is {missing[0]}); fetch it again"
            )
        model = model.to(place)
    revision = getattr(config, "_commit_hash", None) or _fingerprint(Path(name))
    return LoadedModel.of(model, tokenizer, name=name, revision=revision, note=note)


def measured_dtype(hidden: int) -> tuple[torch.dtype, str]:
    """bfloat16 or float32 for this CPU, by timing the products that decoding is made of (a few
    milliseconds each), and a sentence with the figures."""
    import torch

    def seconds(kind: torch.dtype, rows: int) -> float:
        weights = torch.ones(4 * width, width, dtype=kind)
        states = torch.ones(rows, width, dtype=kind)
        times = []
        for _ in range(4):
            began = time.perf_counter()
            torch.nn.functional.linear(states, weights)
            times.append(time.perf_counter() - began)
        return min(times[1:])

    width = min(max(hidden, 64), 2048)
    full, half = (
        sum(seconds(kind, rows) for rows in (1, 32))  # a step, and a short forced run
        for kind in (torch.float32, torch.bfloat16)
    )
    ratio = full / max(half, 1e-9)
    faster = torch.bfloat16 if ratio > 1 else torch.float32
    name = str(faster).removeprefix("torch.")
    return faster, f"{name} chosen: bfloat16 is {ratio:.1f} times as fast as float32 on this CPU"


def _dtype(name: str, device: str, config: Any) -> tuple[torch.dtype, str]:
    import torch

    known = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
    if name in known:
        return known[name], ""
    if name != "auto":
        raise WriterError(f"no dtype {name!r}; expected auto, {', '.join(known)}")
    if device.startswith("cuda"):
        return (torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16), ""
    return measured_dtype(int(getattr(config.get_text_config(), "hidden_size", 1024)))


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(?::\d+)?", name):
        raise WriterError(f"no device {name!r}; expected auto, cpu or cuda")
    if name != "cpu" and not torch.cuda.is_available():
        raise WriterError("no CUDA device can be used here; take the device cpu")
    return name


def _check_memory(name: str, config: Any, dtype: torch.dtype, device: str) -> None:
    """Refuse before the operating system does: on Linux it would end the process instead."""
    import torch
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        needed = build(config).num_parameters() * dtype.itemsize
    if device.startswith("cuda"):
        free = int(torch.cuda.mem_get_info(device)[0])
    else:
        memory = Path("/proc/meminfo")  # Not on other systems: there loading itself has to fail.
        text = memory.read_text(encoding="ascii") if memory.exists() else ""
        available = re.search(r"MemAvailable:\s+(\d+) kB", text)
        free = int(available[1]) * 1024 if available else needed
    if needed > free:
        raise WriterError(
            f"{name} needs {needed / 2**30:.1f} GiB for its weights in "
            f"{str(dtype).removeprefix('torch.')}, {free / 2**30:.1f} GiB are free on {device}; "
            "take a smaller model"
        )


def _fingerprint(folder: Path) -> str | None:
    """The hash of a folder's weights: names them where no hub revision does."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + digest.hexdigest() if folder.is_dir() else None


@contextmanager
def _as_writer_error(name: str) -> Iterator[None]:
    """Whatever loading raises, as one WriterError that names the model."""
    from safetensors import SafetensorError

    try:
        yield
    except WriterError:
        raise
    except Exception as error:
        no_memory = isinstance(error, RuntimeError) and "memory" in str(error)
        if no_memory or isinstance(error, MemoryError):
            reason = ": no memory left while loading; take a smaller model"
        elif isinstance(error, SafetensorError):
            reason = f": the checkpoint is damaged ({error_line(error)}); fetch it again"
        elif isinstance(error, RuntimeError):
            reason = f": the checkpoint does not fit ({error_line(error)})"
        else:
            reason = f" cannot be loaded as a causal language model: {error_line(error)}"
        raise WriterError(name + reason) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no advice on standard error; errors are reported in our own words."""
    from transformers import utils

    logging: Any = utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
