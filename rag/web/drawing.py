"""An answer as a part of the page and as a file: with the pages its quotes stand on, and what is
doubtful about it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from index.settings import Settings
from rag.answer import Answer
from rag.pictures import NO_PICTURES, Pictures
from rag.render import to_markdown
from rag.support import SupportChecker


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an answer is shown with."""

    answer: Answer
    pictures: Pictures
    doubts: Sequence[Any]

    def fragment(self) -> Markup:
        """The answer as a part of a page: escaped where it was made."""
        return Markup(_page().to_fragment(self.answer, self.pictures, doubts=self.doubts))

    def document(self) -> str:
        """The answer as a file that needs no other."""
        return str(_page().to_html(self.answer, self.pictures, doubts=self.doubts))


def draw(answer: Answer, settings: Settings, checker: SupportChecker) -> Drawn:
    """Draw the pages and look for doubts, which takes seconds."""
    try:
        pictures = importlib.import_module("rag.highlight").pictures_of(answer, settings)
    except ModuleNotFoundError:
        pictures = NO_PICTURES
    try:
        doubts = importlib.import_module("rag.doubts").doubts_of(answer, checker)
    except ModuleNotFoundError:
        doubts = ()
    return Drawn(answer, pictures, doubts)


class _Bare:
    """The Markdown as it is."""

    def to_fragment(self, answer: Answer, pictures: Pictures, *, doubts: Sequence[Any]) -> str:
        return f"<pre class=bare>{escape(to_markdown(answer))}</pre>"

    def to_html(self, answer: Answer, pictures: Pictures, *, doubts: Sequence[Any]) -> str:
        head = "<!doctype html><html lang=en><meta charset=utf-8><title>Answer</title>"
        return f"{head}{self.to_fragment(answer, pictures, doubts=doubts)}</html>"


def _page() -> Any:
    try:
        return importlib.import_module("rag.page")
    except ModuleNotFoundError:
        return _Bare()
