"""An answer that shows itself, and what one can do with it in a notebook."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from index.errors import AnswerError
from index.files import write_atomically
from index.settings import Settings
from rag.answer.model import Answer
from rag.answer.reextraction import Reextraction
from rag.answer.verify import Verification, verify
from rag.plaintext import escape
from rag.retrieval.evidence import FACETS, Evidence
from rag.views.highlight import NO_PICTURES, Pictures
from rag.views.html import to_fragment, to_html
from rag.views.markdown import ROLES, place, to_markdown, what_was_read, work_of
from rag.views.notebook.library import where
from rag.views.notebook.table import Cell, Marked, Table, markdown_in_plain_text
from rag.views.warnings import SupportWarning

WRITTEN_AS = (".html", ".json", ".md")


@dataclass(frozen=True, slots=True, repr=False)
class ShownAnswer:
    """An answer with what is shown beside it. `found` is what its writer chose from; None for an
    answer that was only read."""

    answer: Answer
    settings: Settings
    pictures: Pictures = NO_PICTURES
    support_warnings: tuple[SupportWarning, ...] = ()
    found: Evidence | None = None

    def __repr__(self) -> str:
        return markdown_in_plain_text(to_markdown(self.answer))

    def _repr_markdown_(self) -> str:
        return to_markdown(self.answer)

    def _repr_html_(self) -> str:
        return to_fragment(self.answer, self.pictures, support_warnings=self.support_warnings)

    @property
    def quotes(self) -> Table:
        """Every quote: the statement that rests on it, and where it stands."""
        rows = [
            (part, said.text, quote.text, work_of(self.answer, quote.source_id), place(quote))
            for part, said in self.answer.statements()
            for quote in said.quotes
        ]
        return Table(("part", "statement", "quote", "work", "where"), tuple(rows))

    @property
    def works(self) -> Table:
        """Every listed work: its links, what was read of it, and why not more."""
        records = {source.id: source for source in self.answer.sources}
        rows = [
            (item.name, ROLES[item.role], item.paper, item.github, what_was_read(item, records))
            for item in self.answer.references
        ]
        return Table(("work", "listed as", "paper", "GitHub", "what was read"), tuple(rows))

    @property
    def evidence(self) -> Table:
        """The passages that the writer had before it, for each part of the answer the best first;
        what it quoted is marked in them. Scores order the rows of one part only."""
        if self.found is None:
            raise AnswerError("this answer was read from a file: ask again to see its evidence")
        quoted = defaultdict(set)
        for _, quote in self.answer.quotes():
            quoted[quote.source_id].add((quote.start, quote.end))
        rows: list[tuple[Cell, ...]] = []
        for facet in FACETS:
            for hit in self.found.facets[facet]:
                passage, own = hit.passage, quoted[hit.source_id]
                marks = _within(own, passage.start, passage.end)
                rows.append(
                    (
                        facet, work_of(self.answer, hit.source_id), where(hit.source_type, passage),
                        passage.heading, hit.score, hit.dense, hit.lexical, Marked(hit.text, marks),
                    )
                )  # fmt: skip
        columns = ("for", "work", "where", "section", "score", "cosine", "BM25", "passage")
        return Table(columns, tuple(rows))

    def verify(self) -> ShownVerification:
        """Prove the answer: its quotes, pages and links against the kept sources, which are read
        again from their bytes."""
        return ShownVerification(verify(self.answer, Reextraction(self.settings)))

    def save(self, path: str | Path) -> Path:
        """Write the answer: `.html` to read and send, `.json` to keep and verify, `.md`."""
        target = Path(path)
        match target.suffix.lower():
            case ".html":
                text = to_html(self.answer, self.pictures, support_warnings=self.support_warnings)
            case ".json":
                text = self.answer.to_json() + "\n"
            case ".md":
                text = to_markdown(self.answer)
            case _:
                raise AnswerError(
                    f"{target} names no form of an answer; expected a name that ends in "
                    f"{', '.join(WRITTEN_AS)}"
                )
        write_atomically(target, text.encode())
        return target


@dataclass(frozen=True, slots=True, repr=False)
class ShownVerification:
    """What was checked of an answer, in a line; true where nothing failed."""

    verification: Verification

    def __bool__(self) -> bool:
        return self.verification.verified

    def __repr__(self) -> str:
        return "\n".join((self._verdict(), *map(str, self.verification.failures)))

    def _repr_markdown_(self) -> str:
        failures = [f"- {escape(str(failure))}" for failure in self.verification.failures]
        return "\n".join((f"**{escape(self._verdict())}**", "", *failures)).rstrip()

    def _verdict(self) -> str:
        done = self.verification
        said = "verified" if done.verified else f"{len(done.failures)} failures"
        return (
            f"{said}: {done.quotes} quotes, {done.statements} statements, {done.listings} "
            f"listings, {done.sources} sources read again"
        )


def _within(spans: set[tuple[int, int]], start: int, end: int) -> tuple[tuple[int, int], ...]:
    """The spans that lie in a stretch of a document, counted from its start; those that others
    overlap joined."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if not start <= first < last <= end:
            continue
        if found and first - start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last - start)
        else:
            found.append((first - start, last - start))
    return tuple(found)
