"""A quote is found where it stands on the page, however the page was set, or not at all.

What a rectangle covers is read back by pdfium from its coordinates, in the page's own space.
"""

from __future__ import annotations

import io
import random
import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from index.documents.document import Document
from index.documents.extract import extract
from index.passages import sentence_spans
from rag.views.page_places import Wanted
from rag.views.page_work import order_of, reply_of, work
from rag.views.pictures import Highlight, PageImage
from tests.parts.pdfs import lines, pdf, text, turned, wrapped

LOREM = (
    "The river carries small stones down to the sea and leaves them there in the sand of the long "
    "beach where children look for them after every storm that comes in from the west and they "
    "take the smooth ones data_dir to their windows where nobody will ever look at them again."
)
OTHER = (
    "Old maps of this coast show a harbour that has since been lost to the dunes and the people "
    "who built it went inland with their boats on carts because they hoped that the water would "
    "follow them some day but it never did and the boats became the roofs of their new houses."
)
WORDS = sorted(set(re.findall(r"\w+", f"{LOREM} {OTHER}".lower())))


def read(data: bytes) -> Document:
    return extract("arxiv:0000.00000", data, "application/pdf")


def body(words: str, y: float, *, x: float = 90, width: float = 432) -> bytes:
    return lines(wrapped(words, width), x, y, width=width)


def wanted(document: Document, quote: str, nth: int = 0) -> Wanted:
    start = -1
    for _ in range(nth + 1):
        start = document.text.index(quote, start + 1)
    return spanning(document, start, start + len(quote))


def spanning(document: Document, start: int, end: int) -> Wanted:
    pages = document.pages(start, end)
    starts = (*document.page_starts, len(document.text))
    first, last = starts[pages[0] - 1], starts[pages[-1]]
    return Wanted(pages, document.text[first:last], start - first, end - first)


def found(
    data: bytes, quotes: Sequence[Wanted]
) -> tuple[tuple[tuple[Highlight, ...], ...], tuple[PageImage, ...]]:
    return reply_of(work("arxiv:1", data, order_of(quotes)), "arxiv:1", quotes)


def highlights(data: bytes, quote: str, nth: int = 0) -> tuple[Highlight, ...]:
    ((one,), _) = found(data, [wanted(read(data), quote, nth)])
    return one


def own(page: Any, u: float, v: float) -> tuple[float, float]:
    """The point of the page's own space that is shown at these shares of its width and height."""
    left, foot, right, head = page.get_bbox()
    w, h = right - left, head - foot
    places = {
        0: (left + u * w, head - v * h),
        90: (left + v * w, foot + u * h),
        180: (right - u * w, foot + v * h),
        270: (right - v * w, head - u * h),
    }
    return places[page.get_rotation()]


def covered(data: bytes, where: Sequence[Highlight]) -> str:
    """The text pdfium has at the rectangles, in their order."""
    file = pypdfium2.PdfDocument(data)
    parts = []
    for highlight in where:
        page = file[highlight.page - 1]
        textpage = page.get_textpage()
        for box in highlight.rectangles:
            (x0, y0), (x1, y1) = own(page, box.left, box.top), own(page, box.right, box.bottom)
            xs, ys = sorted((x0, x1)), sorted((y0, y1))
            parts.append(textpage.get_text_bounded(xs[0], ys[0], xs[1], ys[1]))
    return " ".join(parts)


def same(one: str, other: str) -> bool:
    """Equal but for spaces, hyphens, ligatures and accents."""

    def bare(words: str) -> str:
        plain = unicodedata.normalize("NFKD", words.translate({1: "fi", 2: "-", 3: "ffi"}))
        return re.sub(r"[\s\-\ufffe\u0300-\u036f]", "", plain)

    return bare(one) == bare(other)


def test_each_line_of_a_quote_has_one_rectangle_in_reading_order() -> None:
    data = pdf([body(LOREM, 600)])
    (highlight,) = highlights(data, LOREM)
    assert highlight.page == 1
    assert len(highlight.rectangles) == len(wrapped(LOREM))
    for upper, lower in pairwise(highlight.rectangles):
        assert upper.bottom <= lower.top
    heights = [box.bottom - box.top for box in highlight.rectangles]
    assert max(heights) - min(heights) < 0.002
    assert 0.005 < min(heights) < 0.016  # ten points of 792, more or less
    assert same(covered(data, [highlight]), LOREM)


def test_a_quote_that_is_a_part_of_a_line_covers_that_part_only() -> None:
    data = pdf([body(LOREM, 600)])
    (highlight,) = highlights(data, "small stones down to the sea")
    (box,) = highlight.rectangles
    assert same(covered(data, [highlight]), "small stones down to the sea")
    assert box.left > 0.3
    assert box.right - box.left < 0.4


@pytest.mark.parametrize(
    ("rows", "quote"),
    [
        (
            ["The recognition of small stones by neural net-", "works is fast and nobody minds."],
            "The recognition of small stones by neural networks is fast and nobody minds.",
        ),
        (
            ["This is the state-of-the-art and also a state-of-", "the-art machine for all of us."],
            "This is the state-of-the-art and also a state-of-the-art machine for all of us.",
        ),
    ],
    ids=["dropped", "kept"],
)
def test_a_hyphen_at_a_line_end_is_covered_whether_the_text_keeps_it(
    rows: list[str], quote: str
) -> None:
    data = pdf([lines(rows, 90, 610) + body(f"All networks learn. {OTHER}", 560)])
    where = highlights(data, quote)
    assert same(covered(data, where), quote)
    first, _ = where[0].rectangles
    assert first.right == pytest.approx((90 + 432) / 612, abs=0.01)


def test_ligatures_and_accents_are_found() -> None:
    quote = "The e\x03cient \x01sh of Málaga \x02oats past Gdansk and says nothing."
    data = pdf([text(quote, 90, 610, font="F3") + body(LOREM, 500)])
    spelled = "The efficient fish of Málaga floats past Gdansk and says nothing."
    (highlight,) = highlights(data, spelled)
    (box,) = highlight.rectangles
    assert box.right - box.left == pytest.approx(len(quote) * 6 / 612, abs=0.01)


def test_a_quote_goes_on_in_the_next_column() -> None:
    rows = wrapped(f"{OTHER} {LOREM}", 200)
    cut = len(rows) - 5
    left, right = [*rows[:cut], ""], rows[cut:]
    columns = lines(left, 90, 700, width=200) + lines(right, 320, 700, width=200)
    data = pdf([columns, body(OTHER, 600)])
    (highlight,) = highlights(data, LOREM)
    assert same(covered(data, [highlight]), LOREM)
    sides = [box.left > 0.5 for box in highlight.rectangles]
    assert sides == sorted(sides)
    assert len(set(sides)) == 2


def test_a_quote_goes_on_past_the_foot_of_one_page_and_the_head_of_the_next() -> None:
    rows = wrapped(f"{OTHER} {LOREM}", 432)
    cut = len(rows) - 3
    heads = [text(f"Writer et al.  {n}", 90, 760, size=8) for n in (1, 2, 3)]
    note = text("1", 90, 104, size=5) + text("See the maps of the harbour.", 94, 100, size=7)
    data = pdf(
        [
            heads[0] + lines([*rows[:cut], ""], 90, 600) + note,
            heads[1] + lines(rows[cut:], 90, 720),
            heads[2] + body(OTHER, 600),
        ]
    )
    document = read(data)
    assert f"{OTHER} {LOREM}" in document.text
    where = highlights(data, LOREM)
    assert [highlight.page for highlight in where] == [1, 2]
    assert same(covered(data, where), LOREM)


def test_the_mark_of_a_footnote_is_not_covered() -> None:
    row = text("The harbour was lost", 90, 600) + text("1", 210, 604, size=6)
    row += text("to the dunes of the coast.", 218, 600)
    data = pdf([row + body(OTHER, 500)])
    quote = "The harbour was lost to the dunes of the coast."
    where = highlights(data, quote)
    assert same(covered(data, where), quote)
    assert [len(highlight.rectangles) for highlight in where] == [2]


@pytest.mark.parametrize("nth", range(3))
def test_of_the_same_words_those_at_the_offset_of_the_quote_are_covered(nth: int) -> None:
    again = "It is lost to the dunes."
    data = pdf([b"".join(body(f"{n}{LOREM} {again} {OTHER}", 700 - 150 * n) for n in range(3))])
    (highlight,) = highlights(data, again, nth)
    for box in highlight.rectangles:
        assert box.top > nth * 150 / 792 + 0.1
        assert box.bottom < (nth + 1) * 150 / 792 + 0.1
    assert same(covered(data, [highlight]), again)


@pytest.mark.parametrize("nth", range(3))
def test_whole_paragraphs_that_repeat_are_told_apart_by_their_number(nth: int) -> None:
    paragraph = f"{OTHER} {LOREM} {OTHER}"
    data = pdf([b"".join(body(paragraph, 720 - 230 * n) for n in range(3))])
    (highlight,) = highlights(data, LOREM, nth)
    assert highlight.rectangles[0].top == pytest.approx((72 + 4 * 12 + 230 * nth) / 792, abs=0.05)


@pytest.mark.parametrize("nth", range(2))
def test_of_the_same_words_on_two_pages_those_on_the_page_of_the_quote_are_covered(
    nth: int,
) -> None:
    data = pdf([body(LOREM, 600), body(LOREM, 300)])
    (highlight,) = highlights(data, LOREM, nth)
    assert highlight.page == nth + 1
    assert same(covered(data, [highlight]), LOREM)


def at(turn: int, content: bytes) -> bytes:
    """Content that is upright on a page turned by so many degrees."""
    matrix = {
        0: "1 0 0 1 0 0",
        90: "0 1 -1 0 612 0",
        180: "-1 0 0 -1 612 792",
        270: "0 -1 1 0 0 792",
    }
    return f"q {matrix[turn]} cm\n".encode() + content + b"Q\n"


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_on_a_turned_page_the_rectangles_are_those_of_the_page_as_shown(turn: int) -> None:
    data = pdf([at(turn, body(LOREM, 500))], extra=b"/Rotate %d" % turn)
    (quotes, (picture,)) = found(data, [wanted(read(data), LOREM)])
    (highlight,) = quotes[0]
    width, height = (612, 792) if turn in (0, 180) else (792, 612)
    assert picture.width / picture.height == pytest.approx(width / height, abs=0.01)
    first = highlight.rectangles[0]
    assert first.left == pytest.approx(90 / width, abs=0.005)
    assert first.bottom == pytest.approx((height - 500) / height, abs=0.006)
    assert same(covered(data, [highlight]), LOREM)


@pytest.mark.parametrize(
    ("box", "crop"),
    [
        ((0, 0, 612, 792), b"/CropBox [60 100 560 792]"),
        ((-100, -50, 700, 900), b""),
        ((-100, -50, 700, 900), b"/CropBox [10 20 590 780]"),
        ((0, 0, 612, 792), b"/CropBox [-500 -500 2000 2000]"),
        ((0, 0, 612, 792), b"/CropBox [60 100 560 792] /Rotate 180"),
    ],
)
def test_a_cropped_page_is_covered_as_it_is_shown(
    box: tuple[float, float, float, float], crop: bytes
) -> None:
    content = body(LOREM, 600)
    if b"Rotate" in crop:
        content = at(180, content)
    data = pdf([content], box=box, extra=crop)
    (quotes, (picture,)) = found(data, [wanted(read(data), LOREM)])
    assert same(covered(data, quotes[0]), LOREM)
    assert dark_share(picture, quotes[0][0]) > 0.999


def dark_share(picture: PageImage, highlight: Highlight) -> float:
    """The share of the picture's ink that lies in the rectangles."""
    image = Image.open(io.BytesIO(picture.data)).convert("L")
    assert image.size == (picture.width, picture.height)
    ink = image.point([1 if value < 128 else 0 for value in range(256)])
    total = sum(ink.tobytes())
    for box in highlight.rectangles:
        edges = (
            int(box.left * picture.width) - 1,
            int(box.top * picture.height) - 1,
            int(box.right * picture.width) + 2,
            int(box.bottom * picture.height) + 2,
        )
        ink.paste(0, edges)
    return 1 - sum(ink.tobytes()) / total


def test_the_picture_has_its_ink_where_the_rectangles_are() -> None:
    data = pdf([body(LOREM, 600)])
    (quotes, (picture,)) = found(data, [wanted(read(data), LOREM)])
    assert dark_share(picture, quotes[0][0]) == 1
    half = found(data, [wanted(read(data), LOREM[: len(LOREM) // 2])])
    assert dark_share(half[1][0], half[0][0][0]) < 0.6


@pytest.mark.parametrize(
    "setup", ["1 g", "3 Tr", "0 g 80 280 500 60 re f"], ids=["white", "mode", "dark"]
)
@pytest.mark.parametrize("first", [True, False])
def test_words_that_cannot_be_seen_are_never_covered(setup: str, first: bool) -> None:
    quote = "It is lost to the dunes."
    hidden, shown = text(quote, 90, 300, setup=setup), body(f"{LOREM} {quote}", 600)
    data = pdf([hidden + shown if first else shown + hidden])
    (highlight,) = highlights(data, quote)
    assert highlight.rectangles[0].bottom < 0.4
    assert same(covered(data, [highlight]), quote)
    # Nor where nothing else says it.
    document = read(pdf([shown]))
    (none, _) = found(pdf([body(LOREM, 600) + hidden]), [wanted(document, quote)])
    assert none == ((),)


def test_text_that_runs_up_the_margin_is_not_taken_for_the_quote() -> None:
    words = "carries small stones"
    data = pdf([turned(words, 30, 200) + body(LOREM, 600)])
    (highlight,) = highlights(data, words)
    assert highlight.rectangles[0].left > 0.1


def test_what_the_page_does_not_say_has_no_rectangle() -> None:
    document = read(pdf([body(LOREM, 600)]))
    for other in (
        LOREM.replace("small", "large"),
        LOREM.replace("The", "the"),
        LOREM.replace("again.", "again!"),
        LOREM.replace("stones", "stnoes"),
        OTHER,
    ):
        (none, pages) = found(pdf([body(other, 600)]), [wanted(document, LOREM)])
        assert none == ((),)
        assert len(pages) == 1


def test_words_put_between_the_lines_of_a_quote_are_not_covered() -> None:
    rows = wrapped(LOREM)
    cuckoo = text("and nobody knows it", 200, 594, size=5)
    shown = pdf([lines(rows, 90, 600) + cuckoo])
    (quotes, _) = found(shown, [wanted(read(pdf([body(LOREM, 600)])), LOREM)])
    for highlight in quotes[0]:
        assert same(covered(shown, [highlight]), LOREM)


def test_each_page_is_drawn_once_and_small() -> None:
    data = pdf([body(LOREM, 600), body(OTHER, 600), body(LOREM, 500)])
    document = read(data)
    quotes = [wanted(document, LOREM), wanted(document, LOREM, 1), wanted(document, "The river")]
    where, pages = found(data, quotes)
    assert all(where)
    assert [page.page for page in pages] == [1, 3]
    for page in pages:
        image = Image.open(io.BytesIO(page.data))
        assert image.size == (page.width, page.height) == (1000, 1295)
        assert page.media_type == Image.MIME[image.format or ""]
        assert len(page.data) < 60_000


@pytest.mark.parametrize(
    "box", [(0, 0, 14400, 14400), (0, 0, 2, 14400), (0, 0, 14400, 2), (0, 0, 0, 0), (0, 0, 1e9, 9)]
)
def test_pages_of_any_size_are_drawn_within_bounds(box: tuple[float, float, float, float]) -> None:
    data = pdf([body(LOREM, 600)], box=box)
    quote = spanning(read(pdf([body(LOREM, 600)])), 0, len(LOREM))
    (_, (page,)) = found(data, [quote])
    assert page.width * page.height < 4_000_000
    assert max(page.width, page.height) <= 10_001


def test_a_page_with_pictures_is_drawn_in_colour() -> None:
    sky = b"q 0.2 0.5 1 rg 90 100 300 200 re f Q\n"
    for content, coloured in ((sky, True), (b"", False)):
        data = pdf([body(LOREM, 600) + content])
        (_, (page,)) = found(data, [wanted(read(data), LOREM)])
        pixel = Image.open(io.BytesIO(page.data)).convert("RGB").getpixel((300, 1000))
        assert (len(set(pixel)) > 1) is coloured  # type: ignore[arg-type]


@st.composite
def sheets(draw: st.DrawFn) -> bytes:
    """Two pages of paragraphs of words that repeat a lot, in one column or two."""
    chance = random.Random(draw(st.integers(0, 1 << 30)))
    two, turn = draw(st.booleans()), draw(st.sampled_from([0, 90, 180, 270]))
    words = WORDS[: draw(st.integers(12, len(WORDS)))]

    def sentence() -> str:
        said = " ".join(chance.choice(words) for _ in range(chance.randint(6, 24)))
        return f"{said.capitalize()}."

    def column(x: float, width: float) -> bytes:
        found, y = b"", 540.0
        while y > 140:
            rows = wrapped(" ".join(sentence() for _ in range(chance.randint(2, 5))), width)
            found += lines(rows, x, y, width=width)
            y -= 12 * len(rows) + 10
        return found

    pages = []
    for _ in range(2):
        content = column(60, 230) + column(320, 230) if two else column(90, 432)
        pages.append(at(turn, content))
    return pdf(pages, extra=b"/Rotate %d" % turn)


@settings(max_examples=8)
@given(sheets())
def test_every_sentence_of_any_page_is_covered_exactly_or_not_at_all(data: bytes) -> None:
    document = read(data)
    spans = [span for span in sentence_spans(document.text) if span[1] - span[0] > 30]
    where, _ = found(data, [spanning(document, *span) for span in spans])
    for (start, end), one in zip(spans, where, strict=True):
        if one:
            assert {highlight.page for highlight in one} == set(document.pages(start, end))
            assert same(covered(data, one), document.text[start:end])
    assert sum(map(bool, where)) >= 0.98 * len(spans) - 1
