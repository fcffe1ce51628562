"""Which writer writes: opened by name, or chosen as the best that can run here.

A model is downloaded only after it was said what and how large; offline, never.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from index.errors import WriterError
from rag.retrieval.evidence import Evidence
from rag.support import SupportChecker
from rag.writers.base import Draft, Writer
from rag.writers.chat import KEY, ChatSettings, ChatWriter, told_error
from rag.writers.local.writer import LocalWriter, WritingSettings
from rag.writers.statements import Extract, fallback_statement


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


DEFAULT_MODEL = "Qwen/Qwen3-1.7B"

WriterKind = Literal["auto", "local", "chat", "extractive"]


@dataclass(frozen=True, slots=True)
class WriterChoice:
    """What a user asked for. `model` "" is the default; `base_url` names a server for "chat"."""

    kind: WriterKind = "auto"
    model: str = ""
    revision: str | None = None
    base_url: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    offline: bool = False
    temperature: float = 0.0
    seed: int = 0
    threshold: float | None = None
    tries: int = 2


class Falling:
    """A writer that another stands in for where it cannot write after all: a context too small
    for this prompt, no memory left at this length."""

    def __init__(self, first: Writer, without: Callable[[WriterError], Writer]) -> None:
        self.first = first
        self._without = without

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """The draft of the first, or of the one in its place."""
        try:
            return self.first.write(evidence, stream=stream)
        except WriterError as error:
            return self._without(error).write(evidence, stream=stream)


def open_writer(
    choice: WriterChoice,
    extractive: Callable[[str], Writer],
    *,
    announce: Callable[[str], None],
    checker: SupportChecker | None = None,
    extract: Extract = fallback_statement,
) -> Writer:
    """The writer asked for. `extractive` makes the one that needs no model, with a note for its
    record; `announce` is told of downloads, and once why "auto" does without a model. Raises
    WriterError where a writer that was asked for by name cannot run."""
    if choice.kind == "extractive":
        return extractive("")
    if choice.kind == "chat":
        return _chat(choice, checker, extract)
    if choice.kind == "local":
        return _local(choice, announce, checker, extract)

    def without(error: WriterError) -> Writer:
        why = f"no instruct model writes here: {error}"
        announce(f"{why}; sentences are chosen instead (--writer extractive)")
        return extractive(why)

    try:
        return Falling(_local(choice, announce, checker, extract), without)
    except WriterError as error:
        return without(error)


def open_chat_model(
    model: str,
    *,
    base_url: str | None = None,
    settings: ChatSettings | None = None,
    seconds: float = 120.0,
    checker: SupportChecker | None = None,
    extract: Extract = fallback_statement,
) -> ChatWriter:
    """The writer for an OpenAI-compatible server at `base_url`, or for whatever LangChain's
    `init_chat_model` makes of `model` (`ollama:qwen3`, `anthropic:…`). The key is read from the
    environment when a request is made, and kept nowhere."""
    settings = settings or ChatSettings()
    if base_url is None:
        from langchain.chat_models import init_chat_model

        try:
            chosen = init_chat_model(model, temperature=settings.temperature)
        except Exception as error:  # Every provider raises its own, as for a key that is missing.
            raise WriterError(f"no chat model {model!r}: {told_error(error)}") from error
        return ChatWriter(chosen, name=model, settings=settings, checker=checker, extract=extract)
    try:
        from langchain_openai import ChatOpenAI
    except ImportError as error:
        raise WriterError(
            "a server at --base-url needs langchain-openai: pip install 'grounded-rag[chat]'"
        ) from error
    options: dict[str, Any] = {
        "model": model,
        "base_url": base_url,
        # Servers of one's own want no key, the client does.
        "api_key": lambda: os.environ.get(KEY) or "none",
        "temperature": settings.temperature,
        "seed": settings.seed,
        "max_tokens": settings.reply_tokens,
        "timeout": seconds,
        "max_retries": 1,
    }
    return ChatWriter(
        ChatOpenAI(**options),
        name=model,
        forms=("grammar", "schema", "free"),
        settings=settings,
        checker=checker,
        extract=extract,
    )


def _local(
    choice: WriterChoice,
    announce: Callable[[str], None],
    checker: SupportChecker | None,
    extract: Extract,
) -> Writer:
    from rag.writers.local.loading import load_model

    model = choice.model or DEFAULT_MODEL
    download = needed_download(model, revision=choice.revision, offline=choice.offline)
    if download is not None:
        announce(f"fetching {download}")
    loaded = load_model(
        model,
        revision=choice.revision,
        device=choice.device,
        dtype=choice.dtype,
        offline=download is None,
    )
    settings = WritingSettings(
        temperature=choice.temperature,
        seed=choice.seed,
        threshold=choice.threshold,
        tries=choice.tries,
    )
    return LocalWriter(loaded, settings=settings, checker=checker, extract=extract)


def _chat(choice: WriterChoice, checker: SupportChecker | None, extract: Extract) -> Writer:
    if not choice.model:
        raise WriterError("--writer chat needs --model, the name the server knows it by")
    if choice.offline and not _is_here(choice.base_url):
        raise WriterError("--writer chat asks a server, and offline none is asked but one's own")
    settings = ChatSettings(
        temperature=choice.temperature,
        seed=choice.seed,
        threshold=choice.threshold,
        tries=choice.tries,
    )
    return open_chat_model(
        choice.model, base_url=choice.base_url, settings=settings, checker=checker, extract=extract
    )


def _is_here(base_url: str | None) -> bool:
    return base_url is not None and urlsplit(base_url).hostname in {"127.0.0.1", "localhost", "::1"}
