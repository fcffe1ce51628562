"""The few things a user may set, in one place: as an option, in the environment, or in a file.

An option comes before its variable of the environment, and that before the file."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from index.errors import RagError
from index.files import write_output

CONFIGURABLE: Mapping[str, str] = MappingProxyType(
    {
        "data-dir": "where everything that is built is stored",
        "mirror": "a folder with papers and READMEs, read before the network",
        "offline": "true: never use the network",
        "encoder": "the sentence-transformers model: name or folder",
        "device": "where models compute: cpu, cuda, cuda:1, mps",
        "store": "where passages are: segments (files), a Milvus server, or a .db of Milvus Lite",
        "writer": "who writes: auto, local, extractive, chat",
        "model": "the instruct model: name or folder; for chat the name the server knows",
        "base-url": "an OpenAI-compatible server, for the writer chat",
    }
)
"""What the file may hold; the variable of `data-dir` is RAG_DATA_DIR, and so on."""
_FOLDERS = ("data-dir", "mirror")
WriterKind = Literal["auto", "local", "extractive", "chat"]
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"offline": ("true", "false"), "writer": get_args(WriterKind)}
)

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Settings:
    """`data_dir` holds everything that is built; `mirror` is read before the network;
    `offline` never touches the network, not even for models; `device` is where models compute, ""
    a GPU where there is one; `store` is where segments are kept (`index.stores`)."""

    data_dir: Path = Path("data")
    mirror: Path | None = None
    offline: bool = False
    encoder: str = DEFAULT_ENCODER
    device: str = ""
    store: str = "segments"
    pdf_seconds: float = 120.0
    pdf_memory_bytes: int = 2 << 30

    @property
    def sources(self) -> Path:
        """Bytes as they were fetched, and the ledger."""
        return self.data_dir / "sources"

    @property
    def documents(self) -> Path:
        """Extracted texts, named by the hash of bytes and extractor."""
        return self.data_dir / "documents"

    @property
    def index(self) -> Path:
        """Segments, named by content."""
        return self.data_dir / "index"


def config_path() -> Path:
    """The file of settings: RAG_CONFIG, or else the usual place."""
    usual = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "grounded-rag" / "config.toml"
    return _expanded(os.environ.get("RAG_CONFIG") or usual)


def _expanded(path: str | Path) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RagError(f"{path}: there is no such home folder ({error}); set HOME") from error


def read_config() -> dict[str, str]:
    """What the file sets, by key; a folder in it counts from the file's own. Raises RagError."""
    path = config_path()
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise RagError(f"{path} cannot be read: {error}; `rag config` writes such a file") from None
    for key, value in raw.items():
        if key not in CONFIGURABLE:
            known = ", ".join(CONFIGURABLE)
            raise RagError(f"{path}: there is no setting {key!r}; expected one of {known}")
        is_text = isinstance(value, str) and value != ""
        if not (isinstance(value, bool) if key == "offline" else is_text):
            expected = "true or false" if key == "offline" else 'text in quotes: "…"'
            raise RagError(f"{path}: {key} is {value!r}; expected {expected}")
        _check(key, str(value), f"{path}: ")
        if _is_path(key, str(value)):
            raw[key] = str(path.parent / _expanded(str(value)))
    return {key: str(value) for key, value in raw.items()}


def write_config(values: Mapping[str, str]) -> None:
    """The inverse of `read_config`. Raises RagError for what the file cannot hold."""
    lines = []
    for key, value in values.items():
        _check(key, value)
        text = str(_expanded(value).absolute()) if _is_path(key, value) else value
        text = text.lower() if key in _CHOICES else text
        # A string of TOML takes JSON's escapes, but joins no surrogate pairs and wants DEL escaped.
        quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
        lines.append(f"{key} = {text if key == 'offline' else quoted}\n")
    try:
        write_output(config_path(), "".join(lines).encode())
    except UnicodeEncodeError as error:
        found = ascii(error.object)[1:-1]
        raise RagError(f"the file of settings holds UTF-8 only; found {found:.80}") from None


def _check(key: str, value: str, where: str = "") -> None:
    choices = _CHOICES.get(key)
    if choices and value.lower() not in choices:
        raise RagError(f"{where}{key} is {value!r}; expected {' or '.join(choices)}")


def _is_path(key: str, value: str) -> bool:
    return key in _FOLDERS or (key == "store" and value.endswith(".db"))


def variable(key: str) -> str:
    """The name of a setting in the environment."""
    return "RAG_" + key.upper().replace("-", "_")


def configured(key: str) -> str:
    """What environment or file say of a setting; "" where neither does."""
    return os.environ.get(variable(key)) or read_config().get(key, "")
