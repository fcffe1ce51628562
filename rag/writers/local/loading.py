"""Loads a causal language model and its tokenizer for writing, or says why it cannot.

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
from rag.writers.local.tokenizer import Vocabulary

if TYPE_CHECKING:
    import torch

# Where neither the model nor its tokenizer says how much fits: what the smallest of today take.
ASSUMED_CONTEXT = 2048
_MEASURED = (1, 32)  # rows of a decode step and of a short forced run


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to write. `context` is in tokens, `note` says how dtype was chosen."""

    model: Any
    vocabulary: Vocabulary
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
        rows = int(model.get_input_embeddings().weight.shape[0])
        generation = getattr(model, "generation_config", None)
        ends = getattr(generation, "eos_token_id", None)
        ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
        vocabulary = Vocabulary(tokenizer, rows=rows, stops=ends)
        return cls(
            model=model.eval(),
            vocabulary=vocabulary,
            name=name,
            revision=revision,
            dtype=str(model.dtype).removeprefix("torch."),
            device=str(model.device),
            context=_context(model.config, tokenizer),
            note=note,
        )


def load_model(
    name: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    offline: bool = False,
) -> LoadedModel:
    """The model of this hub id or folder. `dtype` "auto" takes bfloat16 on a GPU, and on a CPU
    whichever of bfloat16 and float32 multiplies faster there. Raises WriterError."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    pretrained: Any = AutoModelForCausalLM.from_pretrained
    where = _device(device)
    options: dict[str, Any] = {"revision": revision, "local_files_only": offline}
    with _telling(name), _quiet():
        config = AutoConfig.from_pretrained(name, **options)
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
        kind, note = _dtype(dtype, where, config)
        _check_memory(name, config, kind, where)
        model, report = pretrained(
            name,
            config=config,
            dtype=kind,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
        if missing := sorted(report["missing_keys"]):
            raise WriterError(
                f"{name}: the checkpoint lacks {len(missing)} of the model's weights "
                f"(the first is {missing[0]}); fetch it again"
            )
        model = model.to(where)
    found = getattr(config, "_commit_hash", None) or _fingerprint(Path(name))
    return LoadedModel.of(model, tokenizer, name=name, revision=found, note=note)


def measured_dtype(hidden: int) -> tuple[torch.dtype, str]:
    """bfloat16 or float32 for this CPU, by timing the products that decoding is made of (a few
    milliseconds each), and a sentence with the figures."""
    import torch

    seconds: dict[torch.dtype, float] = {}
    width = min(max(hidden, 64), 2048)
    for kind in (torch.float32, torch.bfloat16):
        layer = torch.ones(4 * width, width, dtype=kind)
        best = []
        for rows in _MEASURED:
            given = torch.ones(rows, width, dtype=kind)
            times = []
            for _ in range(4):
                began = time.perf_counter()
                torch.nn.functional.linear(given, layer)
                times.append(time.perf_counter() - began)
            best.append(min(times[1:]))
        seconds[kind] = sum(best)
    ratio = seconds[torch.float32] / max(seconds[torch.bfloat16], 1e-9)
    faster = torch.bfloat16 if ratio > 1 else torch.float32
    said = str(faster).removeprefix("torch.")
    return faster, f"{said} chosen: bfloat16 is {ratio:.1f} times as fast as float32 on this CPU"


def _dtype(wanted: str, device: str, config: Any) -> tuple[torch.dtype, str]:
    import torch

    known = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
    if wanted != "auto":
        if wanted not in known:
            raise WriterError(f"no dtype {wanted!r}; expected auto, {', '.join(known)}")
        return known[wanted], ""
    if device.startswith("cuda"):
        return (torch.bfloat16, "") if torch.cuda.is_bf16_supported() else (torch.float16, "")
    return measured_dtype(int(getattr(config.get_text_config(), "hidden_size", 1024)))


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise WriterError("no CUDA device can be used here; take --device cpu")
    if not re.fullmatch(r"cpu|cuda(?::\d+)?", wanted):
        raise WriterError(f"no device {wanted!r}; expected auto, cpu or cuda")
    return wanted


def _context(config: Any, tokenizer: Any) -> int:
    said = (
        getattr(config.get_text_config(), "max_position_embeddings", None),
        getattr(tokenizer, "model_max_length", None),
    )
    # Tokenizers that know no limit say 10^30.
    sizes = [int(size) for size in said if size and size < 10**9]
    return min(sizes, default=ASSUMED_CONTEXT)


def _check_memory(name: str, config: Any, dtype: torch.dtype, device: str) -> None:
    """Refuse before the operating system does: on Linux it would end the process instead."""
    import torch
    from transformers import AutoModelForCausalLM

    build: Any = AutoModelForCausalLM.from_config
    with torch.device("meta"):
        shape = build(config)
    needed = shape.num_parameters() * dtype.itemsize
    if device.startswith("cuda"):
        free = int(torch.cuda.mem_get_info(device)[0])
    else:
        free = _available_bytes()
    if needed > free:
        raise WriterError(
            f"{name} needs {needed / 2**30:.1f} GiB for its weights in "
            f"{str(dtype).removeprefix('torch.')}, {free / 2**30:.1f} GiB are free on {device}; "
            "take a smaller model"
        )


def _available_bytes() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 1 << 62  # Not Linux: loading itself has to tell.
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(found[1]) * 1024 if found else 1 << 62


def _fingerprint(folder: Path) -> str | None:
    """The hash of a folder's weights: names them where no hub revision does."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + digest.hexdigest() if folder.is_dir() else None


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """Whatever loading raises, as one WriterError that names the model."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except WriterError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise WriterError(f"{name}: no memory left while loading; take a smaller model") from error
    except SafetensorError as error:
        raise WriterError(
            f"{name}: the checkpoint is damaged ({_line(error)}); fetch it again"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise WriterError(
            f"{name} cannot be loaded as a causal language model: {_line(error)}"
        ) from error
    except RuntimeError as error:
        what = "no memory left" if "memory" in str(error) else "the checkpoint does not fit"
        raise WriterError(f"{name}: {what} ({_line(error)})") from error


def _line(error: BaseException) -> str:
    """The first line of a message, without addresses: it may end up in an answer file."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"\S*(?:://|www\.)\S*", "…", lines[0]) if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no advice on standard error; errors are told in our own words."""
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
