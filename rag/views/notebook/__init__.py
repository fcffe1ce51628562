"""Asking from a notebook (`from rag import ask`): every option has a default, and what is loaded
stays loaded."""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Iterable
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast

from index.encoder import Encoder, LazyEncoder
from index.errors import PromptError, RagError
from index.settings import DEFAULT_ENCODER, Settings, WriterKind, configured
from rag.answer import Answer, read_answer
from rag.pipeline import Pipeline
from rag.plaintext import plain, visible
from rag.prompt import Asked, Prompt, Work, as_prompt, is_question, prompt_of
from rag.retrieval import Evidence
from rag.support.builtin import shared_checker
from rag.views.highlight import pictures_of
from rag.views.markdown import find_support_warnings
from rag.views.notebook.display import ShownAnswer, expect
from rag.writers.choice import WriterChoice, check_kind, open_writer

Folder = str | Path
PAUSE = 0.1
"""Seconds between two states of a bar."""
ERASE = "\r\x1b[K"
"""What erases the line of a terminal."""


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook."""
    # In a kernel IPython is imported already: it need not be imported to find out.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def say(line: str) -> None:
    """One line for a person, beside the answer and no part of it."""
    # What a notebook prints to stderr looks like an error there.
    stream = sys.stdout if in_notebook() else sys.stderr
    stream.write(f"{ERASE if stream.isatty() else ''}{plain(line)}\n")


class ProgressBar:
    """A `Notify` that shows a bar of the stage at work, on a terminal or in a notebook; there also
    text as it is written. Use as a context: both are gone at its end."""

    def __init__(self) -> None:
        self._stage = self._bar = self._text = ""
        self._display: Any = None
        self._drawn = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar = self._text = ""
        self._draw()

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.build.Notify`."""
        from tqdm.std import tqdm

        if total:
            self._bar = tqdm.format_meter(
                done,
                total,
                elapsed=0,
                ncols=None if in_notebook() else shutil.get_terminal_size().columns - 1,
                prefix=stage,
                ascii=False,
                postfix=plain(what),
                bar_format="{desc} {n_fmt}/{total_fmt} {bar:20}{postfix}",
            ).strip()
            self._draw(again_after=PAUSE if stage == self._stage else 0.0)
            self._stage = stage

    def write(self, text: str) -> None:
        """More text of a writer."""
        self._text += visible(text)
        self._draw(again_after=PAUSE)

    def _draw(self, *, again_after: float = 0.0) -> None:
        if time.monotonic() - self._drawn < again_after:
            return
        self._drawn = time.monotonic()
        content = f"{self._bar}\n{self._text}".strip()
        if not in_notebook():
            if sys.stderr.isatty():
                sys.stderr.write(ERASE + self._bar)
                sys.stderr.flush()
        elif content or self._display:
            from IPython.display import display

            if self._display is None:
                self._display = display({}, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            self._display.update({"text/plain": content}, raw=True)


class SettingsOptions(TypedDict, total=False):
    """The parameters of `settings_here`."""

    data_dir: Folder | None
    mirror: Folder | None
    offline: bool | None
    encoder: str
    store: str


class Options(SettingsOptions, total=False):
    """Also who writes, with which model, on which server, as in `rag ask`."""

    writer: WriterKind
    model: str
    base_url: str | None


def ask(
    prompt: Asked | None = None,
    links: Iterable[str | Path] = (),
    *,
    question: str = "",
    works: Iterable[Work] = (),
    related: Iterable[Work] = (),
    **options: Unpack[Options],
) -> ShownAnswer:
    """The answer to a question from `links`: addresses or ids of papers on arXiv and repositories
    on GitHub, PDFs, notes (.md, .txt), folders of PDFs. Or to `prompt` alone: the path of a prompt
    document, its text, or a `Prompt`. Or to the `question` from `works`: mappings with `model` (the
    name) and any of `paper`, `github` and `summary`; `related` are works beside those.

    Options: `writer` ("auto", "extractive", "local" or "chat"), `model` and `base_url` as in `rag
    ask`. `data_dir` is where everything built is stored, `mirror` a folder that is read before the
    network, `encoder` names a sentence-transformers model, and `offline` never touches the network.
    What is not given comes from `RAG_DATA_DIR` and its like, or from the file of `rag config`."""
    if not isinstance(links, Iterable):
        raise PromptError(f"expected a list of links; found {links!a:.60}")
    links = [links] if isinstance(links, str | Path) else list(links)
    given = prompt is not None
    if given == bool(question) or (given and (works or related)) or (links and not given):
        raise PromptError(
            "expected either a prompt (a path, the text of a document, a Prompt), or a question "
            "and what may answer it: ask('How …?', ['2404.13784', 'mine.pdf']) or "
            "ask(question=…, works=[{'model': …}])"
        )
    if links and not isinstance(prompt, str):
        raise PromptError(f"expected the question as text before the links; found {prompt!a:.60}")
    if links or (isinstance(prompt, str) and "\n" not in prompt.strip() and is_question(prompt)):
        prompt = prompt_of(str(prompt), links)
    elif prompt is None:
        prompt = Prompt.build(question, recommended=works, related=related)
    request = as_prompt(prompt)
    pipeline = open_pipeline(**options)
    with ProgressBar() as progress:
        evidence = pipeline.gather(request, notify=progress)
        answer = pipeline.answer(evidence, notify=progress, stream=progress.write)
        return _shown(answer, pipeline.settings, progress, evidence)


def show(answer: Answer | Folder, **options: Unpack[SettingsOptions]) -> ShownAnswer:
    """An existing answer, or its JSON file, so that it shows itself, with the pages of what is
    cached under `data_dir`. Options as for `settings_here`."""
    expect(Answer | Folder, answer=answer)
    existing = answer if isinstance(answer, Answer) else read_answer(Path(answer))
    with ProgressBar() as progress:
        return _shown(existing, settings_here(**options), progress)


def settings_here(
    data_dir: Folder | None = None,
    mirror: Folder | None = None,
    *,
    offline: bool | None = None,
    encoder: str = DEFAULT_ENCODER,
    store: str = "",
) -> Settings:
    """The settings of this notebook. Defaults come from the environment (`RAG_DATA_DIR`,
    `RAG_MIRROR`, `RAG_OFFLINE`, `RAG_STORE`) and the file of `rag config`; `data_dir` is otherwise
    the folder `data` of the project that the working directory is in, or of the working
    directory."""
    expect(Folder | None, data_dir=data_dir, mirror=mirror)
    expect(bool | None, offline=offline)
    expect(str, encoder=encoder, store=store)
    folder = data_dir or configured("data-dir")
    if not folder:
        here = Path.cwd()
        projects = (each for each in (here, *here.parents) if (each / "pyproject.toml").is_file())
        folder = next(projects, here) / "data"
    mirror = mirror or configured("mirror") or None
    if mirror is not None and not Path(mirror).is_dir():
        raise RagError(
            f"the mirror {mirror} is no folder; expected one with arxiv/<id>.pdf and "
            "github/<owner>/<repo>/README*"
        )
    if offline is None:
        offline = configured("offline").lower() not in ("", "0", "false", "f", "no", "n", "off")
    papers = Path(mirror) if mirror is not None else None
    store = store or configured("store") or Settings().store
    return Settings(Path(folder), papers, offline, encoder, configured("device"), store)


def open_pipeline(
    *,
    writer: WriterKind | Literal[""] = "",
    model: str = "",
    base_url: str | None = None,
    **options: Unpack[SettingsOptions],
) -> Pipeline:
    """The pipeline from prompt to answer; options as for `ask`. Encoder and writer are loaded
    once in a process."""
    writer = writer or cast("WriterKind", configured("writer")) or "auto"
    check_kind(writer)
    expect(str, model=model)
    expect(str | None, base_url=base_url)
    model, base_url = model or configured("model"), base_url or configured("base-url") or None
    settings = settings_here(**options)
    choice = WriterChoice(writer, model, base_url, offline=settings.offline, device=settings.device)
    encoder = _encoder(settings.encoder, settings.offline, settings.device)
    return Pipeline(settings, encoder, _writer(choice))


@cache
def _encoder(name: str, offline: bool, device: str) -> Encoder:
    # The libraries that load models import tqdm.auto, which warns where ipywidgets are missing;
    # nothing here needs them.
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        import_module("tqdm.auto")
    return LazyEncoder(Settings(encoder=name, offline=offline, device=device))


_writer = cache(partial(open_writer, announce=say))


def _shown(
    answer: Answer, settings: Settings, progress: ProgressBar, evidence: Evidence | None = None
) -> ShownAnswer:
    checker_of = partial(
        shared_checker, offline=settings.offline, announce=say, device=settings.device
    )
    support_warnings = find_support_warnings(answer, checker_of)
    pictures = pictures_of(answer, settings, notify=progress)
    return ShownAnswer(answer, settings, pictures, support_warnings, evidence)
