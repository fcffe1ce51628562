"""`rag ask`: answer prompt documents from the works they list."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rag.cli.options import (
    DATA_DIR,
    ENCODER,
    BaseUrl,
    DataDir,
    EncoderName,
    Mirror,
    Model,
    Offline,
    Prompts,
    Seed,
    Temperature,
    Threshold,
    Tries,
    Writer,
    open_pipeline,
    settings,
)
from rag.cli.terminal import Bars, say, show, typewriter

if TYPE_CHECKING:
    from rag.answer.model import Answer
    from rag.pipeline import Pipeline
    from rag.support import SupportChecker

AnswerFormat = Literal["markdown", "json", "html"]
_SUFFIXES: dict[AnswerFormat, str] = {"markdown": ".md", "json": ".json", "html": ".html"}


def run(
    prompts: Prompts,
    writer: Writer = "auto",
    model: Model = "",
    base_url: BaseUrl = None,
    seed: Seed = 0,
    temperature: Temperature = 0.0,
    threshold: Threshold = None,
    tries: Tries = 2,
    answer_format: Annotated[
        AnswerFormat, typer.Option("--format", help="The format of the answer.")
    ] = "markdown",
    output: Annotated[
        Path | None,
        typer.Option(help="A file; for several prompts a folder, with a file for each."),
    ] = None,
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Answer each PROMPT from the works it lists, and from nothing else. Works that are not
    indexed yet are indexed first."""
    from index.files import write_atomically
    from rag.prompt import read_prompt
    from rag.writers.choice import WriterChoice

    chosen = settings(data_dir, mirror, offline=offline, encoder=encoder)
    parsed = [(path, read_prompt(path)) for path in prompts]
    targets = _targets(prompts, output, _SUFFIXES[answer_format])
    choice = WriterChoice(
        kind=writer,
        model=model,
        base_url=base_url,
        offline=offline,
        temperature=temperature,
        seed=seed,
        threshold=threshold,
        tries=tries,
    )
    pipeline = open_pipeline(chosen, choice)
    for path, prompt in parsed:
        with Bars() as bars:
            evidence = pipeline.gather(prompt, notify=bars)
        answer = pipeline.answer(evidence, stream=typewriter())
        text = _format(answer, answer_format, pipeline)
        if path in targets:
            write_atomically(targets[path], text.encode())
            say(f"{path} → {targets[path]}")
        else:
            show(text, markdown=answer_format == "markdown")


def _targets(prompts: list[Path], output: Path | None, suffix: str) -> dict[Path, Path]:
    """The file for each prompt's answer, none for stdout. Two answers never share a file, and no
    answer replaces a prompt."""
    if output is None:
        return {}
    if len(prompts) == 1 and not output.is_dir():
        targets = {prompts[0]: output}
    elif output.exists() and not output.is_dir():
        raise typer.BadParameter(
            f"{output} is a file: several answers need a folder", param_hint="--output"
        )
    else:
        targets = {path: output / (path.stem + suffix) for path in prompts}
    if len(set(targets.values())) < len(targets):
        raise typer.BadParameter("two prompts have the same file name", param_hint="PROMPT…")
    for path, target in targets.items():
        if target.exists() and any(target.samefile(prompt) for prompt in prompts):
            raise typer.BadParameter(
                f"the answer to {path} would replace the prompt {target}", param_hint="--output"
            )
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
