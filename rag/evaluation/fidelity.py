"""Line 1, quote fidelity, and line 4, coverage: counted from the sources, without any model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from index.catalog import Listing
from index.documents.document import Document
from index.sources.store import SourceType
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ
from rag.answer.model import Answer, Quote, Reference
from rag.answer.verify import Verification
from rag.evaluation.evaluated import stands
from rag.evaluation.outcomes import ItemScore, Measure
from rag.prompt import Prompt

__all__ = ["Checked", "coverage", "fidelity"]

Read = Mapping[str, Document | None]
Checked = tuple[Answer, Prompt | None, Read, Verification]
"""An answer, its prompt (None where its text is none), its sources read again, and what
verification found."""

_UNLISTED = "the prompt gives no link"


def fidelity(checked: list[Checked]) -> list[Measure]:
    """Quotes, pages and links against the sources and the prompt."""
    exact: list[ItemScore] = []
    wrong_work: list[ItemScore] = []
    pages: list[ItemScore] = []
    links: list[ItemScore] = []
    without: list[ItemScore] = []
    for answer, prompt, read, found in checked:
        asked = answer.prompt.question
        for part, quote in answer.quotes():
            exact.append(ItemScore(asked, _exact(quote, prompt, read)))
            wrong_work.append(ItemScore(asked, _wrong_work(part, quote, answer, prompt, read)))
            pages += [ItemScore(asked, value) for value in _page(quote, read)]
        links += [ItemScore(asked, value) for value in _links(answer, prompt)]
        links += [ItemScore(asked, 0.0) for one in found.failures if _UNLISTED in one.message]
        without.append(ItemScore(asked, float(not any(True for _ in answer.quotes()))))
    return [
        Measure("exact", 1, "quotes that stand in their source, letter by letter", "higher",
                tuple(exact), "of all quotes"),
        Measure("wrong_work", 1, "quotes under the wrong work", "lower", tuple(wrong_work),
                "of all quotes: from a source that is not listed, not this work's, or another's"),
        Measure("pages", 1, "quotes with the right page", "higher", tuple(pages),
                "of the quotes of sources that have pages"),
        Measure("links", 1, "links exactly as the prompt gives them", "higher", tuple(links),
                "of the links in section 3 and any in the text"),
        Measure("no_quotes", 1, "answers without any quote", "lower", tuple(without),
                "of all answers"),
    ]  # fmt: skip


def _listed(prompt: Prompt) -> set[str]:
    return {source_id for listing in prompt.listings for source_id in listing.source_ids}


def _exact(quote: Quote, prompt: Prompt | None, read: Read) -> float | None:
    if prompt is None:
        return None
    if quote.source_id not in _listed(prompt) or quote.source_id not in read:
        return 0.0
    document = read[quote.source_id]
    return None if document is None else float(stands(quote, document))


def _wrong_work(
    part: str, quote: Quote, answer: Answer, prompt: Prompt | None, read: Read
) -> float | None:
    if prompt is None:
        return None
    if quote.source_id not in _listed(prompt):
        return 1.0
    if part.startswith("references["):
        reference = answer.references[int(part[len("references[") : -1])]
        if quote.source_id not in reference.sources:
            return 1.0
    document = read.get(quote.source_id)
    if document is None:
        return None if quote.source_id in read else 1.0
    if quote.text in document.text:
        return 0.0
    others = [text for source_id, text in read.items() if source_id != quote.source_id]
    return float(any(other is not None and quote.text in other.text for other in others))


def _page(quote: Quote, read: Read) -> list[float | None]:
    """Nothing where the source has no pages and none are claimed."""
    document = read.get(quote.source_id)
    if document is None:
        return [None]
    if not document.page_starts and not quote.pages:
        return []
    right = stands(quote, document) and document.pages(quote.start, quote.end) == quote.pages
    return [float(right)]


def _links(answer: Answer, prompt: Prompt | None) -> list[float | None]:
    """One for each link that is listed or claimed."""
    if prompt is None:
        return [None for item in answer.references for link in (item.paper, item.github) if link]
    found: list[float | None] = []
    places = _places(answer, prompt)
    for reference in answer.references:
        place = next((at for at, kept in places.items() if kept is reference), None)
        listing = None if place is None else prompt.listings[place]
        for claimed, link in (
            (reference.paper, listing.paper if listing else None),
            (reference.github, listing.github if listing else None),
        ):
            if claimed is not None or link is not None:
                found.append(float(link is not None and claimed == link.written))
    return found


def _places(answer: Answer, prompt: Prompt) -> dict[int, Reference]:
    """Which reference is which listing's: by its name and sources, in order."""
    left = list(answer.references)
    found: dict[int, Reference] = {}
    for number, listing in enumerate(prompt.listings):
        match = next((item for item in left if _same(item, listing)), None)
        if match is not None:
            left = [item for item in left if item is not match]
            found[number] = match
    return found


def _same(reference: Reference, listing: Listing) -> bool:
    return reference.name == listing.name and reference.sources == listing.source_ids


def missing_works(answer: Answer, prompt: Prompt) -> list[str]:
    """The names of listed works of which the answer says nothing at all."""
    places = _places(answer, prompt)
    return [
        listing.name
        for number, listing in enumerate(prompt.listings)
        if _fate(places.get(number), listing, answer) == "missing"
    ]


def _fate(reference: Reference | None, listing: Listing, answer: Answer) -> str:
    if reference is None:
        return "missing"
    if any(quote.source_id in listing.source_ids for _, quote in answer.quotes()):
        return "used"
    silent = reference.relevance.text in (NO_RELEVANCE, NOTHING_READ)
    return "silent" if silent else "missing"


def coverage(checked: list[Checked]) -> list[Measure]:
    """What became of each listed work, and how deep the quotes were read."""
    fates: dict[str, list[ItemScore]] = {"used": [], "silent": [], "missing": []}
    source_types: dict[str, list[ItemScore]] = {
        source_type: [] for source_type in get_args(SourceType)
    }
    for answer, prompt, _, _ in checked:
        asked = answer.prompt.question
        for _, quote in answer.quotes():
            for source_type, outcomes in source_types.items():
                outcomes.append(ItemScore(asked, float(quote.source_type == source_type)))
        if prompt is None:
            continue
        places = _places(answer, prompt)
        for number, listing in enumerate(prompt.listings):
            fate = _fate(places.get(number), listing, answer)
            for name, outcomes in fates.items():
                outcomes.append(ItemScore(asked, float(fate == name)))
    told = {
        "used": ("listed works that are quoted", ""),
        "silent": ("listed works whose silence is explained", ""),
        "missing": ("listed works that are missing", "lower"),
    }
    found = [
        Measure(name, 4, told[name][0], "lower" if told[name][1] else "", tuple(outcomes),
                "of all listed works")
        for name, outcomes in fates.items()
    ]  # fmt: skip
    names = {"full text": "from the paper's full text", "readme": "from a README",
             "summary": "from the prompt's summary"}  # fmt: skip
    return found + [
        Measure(f"tier_{source_type.replace(' ', '_')}", 4, f"quotes {names[source_type]}", "", tuple(outcomes),
                "of all quotes")
        for source_type, outcomes in source_types.items()
    ]  # fmt: skip
