"""A model's folder is data, whoever made it: what would run, unpickle or never end is refused
before a library opens it, and weights that are no numbers after.

`open_model` tells sentence-transformers the same; what it makes of that changes from version to
version, and it may ask on standard input whether code may run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from index.errors import EncoderError

# The largest open models have some 130 layers, and 61 layers of 384 experts. A library builds as
# many as the configuration says before it looks at the weights.
MAX_LAYERS = 4_096
MAX_MODULES = 65_536

_LAYERS = re.compile(r"(?:^|_)(?:layers?|blocks|depths?|stages)$")
_EXPERTS = re.compile(r"(?:^|_)experts$")
_SAFETENSORS = re.compile(r"[\w.-]+\.safetensors")


def check_checkpoint(folder: Path) -> Path:
    """`folder`, where nothing in it could run, unpickle or never end. Raises EncoderError."""
    modules = read_json(folder / "modules.json", list)
    if not all(isinstance(item, dict) and {"type", "path"} <= item.keys() for item in modules):
        raise EncoderError(f"{folder}/modules.json is not of the form that it should have")
    if (folder / "adapter_config.json").exists():
        raise EncoderError(
            f"{folder} is an adapter, which would load another model: merge the two, or take "
            "another model"
        )
    for part in dict.fromkeys((folder, *(folder / str(item["path"]) for item in modules))):
        if not part.resolve().is_relative_to(folder.resolve()):
            raise EncoderError(f"{folder}/modules.json leads out of its folder, to {part}")
        names = {path.name for path in part.glob("*")}
        if "pytorch_model.bin" in names and not any(
            name.startswith("model.safetensors") for name in names
        ):
            raise EncoderError(
                f"{part} holds no model.safetensors (pickled weights are never loaded): convert "
                "the model, or choose another"
            )
        for name in sorted(names):
            if name.endswith(".safetensors.index.json"):
                _check_index(part / name)
            # The hub's MiniLM brings a list of what it was trained on, which no library reads.
            elif name.endswith(".json") and "config" in name and name != "data_config.json":
                _check_config(part / name)
    return folder


def _check_index(path: Path) -> None:
    shards = read_json(path, dict).get("weight_map")
    for name in shards.values() if isinstance(shards, dict) else [shards]:
        _check_shard(path, name)


def _check_shard(path: Path, name: object) -> None:
    if not _SAFETENSORS.fullmatch(str(name)):
        raise EncoderError(
            f"{path} names {name!r}, which is no safetensors file beside it (pickled weights are "
            "never loaded): convert the model, or choose another"
        )


def _check_config(path: Path) -> None:
    layers, experts = 1, 1
    for key, value in _entries(read_json(path, dict)):
        foreign = "/" in str(value) and key.endswith("attn_implementation")
        if value and (key == "auto_map" or foreign):
            raise EncoderError(
                f"the model in {path.parent} wants to run code of its own ({key} in {path.name}), "
                "which is never done: choose another model, or remove the entry if the library "
                "knows this kind of model"
            )
        if key == "transformers_weights":
            _check_shard(path, value)
        if isinstance(value, int):
            layers = max(layers, value if _LAYERS.search(key) else 1)
            experts = max(experts, value if _EXPERTS.search(key) else 1)
    if layers > MAX_LAYERS or layers * experts > MAX_MODULES:
        raise EncoderError(
            f"{path} asks for {layers} layers"
            + (f" of {experts} experts" if experts > 1 else "")
            + ": no model has so many, the file is damaged; fetch the model again"
        )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at every depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def read_json(path: Path, form: type[Any]) -> Any:
    """What a file holds, an empty `form` where there is none. Raises EncoderError where it is
    not JSON, or of another form."""
    try:
        value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else form()
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(f"{path}: not valid JSON ({error}): fetch the model again") from error
    if not isinstance(value, form):
        raise EncoderError(f"{path} is not of the form that it should have: fetch the model again")
    return value


def open_model(kind: str, folder: Path, role: str, *, device: str) -> Any:
    """The `kind` of sentence-transformers in a folder that was checked; `role` is what messages
    call it. Raises EncoderError."""
    import sentence_transformers
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = getattr(sentence_transformers, kind)(
            str(folder),
            device=device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
        check_finite(model.state_dict(), str(folder))
    except Exception as error:  # The libraries raise dozens of kinds for a damaged model.
        raise EncoderError(f"the {role} in {folder} cannot be loaded: {error}") from error
    return model


def check_finite(weights: Mapping[str, Any], name: str) -> None:
    """Raise EncoderError where one of these tensors holds an infinity or what is no number."""
    for key, tensor in weights.items():
        ends = tensor.aminmax() if tensor.is_floating_point() and tensor.numel() else ()
        if not all(math.isfinite(float(end)) for end in ends):
            raise EncoderError(
                f"the weights of {name} are damaged ({key} holds values that are no numbers): "
                "fetch it again"
            )
