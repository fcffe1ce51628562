"""`rag ask` and `rag verify`: answers from links, files and prompt documents, and their proof."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from index.errors import AnswerError
from index.files import write_output
from index.settings import Settings
from rag.cli import options
from rag.cli.options import (
    Bars,
    PipelineOptions,
    QuestionOrPrompts,
    name_of,
    pipeline_options,
    prompts_in,
    reextraction,
    say,
    settings,
    with_options_of,
)

if TYPE_CHECKING:
    from rag.answer import Answer
    from rag.pipeline import Pipeline
    from rag.prompt import Prompt
    from rag.support import SupportChecker

AnswerFormat = Literal["markdown", "json", "html"]
_SUFFIXES: dict[str, AnswerFormat] = {
    ".md": "markdown", ".html": "html", ".json": "json",
    ".txt": "markdown", ".markdown": "markdown", ".htm": "html", ".jsonl": "json",
}  # fmt: skip


@with_options_of(pipeline_options)
def ask(
    pipeline_options: Callable[[], PipelineOptions],
    asked: QuestionOrPrompts,
    answer_format: Annotated[
        AnswerFormat | None,
        typer.Option(
            "--format",
            help="The form of the answer; otherwise what --output ends in, or Markdown. Several "
            "answers as JSON on standard output are JSON Lines.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A file (.md, .html, .json), for several prompts one .jsonl; or a folder (no "
            "ending), with a file for each.",
        ),
    ] = None,
) -> None:
    """Answer QUESTION from the works that LINK… name, or each PROMPT from those it lists.

    Nothing else is used. Works that are not indexed yet are indexed first. Question and works are
    in English. Exit codes: 0 answered, 1 of the works of an answer nothing could be read, 2 the
    command is refused or cannot run."""
    prompts = prompts_in(asked)
    form = _form(answer_format, output)
    suffix = next(suffix for suffix, each in _SUFFIXES.items() if each == form)
    targets = _targets(prompts, output, suffix)
    is_stream = output is not None and output.suffix.lower() == ".jsonl"
    as_lines = form == "json" and (is_stream or (not targets and len(prompts) > 1))
    lines: list[str] = []
    unread: set[str] = set()  # said once, however many prompts list it
    nothing_read = False
    pipeline = pipeline_options().open()
    try:
        with contextlib.closing(_answers(pipeline, prompts)) as answers:
            for number, answer in enumerate(answers):
                names = prompts[number].catalog.names
                for source in answer.sources:
                    if source.reason and source.id not in unread:
                        say(f"not read: {names[source.id]}: {source.reason}")
                nothing_read |= all(source.reason for source in answer.sources)
                unread |= {source.id for source in answer.sources if source.reason}
                text = _format(answer, form, pipeline, as_line=as_lines)
                if targets and as_lines:
                    lines.append(text)
                elif targets:
                    write_output(targets[number], text.encode())
                    say(f"{prompts[number].path or prompts[number].question} → {targets[number]}")
                else:
                    _print(text, form)
    finally:  # also what came before an error
        if lines:
            write_output(targets[-1], "".join(lines).encode())
            say(f"{len(lines)} of {len(prompts)} answers → {targets[-1]}")
    if nothing_read:
        raise typer.Exit(1)


def _print(text: str, form: AnswerFormat) -> None:
    if form == "markdown" and sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()  # here, where a full disk or a closed pipe is still reported


def _answers(pipeline: Pipeline, prompts: list[Prompt]) -> Generator[Answer]:
    """The answers in order, with their progress on the terminal: of several that are written at
    once, only that of the indexing."""
    if pipeline.concurrency > 1 and len(prompts) > 1:
        with Bars() as bars:
            answers = pipeline.ask_all(prompts, notify=bars)
        yield from answers
        return
    for prompt in prompts:
        with Bars() as bars:
            answer = pipeline.ask(prompt, notify=bars, stream=bars.write)
        yield answer


def _form(answer_format: AnswerFormat | None, output: Path | None) -> AnswerFormat:
    """The form that is asked for: by name, by the ending of the output, or by default."""
    suffix = output.suffix.lower() if output and not output.is_dir() else ""
    named = _SUFFIXES.get(suffix)
    if suffix and not (named or answer_format):
        raise typer.BadParameter(
            f"{output} ends in {suffix}, which says nothing of the form of an answer; expected "
            ".md, .html, .json or .jsonl, or --format beside it",
            param_hint="--output",
        )
    if answer_format and named and named != answer_format:
        raise typer.BadParameter(
            f"{output} ends in {suffix}, which is {named}, and --format says {answer_format}",
            param_hint="--output",
        )
    return answer_format or named or "markdown"


def _targets(prompts: list[Prompt], output: Path | None, suffix: str) -> list[Path]:
    """The file for each prompt's answer, none for stdout. Two answers never share a file, and no
    answer replaces a prompt or a file that it is made from."""
    if output is None:
        return []
    is_folder = output.is_dir() or not (output.suffix or output.exists())
    several = (len(prompts) > 1 and output.suffix.lower() != ".jsonl") or is_folder
    targets = [output / f"{name_of(one)}{suffix}" if several else output for one in prompts]
    files = [getattr(item.paper, "path", None) for one in prompts for item in one.listings]
    used = [Path(name) for name in (*(one.path for one in prompts), *files) if name]
    taken = [
        f"the answer would replace {target}, which it is made from"
        for target in targets
        if target.exists() and any(path.exists() and target.samefile(path) for path in used)
    ]
    if several and not output.is_dir() and (output.exists() or output.suffix.lower() in _SUFFIXES):
        taken = [f"{output} is for one: several answers need a folder, or a file in .jsonl"]
    elif several and len(set(targets)) < len(targets):
        taken = ["two prompts have the same file name"]
    if taken:
        raise typer.BadParameter(taken[0], param_hint="--output")
    return targets


def _format(answer: Answer, form: AnswerFormat, pipeline: Pipeline, *, as_line: bool) -> str:
    if form == "json":
        return answer.to_json(indent=None if as_line else 2) + "\n"
    from rag.views.markdown import find_support_warnings, to_markdown

    support_warnings = find_support_warnings(answer, _checker_opener(pipeline.settings))
    if form == "markdown":
        return to_markdown(answer, support_warnings=support_warnings)
    from rag.views.highlight import pictures_of
    from rag.views.html import to_html

    with Bars() as bars:
        pictures = pictures_of(answer, pipeline.settings, notify=bars)
    return to_html(answer, pictures, support_warnings=support_warnings)


def _checker_opener(chosen: Settings) -> Callable[[], SupportChecker]:
    from rag.support.builtin import shared_checker

    return partial(shared_checker, offline=chosen.offline, announce=say, device=chosen.device)


def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Answer files (JSON, JSON Lines); - is standard input.", metavar="ANSWER"
        ),
    ],
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Also write extractive answers again and compare them word for word, and judge "
            "a model's statements again.",
        ),
    ] = False,
    data_dir: options.DataDir = options.DATA_DIR,
    encoder: options.EncoderName = options.ENCODER,
    device: options.Device = "",
    store: options.StoreName = options.STORE,
) -> None:
    """Check every quote, page, link and listing of each ANSWER against the stored sources.

    They are extracted again from their bytes. It prints one line of counts, and each failure on
    standard error. Exit codes: 0 verified, 1 a failure, 2 the command is refused or cannot run.

    What it does not prove without --strict: what statements claim beyond their quotes, silence
    about a work that could be read, statements that were removed, moved or doubled."""
    from rag.answer import answers_of, read_answers_in
    from rag.answer.verify import verify
    from rag.pipeline import Pipeline, reproduce
    from rag.views.markdown import counted
    from rag.writers.extractive import ExtractiveWriter

    failures: list[str] = []
    answers: dict[str, Answer] = {}
    for path in paths:
        try:
            own = answers_of(sys.stdin.read()) if str(path) == "-" else read_answers_in(path)
            names = (f"{path}:{n}" if len(own) > 1 else f"{path}" for n in range(1, len(own) + 1))
            answers |= dict(zip(names, own, strict=True))
        except AnswerError as error:
            failures.append(f"{path}: {str(error).removeprefix(f'{path}: ')}")
    count = len(answers) + len(failures)
    chosen = settings(data_dir, offline=True, encoder=encoder, device=device, store=store)
    document_of = reextraction(answers.values(), chosen)
    verifications = {name: verify(answer, document_of) for name, answer in answers.items()}
    for name, verification in verifications.items():
        failures += [f"{name}: {failure}" for failure in verification.failures]
    if strict:
        pipeline = cache(lambda: Pipeline.of(chosen, ExtractiveWriter(device=chosen.device)))
        for name, answer in answers.items():
            again = reproduce(answer, pipeline, _checker_opener(chosen))
            failures += [f"{name}: {failure}" for failure in again]
    for failure in failures:
        say(failure, always=True)
    counts = (
        f"{sum(getattr(each, name) for each in verifications.values())} {name}"
        for name in ("quotes", "statements", "listings", "sources")
    )
    outcome = counted(len(failures), "failure") or "verified"
    end = "" if failures else " read again"
    typer.echo(f"{outcome}: {counted(count, 'answer')}, {', '.join(counts)}{end}")
    if failures:
        raise typer.Exit(1)
