"""What stands where on a page decides what the text is."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import pytest

from index.documents import Document
from tests.parts.pdfs import LOREM, OTHER, body, lines, pdf, read, text, turned, upright, wrapped


def paragraphs(document: Document) -> list[str]:
    return document.text.split("\n\n")


def quotable(document: Document) -> str:
    return "".join(document.text[s.start : s.end] for s in document.sections if s.quotable)


def heading(words: str, y: float) -> bytes:
    return text(words, 90, y, size=12, font="F2")


FRONT = text("On Stones and Harbours", 180, 720, size=17, font="F2") + text(
    "A. Writer, University of the Coast", 200, 690
)
INTRODUCTION = heading("1 Introduction", 640)


def article(*pages: bytes, forms: tuple[bytes, ...] = ()) -> Document:
    """A paper whose first page has a title, an author and the heading of the introduction."""
    return read(pdf([FRONT + INTRODUCTION + pages[0], *pages[1:]], forms=forms))


def test_lines_become_flowing_paragraphs_that_begin_at_an_indent() -> None:
    document = article(body(LOREM, 610) + body(OTHER, 610 - 72, indent=15))
    assert paragraphs(document)[-2:] == [LOREM, OTHER]


def test_headings_are_sections_that_begin_with_their_own_heading() -> None:
    page = FRONT + text("ABSTRACT", 90, 660) + body(LOREM, 630)
    page += heading("1 Introduction", 540) + body(OTHER, 515)
    page += heading("1.1 Motivation of the Work", 420) + body(LOREM, 400)
    document = read(pdf([page]))
    headings = [s.heading for s in document.sections]
    assert headings == ["", "ABSTRACT", "1 Introduction", "1.1 Motivation of the Work"]
    for item in document.sections[1:]:
        assert document.text[item.start :].startswith(item.heading + "\n\n")


def test_title_and_authors_are_read_but_not_quotable() -> None:
    document = article(body(LOREM, 610))
    assert document.title == "On Stones and Harbours"
    assert "A. Writer" in document.text
    assert "A. Writer" not in quotable(document)
    assert read(pdf([body(LOREM, 700)], title="A Plain Report")).title == "A Plain Report"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            lines(["Small stones by neural net-", "works are fast here."], 90, 610)
            + body("All networks learn.", 560),
            "by neural networks are fast",
        ),
        (
            lines(["The state-of-the-art and also a state-of-", "the-art machine."], 90, 610),
            "also a state-of-the-art machine",
        ),
        (
            text("The networks", 90, 610)
            + text("12", 162, 614, size=6)
            + text(" learn from stones.", 170, 610),
            "The networks learn from stones.",
        ),
        (
            text("It took 6 10", 90, 610)
            + text("6", 162, 614, size=6)
            + text(" whole steps.", 167, 610),
            "10⁶ whole steps.",
        ),
        (
            text("The e\x03cient \x01sh \x02oats and says nothing.", 90, 610, font="F3"),
            "The efficient fish floats and says nothing.",
        ),
    ],
    ids=["hyphen dropped", "hyphen stays", "mark of a footnote", "power", "ligatures"],
)
def test_words_read_as_they_are_meant(content: bytes, words: str) -> None:
    assert words in article(content).text


def test_the_left_column_comes_before_the_right_one() -> None:
    left, right = wrapped(f"{LOREM} {LOREM}", 200), wrapped(f"{OTHER} {OTHER}", 200)
    column_by_column = lines(left, 90, 640, width=200) + lines(right, 320, 640, width=200)
    row_by_row = b"".join(
        lines([a, ""], 90, 640 - 12 * n, width=200) + lines([b, ""], 320, 640 - 12 * n, width=200)
        for n, (a, b) in enumerate(zip_longest(left, right, fillvalue=""))
    )
    for content in (column_by_column, row_by_row):
        whole = read(pdf([content])).text
        assert f"{LOREM} {LOREM}" in whole
        assert whole.index(LOREM) < whole.index("Old maps of this")


def test_a_sentence_goes_on_over_a_page_and_past_a_footnote() -> None:
    rows = wrapped(LOREM, 432)
    note = text("1", 100, 83, size=6) + text("Stones are collected by hand here.", 105, 80, size=8)
    document = article(
        lines([*rows[:3], ""], 90, 610) + note,
        lines(rows[3:], 90, 720) + body(OTHER, 600, indent=15),
    )
    start = document.text.index(LOREM)
    assert document.pages(start, start + len(LOREM)) == (1, 2)
    assert document.text[document.page_starts[1] :].startswith(rows[3])
    assert "Stones are collected by hand here." in paragraphs(document)


def test_running_heads_page_numbers_stamps_and_notices_are_dropped() -> None:
    def page(number: int) -> bytes:
        return (
            text(f"Writer et al.  {number}", 90, 760, size=8)
            + body(f"Chapter number {number} begins. " + LOREM, 700)
            + text("31st Conference on Stones (STONES 2017), Long Beach, USA.", 90, 60, size=9)
            + text(str(number), 300, 40)
        )

    stamp = turned("arXiv:2404.13784v1 [cs.CV] 21 Apr 2024", 20, 300)
    document = read(pdf([stamp + page(1), page(2), page(3)]))
    for words in ("Writer et al", "arXiv", "Long Beach"):
        assert words not in document.text
    assert not any(item.strip().isdigit() for item in paragraphs(document))
    assert document.text.count("begins.") == 3
    assert paragraphs(read(pdf([body(LOREM, 700) + text("17", 300, 40)]))) == [LOREM]


def test_a_caption_between_the_halves_of_a_paragraph_stands_after_it() -> None:
    rows = wrapped(LOREM, 432)
    words = "Figure 1: A map of the lost harbour and its two towers."
    caption = lines(wrapped(words, 380, 9), 110, 640, width=380, size=9)
    document = article(lines([*rows[:3], ""], 90, 610), caption + lines(rows[3:], 90, 560))
    assert paragraphs(document)[-2:] == [LOREM, words]
    start = document.text.index("Figure 1")
    assert document.pages(start, start + 8) == (2,)


def test_a_caption_keeps_its_page_when_a_paragraph_runs_past_it() -> None:
    rows = wrapped(LOREM, 432)
    caption = text("Figure 1: A map of the lost harbour.", 110, 200, size=9)
    document = article(
        lines([*rows[:2], ""], 90, 610),
        lines([rows[2], ""], 90, 720) + caption,
        lines(rows[3:], 90, 720) + body(OTHER, 600, indent=15),
    )
    for words, page in ((rows[1], 1), ("Figure 1: A map", 2), (rows[2], 2), (rows[3], 3)):
        start = document.text.index(words)
        assert document.pages(start, start + len(words)) == (page,)


def test_tables_are_not_quotable() -> None:
    rows = b"".join(
        text(cell, x, 500 - 12 * n)
        for n, name in enumerate(("granite", "basalt", "marble"))
        for x, cell in ((90, name), (250, f"{n}1.5"), (400, "77.0"))
    )
    document = article(body(LOREM, 610) + rows + body(OTHER, 400))
    assert "basalt" not in quotable(document)
    assert LOREM in document.text
    assert OTHER in quotable(document)


def test_displayed_formulas_are_left_out_and_end_the_paragraph() -> None:
    formula = text("y = Wx + b", 250, 530, font="F4") + text("(1)", 505, 530)
    after = body("where the letters mean what they always mean in such a formula.", 505)
    document = article(body(LOREM, 610) + formula + after)
    assert "Wx" not in document.text
    assert LOREM in paragraphs(document)


def test_the_bibliography_is_not_quotable_and_an_appendix_after_it_is() -> None:
    document = article(
        body(LOREM, 610)
        + heading("References", 500)
        + body("[1] A. Writer. On stones. Journal of the Coast, 2001.", 480)
        + body("[2] B. Writer. On harbours. Journal of the Coast, 2002.", 460)
        + heading("A Collected Stones", 400)
        + body(OTHER, 380),
    )
    sections = {section.heading: section.quotable for section in document.sections}
    assert (sections["References"], sections["A Collected Stones"]) == (False, True)
    assert "Journal of the Coast" not in quotable(document)
    assert OTHER in quotable(document)


SHOWN = body(LOREM, 600)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (SHOWN, {"box": (612, 792, 0, 0)}),
        (SHOWN, {"box": (0, 792, 612, 0)}),
        (SHOWN, {"box": (612, 0, 0, 792)}),
        (upright(90, SHOWN), {"extra": b"/Rotate 90"}),
        (SHOWN + text("Cut off by the printer.", 90, 20), {"extra": b"/CropBox [0 100 612 792]"}),
    ],
    ids=["from lower right", "from upper left", "from upper right", "turned", "cropped"],
)
def test_a_page_is_read_as_it_is_shown(content: bytes, options: Any) -> None:
    assert paragraphs(read(pdf([content], **options))) == [LOREM]


def test_words_inside_drawings_are_no_prose_unless_whole_pages_are_drawings() -> None:
    content = body(LOREM, 610) + b"/X0 Do\n" + body(OTHER, 300)
    document = article(content, forms=(text("axis of stones", 200, 400),))
    assert "axis of stones" not in document.text
    assert OTHER in document.text
    assert LOREM in read(pdf([b"/X0 Do\n"], forms=[body(LOREM, 600)])).text


def test_a_page_with_nothing_on_it_begins_where_the_next_one_does() -> None:
    document = read(pdf([body(LOREM, 600), b"", body(OTHER, 600), b""]))
    assert document.page_starts[1] == document.page_starts[2] == document.text.index(OTHER)
    assert document.page_starts[3] == len(document.text)
