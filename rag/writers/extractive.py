"""The writer without a language model: it chooses sentences, which stand as quotations, and writes
no word of its own. What the listed works do not say is said not to be said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rag.retrieval import FACETS, Evidence
from rag.selection.assignment import PlacedSentence, select
from rag.selection.grading import trained_model
from rag.writers import SILENCE, Draft, DraftStatement, WorkNote, WriterRecord


@dataclass(eq=False)
class ExtractiveWriter:
    """Deterministic: equal evidence gives equal drafts. Needs no language model and no network;
    the sentences are scored on `device`. `note` goes into the record of the draft."""

    note: str = ""
    device: str = ""

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """The draft; `stream` is handed its statements."""
        selection = select(evidence, trained_model(self.device).scores(evidence))
        parts = {
            facet: tuple(map(_quotation, selection.parts[facet])) or (SILENCE,) for facet in FACETS
        }
        notes = tuple(
            WorkNote(_quotation(best), relevant) if best else None
            for best, relevant in zip(selection.works, selection.relevant, strict=True)
        )
        if stream is not None:
            for facet in FACETS:
                for statement in parts[facet]:
                    quoted = (f"“{evidence.text(span)}”\n" for span in statement.quotes)
                    stream((statement.text + "".join(quoted)).rstrip() + "\n")
        record = WriterRecord("extractive", note=self.note)
        return Draft(**parts, relevance_notes=notes, record=record)


def _quotation(placed: PlacedSentence) -> DraftStatement:
    return DraftStatement("", (placed.candidate.span,))
