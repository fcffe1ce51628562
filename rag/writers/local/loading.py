"""Loads a causal language model and its tokenizer, or says why it cannot.

Safetensors only and no code from a checkpoint: loading a model runs nothing but this project's
libraries. Nothing is downloaded here that `rag.writers.choice` has not announced.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.checkpoint import check_checkpoint, check_finite
from index.encoder import device_of, dtype_on
from index.errors import EncoderError, WriterError
from index.weights import hub_folder, is_path
from rag.writers import error_line
from rag.writers.local.tokenizer import TokenVocabulary

# In tokens, where neither the model nor its tokenizer says: what the smallest of today take.
ASSUMED_CONTEXT = 2048


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to write; `context` is in tokens."""

    model: Any
    vocabulary: TokenVocabulary
    name: str
    revision: str | None
    context: int

    @classmethod
    def of(
        cls, model: Any, tokenizer: Any, *, name: str, revision: str | None = None
    ) -> LoadedModel:
        """A model that is in memory already. Raises WriterError where the two do not fit."""
        ends: Any = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
        limits = (
            getattr(model.config.get_text_config(), "max_position_embeddings", None),
            getattr(tokenizer, "model_max_length", None),
        )
        # Tokenizers that know no limit say 10^30.
        known = [int(limit) for limit in limits if limit and limit < 10**9]
        vocabulary = TokenVocabulary(
            tokenizer,
            rows=int(model.get_input_embeddings().weight.shape[0]),
            stops=ends if isinstance(ends, list) else [ends],
        )
        context = min(known, default=ASSUMED_CONTEXT)
        return cls(model.eval(), vocabulary, name, revision, context)


def load_model(name: str, *, offline: bool = False, device: str = "") -> LoadedModel:
    """The model of this hub id or folder, on this device (see `index.encoder.device_of`), in the
    number type of the device. Raises WriterError, EncoderError."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, utils

    pretrained: Any = AutoModelForCausalLM.from_pretrained
    logging: Any = utils.logging  # Errors are reported in our own words.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = device_of(device)
    own = Path(name)
    with suppress(RuntimeError):  # for ~NAME of nobody here
        own = own.expanduser()
    if is_path(name) and not own.exists():
        raise WriterError(f"{name} does not exist: expected a folder with a model")
    try:
        folder = check_checkpoint(own if own.is_dir() else hub_folder(name, offline=offline))
        options = {"local_files_only": True, "trust_remote_code": False}
        config = AutoConfig.from_pretrained(folder, **options)
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        dtype = dtype_on(place)
        _check_memory(name, config, dtype, place)
        options |= {"use_safetensors": True, "output_loading_info": True}
        model, report = pretrained(folder, config=config, dtype=dtype, **options)
        if missing := sorted(report["missing_keys"]):
            raise WriterError(
                f"{name}: the checkpoint lacks {len(missing)} of the model's weights "
                f"(the first is {missing[0]}); fetch it again"
            )
        check_finite(model.state_dict(), name)
        model = model.to(place)
    except WriterError:
        raise
    except EncoderError as error:  # says what to do
        raise WriterError(str(error)) from error
    except Exception as error:  # The libraries raise dozens of kinds for a damaged checkpoint.
        raise WriterError(
            f"{name} cannot be loaded as a causal language model: {error_line(error)}"
        ) from error
    # The folders of the hub's cache are named by their revisions.
    revision = _fingerprint(folder) if own.is_dir() else folder.name
    return LoadedModel.of(model, tokenizer, name=name, revision=revision)


def _check_memory(name: str, config: Any, dtype: Any, device: str) -> None:
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
            f"{name} needs {needed / 2**30:.1f} GiB for its weights, {free / 2**30:.1f} GiB are "
            "free; take a smaller model"
        )


def _fingerprint(folder: Path) -> str:
    """The hash of a folder's weights: names them where no hub revision does."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + digest.hexdigest()
