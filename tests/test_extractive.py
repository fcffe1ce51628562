"""What the extractive writer says of evidence made by hand."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.retrieval.evidence import Span
from rag.selection.wording import TASKS
from rag.writers.base import NOT_SAID, DraftStatement
from rag.writers.extractive import ExtractiveWriter
from tests.parts.tiny_models import evidence, statements

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
QUESTIONS = {
    "inpainting": (
        "I rubbed a lamp post out of my picture.",
        "We study image inpainting with a network that sees the whole picture.",
    ),
    "translation": (
        "It translated my letter into French.",
        "We study machine translation with a network that reads whole sentences.",
    ),
    "recognition": (
        "It told me which breed my dog is of.",
        "We study image recognition with a network of many simple layers.",
    ),
}


def first_task_statement(question: str, text: str) -> DraftStatement:
    return ExtractiveWriter().write(evidence({"Work": text}, question, near=0.3)).task[0]


def test_a_task_without_a_name_is_described_by_the_works_own_sentence() -> None:
    question, related = "I hummed a tune and the app knew it.", {"Prints": PRINTS}
    hummed = evidence({"HumSearch": HUM}, question, related=related, near=0.3)
    draft = ExtractiveWriter().write(hummed)
    assert draft.task[0].text == "HumSearch finds songs by a hummed melody."
    assert "melody first" in draft.output[0].text
    assert None not in draft.relevance_notes


def test_a_task_is_named_by_the_sentence_that_defines_it() -> None:
    material = evidence({"Fill": FILL}, "I rubbed a post out of it.", near=0.3)
    draft = ExtractiveWriter().write(material)
    definition = (
        "What you did is called image inpainting: the process of filling in missing regions"
    )
    assert draft.task[0].text.startswith(definition)
    assert draft.input[0].text == "What goes in: a damaged picture and a mask."


def test_a_task_that_the_question_does_not_mean_is_not_named() -> None:
    statement = first_task_statement("I swapped faces in a group photo.", FILL)
    assert statement.text == FILL[: len(statement.text)]
    assert statement.quotes[0].end == len(statement.text)


@given(
    question=st.sampled_from([question for question, _ in QUESTIONS.values()]),
    sentence=st.sampled_from([sentence for _, sentence in QUESTIONS.values()]),
)
def test_a_named_task_is_named_by_its_quote_and_meant_by_the_question(
    question: str, sentence: str
) -> None:
    text = first_task_statement(question, sentence).text
    if match := re.search(r"what you did is (?:called )?([^.:]+)", text, re.IGNORECASE):
        (task,) = [task for task in TASKS if task.name == match[1]]
        assert task.named.search(sentence)
        assert task.meant.search(question)
    assert bool(match) == ((question, sentence) in QUESTIONS.values())


def test_works_that_have_nothing_to_do_with_the_question_are_not_quoted() -> None:
    material = evidence({"Prints": PRINTS}, "Why is the sky blue?", near=-0.1)
    draft = ExtractiveWriter().write(material)
    assert [draft.input, draft.model, draft.output] == [(DraftStatement(NOT_SAID, ()),)] * 3


SENTENCES = st.lists(st.sampled_from((HUM + " " + PRINTS + " " + FILL).split(". ")), max_size=8)


@given(works=st.lists(SENTENCES, min_size=1, max_size=4), near=st.floats(-0.2, 0.9))
@settings(deadline=None, max_examples=60)
def test_every_quote_is_a_sentence_of_the_evidence(works: list[list[str]], near: float) -> None:
    first, *others = [". ".join(sentences) + "." for sentences in works]
    material = evidence(
        {"Work": first},
        "How is a picture with a hole filled in?",
        related={f"Work {n}": text for n, text in enumerate(others)},
        near=near,
    )
    draft = ExtractiveWriter().write(material)
    known = {span for hit in material.hits() for span, _ in hit.sentences()}
    for statement in statements(draft):
        assert statement.quotes or statement.text == NOT_SAID
        assert set(statement.quotes) <= known
    quoted: set[Span] = {span for item in statements(draft) for span in item.quotes}
    for work, listing in enumerate(material.prompt.listings):
        if any(span.source_id in listing.source_ids for span in quoted):
            assert draft.relevance_notes[work] is not None
    assert ExtractiveWriter().write(material) == draft
