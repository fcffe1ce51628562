"""An answer as a part of the page and as a file: with the pages its quotes stand on, and what is
doubtful about it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from index.settings import Settings
from rag.answer import Answer
from rag.doubts import Doubt, doubts_of
from rag.highlight import pictures_of
from rag.page import to_fragment, to_html
from rag.pictures import Pictures
from rag.support import SupportChecker


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an answer is shown with."""

    answer: Answer
    pictures: Pictures
    doubts: tuple[Doubt, ...]

    def fragment(self) -> Markup:
        """The answer as a part of a page: escaped where it was made."""
        return Markup(to_fragment(self.answer, self.pictures, doubts=self.doubts))

    def document(self) -> str:
        """The answer as a file that needs no other."""
        return to_html(self.answer, self.pictures, doubts=self.doubts)


def draw(answer: Answer, settings: Settings, checker: SupportChecker) -> Drawn:
    """Draw the pages and look for doubts, which takes seconds."""
    return Drawn(answer, pictures_of(answer, settings), doubts_of(answer, checker))
