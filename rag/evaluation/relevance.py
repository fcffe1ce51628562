"""Whether the sentences of an answer explain: their grades by careful readers.

A graded prompt is a question, its works, and for each of their sentences a grade of 0 to 3 in each
place of an explanation. Over what is told: *useful* is the share graded 2 or more, *noise* the
share graded below 1; *attained* is, for each prompt and place, the sum of the best k grades told
over the sum of the best k there are; a place is *silent* where it is empty though a sentence of
grade 2 or more was there. `docs/evaluation.md` says what these cannot see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from rag.answer import Answer
from rag.evaluation.graded import GradedPrompt, Row
from rag.evaluation.statistics import Declared, Measure, markdown_table, measures_of
from rag.selection.assignment import ROOM, Selection, select
from rag.selection.grading import PLACES, Place, SentenceScores

Told = Mapping[Place, Sequence[Row]]

DECLARED: tuple[Declared, ...] = (
    ("useful", 7, "useful", "higher", "sentences told that readers grade 2 or 3 in their place"),
    ("noise", 7, "noise", "lower", "sentences told that readers grade 0 in their place"),
    ("attained", 7, "attained", "higher", "grades told over the best there are, each place"),
    ("silent", 7, "silent", "lower", "empty places for which a good sentence was there"),
)


def told_by(selection: Selection) -> dict[Place, list[Row]]:
    """What a selection tells: a weak sentence beside a work that answers nothing counts too."""
    told: dict[Place, list[Row]] = {
        facet: [(item.candidate.listing, item.candidate.span) for item in placed]
        for facet, placed in selection.parts.items()
    }
    told["relevance"] = [
        (item.candidate.listing, item.candidate.span) for item in selection.works if item
    ]
    return told


def relevance_measures(told: Iterable[tuple[GradedPrompt, Told]]) -> list[Measure]:
    """The four measures over the prompts and the places given for each; the cluster of a score is
    its prompt."""
    scores: dict[str, list[tuple[str, float | None]]] = {one[0]: [] for one in DECLARED}
    for prompt, places in told:
        for place in places:
            grades = [
                (row[0], prompt.grades[row][PLACES.index(place)])
                for row in places[place]
                if row in prompt.grades
            ]
            scores["useful"] += [(prompt.id, grade >= 2) for _, grade in grades]
            scores["noise"] += [(prompt.id, grade < 1) for _, grade in grades]
            attained, silent = _attained(prompt, place, grades)
            scores["attained"].append((prompt.id, attained))
            scores["silent"] += [(prompt.id, each) for each in silent]
    return measures_of(DECLARED, scores)


def _attained(
    prompt: GradedPrompt, place: Place, grades: Sequence[tuple[int, int]]
) -> tuple[float, list[bool]]:
    """The share attained in a place, and for each place (of the works: each work) that has a good
    sentence whether it is silent."""
    if place != "relevance":
        count = ROOM[place]
        best = prompt.best(place, count)
        told = sum(sorted((grade for _, grade in grades), reverse=True)[:count])
        silent = [not grades] if prompt.best(place, 1) >= 2 else []
        return (told / best if best else 1.0), silent
    listings = range(len(prompt.evidence.prompt.listings))
    if not any(prompt.best(place, 1, listing) for listing in listings):
        return 1.0, []
    told = sum(max((g for own, g in grades if own == listing), default=0) for listing in listings)
    silent = [
        all(own != listing for own, _ in grades)
        for listing in listings
        if prompt.best(place, 1, listing) >= 2
    ]
    return told / (3 * len(listings)), silent


Chooser = Literal["first sentences", "cosine"]


def floor(prompt: GradedPrompt, chooser: Chooser) -> dict[Place, list[Row]]:
    """What a chooser without training tells of the graded sentences: each work's first ones, or
    those nearest to the question."""
    rows = sorted(prompt.grades, key=lambda row: (row[0], row[1].source_id, row[1].start))
    if chooser == "cosine":
        rows.sort(key=lambda row: -prompt.evidence.contexts[row[1]].similarity)
    else:
        own = [[row for row in rows if row[0] == n] for n in sorted({row[0] for row in rows})]
        rows = [
            row for rank in range(max(map(len, own))) for each in own for row in each[rank:][:1]
        ]
    told: dict[Place, list[Row]] = {}
    for place, count in ROOM.items():
        told[place], rows = rows[:count], rows[count:]
    firsts: dict[int, Row] = {}
    for row in rows:
        firsts.setdefault(row[0], row)
    return {**told, "relevance": list(firsts.values())}


def told_in(answer: Answer, prompt: GradedPrompt) -> dict[Place, list[Row]]:
    """What an answer to a graded prompt quotes, place by place: a quote counts for the graded
    sentence of its source in which it stands."""
    names = [listing.source_ids for listing in prompt.evidence.prompt.listings]
    sentences: dict[str, list[tuple[str, Row]]] = {}
    for row in prompt.grades:
        text = " ".join(prompt.evidence.text(row[1]).split())
        sentences.setdefault(row[1].source_id, []).append((text, row))
    told: dict[Place, list[Row]] = {place: [] for place in PLACES}
    for part, quote in answer.quotes():
        place = part.rpartition(".")[2] if not part.startswith("references") else "relevance"
        quoted = " ".join(quote.text.split())
        for text, row in sentences.get(quote.source_id, ()):
            if quoted in text and quote.source_id in names[row[0]]:
                told.setdefault(place, []).append(row)  # type: ignore[arg-type]
                break
    return told


def choose(prompt: GradedPrompt, scores: SentenceScores) -> dict[Place, list[Row]]:
    """What `select` tells of the graded sentences."""
    return told_by(select(prompt.evidence, prompt.restrict(scores)))


def relevance_table(title: str, rows: Mapping[str, Sequence[tuple[GradedPrompt, Told]]]) -> str:
    """The four measures of each system, with intervals over prompts, and below them place by
    place; as Markdown."""
    header = ("", "sentences", *(one[2] for one in DECLARED))

    def row(name: str, told: Sequence[tuple[GradedPrompt, Told]]) -> list[str]:
        measures = relevance_measures(told)
        count = str(len(measures[0].scores))
        return [name, count, *(str(measure.estimate()) for measure in measures)]

    table = [row(name, told) for name, told in rows.items()]
    for name, told in rows.items():
        for place in PLACES:
            only = [(prompt, {place: places.get(place, ())}) for prompt, places in told]
            table.append(row(f"{name}: {place}", only))
    return "\n".join([f"# {title}", "", *markdown_table(header, table), ""])
