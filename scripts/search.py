"""`rag search`: the passages a question finds, with scores."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.options import ENCODER, HOME, EncoderName, Home, Mirror, Offline, Prompts, settings
from scripts.terminal import Bars


def run(
    question: Annotated[str, typer.Argument(help="What is looked for.")],
    prompts: Prompts,
    work: Annotated[
        list[str] | None,
        typer.Option(help="Only this work: a source id, or part of a listing's name."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many passages.")] = 10,
    home: Home = HOME,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Show the passages that QUESTION finds among the works PROMPT… list."""
    raise NotImplementedError
