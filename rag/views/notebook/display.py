"""An answer that shows itself, and what one can do with it in a notebook."""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.errors import AnswerError, RagError
from index.files import write_output
from index.settings import Settings
from rag.answer import Answer
from rag.answer.verify import Reextraction, Verification, verify
from rag.plaintext import escape, plain
from rag.retrieval import Evidence
from rag.views.highlight import NO_PICTURES, Pictures
from rag.views.html import to_fragment, to_html
from rag.views.markdown import (
    SupportWarning,
    counted,
    numbers_of,
    paper_of,
    place,
    role_of,
    to_markdown,
    what_was_read,
    work_of,
)

if TYPE_CHECKING:
    from rag.views.notebook.tables import Table

PASSAGES_SHOWN = 12
"""Passages of each work that are shown though nothing of them is quoted."""
WIDTH = 100
"""Characters of a line of text; fixed, so that equal values have equal texts everywhere."""


def expect(kind: Any, **values: object) -> None:
    """Raise RagError for a value that is not of this type, or a text with a NUL, which no file's
    name may have."""
    for name, value in values.items():
        if not isinstance(value, kind) or "\0" in str(value):
            raise RagError(f"{name} is {value!a:.60}; expected {getattr(kind, '__name__', kind)}")


def as_plain_text(renderable: Any) -> str:
    """What `rich` makes of it, without colours and without spaces at line ends."""
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, force_jupyter=False).print(renderable)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


@dataclass(frozen=True, slots=True, repr=False)
class ShownAnswer:
    """An answer with what is shown beside it. `retrieved` is what its writer chose from; None for
    an answer that was read from a file."""

    answer: Answer
    settings: Settings
    pictures: Pictures = NO_PICTURES
    support_warnings: tuple[SupportWarning, ...] = ()
    retrieved: Evidence | None = None

    def __repr__(self) -> str:
        from rich.markdown import Markdown

        return as_plain_text(Markdown(self._repr_markdown_(), hyperlinks=True))

    def _repr_markdown_(self) -> str:
        return to_markdown(self.answer, support_warnings=self.support_warnings)

    def _repr_html_(self) -> str:
        return to_fragment(self.answer, self.pictures, support_warnings=self.support_warnings)

    @property
    def quotes(self) -> Table:
        """Every quote: its number, the writer's words that it supports, and where it stands."""
        from rag.views.notebook.tables import Table

        answer, numbers = self.answer, numbers_of(self.answer)
        rows = [
            (numbers[quote], part, statement.text, quote.text, work_of(answer, quote.source_id),
             place(quote.source_type, quote.pages))
            for part, statement in answer.statements()
            for quote in statement.quotes
        ]  # fmt: skip
        return Table.of(("number", "part", "statement", "quote", "work", "where"), rows)

    @property
    def works(self) -> Table:
        """Every listed work: its links, what was read of it, and why not more."""
        from rag.views.notebook.tables import Table

        records = {source.id: source for source in self.answer.sources}
        rows = [
            (item.name, role_of(item), paper_of(item), item.github, what_was_read(item, records))
            for item in self.answer.references
        ]
        return Table.of(("work", "listed as", "paper", "GitHub", "what was read"), rows)

    @property
    def evidence(self) -> Table:
        """Of the passages that the writer chose from the best of each work, and those that it
        quotes, with its quotes marked. Scores order the rows of one work only."""
        if self.retrieved is None:
            raise AnswerError("this answer was read from a file: ask again to see its evidence")
        from rag.views.notebook.tables import HIT_COLUMNS, Table, hit_cells

        quoted = defaultdict(set)
        for _, quote in self.answer.quotes():
            quoted[quote.source_id].add((quote.start, quote.end))
        rows = []
        for hits in self.retrieved.works:
            for rank, hit in enumerate(hits):
                first, last = hit.passage.start, hit.passage.end
                spans = quoted[hit.source_id]
                marks = [(a - first, b - first) for a, b in spans if first <= a and b <= last]
                if marks or rank < PASSAGES_SHOWN:
                    rows.append(hit_cells(hit, work_of(self.answer, hit.source_id), marks))
        return Table.of(HIT_COLUMNS, rows)

    def verify(self) -> ShownVerification:
        """Check quotes, pages and links against the cached sources, which are extracted again
        from their bytes."""
        return ShownVerification(verify(self.answer, Reextraction(self.settings)))

    def save(self, path: str | Path) -> Path:
        """Write the answer: `.html` to read and send, `.json` to keep and verify, `.md`."""
        expect(str | Path, path=path)
        target = Path(path)
        answer, warnings = self.answer, self.support_warnings
        forms = {
            ".html": lambda: to_html(answer, self.pictures, support_warnings=warnings),
            ".json": lambda: answer.to_json() + "\n",
            ".md": self._repr_markdown_,
        }
        if (form := forms.get(target.suffix.lower())) is None:
            expected = f"expected a name that ends in {', '.join(forms)}"
            raise AnswerError(f"{target} names no form of an answer; {expected}")
        write_output(target, form().encode())
        return target


@dataclass(frozen=True, slots=True, repr=False)
class ShownVerification:
    """The verification of an answer, in a line; true where nothing failed."""

    verification: Verification

    def __bool__(self) -> bool:
        return self.verification.verified

    def __repr__(self) -> str:
        done, failures = self.verification, self.verification.failures
        verdict = counted(len(failures), "failure") or "verified"
        counts = (
            f"{verdict}: {done.quotes} quotes, {done.statements} statements, {done.listings} "
            f"listings, {done.sources} sources read again"
        )
        return "\n".join((counts, *(plain(str(failure)) for failure in failures)))

    def _repr_markdown_(self) -> str:
        verdict, *failures = map(escape, repr(self).splitlines())
        return "\n".join((f"**{verdict}**", "", *(f"- {each}" for each in failures))).rstrip()
