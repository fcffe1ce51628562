"""What viewers without HTML and Markdown see: plain text, laid out for a terminal's width."""

from __future__ import annotations

import io
import textwrap

WIDTH = 100
"""Characters; fixed, so that equal values have equal texts wherever they are shown."""


def markdown_in_plain_text(markdown: str) -> str:
    """Markdown as a person reads it: headings, lists and quotes by layout alone."""
    from rich.console import Console
    from rich.markdown import Markdown

    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, force_jupyter=False)
    console.print(Markdown(markdown, hyperlinks=True))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def in_lines(text: str, first: str, rest: str) -> str:
    """`text` in lines that fit; `first` and `rest` are what they begin with."""
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
