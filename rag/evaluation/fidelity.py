"""Lines 1, 4 and 5: quote fidelity, coverage and abstention, counted without any checker.

Abstention is tested on mismatched prompts, a negative control: the question of one prompt with the
works of another. That these do not bear on it is taken for granted; works of one field may, a bit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from index.build import Notify, silent
from index.catalog import Listing
from index.sources.store import SourceType
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ
from rag.answer.model import Answer, Quote, Reference
from rag.evaluation.answers import CheckedAnswer, stands
from rag.evaluation.statistics import ItemScore, Measure
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.writers.base import NOT_SAID

ScoresByKey = defaultdict[str, list[ItemScore]]
"""The scores of the items of each measure, by its key."""


def fidelity_measures(checked: Sequence[CheckedAnswer]) -> list[Measure]:
    """Line 1: quotes, pages and links against the sources and the prompt."""
    scores: ScoresByKey = defaultdict(list)
    for item in checked:
        answer = item.answer

        def add(key: str, *values: float | None, asked: str = answer.prompt.question) -> None:
            scores[key] += [ItemScore(asked, value) for value in values]

        for part, quote in answer.quotes():
            add("exact", _exact(quote, item))
            add("wrong_work", _wrong_work(part, quote, item))
            add("pages", *_pages(quote, item))
        unlisted = [f for f in item.verification.failures if "prompt gives no link" in f.message]
        add("links", *_links(item), *[0.0 for _ in unlisted])
        add("no_quotes", float(not any(True for _ in answer.quotes())))
    return [
        Measure("exact", 1, "quotes that stand in their source, letter by letter", "higher",
                tuple(scores["exact"]), "of all quotes"),
        Measure("wrong_work", 1, "quotes under the wrong work", "lower",
                tuple(scores["wrong_work"]),
                "of all quotes: from a source that is not listed, not this work's, or another's"),
        Measure("pages", 1, "quotes with the right page", "higher", tuple(scores["pages"]),
                "of the quotes of sources that have pages"),
        Measure("links", 1, "links exactly as the prompt gives them", "higher",
                tuple(scores["links"]), "of the links in section 3 and any in the text"),
        Measure("no_quotes", 1, "answers without any quote", "lower", tuple(scores["no_quotes"]),
                "of all answers"),
    ]  # fmt: skip


def _is_listed(quote: Quote, prompt: Prompt) -> bool:
    return any(quote.source_id in listing.source_ids for listing in prompt.listings)


def _exact(quote: Quote, item: CheckedAnswer) -> float | None:
    if item.prompt is None:
        return None
    if not _is_listed(quote, item.prompt) or quote.source_id not in item.documents:
        return 0.0
    document = item.documents[quote.source_id]
    return None if document is None else float(stands(quote, document))


def _wrong_work(part: str, quote: Quote, item: CheckedAnswer) -> float | None:
    if item.prompt is None:
        return None
    if not _is_listed(quote, item.prompt) or quote.source_id not in item.documents:
        return 1.0
    if part.startswith("references["):
        reference = item.answer.references[int(part[len("references[") : -1])]
        if quote.source_id not in reference.sources:
            return 1.0
    document = item.documents[quote.source_id]
    if document is None:
        return None
    if quote.text in document.text:
        return 0.0
    return float(any(other and quote.text in other.text for other in item.documents.values()))


def _pages(quote: Quote, item: CheckedAnswer) -> list[float | None]:
    """Nothing where the source has no pages and none are claimed."""
    document = item.documents.get(quote.source_id)
    if document is None:
        return [None]
    if not document.page_starts and not quote.pages:
        return []
    right = stands(quote, document) and document.pages(quote.start, quote.end) == quote.pages
    return [float(right)]


def _links(item: CheckedAnswer) -> list[float | None]:
    """One for each link that is listed or claimed."""
    listing_of = {id(reference): listing for listing, reference in _matched(item)}
    scores: list[float | None] = []
    for reference in item.answer.references:
        listing = listing_of.get(id(reference))
        for claimed, link in (
            (reference.paper, listing.paper if listing else None),
            (reference.github, listing.github if listing else None),
        ):
            if item.prompt is None:
                scores += [None] if claimed else []
            elif claimed is not None or link is not None:
                scores.append(float(link is not None and claimed == link.written))
    return scores


def _matched(item: CheckedAnswer) -> list[tuple[Listing, Reference | None]]:
    """Each listing of the prompt with its reference in the answer: by name and sources, in order;
    None where there is none."""
    left = list(item.answer.references)
    matched: list[tuple[Listing, Reference | None]] = []
    for listing in item.prompt.listings if item.prompt else ():
        key = (listing.name, listing.source_ids)
        reference = next((one for one in left if (one.name, one.sources) == key), None)
        left = [one for one in left if one is not reference]
        matched.append((listing, reference))
    return matched


Coverage = Literal["used", "silent", "missing"]
"""What became of a listed work: quoted, said to be of no use, or passed over."""


def _coverage(item: CheckedAnswer) -> list[tuple[str, Coverage]]:
    """(name, coverage) of each listed work."""
    quoted = {quote.source_id for _, quote in item.answer.quotes()}
    works: list[tuple[str, Coverage]] = []
    for listing, reference in _matched(item):
        coverage: Coverage = "missing"
        if reference is not None and quoted.intersection(listing.source_ids):
            coverage = "used"
        elif reference is not None and reference.relevance.text in (NO_RELEVANCE, NOTHING_READ):
            coverage = "silent"
        works.append((listing.name, coverage))
    return works


def missing_works(item: CheckedAnswer) -> list[str]:
    """The names of listed works of which the answer says nothing at all."""
    return [name for name, coverage in _coverage(item) if coverage == "missing"]


def coverage_measures(checked: Sequence[CheckedAnswer]) -> list[Measure]:
    """Line 4: what became of each listed work, and what kind of source the quotes are from."""
    scores: ScoresByKey = defaultdict(list)
    for item in checked:
        asked = item.answer.prompt.question
        for _, quote in item.answer.quotes():
            for source_type in get_args(SourceType):
                score = ItemScore(asked, float(quote.source_type == source_type))
                scores[source_type].append(score)
        for _, coverage in _coverage(item):
            for kind in get_args(Coverage):
                scores[kind].append(ItemScore(asked, float(coverage == kind)))
    origins = {"full text": "from the paper's full text", "readme": "from a README",
               "summary": "from the prompt's summary"}  # fmt: skip
    works = "of all listed works"
    return [
        Measure("used", 4, "listed works that are quoted", "", tuple(scores["used"]), works),
        Measure("silent", 4, "listed works whose silence is explained", "",
                tuple(scores["silent"]), works),
        Measure("missing", 4, "listed works that are missing", "lower",
                tuple(scores["missing"]), works),
        *(
            Measure(f"source_type_{kind.replace(' ', '_')}", 4, f"quotes {origins[kind]}", "",
                    tuple(scores[kind]), "of all quotes")
            for kind in get_args(SourceType)
        ),
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class MismatchedAnswers:
    """Answers to questions that were put to another prompt's works, by name; `unscored` are the
    questions for which there are no such works."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()


def abstention_measures(
    answers: Sequence[Answer], mismatched: MismatchedAnswers | None
) -> list[Measure]:
    """Line 5: false refusals among `answers`, false answers among `mismatched` ones, where there
    are any to count."""
    refusals = []
    for answer in answers:
        read = any(not source.reason for source in answer.sources)
        refusals += [
            ItemScore(answer.prompt.question, float(not answered) if read else None)
            for answered in _answered_parts(answer)
        ]
    measures = [
        Measure("false_refusals", 5, "false refusals", "lower", tuple(refusals),
                "of the four parts (task, input, model, output) of answers with their own works"),
    ]  # fmt: skip
    if mismatched is None:
        return measures
    false_answers = [ItemScore(question, None) for question in mismatched.unscored]
    false_parts = []
    for answer in mismatched.answers.values():
        parts = _answered_parts(answer)
        false_answers.append(ItemScore(answer.prompt.question, float(any(parts))))
        false_parts += [ItemScore(answer.prompt.question, float(part)) for part in parts]
    return [
        *measures,
        Measure("false_answers", 5, "false answers", "lower", tuple(false_answers),
                "of the questions put to another prompt's works: any part answered"),
        Measure("false_parts", 5, "parts answered falsely", "lower", tuple(false_parts),
                "of the four parts of those answers"),
    ]  # fmt: skip


def _answered_parts(answer: Answer) -> list[bool]:
    """For each of the four parts whether it says more than that nothing is said."""
    flow = answer.workflow
    return [
        any(statement.text != NOT_SAID for statement in part)
        for part in (answer.task, flow.input, flow.model, flow.output)
    ]


def mismatched_prompts(prompts: Sequence[Prompt]) -> list[Prompt | None]:
    """For each prompt its question with the works of the next prompt, in order and around, that
    shares no source with it; None where there is none."""
    mismatched: list[Prompt | None] = []
    for at, prompt in enumerate(prompts):
        own = set(prompt.catalog.source_ids)
        others = [*prompts[at + 1 :], *prompts[:at]]
        other = next((one for one in others if not own & set(one.catalog.source_ids)), None)
        mismatched.append(
            other
            and Prompt.build(
                prompt.question,
                recommended=other.recommended,
                related=other.related,
                requests=prompt.requests,
            )
        )
    return mismatched


def try_writer(
    pipeline: Pipeline, prompts: Mapping[str, Prompt], *, notify: Notify = silent
) -> tuple[dict[str, Answer], MismatchedAnswers]:
    """The answers of one writer by the names of the prompts: to each prompt, and to each question
    with the works of another prompt."""
    pairs = dict(zip(prompts, mismatched_prompts(list(prompts.values())), strict=True))
    asked = [(name, "", prompt) for name, prompt in prompts.items()]
    asked += [(name, " mismatched", prompt) for name, prompt in pairs.items() if prompt]
    own: dict[str, Answer] = {}
    mismatched: dict[str, Answer] = {}
    for done, (name, kind, prompt) in enumerate(asked):
        notify("answers", done, len(asked), name + kind)
        (mismatched if kind else own)[name] = pipeline.ask(prompt)
    unscored = tuple(prompts[name].question for name, prompt in pairs.items() if prompt is None)
    return own, MismatchedAnswers(mismatched, unscored)
