"""Output for a person: progress and messages on stderr, so that stdout holds answers alone."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from rag.plaintext import plain, visible


def say(line: str) -> None:
    """Print one line on stderr. Control characters, which may stem from a source, are removed."""
    print(plain(line), file=sys.stderr, flush=True)  # noqa: T201


class Bars:
    """A `Notify` that draws a bar for each stage on a terminal, and prints lines elsewhere."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._drawn = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description:>16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            # Text from sources: as markup, brackets in it would be styles, links or an error.
            TextColumn("{task.fields[what]}", markup=False),
            console=console,
            transient=True,
            disable=not self._drawn,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.build.Notify`."""
        if self._drawn and total:
            if stage not in self._tasks:
                self._tasks[stage] = self._progress.add_task(stage, what="")
            self._progress.update(self._tasks[stage], completed=done, total=total, what=plain(what))
        elif total and what:
            say(f"{stage} {done}/{total}: {what}")


def typewriter() -> Callable[[str], None] | None:
    """A callback that prints text as it is written; None where stderr is no terminal."""

    def print_text(text: str) -> None:
        sys.stderr.write(visible(text))
        sys.stderr.flush()

    return print_text if sys.stderr.isatty() else None


def show(text: str, *, markdown: bool) -> None:
    """Print an answer on stdout; Markdown is rendered where that is a terminal."""
    if markdown and sys.stdout.isatty():
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()  # here, where a full disk or a closed pipe is still reported
