"""How a source's sentence becomes a statement about it, and which sentences may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.evidence import Facet
from rag.retrieval.scoring import terms
from rag.selection.candidates import readable, standalone_score
from rag.selection.wording import (
    phrase_of,
    rewritten,
    short_name,
    shortened,
    tasks_meant,
    tasks_named,
    without_asides,
    without_connective,
)


@pytest.mark.parametrize(
    ("subject", "sentence", "expected"),
    [
        ("LAMP", "We propose a lamp.", "The authors of LAMP propose a lamp."),
        ("LAMP", "Our method reads the lamp twice.", "The method reads the lamp twice."),
        ("LAMP", "This paper studies lamps.", "LAMP studies lamps."),
        ("", "This paper studies lamps.", "The paper studies lamps."),
        ("", "In this work, we study our lamps.", "The authors study the lamps."),
        ("", "However, the lamp [3, 4] is read by us (see Figure 2).", "The lamp is read by them."),
        ("", "The lamp is made of our own glass.", "The lamp is made of their own glass."),
    ],
)
def test_a_sentence_is_rewritten_in_the_third_person(
    sentence: str, subject: str, expected: str
) -> None:
    assert rewritten(sentence, subject) == expected


SPOKEN = """we our us ours Our We the lamp reads paper this [12] however, which and However glass
is of in a work (see Fig. 2)"""
WORDS = st.sampled_from(SPOKEN.split())


@given(st.lists(WORDS, min_size=1, max_size=30).map(" ".join))
def test_rewriting_adds_only_who_the_authors_are(sentence: str) -> None:
    added = set(terms(rewritten(sentence, "LAMP"))) - set(terms(sentence))
    assert added <= set(terms("The authors of LAMP their theirs they them paper"))


@given(st.text(alphabet="abc de,.;—[]()0123456789weour WO", max_size=200))
def test_rewriting_any_text_ends_in_a_full_stop(text: str) -> None:
    assert rewritten("Lamps " + text, "LAMP")[-1] in {".", "!", "?"}


def test_shortening_keeps_a_limiting_clause() -> None:
    long = "The lamp reads every page of the book that lies before it in the evening hours, " * 3
    assert shortened(long + "but only where it is lit.").endswith("but only where it is lit.")
    assert not shortened(long + "which pleases its owner.").endswith("which pleases its owner.")


def test_asides_and_connectives_are_removed() -> None:
    text = "Lamps (e.g., of glass) read [1] pages (Smith, 2019) well."
    assert without_asides(text) == "Lamps read pages well."
    assert without_connective("Moreover, lamps read.") == "Lamps read."


def test_short_name() -> None:
    assert short_name("LAMP: Reading by Light") == "LAMP"
    assert short_name("Reading by Light") == "Reading by Light"
    assert not short_name("A Very Long Title about Reading Pages by Candle Light")


@pytest.mark.parametrize(
    "sentence",
    [
        "where x is the number of lamps that are lit in the evening.",
        "The number of lamps = 4 in every room of the whole house.",
        "Run the script to light all of the lamps in the house.",
        "This work was supported in part by the lamp makers of the town.",
        "Too short.",
        "No full stop at the end of this sentence about many lamps",
    ],
)
def test_not_readable(sentence: str) -> None:
    assert not readable(sentence)


def test_standalone_score_falls_with_each_reference() -> None:
    alone = "The lamp reads every page of the book that lies before it."
    leaning = "It reads every page of the book that lies before the lamp."
    pointing = "The lamp reads every page of the book, as shown in Figure 2."
    assert readable(alone)
    assert standalone_score(alone) > standalone_score(pointing) > standalone_score(leaning)


@pytest.mark.parametrize(
    ("facet", "sentence", "phrase"),
    [
        ("input", "The model takes an image and a text prompt.", "an image and a text prompt"),
        ("output", "It takes an image and generates an edited image.", "an edited image"),
        ("input", "The input is a text prompt, which may be short.", "a text prompt"),
        ("input", "We map an input image to a corresponding output image.", "an input image"),
        ("input", "It takes the noise away little by little.", ""),
        ("output", "Our method improves results.", ""),
    ],
)
def test_the_phrase_for_what_goes_in_or_comes_out(facet: Facet, sentence: str, phrase: str) -> None:
    assert phrase_of(facet, sentence) == phrase


@given(st.text(max_size=300))
def test_phrases_of_any_text_are_slices_of_it(text: str) -> None:
    assert phrase_of("input", text) in text
    assert phrase_of("output", text) in text


def test_tasks_named_and_tasks_meant() -> None:
    question = "I rubbed a lamp post out of my picture. Where do the bricks come from?"
    assert [task.name for task in tasks_meant(question)] == ["image inpainting"]
    assert [task.name for task in tasks_named("Image inpainting fills holes.")] == [
        "image inpainting"
    ]
    assert not tasks_named("The lamp post is old.")
