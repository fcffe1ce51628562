"""What the extractive writer says of evidence made by hand."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from index.documents.document import Document, Section
from index.passages import split
from rag.prompt import Prompt
from rag.retrieval.evidence import FACETS, Evidence, Facet, Hit, Reading, Similarity, Span
from rag.writers.base import NOT_SAID, Draft, DraftStatement
from rag.writers.extractive import ExtractiveWriter

HUM = (
    "HumSearch finds songs by a hummed melody. "
    "It takes a short recording and turns it into a sequence of numbers that follow the melody. "
    "A neural network compares these numbers with those of known songs. "
    "The output is a list of songs with the most similar melody first. "
    "It was trained on pairs of hummed and studio recordings."
)
PRINTS = "Audio fingerprints identify a recording from a few seconds of sound."
FILL = (
    "Image inpainting is the process of filling in missing regions of a picture. "
    "The model takes a damaged picture and a mask, and generates a complete picture. "
    "An encoder reads the known region and a decoder paints the missing region."
)


def evidence(question: str, works: Mapping[str, str], near: float = 0.3) -> Evidence:
    """The first work is recommended; every sentence is equally near to everything."""
    given = [{"model": name, "summary": text} for name, text in works.items()]
    prompt = Prompt.build(question, recommended=given[:1], related=given[1:])
    hits = tuple(
        tuple(
            Hit(item.source_ids[0], "summary", passage, 1.0)
            for passage in split(Document(text, "", (), (Section(0, len(text)),), "test"))
        )
        for item, text in zip(prompt.listings, works.values(), strict=True)
    )
    everything = tuple(hit for own in hits for hit in own)
    facets: dict[Facet, float] = dict.fromkeys(FACETS, near)
    return Evidence(
        prompt=prompt,
        readings=tuple(
            Reading(item.source_ids[0], "summary", sha256="0", document_sha256="1", extractor="x")
            for item in prompt.listings
        ),
        facets=dict.fromkeys(FACETS, everything),
        works=hits,
        openings=hits,
        similarities={
            span: Similarity(near, facets) for hit in everything for span, _ in hit.sentences()
        },
    )


def statements(draft: Draft) -> list[DraftStatement]:
    relevance_notes = [item for item in draft.relevance_notes if item is not None]
    return [*draft.task, *draft.input, *draft.model, *draft.output, *relevance_notes]


def test_a_task_without_a_name_is_told_in_the_works_own_words() -> None:
    found = evidence("I hummed a tune and the app knew it.", {"HumSearch": HUM, "Prints": PRINTS})
    draft = ExtractiveWriter().write(found)
    assert draft.task[0].text == "HumSearch finds songs by a hummed melody."
    assert "melody first" in draft.output[0].text
    assert all(relevance is not None for relevance in draft.relevance_notes)


def test_a_task_is_named_by_the_sentence_that_defines_it() -> None:
    found = evidence("I rubbed a lamp post out of my picture.", {"Fill": FILL})
    draft = ExtractiveWriter().write(found)
    named = "What you did is called image inpainting: the process of filling in missing regions"
    assert draft.task[0].text.startswith(named)
    assert draft.input[0].text == "What goes in: a damaged picture and a mask."


def test_what_the_person_did_not_do_is_called_the_nearest() -> None:
    found = evidence("I swapped faces in a group photo.", {"Fill": FILL})
    assert ExtractiveWriter().write(found).task[0].text == (
        "What you did is called image inpainting: the process of filling in missing regions of a "
        "picture."
    )


def test_works_that_have_nothing_to_do_with_it_are_not_told() -> None:
    found = evidence("Why is the sky blue?", {"Prints": PRINTS}, near=-0.1)
    draft = ExtractiveWriter().write(found)
    assert [draft.input, draft.model, draft.output] == [(DraftStatement(NOT_SAID, ()),)] * 3


SENTENCES = st.lists(st.sampled_from((HUM + " " + PRINTS + " " + FILL).split(". ")), max_size=8)


@given(works=st.lists(SENTENCES, min_size=1, max_size=4), near=st.floats(-0.2, 0.9))
@settings(deadline=None, max_examples=60)
def test_every_quote_is_a_sentence_of_the_evidence(works: list[list[str]], near: float) -> None:
    texts = {f"Work {n}": ". ".join(texts) + "." for n, texts in enumerate(works)}
    found = evidence("How is a picture with a hole filled in?", texts, near)
    draft = ExtractiveWriter().write(found)
    known = {span for hit in found.hits() for span, _ in hit.sentences()}
    for statement in statements(draft):
        assert statement.quotes or statement.text == NOT_SAID
        assert set(statement.quotes) <= known
    quoted: set[Span] = {span for item in statements(draft) for span in item.quotes}
    for work, listing in enumerate(found.prompt.listings):
        if any(span.source_id in listing.source_ids for span in quoted):
            assert draft.relevance_notes[work] is not None
    assert ExtractiveWriter().write(found) == draft
