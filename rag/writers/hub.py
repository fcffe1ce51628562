"""What loading a model from the hub would fetch, found out before anything is fetched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from index.errors import WriterError
from rag.writers.chat import told_error


@dataclass(frozen=True, slots=True)
class Download:
    """What would be fetched: the files that are not here yet, and their size in bytes."""

    model: str
    files: int
    size: int

    def __str__(self) -> str:
        return f"{self.model}: {self.files} files, {self.size / 2**30:.2f} GiB"


def needed_download(
    model: str, *, revision: str | None = None, offline: bool, endpoint: str | None = None
) -> Download | None:
    """What loading this hub model would fetch, None where everything is here. Raises WriterError
    where something is missing and cannot be had."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if Path(model).exists():
        return None
    if _cached(model, revision):
        return None
    if offline:
        raise WriterError(f"{model} is not in the model cache, and offline nothing is fetched")
    try:
        info = HfApi(endpoint).model_info(model, revision=revision, files_metadata=True, timeout=10)
    except HFValidationError as error:
        raise WriterError(f"{model} is neither a folder nor the id of a hub model") from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise WriterError(
            f"{model} is not in the model cache, and the hub cannot give it: {told_error(error)}"
        ) from error
    except Exception as error:  # The hub's HTTP client raises its own kinds of connection errors.
        raise WriterError(
            f"{model} is not in the model cache, and the hub cannot be reached: {told_error(error)}"
        ) from error
    wanted = [file for file in info.siblings or [] if _is_needed(file.rfilename)]
    if not any(file.rfilename.endswith(".safetensors") for file in wanted):
        raise WriterError(f"{model} has no safetensors weights; take another model")
    missing = [
        file
        for file in wanted
        if not isinstance(try_to_load_from_cache(model, file.rfilename, revision=info.sha), str)
    ]
    return Download(model, len(missing), sum(file.size or 0 for file in missing))


def _cached(model: str, revision: str | None) -> bool:
    """Whether config, tokenizer and every file of the weights are in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    def here(name: str) -> str | None:
        try:
            found = try_to_load_from_cache(model, name, revision=revision)
        except HFValidationError:
            return None
        return found if isinstance(found, str) else None

    if here("config.json") is None:
        return False
    if here("model.safetensors") is not None:
        return True
    index = here("model.safetensors.index.json")
    if index is None:
        return False
    try:
        files = set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return all(here(name) is not None for name in files)


def _is_needed(name: str) -> bool:
    """The files that loading a model reads: no other format's weights, no sub-folders."""
    return "/" not in name and name.endswith((".safetensors", ".json", ".jinja", ".model", ".txt"))
