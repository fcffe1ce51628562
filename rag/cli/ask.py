"""`rag ask`: answer prompt documents from the works they list."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rag.cli.options import Bars, OpenPipeline, Prompts, open_pipeline, say, with_options_of
from rag.plaintext import visible

if TYPE_CHECKING:
    from rag.answer.model import Answer
    from rag.pipeline import Pipeline
    from rag.support import SupportChecker

AnswerFormat = Literal["markdown", "json", "html"]
_SUFFIXES: dict[AnswerFormat, str] = {"markdown": ".md", "json": ".json", "html": ".html"}


@with_options_of(open_pipeline)
def run(
    open_pipeline: OpenPipeline,
    prompts: Prompts,
    answer_format: Annotated[
        AnswerFormat, typer.Option("--format", help="The format of the answer.")
    ] = "markdown",
    output: Annotated[
        Path | None,
        typer.Option(help="A file; for several prompts a folder, with a file for each."),
    ] = None,
) -> None:
    """Answer each PROMPT from the works it lists, and from nothing else. Works that are not
    indexed yet are indexed first."""
    from index.files import write_output
    from rag.prompt import read_prompt

    parsed = [(path, read_prompt(path)) for path in prompts]
    targets = _targets(prompts, output, _SUFFIXES[answer_format])
    pipeline = open_pipeline()
    for path, prompt in parsed:
        with Bars() as bars:
            evidence = pipeline.gather(prompt, notify=bars)
        answer = pipeline.answer(evidence, stream=_stream if sys.stderr.isatty() else None)
        text = _format(answer, answer_format, pipeline)
        if path in targets:
            write_output(targets[path], text.encode())
            say(f"{path} → {targets[path]}")
        elif answer_format == "markdown" and sys.stdout.isatty():
            from rich.console import Console
            from rich.markdown import Markdown

            Console().print(Markdown(text))
        else:
            sys.stdout.write(text)
            sys.stdout.flush()  # here, where a full disk or a closed pipe is still reported


def _stream(text: str) -> None:
    """Print text as it is written."""
    sys.stderr.write(visible(text))
    sys.stderr.flush()


def _targets(prompts: list[Path], output: Path | None, suffix: str) -> dict[Path, Path]:
    """The file for each prompt's answer, none for stdout. Two answers never share a file, and no
    answer replaces a prompt."""
    if output is None:
        return {}
    several = len(prompts) > 1 or output.is_dir()
    targets = {path: output / (path.stem + suffix) if several else output for path in prompts}
    taken = [
        f"the answer to {path} would replace the prompt {target}"
        for path, target in targets.items()
        if target.exists() and any(map(target.samefile, prompts))
    ]
    if several and output.exists() and not output.is_dir():
        taken = [f"{output} is a file: several answers need a folder"]
    elif len(set(targets.values())) < len(targets):
        taken = ["two prompts have the same file name"]
    if taken:
        raise typer.BadParameter(taken[0], param_hint="--output")
    return targets


def _format(answer: Answer, answer_format: AnswerFormat, pipeline: Pipeline) -> str:
    if answer_format == "json":
        return answer.to_json() + "\n"
    if answer_format == "markdown":
        from rag.views.markdown import to_markdown

        return to_markdown(answer)
    from rag.views.highlight import pictures_of
    from rag.views.html import to_html
    from rag.views.warnings import find_support_warnings

    checker = _checker(pipeline.settings.offline)
    with Bars() as bars:
        pictures = pictures_of(answer, pipeline.settings, notify=bars)
    return to_html(answer, pictures, support_warnings=find_support_warnings(answer, checker))


@cache
def _checker(offline: bool) -> SupportChecker:
    from rag.views.warnings import default_checker

    return default_checker(offline=offline, announce=say)
