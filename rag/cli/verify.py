"""`rag verify`: prove that the quotes of answer files are in their sources."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from index.errors import AnswerError
from rag.cli.options import (
    DATA_DIR,
    ENCODER,
    STORE,
    DataDir,
    Device,
    EncoderName,
    StoreName,
    reextraction,
    say,
    settings,
)


def run(
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
    data_dir: DataDir = DATA_DIR,
    encoder: EncoderName = ENCODER,
    device: Device = "",
    store: StoreName = STORE,
) -> None:
    """Check every quote, page, link and listing of each ANSWER against the stored sources.

    They are extracted again from their bytes. It prints one line of counts, and each failure on
    standard error. Exit codes: 0 verified, 1 a failure, 2 the command is refused or cannot run.

    What it does not prove without --strict: what statements claim beyond their quotes, silence
    about a work that could be read, statements that were removed, moved or doubled."""
    from rag.answer import Answer, answers_of, read_answers_in
    from rag.answer.verify import verify
    from rag.pipeline import Pipeline, reproduce
    from rag.support.builtin import default_checker
    from rag.views.markdown import counted
    from rag.writers.extractive import ExtractiveWriter

    failures: list[str] = []
    answers: dict[str, Answer] = {}
    for path in paths:
        try:
            is_piped = str(path) == "-"
            own = answers_of(sys.stdin.read()) if is_piped else read_answers_in(path)
            names = (
                [str(path)] if len(own) == 1 else [f"{path}:{n}" for n in range(1, len(own) + 1)]
            )
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
        device = chosen.device
        pipeline = cache(lambda: Pipeline.of(chosen, ExtractiveWriter(device=device)))
        checker = cache(lambda: default_checker(offline=True, announce=say, device=device))
        for name, answer in answers.items():
            failures += [f"{name}: {failure}" for failure in reproduce(answer, pipeline, checker)]
    for failure in failures:
        say(failure, always=True)
    outcome = counted(len(failures), "failure") or "verified"
    counts = (
        f"{sum(getattr(each, name) for each in verifications.values())} {name}"
        for name in ("quotes", "statements", "listings", "sources")
    )
    typer.echo(f"{outcome}: {counted(count, 'answer')}, {', '.join(counts)} read again")
    if failures:
        raise typer.Exit(1)
