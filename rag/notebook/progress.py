"""What a person sees while work goes on: one place in the cell that is drawn anew, and is gone
when the answer is there. On a terminal a bar; elsewhere nothing.

The place is plain HTML that the kernel replaces by its id: every notebook can do that, whatever
widgets it has.
"""

from __future__ import annotations

import sys
import time
import warnings
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any

from rag.render import plain, visible

NO_FORMULAS = "mathjax_ignore tex2jax_ignore"
"""The classes that tell MathJax 3 and 2 to leave alone what a notebook shows."""
SECONDS_BETWEEN = 0.1
"""Drawing more often than that only makes the notebook's file and its reader restless."""


def in_notebook() -> bool:
    """Whether this runs in a kernel that somebody's notebook talks to."""
    # Who has not imported IPython is in no notebook: it need not be imported to find out.
    found = sys.modules.get("IPython")
    shell = found.get_ipython() if found else None
    return shell is not None and hasattr(shell, "kernel")


def say(line: str) -> None:
    """One line for a person, beside the answer and no part of it."""
    if in_notebook():
        html = f'<p class="{NO_FORMULAS}"><em>{escape(plain(line))}</em></p>'
        _display({"text/plain": plain(line), "text/html": html})
    else:
        sys.stderr.write(plain(line) + "\n")
        sys.stderr.flush()


def quiet_about_widgets() -> None:
    """Load tqdm's choice of bars without its warning that ipywidgets is missing: the libraries
    that load models import it, and nothing here needs widgets."""
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        import_module("tqdm.auto")


class Progress:
    """A `Notify` that draws, and shows text as it is written. Use as a context."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[int, int, str]] = {}
        self._text = ""
        self._place: Any = None
        self._drawn = 0.0
        self._bars: dict[str, Any] = {}
        self._notebook = in_notebook()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        if self._place is not None:
            self._place.update({"text/plain": "", "text/html": ""}, raw=True)
        for bar in self._bars.values():
            bar.close()

    def __call__(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.progress.Notify`."""
        if not total:
            return
        self._stages[stage] = done, total, what
        if self._notebook:
            self._draw(now=done == total)
        else:
            self._bar(stage, done, total)

    def write(self, text: str) -> None:
        """What a writer hands over as it writes."""
        self._text += visible(text)
        if self._notebook:
            self._draw(now=False)

    def _draw(self, *, now: bool) -> None:
        if not now and time.monotonic() - self._drawn < SECONDS_BETWEEN:
            return
        self._drawn = time.monotonic()
        shown = {"text/plain": self._as_text(), "text/html": self._as_html()}
        if self._place is None:
            self._place = _display(shown)
        else:
            self._place.update(shown, raw=True)

    def _as_text(self) -> str:
        lines = [
            f"{stage} {done}/{total} {plain(what)}".rstrip()
            for stage, (done, total, what) in self._stages.items()
        ]
        return "\n".join((*lines, self._text)).strip()

    def _as_html(self) -> str:
        rows = [
            f'<p style="margin:0"><progress value="{done}" max="{total}"></progress> '
            f"{escape(stage)} {done}/{total} <small>{escape(plain(what))}</small></p>"
            for stage, (done, total, what) in self._stages.items()
        ]
        if self._text:
            rows.append(f'<p style="white-space:pre-wrap">{escape(self._text)}</p>')
        return f'<div class="{NO_FORMULAS}">' + "\n".join(rows) + "</div>"

    def _bar(self, stage: str, done: int, total: int) -> None:
        from tqdm.std import tqdm

        if stage not in self._bars:
            # disable=None: drawn on a terminal, and on nothing else.
            self._bars[stage] = tqdm(desc=stage, total=total, leave=False, disable=None)
        bar = self._bars[stage]
        bar.update(done - bar.n)


def _display(shown: dict[str, str]) -> Any:
    """Show these forms of one thing, and return the handle that can replace them."""
    from IPython import display

    place: Any = display.DisplayHandle()  # type: ignore[no-untyped-call]
    place.display(shown, raw=True)
    return place
