"""Lines 1, 4 and 5: quote fidelity, coverage and abstention, counted without any checker.

Abstention is tested on mismatched prompts, a negative control: the question of one prompt with the
works of another. That these do not bear on it is taken for granted; works of one field may, a bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from index.build import Notify, silent
from index.catalog import Listing
from index.sources.store import SourceType
from rag.answer import Answer, Quote, Reference
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ
from rag.evaluation.answers import CheckedAnswer, stands
from rag.evaluation.statistics import Declared, Measure, measures_of
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.writers import NOT_SAID

Coverage = Literal["used", "silent", "missing"]
"""What became of a listed work: quoted for an answer to the question, said not to answer it, or
passed over. Mentions count for neither work."""

DECLARED: tuple[Declared, ...] = (
    ("exact", 1, "quotes that stand in their source, letter by letter", "higher", "of all quotes"),
    ("wrong_work", 1, "quotes under the wrong work", "lower",
     "of all quotes: from a source that is not listed, not this work's, or another's"),
    ("pages", 1, "quotes with the right page", "higher",
     "of the quotes of sources that have pages"),
    ("links", 1, "links exactly as the prompt gives them", "higher",
     "of the links in section 3 and any in the text"),
    ("no_quotes", 1, "answers without any quote", "lower", "of all answers"),
    ("used", 4, "listed works that are quoted", "", "of all listed works"),
    ("silent", 4, "listed works whose silence is explained", "", "of all listed works"),
    ("missing", 4, "listed works that are missing", "lower", "of all listed works"),
    ("source_type_full_text", 4, "quotes from the paper's full text", "", "of all quotes"),
    ("source_type_readme", 4, "quotes from a README", "", "of all quotes"),
    ("source_type_summary", 4, "quotes from the prompt's summary", "", "of all quotes"),
    ("false_refusals", 5, "false refusals", "lower",
     "of the four parts (task, input, model, output) of answers with their own works"),
    ("false_answers", 5, "false answers", "lower",
     "of the questions put to another prompt's works: any part answered"),
    ("false_parts", 5, "parts answered falsely", "lower", "of the four parts of those answers"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MismatchedAnswers:
    """Answers to questions that were put to another prompt's works, by name; `unscored` are the
    questions for which there are no such works."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()


def exact_measures(
    checked: Sequence[CheckedAnswer], mismatched: MismatchedAnswers | None
) -> list[Measure]:
    """Lines 1, 4 and 5: false refusals among the answers, and false answers among `mismatched`
    ones where there are any to count."""
    scores: dict[str, list[tuple[str, float | None]]] = {one[0]: [] for one in DECLARED}

    def add(answer: Answer, key: str, *values: float | None) -> None:
        scores[key] += [(answer.prompt.question, value) for value in values]

    for item in checked:
        answer = item.answer
        quotes = list(answer.quotes())
        for part, quote in quotes:
            exact, wrong_work = _exact_and_wrong_work(part, quote, item)
            add(answer, "exact", exact)
            add(answer, "wrong_work", wrong_work)
            add(answer, "pages", *_pages(quote, item))
            for kind in get_args(SourceType):
                add(answer, f"source_type_{kind.replace(' ', '_')}", quote.source_type == kind)
        unlisted = [0.0 for one in item.verification.failures if one.kind == "unlisted link"]
        add(answer, "links", *_links(item), *unlisted)
        add(answer, "no_quotes", not quotes)
        for _, coverage in coverages(item):
            for each in get_args(Coverage):
                add(answer, each, coverage == each)
        read = any(not source.reason for source in answer.sources)
        refused = [not part if read else None for part in _answered_parts(answer)]
        add(answer, "false_refusals", *refused)
    if mismatched is None:
        del scores["false_answers"], scores["false_parts"]
        return measures_of(DECLARED, scores)
    scores["false_answers"] += [(question, None) for question in mismatched.unscored]
    for answer in mismatched.answers.values():
        parts = _answered_parts(answer)
        add(answer, "false_answers", any(parts))
        add(answer, "false_parts", *parts)
    return measures_of(DECLARED, scores)


def _exact_and_wrong_work(
    part: str, quote: Quote, item: CheckedAnswer
) -> tuple[float | None, float | None]:
    if item.prompt is None:
        return None, None
    listed = any(quote.source_id in listing.source_ids for listing in item.prompt.listings)
    if not listed or quote.source_id not in item.documents:
        return 0.0, 1.0
    document = item.documents[quote.source_id]
    exact = None if document is None else float(stands(quote, document))
    if part.startswith("references["):
        number, _, mentions = part.removeprefix("references[").partition("]")
        own = quote.source_id in item.answer.references[int(number)].sources
        if own == bool(mentions):  # A work's own quotes are its own, its mentions are not.
            return exact, 1.0
    if document is None:
        return None, None
    others = [other.text for other in item.documents.values() if other]
    return exact, quote.text not in document.text and any(quote.text in text for text in others)


def _pages(quote: Quote, item: CheckedAnswer) -> list[float | None]:
    """Nothing where the source has no pages and none are claimed."""
    document = item.documents.get(quote.source_id)
    if document is None:
        return [None]
    if not document.page_starts and not quote.pages:
        return []
    return [stands(quote, document) and document.pages(quote.start, quote.end) == quote.pages]


def _links(item: CheckedAnswer) -> list[float | None]:
    """One for each link that is listed or claimed."""
    listing_of = {id(reference): listing for listing, reference in _matched(item)}
    scores: list[float | None] = []
    for reference in item.answer.references:
        for kind in ("paper", "github"):
            claimed = getattr(reference, kind)
            link = getattr(listing_of.get(id(reference)), kind, None)
            if claimed is not None or link is not None:
                right = link is not None and claimed == link.written
                scores.append(None if item.prompt is None else right)
    return scores


def _matched(item: CheckedAnswer) -> list[tuple[Listing, Reference | None]]:
    """Each listing of the prompt with its reference in the answer: by name and sources, in order;
    None where there is none."""
    left = list(item.answer.references)
    matched: list[tuple[Listing, Reference | None]] = []
    for listing in item.prompt.listings if item.prompt else ():
        key = (listing.name, listing.source_ids)
        at = next((at for at, one in enumerate(left) if (one.name, one.sources) == key), None)
        matched.append((listing, None if at is None else left.pop(at)))
    return matched


def coverages(item: CheckedAnswer) -> list[tuple[str, Coverage]]:
    """(name, coverage) of each listed work."""
    quoted = {
        quote.source_id
        for part, statement in item.answer.statements()
        for quote in statement.quotes
        if statement.text != NO_RELEVANCE and not part.endswith("mentions")
    }
    works: list[tuple[str, Coverage]] = []
    for listing, reference in _matched(item):
        coverage: Coverage = "missing"
        if reference is not None and quoted.intersection(listing.source_ids):
            coverage = "used"
        elif reference is not None and reference.relevance.text in (NO_RELEVANCE, NOTHING_READ):
            coverage = "silent"
        works.append((listing.name, coverage))
    return works


def _answered_parts(answer: Answer) -> list[bool]:
    """For each of the four parts whether it says more than that nothing is said."""
    return [any(one.text != NOT_SAID for one in part) for part in answer.parts.values()]


def mismatched_prompts(prompts: Sequence[Prompt]) -> list[Prompt | None]:
    """For each prompt its question with the works of the next prompt, in order and around, that
    shares no source with it; None where there is none."""
    mismatched: list[Prompt | None] = []
    for at, prompt in enumerate(prompts):
        own = set(prompt.catalog.source_ids)
        others = [*prompts[at + 1 :], *prompts[:at]]
        other = next((one for one in others if not own & set(one.catalog.source_ids)), None)
        if other is not None:
            works = {"recommended": other.recommended, "related": other.related}
            other = Prompt.build(prompt.question, requests=prompt.requests, **works)
        mismatched.append(other)
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
