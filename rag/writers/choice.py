"""Which writer writes: opened by name, or chosen as the best that can run here.

A model is downloaded only after it was announced what and how large; offline, never.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from index.errors import WriterError
from index.settings import WriterKind
from index.weights import is_path
from rag.retrieval import Evidence
from rag.support import SupportChecker
from rag.support.builtin import shared_checker
from rag.writers import CHAT_KEY, Draft, Writer, error_line
from rag.writers.chat import FORMS, ChatWriter
from rag.writers.extractive import ExtractiveWriter
from rag.writers.instruct import DEFAULT_SETTINGS, WritingSettings

DEFAULT_MODEL = "Qwen/Qwen3-1.7B"

ANSWER_SECONDS, ANSWER_BYTES = 180.0, 4_000_000
"""What one answer of a server may take."""
RETRIES = 4
"""How often a request is sent again to a server that is busy, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class WriterChoice:
    """What a user asked for. `model` "" is the default; `base_url` names a server for "chat"."""

    kind: WriterKind = "auto"
    model: str = ""
    base_url: str | None = None
    offline: bool = False
    temperature: float = 0.0
    seed: int = 0
    threshold: float | None = None
    tries: int = 2
    device: str = ""

    @property
    def settings(self) -> WritingSettings:
        """The settings of an instruct model."""
        return WritingSettings(
            self.temperature, self.seed, self.threshold, self.tries, device=self.device
        )


def check_kind(kind: object) -> None:
    """Raises WriterError for what is no kind of writer."""
    if kind not in (kinds := get_args(WriterKind)):
        raise WriterError(f"there is no writer {kind!r}; expected one of {', '.join(kinds)}")


def open_writer(choice: WriterChoice, *, announce: Callable[[str], None]) -> Writer:
    """The writer asked for. `announce` is told of downloads, and once why "auto" does without a
    model. Raises WriterError where a writer that was asked for by name cannot run."""
    settings = choice.settings  # Refused here where they cannot be, whoever writes.
    check_kind(choice.kind)
    if choice.kind == "extractive":
        return ExtractiveWriter(device=choice.device)
    if choice.kind == "local":
        return _local(choice, announce)
    if choice.kind == "chat":
        if not choice.model:
            raise WriterError("--writer chat needs --model, the name the server knows it by")
        host = _host(choice.base_url) if choice.base_url else ""
        if choice.offline and host not in {"127.0.0.1", "localhost", "::1"}:
            raise WriterError("offline, --writer chat may only ask a server on this machine")
        checker = _checker(choice, announce)
        return open_chat_model(
            choice.model, base_url=choice.base_url, settings=settings, checker=checker
        )
    try:
        return AutoWriter(_local(choice, announce), announce, choice.device)
    except WriterError as error:
        return _without_model(error, announce, choice.device)


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not host.isprintable() or parts.scheme not in {"http", "https"}:
        raise WriterError(
            f"--base-url is {base_url!a:.80}; expected http://HOST:PORT/v1 or the like"
        )
    return host


@dataclass(eq=False, repr=False)
class AutoWriter:
    """A model that the extractive writer stands in for where it cannot write after all: a context
    too small for this prompt, no memory left at this length."""

    model_writer: Writer
    announce: Callable[[str], None]
    device: str

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """The draft of the model, or of the extractive writer with the reason in its record."""
        try:
            return self.model_writer.write(evidence, stream=stream)
        except WriterError as error:
            writer = _without_model(error, self.announce, self.device)
            return writer.write(evidence, stream=stream)


def _without_model(error: WriterError, announce: Callable[[str], None], device: str) -> Writer:
    reason = f"no instruct model writes here: {error}"
    announce(f"{reason}; sentences are chosen instead (--writer extractive)")
    return ExtractiveWriter(reason, device=device)


def _local(choice: WriterChoice, announce: Callable[[str], None]) -> Writer:
    from rag.writers.local import LocalWriter, load_model

    model = choice.model or DEFAULT_MODEL
    try:
        loaded = load_model(model, offline=True, device=choice.device)
    except WriterError:
        local = choice.offline or is_path(model) or Path(model).exists()
        if local or not (download := needed_download(model)):
            raise
        announce(f"fetching {download}")
        loaded = load_model(model, device=choice.device)
    return LocalWriter(loaded, settings=choice.settings, checker=_checker(choice, announce))


def _checker(choice: WriterChoice, announce: Callable[[str], None]) -> SupportChecker:
    return shared_checker(offline=choice.offline, announce=announce, device=choice.device)


def open_chat_model(
    model: str,
    *,
    base_url: str | None = None,
    settings: WritingSettings = DEFAULT_SETTINGS,
    checker: SupportChecker | None = None,
    retries: int = RETRIES,
) -> ChatWriter:
    """The writer for an OpenAI-compatible server at `base_url`, or for what LangChain's
    `init_chat_model` makes of `model` (`ollama:qwen3`, `anthropic:…`). The key is read from the
    environment at each request, and stored nowhere. Statements are checked by `checker`, or without
    a model."""
    if base_url is None:
        from langchain.chat_models import init_chat_model

        try:
            chat_model = init_chat_model(model, temperature=settings.temperature)
        except Exception as error:  # Every provider raises its own, as for a key that is missing.
            raise WriterError(f"no chat model {model!r}: {error_line(error)}") from error
        return ChatWriter(chat_model, name=model, settings=settings, checker=checker)
    try:
        import httpx
        from langchain_openai import ChatOpenAI

        from index.sources.http import BoundedClient
    except ImportError as error:
        raise WriterError(
            "a server at --base-url needs langchain-openai: pip install 'grounded-rag[chat]'"
        ) from error
    options: dict[str, Any] = {
        "model": model,
        "base_url": _served_at(base_url),
        # Local servers want no key, the client does.
        "api_key": lambda: os.environ.get(CHAT_KEY) or "none",
        "temperature": settings.temperature,
        "seed": settings.seed,
        "max_tokens": settings.reply_tokens,
        "timeout": 120.0,
        # Redirects are not followed: the user named a server, and no other gets the prompt. A
        # connection is not kept, since several threads may ask.
        "http_client": BoundedClient(
            seconds=ANSWER_SECONDS,
            limit=ANSWER_BYTES,
            limits=httpx.Limits(max_keepalive_connections=0),
        ),
        # With a pause between them of half a second, twice as long each time, or as long as the
        # server asks for by Retry-After, up to two minutes.
        "max_retries": retries,
    }
    return ChatWriter(
        ChatOpenAI(**options), name=model, forms=FORMS, settings=settings, checker=checker
    )


def _served_at(base_url: str) -> str:
    """`base_url`; where it names a server alone and that answers under /v1, the address there."""
    import httpx

    from index.sources.http import BoundedClient

    if urlsplit(base_url).path.strip("/"):
        return base_url
    own = base_url.rstrip("/")
    try:
        with BoundedClient(seconds=5.0, limit=ANSWER_BYTES) as client:
            own_status, guessed_status = (
                client.get(f"{url}/models").status_code for url in (own, f"{own}/v1")
            )
    except (httpx.HTTPError, httpx.InvalidURL):  # the first request says what is wrong
        return base_url
    return f"{own}/v1" if own_status == 404 != guessed_status else base_url


def needed_download(model: str, *, endpoint: str | None = None) -> str:
    """The files of this hub model that are not in the cache, "" where none is missing, as
    "NAME: 5 files, 4.01 GiB". Raises WriterError where they cannot be had."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        info = HfApi(endpoint).model_info(model, files_metadata=True, timeout=10)
    except HFValidationError as error:
        raise WriterError(f"{model} is neither a folder nor the id of a hub model") from error
    except Exception as error:  # The hub's HTTP client raises its own kinds of connection errors.
        reason = f"the hub does not give it: {error_line(error)}"
        raise WriterError(f"{model} is not in the model cache, and {reason}") from error
    # The files that loading reads: no other format's weights, no sub-folders; see `hub_folder`.
    kinds = (".safetensors", ".json", ".jinja", ".model", ".txt")
    files = {
        file.rfilename: file.size or 0
        for file in info.siblings or []
        if re.fullmatch(r"(?!consolidated)[^/]+", file.rfilename) and file.rfilename.endswith(kinds)
    }
    if not any(name.endswith(".safetensors") for name in files):
        raise WriterError(f"{model} has no safetensors weights; take another model")
    cached = partial(try_to_load_from_cache, model, revision=info.sha)
    sizes = [size for name, size in files.items() if not isinstance(cached(name), str)]
    return f"{model}: {len(sizes)} files, {sum(sizes) / 2**30:.2f} GiB" if sizes else ""
