"""The writer without a language model: it chooses sentences, which stand as quotations, and writes
no word of its own. What the listed works do not say is said not to be said.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rag.retrieval.evidence import FACETS, Evidence, Facet
from rag.retrieval.scoring import terms
from rag.selection.candidates import ScoredSentence, scored_sentences
from rag.selection.wording import NamedTask, tasks_meant, tasks_named
from rag.writers.base import SILENCE, Draft, DraftStatement, WorkNote, WriterRecord

# For each part: the most sentences, and the least score of each.
_LIMITS: dict[Facet, tuple[int, float]] = {
    "task": (2, 2.6),
    "input": (1, 2.8),
    "model": (4, 2.8),
    "output": (2, 2.8),
}
# Added to the score of a sentence of a recommended model; of a work that names the task.
_RECOMMENDED, _ON_TASK = 0.8, 0.5
# The least cosine with the question: of any sentence of the workflow; of one whose work neither is
# recommended nor names the task; of the relevance note of such a work.
_FAR, _NEAR, _RELEVANT = 0.05, 0.3, 0.25
# The least merit of a sentence of which a phrase names the input or the output.
_PLAIN = 0.6

_IS_THE = re.compile(
    r"^(?P<task>[A-Z][\w -]{3,40}?)(?: \([^)]*\))? (?:is|aims at) the "
    r"(?P<what>(?:process|task|problem) of [^,.;]+)"
)


class ExtractiveWriter:
    """Deterministic: equal evidence gives equal drafts. Needs no model and no network."""

    def __init__(self, note: str = "") -> None:
        self._note = note

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """The draft; `stream` is handed its statements."""
        choice = _SentenceChoice(evidence)
        parts: dict[Facet, list[DraftStatement]] = {"task": choice.task()}
        for facet in ("input", "output", "model"):
            parts[facet] = choice.workflow_part(facet)
        parts["task"] = parts["task"] or choice.first_sentence()
        works = range(len(evidence.prompt.listings))
        notes = tuple(choice.relevance_note(work, parts) for work in works)
        statements = {facet: tuple(parts[facet]) or (SILENCE,) for facet in FACETS}
        if stream is not None:
            for facet in FACETS:
                for statement in statements[facet]:
                    quoted = (f"“{evidence.text(span)}”\n" for span in statement.quotes)
                    stream((statement.text + "".join(quoted)).rstrip() + "\n")
        record = WriterRecord("extractive", note=self._note)
        return Draft(**statements, relevance_notes=notes, record=record)


class _SentenceChoice:
    """The sentences of one answer, and which of them are used: none is quoted twice."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.listings = evidence.prompt.listings
        self.sentences = scored_sentences(evidence)
        self.used: list[ScoredSentence] = []
        self.on_task: frozenset[int] = frozenset()
        self.recommended = {n for n, one in enumerate(self.listings) if one.role == "recommended"}

    def task(self) -> list[DraftStatement]:
        """What the person was doing: the task, what it is, and who does it here."""
        first = self._named_task()
        most = 3 - len(first) if first else _LIMITS["task"][0]
        return [*first, *self._best("task", most)]

    def workflow_part(self, facet: Facet) -> list[DraftStatement]:
        """One part of the workflow."""
        return self._best(facet, _LIMITS[facet][0])

    def first_sentence(self) -> list[DraftStatement]:
        """The first sentence of a recommended work that has anything to do with the question."""
        own = [
            item
            for item in self._unused()
            if item.work in self.recommended and item.similarity >= _FAR and item.merit >= _PLAIN
        ]
        first = min(own, key=lambda item: (item.work, item.span.start), default=None)
        return [self._use(first)] if first else []

    def relevance_note(
        self, work: int, parts: dict[Facet, list[DraftStatement]]
    ) -> WorkNote | None:
        """The sentence that shows best how a work bears on the question, or what it is.
        A work that is quoted in `parts` is relevant: where no unused sentence is left, one of its
        statements moves from there into the note."""
        own = [item for item in self.sentences if item.work == work]
        nearest = max((item.similarity for item in own), default=0.0)
        if nearest >= _RELEVANT or work in self.on_task or work in self.recommended:
            for item in sorted(own, key=lambda item: -self._score(item, "task")):
                if not self._alike_used(item):
                    return WorkNote(self._use(item))
        sources = self.listings[work].source_ids
        quoted = {item.span: item for item in self.used if item.span.source_id in sources}
        for facet in ("model", "output", "input", "task"):
            for statement in reversed(parts[facet][1:]):
                if statement.quotes[0] in quoted:
                    parts[facet].remove(statement)
                    return WorkNote(statement)
        if quoted:
            return None
        left = (item for item in own if not self._alike_used(item))
        best = max(left, key=lambda item: item.score("task"), default=None)
        return WorkNote(self._use(best), relevant=False) if best else None

    def _named_task(self) -> list[DraftStatement]:
        """The sentence that names the task best: one that the question means before any other,
        one of a recommended model before one of a paper. A task that the question does not mean
        is not named: there the statement is the sentence itself."""
        meant = tasks_meant(self.evidence.prompt.question)

        def score(item: ScoredSentence, task: NamedTask) -> float:
            named = 3.0 * (task in meant) + 3.0 * (item.work in self.recommended)
            return item.score("task") + named + bool(_IS_THE.match(item.text))

        pairs = [(item, task) for item in self.sentences for task in tasks_named(item.text)]
        if not pairs:
            return []
        item, task = max(pairs, key=lambda pair: score(*pair))
        self.used.append(item)
        tasks = {task, *meant}
        self.on_task = frozenset(other.work for other, named in pairs if named in tasks)
        return [self._statement(item)]

    def _best(self, facet: Facet, most: int) -> list[DraftStatement]:
        """Up to `most` sentences for one part, two of a work (three of a recommended one), no two
        alike; in the order of the works and, within a work, of its text. The best sentence of a
        recommended model is considered first."""
        ranked = self._ranked(facet)
        own = [item for item in ranked if item.work in self.recommended]
        ranked.sort(key=lambda item: item not in own[:1])
        chosen: list[ScoredSentence] = []
        for item in ranked:
            recommended = item.work in self.recommended
            near = _FAR if recommended or item.work in self.on_task else _NEAR
            if (
                len(chosen) < most
                and self._score(item, facet) >= _LIMITS[facet][1]
                and item.similarity >= near
                and facet in item.cues
                and sum(other.work == item.work for other in chosen) < 2 + recommended
                and not self._alike_used(item)
            ):
                chosen.append(item)
                self.used.append(item)
        chosen.sort(key=lambda item: (item.work, item.span.source_id, item.span.start))
        return [self._statement(item) for item in chosen]

    def _ranked(self, facet: Facet) -> list[ScoredSentence]:
        return sorted(self._unused(), key=lambda item: -self._score(item, facet))

    def _unused(self) -> list[ScoredSentence]:
        return [item for item in self.sentences if item not in self.used]

    def _alike_used(self, item: ScoredSentence) -> bool:
        """Whether it, or a sentence that says much the same, is used: most terms of the shorter
        stand in the longer."""
        own = set(terms(item.text))
        return item in self.used or any(
            len(own & other) > 0.6 * max(1, min(len(own), len(other)))
            for other in (set(terms(one.text)) for one in self.used)
        )

    def _score(self, item: ScoredSentence, facet: Facet) -> float:
        recommended, on_task = item.work in self.recommended, item.work in self.on_task
        return item.score(facet) + _RECOMMENDED * recommended + _ON_TASK * on_task

    def _use(self, item: ScoredSentence) -> DraftStatement:
        self.used.append(item)
        return self._statement(item)

    def _statement(self, item: ScoredSentence) -> DraftStatement:
        return DraftStatement("", (item.span,))
