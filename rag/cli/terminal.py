"""What a terminal sees: bars while there is one, plain lines otherwise. Always on stderr, so that
stdout holds answers alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


def say(line: str) -> None:
    """One line for a person, whatever came into it from files that others made."""
    from rag.plaintext import plain

    print(plain(line), file=sys.stderr, flush=True)  # noqa: T201


class Bars:
    """A `Notify` that draws. Use as a context; stages appear as they begin."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._drawn = console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description:>16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            # What others wrote: in brackets it would be styles, links, or a mistake that ends all.
            TextColumn("{task.fields[what]}", markup=False),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        if self._drawn:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn:
            self._progress.stop()

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.progress.Notify`."""
        if not total:
            return
        if not self._drawn:
            if what:
                say(f"{stage} {done}/{total}: {what}")
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, what="")
        from rag.plaintext import plain

        shown = plain(what)
        self._progress.update(self._tasks[stage], completed=done, total=total, what=shown)


def typewriter() -> Callable[[str], None] | None:
    """What a writer may hand its text to as it is written; None where nobody is watching."""
    if not sys.stderr.isatty():
        return None

    from rag.plaintext import visible

    def type_out(text: str) -> None:
        sys.stderr.write(visible(text))
        sys.stderr.flush()

    return type_out


def show(text: str, *, markdown: bool) -> None:
    """An answer on standard output: set for reading on a terminal, as it is otherwise."""
    if markdown and sys.stdout.isatty():
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()  # here, where a full disk or a reader that left can still be told
