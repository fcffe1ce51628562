"""`rag verify`: prove that answer files quote their sources truly."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.options import DATA_DIR, DataDir, settings
from rag.cli.terminal import say


def run(
    answers: Annotated[list[Path], typer.Argument(help="Answer files (JSON).", metavar="ANSWER…")],
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Check every quote, page, link and listing of each ANSWER against the kept sources, which
    are read again from their bytes. Exit 0 and one line of counts, or 1 and each failure."""
    from index.errors import AnswerError
    from rag.answer.model import read_answer
    from rag.answer.reextraction import Reextraction
    from rag.answer.verify import verify

    failures = quotes = statements = listings = sources = 0
    readable = {}
    for path in answers:
        try:
            readable[path] = read_answer(path)
        except AnswerError as error:
            say(f"{path}: {str(error).removeprefix(f'{path}: ')}")
            failures += 1
    document_of = Reextraction(settings(data_dir)).ahead(
        record for answer in readable.values() for record in answer.sources
    )
    for path, answer in readable.items():
        found = verify(answer, document_of)
        for failure in found.failures:
            say(f"{path}: {failure}")
        failures += len(found.failures)
        quotes += found.quotes
        statements += found.statements
        listings += found.listings
        sources += found.sources
    verdict = _counted(failures, "failure") if failures else "verified"
    typer.echo(
        f"{verdict}: {_counted(len(answers), 'answer')}, {quotes} quotes, {statements} statements, "
        f"{listings} listings, {sources} sources read again"
    )
    if failures:
        raise typer.Exit(1)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
