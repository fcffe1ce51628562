"""Sentences of scientific prose, by offset."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.passages import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "expected",
    [
        ["We follow Smith et al. (2020).", "It works."],
        ["See Fig. 3 and Eqs. 4 and 5.", "They hold, e.g. The Beatles, i.e. all, cf. Sec. 2."],
        ["J. R. Smith vs. U.S. Army No. 5, approx. 3.5 m.", "A new one."],
        ["We lack vitamin C.", "The end is near."],
        ["It was shown.[12]", "We do.[3, 4]", "So it is."],
        ["It was shown. [12]", "We agree."],
        ["It was shown.12", "We agree."],
        ["Is it so?", "Yes!", "“Quite so.”", "(It did.)", "The end…", "Not quite."],
        ["We train an RNN.", "Attention helps."],
        ["At 0.5 and v1.2 we stop.", "3 of them remain.", "mRNA is next."],
        ["Table 2. Results of the run.", "Figure S1. More of them."],
        ["3.1. Methods are here.", "We do."],
        ["今日は。", "明日も。"],
    ],
)
def test_prose_is_cut_where_a_reader_would_cut_it(expected: list[str]) -> None:
    joiner = "" if expected[0].endswith("。") else " "
    assert sentences(joiner.join(expected)) == expected


def test_a_full_stop_after_et_al_ends_a_sentence_only_before_a_usual_opening() -> None:
    assert sentences("It was shown by Smith et al. The proof is new.") == [
        "It was shown by Smith et al.",
        "The proof is new.",
    ]
    assert sentences("It was shown by Smith et al. Nature 2009.") == [
        "It was shown by Smith et al. Nature 2009."
    ]


def test_a_blank_line_always_ends_a_sentence() -> None:
    text = "3 Method\n\nWe do this\n \nand that, e.g.\n\nnothing"
    assert sentences(text) == ["3 Method", "We do this", "and that, e.g.", "nothing"]


def test_list_items_are_sentences_and_plain_line_breaks_are_white_space() -> None:
    text = "We need\ntwo things:\n- a dog\n- a cat\n1. First do it\n2. Then rest; • so • it is"
    assert sentences(text) == [
        "We need\ntwo things:",
        "- a dog",
        "- a cat",
        "1. First do it",
        "2. Then rest;",
        "• so • it is",
    ]


PROSE = st.lists(
    st.sampled_from(
        [
            "The cat",
            "et al.",
            "Fig.",
            "3.",
            "end.",
            "\n\n",
            "\n",
            " ",
            "[12]",
            "- x",
            "。",
            "?",
            "(",
            "A.",
        ]
    )
    | st.text(max_size=4)
).map(" ".join)


@given(PROSE, st.data())
def test_every_visible_character_lies_in_exactly_one_sentence(
    text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    position = start
    for left, right in sentence_spans(text, start, end):
        assert not text[position:left].strip()
        assert text[left:right] == text[left:right].strip() != ""
        assert "\n\n" not in text[left:right]
        position = right
    assert position <= end
    assert not text[position:end].strip()


@given(PROSE, PROSE)
def test_a_part_of_a_text_is_cut_as_it_would_be_alone(before: str, text: str) -> None:
    shift = len(before) + 2
    alone = [(left + shift, right + shift) for left, right in sentence_spans(text)]
    assert (
        list(sentence_spans(before + "\n\n" + text + "\n\nMore.", shift, shift + len(text)))
        == alone
    )


@pytest.mark.parametrize(
    "unit", ["a. ", "[1, ", "A. ", ". ", "1.2 ", "\n", "word ", "et al. ", "((", "”"]
)
def test_time_is_linear_in_the_length_of_the_text(unit: str) -> None:
    def seconds(repeats: int) -> float:
        begin = time.process_time()
        sentence_spans(unit * repeats)
        return time.process_time() - begin

    seconds(100)
    small = min(seconds(2_000) for _ in range(3))
    large = min(seconds(32_000) for _ in range(3))
    # Sixteen times the text; quadratic time would take 256 times as long.
    assert large < 80 * small + 0.05
