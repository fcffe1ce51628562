"""Ask from a notebook: what is not said has a default, and what is loaded stays loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from index.encoder import Encoder
from index.errors import PromptError, RagError, WriterError
from index.late import LateEncoder
from index.settings import DEFAULT_ENCODER, Settings
from rag.answer import Answer, read_answer
from rag.doubts import checker_at_hand, doubts_of
from rag.evidence import Evidence
from rag.highlight import pictures_of
from rag.notebook.progress import Progress, quiet_about_widgets, say
from rag.notebook.shown import ShownAnswer
from rag.pipeline import Pipeline
from rag.prompt import Prompt, Work
from rag.writers.choice import WriterChoice, WriterKind, open_writer
from rag.writers.draft import Writer
from rag.writers.extractive import ExtractiveWriter

if TYPE_CHECKING:
    from rag.chain import Asked
    from rag.support import SupportChecker

Folder = str | Path


def ask(
    prompt: Asked | None = None,
    *,
    question: str = "",
    works: Iterable[Work] = (),
    related: Iterable[Work] = (),
    home: Folder | None = None,
    mirror: Folder | None = None,
    offline: bool | None = None,
    encoder: str = DEFAULT_ENCODER,
    writer: WriterKind = "auto",
    model: str = "",
    base_url: str | None = None,
) -> ShownAnswer:
    """The answer to `prompt`: the path of a prompt document, its text, or a `Prompt`. Without a
    document give the `question` and the `works` that may answer it, as mappings with `model` (the
    name) and any of `paper`, `github` and `summary`; `related` are works beside those. The other
    options are those of `settings_here` and `open_pipeline`."""
    asked = _asked(prompt, question, works, related)
    pipeline = open_pipeline(
        writer=writer, model=model, base_url=base_url,
        home=home, mirror=mirror, offline=offline, encoder=encoder,
    )  # fmt: skip
    with Progress() as progress:
        evidence = pipeline.gather(asked, notify=progress)
        answer = pipeline.answer(evidence, stream=progress.write)
        return _shown(answer, pipeline.settings, progress, evidence)


def show(
    answer: Answer | Folder,
    *,
    home: Folder | None = None,
    mirror: Folder | None = None,
    offline: bool | None = None,
) -> ShownAnswer:
    """An answer that is there already, or its JSON file, so that it shows itself: with the pages
    of what is kept under `home`."""
    given = answer if isinstance(answer, Answer) else read_answer(Path(answer))
    with Progress() as progress:
        return _shown(given, settings_here(home, mirror, offline=offline), progress)


def settings_here(
    home: Folder | None = None,
    mirror: Folder | None = None,
    *,
    offline: bool | None = None,
    encoder: str = DEFAULT_ENCODER,
) -> Settings:
    """The settings of this notebook. What is not given is taken from the environment (`RAG_HOME`,
    `RAG_MIRROR`, `RAG_OFFLINE`); `home` is otherwise the folder `data` of the project that this is
    run in."""
    told = os.environ
    kept = Path(home or told.get("RAG_HOME") or _project(Path.cwd()) / "data")
    papers = mirror or told.get("RAG_MIRROR") or None
    if papers is not None and not Path(papers).is_dir():
        raise RagError(
            f"the mirror {papers} is no folder; expected one with arxiv/<id>.pdf and "
            "github/<owner>/<repo>/README*"
        )
    return Settings(
        home=kept,
        mirror=Path(papers) if papers is not None else None,
        offline=told.get("RAG_OFFLINE", "") not in ("", "0") if offline is None else offline,
        encoder=encoder,
    )


def open_pipeline(
    *,
    writer: WriterKind = "auto",
    model: str = "",
    base_url: str | None = None,
    home: Folder | None = None,
    mirror: Folder | None = None,
    offline: bool | None = None,
    encoder: str = DEFAULT_ENCODER,
) -> Pipeline:
    """The whole line from prompt to answer. `writer`, `model` and `base_url` are those of `rag
    ask`: who writes, which model, which server. Encoder and writer are loaded once in a process,
    whoever asks for them."""
    if writer not in get_args(WriterKind):
        kinds = ", ".join(get_args(WriterKind))
        raise WriterError(f"there is no writer {writer!r}; expected one of {kinds}")
    settings = settings_here(home, mirror, offline=offline, encoder=encoder)
    choice = WriterChoice(kind=writer, model=model, base_url=base_url, offline=settings.offline)
    return Pipeline(settings, encoder_at_hand(encoder, settings.offline), _writer(choice))


@cache
def encoder_at_hand(name: str, offline: bool) -> Encoder:
    """The encoder of that name; the same one for every call."""
    quiet_about_widgets()
    return LateEncoder(Settings(encoder=name, offline=offline))


@cache
def _writer(choice: WriterChoice) -> Writer:
    return open_writer(choice, ExtractiveWriter, announce=say)


@cache
def _checker(offline: bool) -> SupportChecker:
    return checker_at_hand(offline=offline, announce=say)


def _shown(
    answer: Answer, settings: Settings, progress: Progress, found: Evidence | None = None
) -> ShownAnswer:
    doubts = doubts_of(answer, _checker(settings.offline))
    pictures = pictures_of(answer, settings, notify=progress)
    return ShownAnswer(answer, settings, pictures, doubts, found)


def _asked(
    prompt: Asked | None, question: str, works: Iterable[Work], related: Iterable[Work]
) -> Prompt:
    from rag.chain import as_prompt

    if (prompt is None) == (not question) or (prompt is not None and (works or related)):
        raise PromptError(
            "expected either a prompt (a path, the text of a document, a Prompt), or a question "
            "and the works that may answer it: ask(question=…, works=[{'model': …}])"
        )
    if prompt is None:
        return Prompt.build(question, recommended=works, related=related)
    return as_prompt(prompt)


def _project(folder: Path) -> Path:
    """The folder of the project that `folder` is in, or `folder` where it is in none."""
    above = (folder, *folder.parents)
    return next((each for each in above if (each / "pyproject.toml").is_file()), folder)
