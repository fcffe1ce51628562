"""`rag verify`: prove that the quotes of answer files are in their sources."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.options import DATA_DIR, DataDir, reextraction, say, settings


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Answer files (JSON, JSON Lines); - is standard input.", metavar="ANSWER"
        ),
    ],
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Check every quote, page, link and listing of each ANSWER against the stored sources, which
    are extracted again from their bytes. Exit 0 and one line of counts, or 1 and each failure."""
    from index.errors import AnswerError
    from rag.answer.model import Answer, answers_of, read_answers_in
    from rag.answer.verify import verify

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
    document_of = reextraction(answers.values(), settings(data_dir))
    verifications = {name: verify(answer, document_of) for name, answer in answers.items()}
    for name, verification in verifications.items():
        failures += [f"{name}: {failure}" for failure in verification.failures]
    for failure in failures:
        say(failure, always=True)
    outcome = _count(len(failures), "failure") if failures else "verified"
    counts = (
        f"{sum(getattr(each, name) for each in verifications.values())} {name}"
        for name in ("quotes", "statements", "listings", "sources")
    )
    typer.echo(f"{outcome}: {_count(count, 'answer')}, {', '.join(counts)} read again")
    if failures:
        raise typer.Exit(1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
