"""`rag ask`: answer prompt documents from the works they list."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    WriterName,
    open_pipeline,
    settings,
)
from rag.cli.terminal import Bars, say, show, typewriter

if TYPE_CHECKING:
    from index.settings import Settings
    from rag.answer.model import Answer
    from rag.support import SupportChecker
    from rag.views.pictures import Pictures


class Format(StrEnum):
    """How an answer is written down."""

    MARKDOWN = "markdown"
    JSON = "json"
    HTML = "html"


_SUFFIX = {Format.MARKDOWN: ".md", Format.JSON: ".json", Format.HTML: ".html"}


def run(
    prompts: Prompts,
    writer: Writer = WriterName.AUTO,
    model: Model = "",
    base_url: BaseUrl = None,
    seed: Seed = 0,
    temperature: Temperature = 0.0,
    threshold: Threshold = None,
    tries: Tries = 2,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the answer.")
    ] = Format.MARKDOWN,
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

    chosen = settings(data_dir, mirror, offline=offline, encoder=encoder)
    read = [(path, read_prompt(path)) for path in prompts]
    targets = _targets(prompts, output, form)
    _spare(prompts, targets)
    pipeline = open_pipeline(
        chosen,
        writer,
        model,
        base_url,
        temperature=temperature,
        seed=seed,
        threshold=threshold,
        tries=tries,
    )
    for path, prompt in read:
        with Bars() as bars:
            evidence = pipeline.gather(prompt, notify=bars)
        answer = pipeline.answer(evidence, stream=typewriter())
        written = _written(answer, form, chosen)
        if (target := targets.get(path)) is None:
            show(written, markdown=form is Format.MARKDOWN)
        else:
            write_atomically(target, written.encode())
            say(f"{path} → {target}")


def _targets(prompts: list[Path], output: Path | None, form: Format) -> dict[Path, Path]:
    """Which file each prompt's answer goes to; none for standard output."""
    if output is None:
        return {}
    if len(prompts) == 1 and not output.is_dir():
        return {prompts[0]: output}
    if output.exists() and not output.is_dir():
        raise typer.BadParameter(
            f"{output} is a file: several answers need a folder", param_hint="--output"
        )
    targets = {path: output / (path.stem + _SUFFIX[form]) for path in prompts}
    if len(set(targets.values())) < len(targets):
        raise typer.BadParameter("two prompts have the same file name", param_hint="PROMPT…")
    return targets


def _spare(prompts: list[Path], targets: dict[Path, Path]) -> None:
    """Refuse to write an answer over a prompt, by whatever path."""
    for path, target in targets.items():
        if target.exists() and any(target.samefile(prompt) for prompt in prompts):
            raise typer.BadParameter(
                f"the answer to {path} would replace the prompt {target}", param_hint="--output"
            )


def _written(answer: Answer, form: Format, settings: Settings) -> str:
    from rag.views.markdown import to_markdown

    match form:
        case Format.JSON:
            return answer.to_json() + "\n"
        case Format.HTML:
            return _page(answer, settings)
        case Format.MARKDOWN:
            return to_markdown(answer)


def _page(answer: Answer, settings: Settings) -> str:
    from rag.views.html import to_html
    from rag.views.warnings import find_support_warnings

    support_warnings = find_support_warnings(answer, _checker(settings.offline))
    return to_html(answer, _pictures(answer, settings), support_warnings=support_warnings)


def _pictures(answer: Answer, settings: Settings) -> Pictures:
    from rag.views.highlight import pictures_of

    with Bars() as bars:
        return pictures_of(answer, settings, notify=bars)


@cache
def _checker(offline: bool) -> SupportChecker:
    from rag.views.warnings import default_checker

    return default_checker(offline=offline, announce=say)
