"""The writer without a generating model: it chooses sentences, and tells them in plain words.

A statement is made of the sentence that stands behind it and claims no more: a slice of it
("What goes in: …"), the name of a task that it names, or the sentence itself in the third person.
What the listed works do not say is said not to be said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rag.retrieval.evidence import FACETS, Evidence, Facet
from rag.retrieval.scoring import terms
from rag.selection.candidates import Candidate, candidates
from rag.selection.tasks import Task, tasks_meant, tasks_named
from rag.selection.wording import input_of, output_of, short_name, told
from rag.writers.base import NOT_SAID, Draft, DraftStatement, WriterRecord

_SAID: dict[Facet, tuple[int, float]] = {
    "task": (2, 2.6),
    "input": (1, 2.8),
    "model": (4, 2.8),
    "output": (2, 2.8),
}
"""For each part: how many sentences are told at the most, and how much must speak for each."""

_RECOMMENDED = 0.8
"""What speaks for a sentence of a recommended model over one of a related paper."""

_ON_TASK = 0.5
"""What speaks for a sentence of a work that names the task, over one of a work that does not."""

_NEAR = 0.3
"""The cosine with the question from which on a sentence is told though its work neither is
recommended nor names the task."""

_FAR = 0.05
"""The cosine with the question that any sentence needs to be told in the workflow."""

_PLAIN = 0.6
"""The merit a sentence needs for a phrase of it to stand for what goes in or comes out."""

_BEARING = 0.25
"""The cosine with the question from which on a sentence shows that its work bears on it, where
the work does not name the task."""

_COLLECTION = re.compile(r"\b(?:dataset|data set|collection|benchmark)s?\b", re.IGNORECASE)

_IS_THE = re.compile(
    r"^(?P<task>[A-Z][\w -]{3,40}?)(?: \([^)]*\))? (?:is|aims at) the (?P<what>(?:process|task|problem) of [^,.;]+)"
)


_SILENCE = DraftStatement(NOT_SAID, ())


class ExtractiveWriter:
    """Deterministic: equal evidence gives equal drafts. Needs no model and no network."""

    def __init__(self, note: str = "") -> None:
        self._note = note

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """The draft; `stream` is handed each statement when it is made."""
        job_queue = _Desk(evidence)
        parts: dict[Facet, list[DraftStatement]] = {"task": job_queue.task()}
        for facet in ("input", "output", "model"):
            parts[facet] = job_queue.part(facet)
        parts["task"] = parts["task"] or job_queue.first_words()
        works = range(len(evidence.prompt.listings))
        relevance_notes = tuple(job_queue.relevance(work, parts) for work in works)
        said = {facet: tuple(parts[facet]) or (_SILENCE,) for facet in FACETS}
        record = WriterRecord("extractive", note=self._note)
        draft = Draft(**said, relevance_notes=relevance_notes, record=record)
        if stream is not None:
            for statement in (*draft.task, *draft.input, *draft.model, *draft.output):
                stream(statement.text + "\n")
        return draft


class _Desk:
    """The sentences of one answer, and which of them have been used: none is quoted twice."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.question = evidence.prompt.question
        self.all = candidates(evidence)
        self.used: list[Candidate] = []
        recommended = [item for item in evidence.prompt.listings if item.role == "recommended"]
        self.alone = len(recommended) == 1
        self.on_task: frozenset[int] = frozenset()

    def task(self) -> list[DraftStatement]:
        """What the person was doing: the task by its name, what it is, and who does it here."""
        said = []
        if (chosen := self._named_task()) is not None:
            said.append(chosen)
        said += self._tell("task", 3 - len(said) if said else _SAID["task"][0])
        return said

    def part(self, facet: Facet) -> list[DraftStatement]:
        """One part of the workflow: a plain phrase where a sentence gives one, then sentences."""
        said = []
        if facet != "model" and (phrase := self._phrase(facet)) is not None:
            said.append(phrase)
        said += self._tell(facet, _SAID[facet][0] - (len(said) if facet == "output" else 0))
        return said

    def relevance(
        self, work: int, parts: dict[Facet, list[DraftStatement]]
    ) -> DraftStatement | None:
        """The sentence that shows best how a work bears on the question, None where none does. A
        work that is quoted above relevant: where no fresh sentence is left, one moves down here."""
        if (fresh := self._fresh_bearing(work)) is not None:
            return fresh
        sources = self.evidence.prompt.listings[work].source_ids
        own = {item.span: item for item in self.used if item.span.source_id in sources}
        for facet in ("model", "output", "input", "task"):
            for statement in reversed(parts[facet][1:]):
                if (item := own.get(statement.quotes[0])) is not None:
                    parts[facet].remove(statement)
                    return self._statement(item)
        return next(map(self._statement, own.values()), None)

    def first_words(self) -> list[DraftStatement]:
        """What a recommended work says first, of what has anything to do with the question."""
        own = [
            item
            for item in self.all
            if self._is_recommended(item)
            and item.near >= _FAR
            and item.merit >= _PLAIN
            and item not in self.used
        ]
        first = min(own, key=lambda item: (item.work, item.span.start), default=None)
        if first is None:
            return []
        self.used.append(first)
        return [self._statement(first)]

    def _named_task(self) -> DraftStatement | None:
        """The task, named by a sentence: one that the question means before any other, one that
        a recommended model does before one that only a paper speaks of."""
        meant = tasks_meant(self.question)
        best: tuple[float, int] | None = None
        chosen: tuple[Candidate, Task] | None = None
        for rank, item in enumerate(self.all):
            for task in tasks_named(item.text):
                score = (
                    item.score("task")
                    + 3.0 * (task in meant)
                    + 3.0 * self._is_recommended(item)
                    + 1.0 * bool(_IS_THE.match(item.text))
                )
                if best is None or (score, -rank) > best:
                    best, chosen = (score, -rank), (item, task)
        if chosen is None:
            return None
        item, task = chosen
        self.used.append(item)
        self.on_task = frozenset(
            other.work for other in self.all if {task, *meant}.intersection(tasks_named(other.text))
        )
        match = _IS_THE.match(item.text)
        if match and task.named.search(match["task"]):
            text = f"What you did is called {_lower(match['task'])}: the {match['what']}."
        elif task in meant[:1]:
            text = f"In the words of the listed works, what you did is {task.name}."
        else:
            text = f"The nearest that the listed works come to what you did is {task.name}."
        return DraftStatement(text, (item.span,))

    def _phrase(self, facet: Facet) -> DraftStatement | None:
        """ "What goes in: …" or "What comes out: …", in the words of the best sentence."""
        find, lead = (
            (input_of, "What goes in") if facet == "input" else (output_of, "What comes out")
        )
        for item in self._by_score(facet):
            if self._score(item, facet) < _SAID[facet][1]:
                return None
            if not (self._is_recommended(item) or item.work in self.on_task):
                continue
            if item.merit < _PLAIN or _COLLECTION.search(item.text):
                continue
            if phrase := find(item.text):
                self.used.append(item)
                return DraftStatement(f"{lead}: {phrase}.", (item.span,))
        return None

    def _tell(self, facet: Facet, most: int) -> list[DraftStatement]:
        """Up to `most` sentences for one part, no more than two of a work, no two alike; told in
        the order of the works and, within a work, of its text."""
        chosen: list[Candidate] = []
        enough = _SAID[facet][1]
        for item in self._own_first(facet):
            if len(chosen) == most:
                break
            if self._score(item, facet) < enough or not self._on_topic(item):
                continue
            of_work = sum(other.work == item.work for other in chosen)
            if facet not in item.cued or of_work == 2 + self._is_recommended(item):
                continue
            if not any(_alike(item, other) for other in self.used):
                chosen.append(item)
                self.used.append(item)
        chosen.sort(key=lambda item: (item.work, item.span.source_id, item.span.start))
        return [self._statement(item) for item in chosen]

    def _fresh_bearing(self, work: int) -> DraftStatement | None:
        """The best unused sentence of a work. None where none comes near the question and the
        work does not name the task either."""
        own = [item for item in self.all if item.work == work]
        nearest = max((item.near for item in own), default=0.0)
        recommended = self.evidence.prompt.listings[work].role == "recommended"
        if nearest < _BEARING and work not in self.on_task and not recommended:
            return None
        for item in sorted(own, key=lambda item: -self._score(item, "task")):
            if item not in self.used and not any(_alike(item, other) for other in self.used):
                self.used.append(item)
                return self._statement(item)
        return None

    def _statement(self, item: Candidate) -> DraftStatement:
        return DraftStatement(told(item.text, self._subject(item.work)), (item.span,))

    def _subject(self, work: int) -> str:
        """How a work is called in a sentence about it."""
        listing = self.evidence.prompt.listings[work]
        if listing.role == "recommended" and self.alone:
            return "the recommended model"
        return short_name(listing.name)

    def _by_score(self, facet: Facet) -> Sequence[Candidate]:
        unused = [item for item in self.all if item not in self.used]
        return sorted(unused, key=lambda item: -self._score(item, facet))

    def _on_topic(self, item: Candidate) -> bool:
        """Whether the sentence, or the work it is from, has to do with the question at all."""
        own = self._is_recommended(item) or item.work in self.on_task
        return item.near >= (_FAR if own else _NEAR)

    def _own_first(self, facet: Facet) -> Sequence[Candidate]:
        """The unused sentences by score, but for the best of a recommended model: that is first."""
        ranked = list(self._by_score(facet))
        own = next((item for item in ranked if self._is_recommended(item)), None)
        return ranked if own is None else [own, *(item for item in ranked if item is not own)]

    def _score(self, item: Candidate, facet: Facet) -> float:
        about = _RECOMMENDED * self._is_recommended(item) + _ON_TASK * (item.work in self.on_task)
        return item.score(facet) + about

    def _is_recommended(self, item: Candidate) -> bool:
        return self.evidence.prompt.listings[item.work].role == "recommended"


def _alike(one: Candidate, other: Candidate) -> bool:
    """Whether two sentences say much the same: most terms of the shorter stand in the longer."""
    first, second = set(terms(one.text)), set(terms(other.text))
    return len(first & second) / max(1, min(len(first), len(second))) > 0.6


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
