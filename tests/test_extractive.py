"""What the extractive writer says of evidence made by hand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.retrieval import FACETS
from rag.writers import SILENCE
from rag.writers.extractive import ExtractiveWriter
from tests.parts.tiny_models import check_draft, evidence, statements

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


def test_it_quotes_and_streams_what_it_quotes_and_describes_every_work() -> None:
    question = "I hummed a tune and the app knew it."
    material = evidence({"HumSearch": HUM}, question, related={"Prints": PRINTS})
    streamed: list[str] = []
    draft = ExtractiveWriter().write(material, stream=streamed.append)
    spans = [span for facet in FACETS for item in getattr(draft, facet) for span in item.quotes]
    assert spans
    assert [line for line in streamed if line.startswith("“")] == [
        f"“{material.text(span)}”\n" for span in spans
    ]
    assert all(note is not None and note.statement.quotes for note in draft.relevance_notes)
    foreign = evidence({"HumSearch": HUM}, "Why is the sky blue?", near=0.0)
    (note,) = ExtractiveWriter().write(foreign).relevance_notes
    assert note is not None
    assert note.statement.quotes
    assert not note.relevant


SENTENCES = st.lists(st.sampled_from((HUM + " " + PRINTS + " " + FILL).split(". ")), max_size=8)


@given(works=st.lists(SENTENCES, min_size=1, max_size=4), near=st.floats(-0.2, 0.9))
@settings(deadline=None, max_examples=5)
def test_every_draft_verifies_has_no_word_of_its_own_and_is_the_same_again(
    works: list[list[str]], near: float
) -> None:
    first, *others = dict.fromkeys(". ".join(sentences) + "." for sentences in works)
    material = evidence(
        {"Work": first},
        "How is a picture with a hole filled in?",
        related={f"Work {n}": text for n, text in enumerate(others)},
        near=near,
    )
    draft = ExtractiveWriter().write(material)
    check_draft(material, draft)
    assert all(item == SILENCE or item.text == "" for item in statements(draft))
    assert ExtractiveWriter().write(material) == draft
