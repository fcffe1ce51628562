"""Sentences of scientific prose, and passages of whole sentences: true offsets, nothing lost."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.documents import Document, Section
from index.passages import MAXIMUM, MINIMUM, sentence_spans, split

SENTENCE = "The encoder maps a sentence to a vector of fixed length, which we compare. "


def document(*parts: tuple[str, str, bool], pages: tuple[int, ...] = ()) -> Document:
    """A document of sections given as (heading, text, quotable), each behind its heading."""
    text, sections = "", []
    for heading, body, quotable in parts:
        start = len(text)
        text += (heading + "\n\n" if heading else "") + body + "\n\n"
        sections.append(Section(start, len(text), heading, quotable))
    return Document(text, "Title", pages, tuple(sections), "test-1")


PHRASES = [SENTENCE, SENTENCE * 9, "x" * 700 + " ", "Yes! ", "\n\n", "a, b; " * 150]
TEXTS = st.lists(st.sampled_from(PHRASES) | st.text(max_size=30), max_size=12).map("".join)
HEADINGS = st.sampled_from(["", "Method", "3.1 Data"])
PARTS = st.lists(st.tuples(HEADINGS, TEXTS, st.booleans()), max_size=4)


@given(PARTS, st.integers(20, 700), st.integers(0, 400))
@example([("", "x" * 21, True)], 20, 0)
@settings(max_examples=150)
def test_nothing_is_lost_moved_or_taken_from_where_it_must_not_be(
    parts: list[tuple[str, str, bool]], maximum: int, minimum: int
) -> None:
    source = document(*parts, pages=(0, 40, 500))
    passages = split(source, minimum=min(minimum, maximum), maximum=maximum)
    covered = [False] * len(source.text)
    for passage in passages:
        assert source.text[passage.start : passage.end] == passage.text
        assert 0 < len(passage.text) <= maximum
        assert passage.sentences[0][0] == passage.start
        assert passage.sentences[-1][1] == passage.end
        assert passage.pages == source.pages(passage.start, passage.end)
        around = [s for s in source.sections if s.start <= passage.start and passage.end <= s.end]
        assert [s.heading for s in around if s.quotable] == [passage.heading]
        for start, end in passage.sentences:
            assert start < end
            for offset in range(start, end):
                assert not covered[offset], "two sentences share a character"
                covered[offset] = True
    for section in source.sections:
        body = source.text[section.start : section.end]
        begin = section.start
        if section.heading and body.startswith(section.heading + "\n"):
            begin += len(section.heading)
            assert not any(covered[section.start : begin]), "a heading is no part of a passage"
        for offset in range(begin, section.end):
            if not source.text[offset].isspace():
                assert covered[offset] == section.quotable


@given(PARTS, st.integers(5, 120))
def test_no_passage_is_longer_than_the_encoder_reads(
    parts: list[tuple[str, str, bool]], words: int
) -> None:
    source = document(*parts)

    def fits(text: str) -> bool:
        return len(text.split()) <= words and len(text) <= 450

    passages = split(source, fits=fits)
    assert all(fits(passage.text) for passage in passages)
    kept = "".join("".join(p.text.split()) for p in passages)
    assert kept == "".join("".join(p.text.split()) for p in split(source))


def test_passages_of_ordinary_prose_keep_within_the_range_and_end_with_sentences() -> None:
    passages = split(document(("Method", SENTENCE * 100, True)))
    assert all(MINIMUM <= len(passage.text) <= MAXIMUM for passage in passages)
    assert all(passage.text.endswith("compare.") for passage in passages)


def test_cuts_prefer_the_ends_of_paragraphs() -> None:
    paragraph = (SENTENCE * 6).strip()
    passages = split(document(("", "\n\n".join([paragraph] * 5), True)))
    assert [passage.text for passage in passages] == [paragraph] * 5


def test_an_over_long_sentence_is_cut_between_clauses() -> None:
    clauses = "the first clause of many is written here; " * 30
    passages = split(document(("", clauses, True)))
    assert len(passages) > 1
    assert all(passage.text.endswith("here;") for passage in passages)


@pytest.mark.parametrize(
    "cut",
    [
        "We follow Smith et al. (2020).| It works.",
        "See Fig. 3 and Eqs. 4 and 5.| They hold, e.g. The Beatles, i.e. all, cf. Sec. 2.",
        "J. R. Smith vs. U.S. Army No. 5, approx. 3.5 m.| A new one.",
        "We lack vitamin C.| The end is near.",
        "It was shown.[12]| We do.[3, 4]| So it is.",
        "It was shown. [12]| We agree.",
        "It was shown.12| We agree.",
        "Is it so?| Yes!| “Quite so.”| (It did.)| The end…| Not quite.",
        "We train an RNN.| Attention helps.",
        "At 0.5 and v1.2 we stop.| 3 of them remain.| mRNA is next.",
        "Table 2. Results of the run.| Figure S1. More of them.",
        "3.1. Methods are here.| We do.",
        "今日は。|明日も。",
        "It was shown by Smith et al.| The proof is new.",
        "It was shown by Smith et al. Nature 2009.",
        "3 Method|\n\nWe do this|\n \nand that, e.g.|\n\nnothing",
        "We need\ntwo things:|\n- a dog|\n- a cat|\n1. First do it|\n2. Then rest;| • so • it is",
    ],
)
def test_prose_is_cut_where_a_reader_would_cut_it(cut: str) -> None:
    text = cut.replace("|", "")
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    assert sentences == [part.strip() for part in cut.split("|")]


PIECES = st.sampled_from(["The cat", "et al.", "Fig.", "3.", "end.", "\n\n", "\n", " "])
MORE = st.sampled_from(["[12]", "- x", "。", "?", "(", "A."])
PROSE = st.lists(PIECES | MORE | st.text(max_size=4)).map(" ".join)


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
    whole = before + "\n\n" + text + "\n\nMore."
    assert list(sentence_spans(whole, shift, shift + len(text))) == alone


@pytest.mark.parametrize(
    "unit",
    ["a. ", "[1, ", "A. ", ". ", "1.2 ", "\n", "word ", "et al. ", "((", "”", ".", "?!", " ", "\t"],
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
