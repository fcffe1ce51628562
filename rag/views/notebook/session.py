"""Ask from a notebook: what is not said has a default, and what is loaded stays loaded."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, get_args

from index.encoder import Encoder, LazyEncoder
from index.errors import PromptError, RagError, WriterError
from index.settings import DEFAULT_ENCODER, Settings
from rag.answer.model import Answer, read_answer
from rag.pipeline import Pipeline
from rag.plaintext import plain, visible
from rag.prompt import Prompt, Work
from rag.retrieval.evidence import Evidence
from rag.views.highlight import pictures_of
from rag.views.notebook.display import ShownAnswer
from rag.views.warnings import default_checker, find_support_warnings
from rag.writers.base import Writer
from rag.writers.choice import WriterChoice, WriterKind, open_writer
from rag.writers.extractive import ExtractiveWriter

if TYPE_CHECKING:
    from rag.chain import Asked
    from rag.support import SupportChecker

NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""The classes that tell MathJax 3 and 2 to leave alone what a notebook shows."""
SECONDS_BETWEEN = 0.1
"""Drawing more often than that only makes the notebook's file and its reader restless."""


def in_notebook() -> bool:
    """Whether this runs in a kernel that somebody's notebook talks to."""
    # Who has not imported IPython is in no notebook: it need not be imported to find out.
    found = sys.modules.get("IPython")
    shell = found.get_ipython() if found else None
    return shell is not None and hasattr(shell, "kernel")


def say(line: str) -> None:
    """One line for a person, beside the answer and no part of it."""
    if in_notebook():
        html = f'<p class="{NO_FORMULAS}"><em>{escape(plain(line))}</em></p>'
        _display({"text/plain": plain(line), "text/html": html})
    else:
        sys.stderr.write(plain(line) + "\n")
        sys.stderr.flush()


def quiet_about_widgets() -> None:
    """Load tqdm's choice of bars without its warning that ipywidgets is missing: the libraries
    that load models import it, and nothing here needs widgets."""
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        import_module("tqdm.auto")


class Progress:
    """A `Notify` that draws, and shows text as it is written. Use as a context."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[int, int, str]] = {}
        self._text = ""
        self._place: Any = None
        self._drawn = 0.0
        self._bars: dict[str, Any] = {}
        self._notebook = in_notebook()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        if self._place is not None:
            self._place.update({"text/plain": "", "text/html": ""}, raw=True)
        for bar in self._bars.values():
            bar.close()

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.progress.Notify`."""
        if not total:
            return
        self._stages[stage] = done, total, what
        if self._notebook:
            self._draw(now=done == total)
        else:
            self._bar(stage, done, total)

    def write(self, text: str) -> None:
        """What a writer hands over as it writes."""
        self._text += visible(text)
        if self._notebook:
            self._draw(now=False)

    def _draw(self, *, now: bool) -> None:
        if not now and time.monotonic() - self._drawn < SECONDS_BETWEEN:
            return
        self._drawn = time.monotonic()
        shown = {"text/plain": self._as_text(), "text/html": self._as_html()}
        if self._place is None:
            self._place = _display(shown)
        else:
            self._place.update(shown, raw=True)

    def _as_text(self) -> str:
        lines = [
            f"{stage} {done}/{total} {plain(what)}".rstrip()
            for stage, (done, total, what) in self._stages.items()
        ]
        return "\n".join((*lines, self._text)).strip()

    def _as_html(self) -> str:
        rows = [
            f'<p style="margin:0"><progress value="{done}" max="{total}"></progress> '
            f"{escape(stage)} {done}/{total} <small>{escape(plain(what))}</small></p>"
            for stage, (done, total, what) in self._stages.items()
        ]
        if self._text:
            rows.append(f'<p style="white-space:pre-wrap">{escape(self._text)}</p>')
        return f'<div class="{NO_FORMULAS}">' + "\n".join(rows) + "</div>"

    def _bar(self, stage: str, done: int, total: int) -> None:
        from tqdm.std import tqdm

        if stage not in self._bars:
            # disable=None: drawn on a terminal, and on nothing else.
            self._bars[stage] = tqdm(desc=stage, total=total, leave=False, disable=None)
        bar = self._bars[stage]
        bar.update(done - bar.n)


def _display(shown: dict[str, str]) -> Any:
    """Show these forms of one thing, and return the handle that can replace them."""
    from IPython import display

    place: Any = display.DisplayHandle()  # type: ignore[no-untyped-call]
    place.display(shown, raw=True)
    return place


Folder = str | Path


def ask(
    prompt: Asked | None = None,
    *,
    question: str = "",
    works: Iterable[Work] = (),
    related: Iterable[Work] = (),
    data_dir: Folder | None = None,
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
        data_dir=data_dir, mirror=mirror, offline=offline, encoder=encoder,
    )  # fmt: skip
    with Progress() as progress:
        evidence = pipeline.gather(asked, notify=progress)
        answer = pipeline.answer(evidence, stream=progress.write)
        return _shown(answer, pipeline.settings, progress, evidence)


def show(
    answer: Answer | Folder,
    *,
    data_dir: Folder | None = None,
    mirror: Folder | None = None,
    offline: bool | None = None,
) -> ShownAnswer:
    """An answer that is there already, or its JSON file, so that it shows itself: with the pages
    of what is kept under `data_dir`."""
    given = answer if isinstance(answer, Answer) else read_answer(Path(answer))
    with Progress() as progress:
        return _shown(given, settings_here(data_dir, mirror, offline=offline), progress)


def settings_here(
    data_dir: Folder | None = None,
    mirror: Folder | None = None,
    *,
    offline: bool | None = None,
    encoder: str = DEFAULT_ENCODER,
) -> Settings:
    """The settings of this notebook. What is not given is taken from the environment (`RAG_DATA_DIR`,
    `RAG_MIRROR`, `RAG_OFFLINE`); `data_dir` is otherwise the folder `data` of the project that this is
    run in."""
    told = os.environ
    kept = Path(data_dir or told.get("RAG_DATA_DIR") or _project(Path.cwd()) / "data")
    papers = mirror or told.get("RAG_MIRROR") or None
    if papers is not None and not Path(papers).is_dir():
        raise RagError(
            f"the mirror {papers} is no folder; expected one with arxiv/<id>.pdf and "
            "github/<owner>/<repo>/README*"
        )
    return Settings(
        data_dir=kept,
        mirror=Path(papers) if papers is not None else None,
        offline=told.get("RAG_OFFLINE", "") not in ("", "0") if offline is None else offline,
        encoder=encoder,
    )


def open_pipeline(
    *,
    writer: WriterKind = "auto",
    model: str = "",
    base_url: str | None = None,
    data_dir: Folder | None = None,
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
    settings = settings_here(data_dir, mirror, offline=offline, encoder=encoder)
    choice = WriterChoice(kind=writer, model=model, base_url=base_url, offline=settings.offline)
    return Pipeline(settings, default_encoder(encoder, settings.offline), _writer(choice))


@cache
def default_encoder(name: str, offline: bool) -> Encoder:
    """The encoder of that name; the same one for every call."""
    quiet_about_widgets()
    return LazyEncoder(Settings(encoder=name, offline=offline))


@cache
def _writer(choice: WriterChoice) -> Writer:
    return open_writer(choice, ExtractiveWriter, announce=say)


@cache
def _checker(offline: bool) -> SupportChecker:
    return default_checker(offline=offline, announce=say)


def _shown(
    answer: Answer, settings: Settings, progress: Progress, found: Evidence | None = None
) -> ShownAnswer:
    support_warnings = find_support_warnings(answer, _checker(settings.offline))
    pictures = pictures_of(answer, settings, notify=progress)
    return ShownAnswer(answer, settings, pictures, support_warnings, found)


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
