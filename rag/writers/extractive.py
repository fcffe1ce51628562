"""The writer without a language model: it chooses sentences and rewrites them in the third person.

A statement claims no more than its quote: it is a slice of it ("What goes in: …"), the name of a
task that it names and the question means, or the sentence itself, rewritten. What the listed works
do not say is said not to be said.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rag.retrieval.evidence import FACETS, Evidence, Facet
from rag.retrieval.scoring import terms
from rag.selection.candidates import ScoredSentence, scored_sentences
from rag.selection.wording import (
    NamedTask,
    phrase_of,
    rewritten,
    short_name,
    tasks_meant,
    tasks_named,
)
from rag.writers.base import SILENCE, Draft, DraftStatement, WriterRecord

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

_COLLECTION = re.compile(r"\b(?:dataset|data set|collection|benchmark)s?\b", re.IGNORECASE)
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
                    stream(statement.text + "\n")
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
        """One part of the workflow: a plain phrase where a sentence gives one, then sentences."""
        phrase = self._phrase(facet) if facet != "model" else []
        most = _LIMITS[facet][0] - (len(phrase) if facet == "output" else 0)
        return [*phrase, *self._best(facet, most)]

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
    ) -> DraftStatement | None:
        """The sentence that shows best how a work bears on the question, None where none does.
        A work that is quoted in `parts` is relevant: where no unused sentence is left, one of its
        statements moves from there into the note."""
        own = [item for item in self.sentences if item.work == work]
        nearest = max((item.similarity for item in own), default=0.0)
        if nearest >= _RELEVANT or work in self.on_task or work in self.recommended:
            for item in sorted(own, key=lambda item: -self._score(item, "task")):
                if not self._alike_used(item):
                    return self._use(item)
        sources = self.listings[work].source_ids
        quoted = {item.span: item for item in self.used if item.span.source_id in sources}
        for facet in ("model", "output", "input", "task"):
            for statement in reversed(parts[facet][1:]):
                if statement.quotes[0] in quoted:
                    parts[facet].remove(statement)
                    return self._statement(quoted[statement.quotes[0]])
        return next(map(self._statement, quoted.values()), None)

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
        definition = _IS_THE.match(item.text)
        if task not in meant:
            return [self._statement(item)]
        if definition and task.named.search(definition["task"]):
            name = definition["task"]
            name = name[:1].lower() + name[1:] if name[1:2].islower() else name
            text = f"What you did is called {name}: the {definition['what']}."
        elif task == meant[0]:
            text = f"In the words of the listed works, what you did is {task.name}."
        else:
            text = f"The nearest that the listed works come to what you did is {task.name}."
        return [DraftStatement(text, (item.span,))]

    def _phrase(self, facet: Facet) -> list[DraftStatement]:
        """ "What goes in: …" or "What comes out: …", in the words of the best sentence."""
        lead = "What goes in" if facet == "input" else "What comes out"
        for item in self._ranked(facet):
            if self._score(item, facet) < _LIMITS[facet][1]:
                break
            known = item.work in self.recommended or item.work in self.on_task
            if not known or item.merit < _PLAIN or _COLLECTION.search(item.text):
                continue
            if phrase := phrase_of(facet, item.text):
                self.used.append(item)
                return [DraftStatement(f"{lead}: {phrase}.", (item.span,))]
        return []

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
        """The sentence, rewritten about its work: "the recommended model" where there is one."""
        subject = short_name(self.listings[item.work].name)
        if self.recommended == {item.work}:
            subject = "the recommended model"
        return DraftStatement(rewritten(item.text, subject), (item.span,))
