"""What sub-commands share: their options, and output for a person.

Progress and messages go to stderr, so that stdout holds answers alone.
"""

import inspect
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from index.catalog import Listing
from index.errors import RagError
from index.links import exists, is_folder
from index.settings import DEFAULT_ENCODER, Settings, WriterKind
from rag.plaintext import plain

if TYPE_CHECKING:
    from rag.answer import Answer
    from rag.answer.verify import Reextraction
    from rag.pipeline import Pipeline
    from rag.prompt import Prompt
    from rag.writers.choice import WriterChoice

DATA_DIR = Path("data")
ENCODER = DEFAULT_ENCODER
STORE = "segments"

QuestionOrPrompts = Annotated[
    list[str],
    typer.Argument(
        help="A question and what may answer it: addresses or ids on arXiv and GitHub, PDFs, notes "
        "(.md, .txt), folders of PDFs. Or prompt documents; - is standard input.",
        show_default=False,
        metavar="QUESTION LINK… | PROMPT…",
    ),
]
Works = Annotated[
    list[str],
    typer.Argument(
        help="Prompt documents (- is standard input), links, PDFs or folders of PDFs; or a "
        "question and what may answer it, as for `rag ask`.",
        show_default=False,
        metavar="PROMPT | LINK",
    ),
]
DataDir = Annotated[
    Path, typer.Option(envvar="RAG_DATA_DIR", help="Where everything that is built is stored.")
]
Mirror = Annotated[
    Path | None,
    typer.Option(
        envvar="RAG_MIRROR",
        help="A folder with arxiv/<id>.pdf and github/<owner>/<repo>/README*, read first.",
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline/--online", envvar="RAG_OFFLINE", help="Never use the network.")
]
EncoderName = Annotated[
    str,
    typer.Option(
        "--encoder", envvar="RAG_ENCODER", help="A sentence-transformers model: name or folder."
    ),
]
Model = Annotated[
    str,
    typer.Option(
        envvar="RAG_MODEL",
        help="The instruct model: name or folder; for --writer chat the name the server knows.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        envvar="RAG_DEVICE",
        help="Where models compute: cpu, cuda, cuda:1, mps; a GPU where there is one if not given.",
    ),
]
StoreName = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="RAG_STORE",
        help="Where passages are kept: segments (files in the data directory), a Milvus server "
        "(http://host:19530), or a path ending in .db (Milvus Lite).",
    ),
]
OpenSettings = Callable[[], Settings]


def settings(
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
    device: Device = "",
    store: StoreName = STORE,
) -> Settings:
    """The settings that these options add up to."""
    if mirror is not None and not mirror.is_dir():
        problem = "is not a folder" if mirror.exists() else "does not exist"
        raise typer.BadParameter(f"{mirror} {problem}", param_hint="--mirror")
    return Settings(data_dir, mirror, offline, encoder, device, store)


_WRITERS_OF = {
    "model": ("auto", "local", "chat"),
    **dict.fromkeys(("base_url", "concurrency"), ("chat",)),
    **dict.fromkeys(("seed", "temperature", "threshold", "tries"), ("auto", "local", "chat")),
}
"""The writers that an option is for."""


def prompts_in(arguments: Sequence[str]) -> list["Prompt"]:
    """The prompts of a command line: a question and links, or the names of documents."""
    from rag.prompt import is_question, prompt_of

    question, *links = arguments
    if not question.strip():
        raise typer.BadParameter("the question is empty")
    if is_question(question):
        return [prompt_of(question, links)]
    if question.lower().endswith(".pdf") or is_folder(question):
        raise typer.BadParameter('the question comes first: rag ask "How …?" FILE')
    if links and re.fullmatch(r"\w+", question) and not exists(question):
        raise typer.BadParameter(
            f"there is no file {question}; a question stands in quotes, and one of a single word "
            f'ends in a question mark: rag ask "{question}?" LINK'
        )
    return list(map(_prompt, arguments))


def listings_in(arguments: Sequence[str]) -> list[Listing]:
    """The works of a command line: those that prompts list, links, PDFs and folders of PDFs; or
    those that may answer a question."""
    from rag.prompt import is_question, listings_of

    if arguments and is_question(arguments[0]):
        return list(prompts_in(arguments)[0].listings)
    works = (_prompt(name).listings if name == "-" else listings_of(name) for name in arguments)
    return [listing for listings in works for listing in listings]


def name_of(prompt: "Prompt") -> str:
    """What a file about the prompt is called: as its document, or by its question."""
    words = re.sub(r"\W+", "-", prompt.question.lower()).strip("-")
    return Path(prompt.path).stem or words[:60].strip("-") or "answer"


def _prompt(name: str) -> "Prompt":
    from rag.parsing import MAX_SIZE, decode
    from rag.prompt import parse_prompt, read_prompt

    if name != "-":
        return read_prompt(name)
    text = decode(sys.stdin.buffer.read(MAX_SIZE + 1))
    return replace(parse_prompt(text, "standard input", Path()), path="")


def with_options_of(
    group: Callable[..., Any],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command, or a larger group, an option for each parameter of `group`. Its own first
    parameter is `group` with the values of these options, to be called without arguments."""
    options = inspect.signature(group).parameters

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def run(**arguments: Any) -> Any:
            values = {name: arguments.pop(name) for name in options}
            return command(partial(group, **values), **arguments)

        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        return _signed(run, command, (*own, *options.values()))

    return decorate


def _signed(
    run: Callable[..., Any], command: Callable[..., Any], parameters: Iterable[inspect.Parameter]
) -> Callable[..., Any]:
    """`run` as Typer sees it: with the name and help of `command`, and these parameters."""
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    )
    return run


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """A pipeline as options describe it, which another process may open, too."""

    settings: Settings
    writer: "WriterChoice"
    concurrency: int
    quiet: bool = False

    def open(self) -> "Pipeline":
        """The pipeline, its writer announced on stderr."""
        from index.encoder import LazyEncoder
        from rag.pipeline import Pipeline
        from rag.writers.choice import open_writer

        _quiet.set(self.quiet)  # In another process nobody has said so.
        # The encoder first: it fails at once where it is missing; a writer may be a large download.
        encoder = LazyEncoder(self.settings)
        writer = open_writer(self.writer, announce=say)
        return Pipeline(self.settings, encoder, writer, self.concurrency)


@with_options_of(settings)
def pipeline_options(
    open_settings: OpenSettings,
    context: typer.Context,
    writer: Annotated[
        WriterKind,
        typer.Option(
            envvar="RAG_WRITER",
            help="Who writes: a local instruct model, a chat server, or no model at all; auto is "
            "local where a model can be loaded.",
        ),
    ] = "auto",
    model: Model = "",
    base_url: Annotated[
        str | None,
        typer.Option(envvar="RAG_BASE_URL", help="An OpenAI-compatible server, for --writer chat."),
    ] = None,
    seed: Annotated[int, typer.Option(help="For sampling (local, chat).")] = 0,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy (local, chat).")] = 0.0,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="The support a written statement needs to stay; the checker's own if not given.",
            show_default=False,
        ),
    ] = None,
    tries: Annotated[
        int,
        typer.Option(min=0, max=100, help="How often a statement is written again (local, chat)."),
    ] = 2,
    concurrency: Annotated[
        int,
        typer.Option(min=1, max=1000, help="How many answers are written at once (chat)."),
    ] = 4,
) -> PipelineOptions:
    """What these options add up to."""
    from rag.writers.choice import WriterChoice

    for name, writers in _WRITERS_OF.items():
        source = context.get_parameter_source(name)
        if writer not in writers and source and source.name == "COMMANDLINE":
            others = " or ".join(f"--writer {each}" for each in writers)
            raise typer.BadParameter(
                f"--writer {writer} has no use for it: it is for {others}",
                param_hint="--" + name.replace("_", "-"),
            )
    chosen = open_settings()
    if writer != "chat":
        base_url, concurrency = None, 1  # a model on this machine is not made for two
    choice = WriterChoice(
        writer, model, base_url, chosen.offline, temperature, seed, threshold, tries, chosen.device
    )
    return PipelineOptions(chosen, choice, concurrency, _quiet.get())


def require(extra: str, *modules: str) -> None:
    """Raises RagError, before any work is done, where a module of an optional extra is missing."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise RagError(
            f"this needs the extra `{extra}` ({', '.join(missing)} missing): "
            f"pip install 'grounded-rag[{extra}]'"
        )


def reextraction(answers: Iterable["Answer"], chosen: Settings) -> "Reextraction":
    """The sources of these answers, all extracted again together."""
    from rag.answer.verify import Reextraction

    return Reextraction(chosen).ahead(record for answer in answers for record in answer.sources)


_quiet = ContextVar("quiet", default=False)


def with_verbosity(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command -q and -v."""

    def run(
        quiet: Annotated[
            bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")
        ] = False,
        verbose: Annotated[
            int,
            typer.Option(
                "--verbose", "-v", count=True, help="Say what is done; -vv: libraries too."
            ),
        ] = 0,
        **arguments: Any,
    ) -> None:
        _quiet.set(quiet)
        for name in ("index", "rag"):
            logging.getLogger(name).setLevel(logging.INFO if verbose else logging.NOTSET)
        if verbose > 1:
            logging.getLogger().setLevel(logging.DEBUG)
        command(**arguments)

    *common, _ = inspect.signature(run).parameters.values()
    own = inspect.signature(command, eval_str=True).parameters.values()
    _signed(run, command, (*own, *common))
    # Typer keeps the line breaks of all paragraphs but the first.
    paragraphs = (" ".join(each.split()) for each in (command.__doc__ or "").split("\n\n"))
    run.__doc__ = "\n\n".join(paragraphs)
    return run


def say(line: str, *, always: bool = False) -> None:
    """Print one line on stderr, unless `--quiet` forbids what need not be said `always`. Control
    characters, which may stem from a source, are removed."""
    if always or not _quiet.get():
        print(plain(line), file=sys.stderr, flush=True)  # noqa: T201


_PAUSE = 5.0  # seconds between two lines of progress where there is no terminal
_SHOWN = 60  # characters of what is being written


class Bars(Progress):
    """A `Notify` that draws a bar for each stage on a terminal. Elsewhere it prints a line every
    few seconds, and the end of a stage of which it printed one; what failed and why is said by who
    called."""

    def __init__(self) -> None:
        self._said, self._stage, self._written = time.monotonic(), "", ""
        console = Console(stderr=True)
        super().__init__(
            TextColumn("{task.description:>16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            # Text from sources: as markup, brackets in it would be styles, links or an error.
            TextColumn("{task.fields[what]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal or _quiet.get(),
        )

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.build.Notify`."""
        if total and not self.disable:
            ids = {task.description: task.id for task in self.tasks}
            task_id = ids[stage] if stage in ids else self.add_task(stage, what="")
            self.update(task_id, completed=done, total=total, what=plain(what))
        elif total and what:
            is_end = done == total and stage == self._stage
            if is_end or time.monotonic() - self._said >= _PAUSE:
                self._said, self._stage = time.monotonic(), stage
                say(f"{stage} {done}/{total}: {what}")

    def write(self, text: str) -> None:
        """The end of what a writer has written so far, in one line that goes away: the answer is
        printed once, when it is whole."""
        if not self.disable:
            self._written = (self._written + text)[-_SHOWN:]
            ids = [task.id for task in self.tasks if task.total is None]
            task_id = ids[0] if ids else self.add_task("writing", total=None, what="")
            self.update(task_id, what=plain(self._written))
