"""Where listed works name each other: told by the form of names, never by common words."""

from __future__ import annotations

import time

import pytest

from index.catalog import GithubLink, Listing
from rag.answer.compose import compose
from rag.retrieval import Span
from rag.selection.mentions import mentions_of, names_of, stands_alone
from rag.writers import SILENCE, Draft
from tests.parts.tiny_models import evidence

SEGMENT = "U-Net: Convolutional Networks for Biomedical Image Segmentation"
EDIT = "ImgTxt2Img-HuggingFace-someone-instruct-pix2pix"
LINK = GithubLink("https://github.com/someone/instruct-pix2pix", "someone", "instruct-pix2pix")
AGAP = GithubLink("https://github.com/x/agap", "x", "agap")
RAG = "Retrieval-Augmented Generation for Knowledge-Intensive Tasks"


@pytest.mark.parametrize(
    ("listing", "own", "sentence", "named"),
    [
        (Listing(SEGMENT, "related"), "", "We use a UNet here.", True),
        (Listing(SEGMENT, "related"), "", "Its decoder is a u-net with skips.", True),
        (Listing(SEGMENT, "related"), "", "Convolutional networks are old.", False),
        (Listing("Attention Is All You Need", "related"), "", "Attention helps us.", False),
        (Listing("Attention", "related"), "", "Attention helps us.", False),
        (Listing(EDIT, "recommended", github=LINK), "", "As in InstructPix2Pix [3].", True),
        (Listing(EDIT, "recommended", github=LINK), "", "As in pix2pix [3].", False),
        (Listing(EDIT, "recommended", github=LINK), "", "From Hugging Face.", False),
        (Listing("Txt2Txt-RAG", "recommended"), "", "Then RAG reads them.", True),
        (Listing("Txt2Txt-RAG", "recommended"), "", "A rag and a dragon.", False),
        (Listing("ImageClassification-ResNet50", "related"), "", "We train ResNet-18.", True),
        (Listing("Faces", "related", github=AGAP), "", "An agap of AGAP.", False),
        (Listing("Faces", "related", github=AGAP), "We call it AGAP.", "So does AGAP.", True),
        (Listing(RAG, "related"), "retrieval-augmented generation (RAG)", "RAG reads.", True),
        (Listing(RAG, "related"), "random access generators (RAG)", "RAG reads.", False),
        (Listing("Deep Nets of Convolutional Layers", "related"),
         "convolutional layers (CL)", "CL is old.", False),
    ],
)  # fmt: skip
def test_a_name_is_told_by_its_form(
    listing: Listing, own: str, sentence: str, *, named: bool
) -> None:
    names = names_of(listing, [own])
    assert bool(names and names.search(sentence)) == named


@pytest.mark.parametrize(
    ("name", "own"), [("A Model", "x" * 20_000), ("A1" + "1" * 40_000 + "b", "")]
)
def test_names_take_no_long_time(name: str, own: str) -> None:
    begin = time.process_time()
    names_of(Listing(name, "related"), [own])
    assert time.process_time() - begin < 5  # quadratic, it took a minute


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("The decoder of this network follows the U-Net closely.", True),
        ("It follows the U-Net closely, but with fewer layers.", False),
        ("and the decoder of this network follows the U-Net closely.", False),
        ("The decoder of this network follows the U-Net (closely.", False),
        ("The decoder x = f(y) of this network follows the U-Net.", False),
        ("The decoder follows the U-Net in every layer but", False),
        ("The architecture of the U-Net of this work is shown in Fig. 2.", False),
    ],
)
def test_a_mention_is_a_whole_sentence(text: str, *, whole: bool) -> None:
    assert stands_alone(text) == whole


WORKS = {
    SEGMENT: "The U-Net takes an image and gives a mask of the same size. It is small.",
    "Painter": "The decoder of our painter follows the U-Net of earlier work. It paints.",
    "Sketcher": "Our sketcher is trained as a U-Net with a second decoder for lines. It draws.",
    "Third": "Our third network is a U-Net that was trained on many more pictures.",
}


def test_at_most_two_sentences_of_others_name_a_work_and_none_is_quoted_already() -> None:
    material = evidence(WORKS)
    first, *others = mentions_of(material, ())
    assert len(first) == 2
    texts = [material.text(span) for span in first]
    assert all("U-Net" in text and not text.startswith("The U-Net") for text in texts)
    assert others == [(), (), ()]
    ((left,), *_) = mentions_of(material, first)
    assert left not in first


def test_a_sentence_that_names_two_works_is_a_mention_of_the_first() -> None:
    both = "Our work joins the parts of GridPaint and of NetSketch in one network."
    works = {"GridPaint": "It paints.", "NetSketch": "It draws.", "Third": both}
    (span,), *others = mentions_of(evidence(works), ())
    assert evidence(works).text(span) == both
    assert others == [(), ()]


def test_mentions_stand_in_the_answer_whoever_writes() -> None:
    material, nothing = evidence(WORKS), (SILENCE,)
    answer = compose(material, Draft(nothing, nothing, nothing, nothing, (None,) * 4))
    quotes = [quote for mention in answer.references[0].mentions for quote in mention.quotes]
    spans = [Span(quote.source_id, quote.start, quote.end) for quote in quotes]
    assert tuple(spans) == mentions_of(material, ())[0]
    assert {mention.text for mention in answer.references[0].mentions} == {""}
