"""The places of quotes on the pages of PDFs, and those pages as pictures, whatever a file holds.

What a rectangle covers is read back by pdfium from its coordinates, in the page's own space.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from index.documents.extract import cache_document
from index.passages import sentence_spans
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import Answer, Quote, SourceRecord, Statement
from rag.pipeline import Pipeline
from rag.views.drawing import draw, drawn_pages
from rag.views.highlight import NO_PICTURES, Highlight, Pictures, highlights_of, pictures_of
from tests.parts.answers import EMPTY
from tests.parts.commands import run
from tests.parts.pdfs import LOREM, OTHER, body, lines, oversized, pdf, read, text, upright, wrapped
from tests.parts.processes import children
from tests.parts.witness import covered, folded

Quoting = Callable[..., tuple[Answer, Settings]]
PDF = "application/pdf"
GOOD = pdf([body(LOREM, 600)])
WORDS = sorted(set(re.findall(r"\w+", f"{LOREM} {OTHER}".lower())))


def highlights(data: bytes, quote: str, nth: int = 0) -> tuple[Highlight, ...]:
    document = read(data)
    start = [match.start() for match in re.finditer(re.escape(quote), document.text)][nth]
    return highlights_of(document, start, start + len(quote))


def assert_covers(data: bytes, places: tuple[Highlight, ...], quote: str) -> None:
    assert folded(covered(data, places)) == folded(quote)


def test_a_quote_has_one_rectangle_for_each_line_and_of_a_line_only_its_part() -> None:
    (highlight,) = highlights(GOOD, LOREM)
    assert highlight.page == 1
    assert len(highlight.rectangles) == len(wrapped(LOREM))
    for upper, lower in pairwise(highlight.rectangles):
        assert upper.bottom <= lower.top
    for box in highlight.rectangles:
        assert 0.005 < box.bottom - box.top < 0.016  # ten points of 792, more or less
    assert_covers(GOOD, (highlight,), LOREM)
    words = "small stones down to the sea"
    (highlight,) = highlights(GOOD, words)
    (box,) = highlight.rectangles
    assert_covers(GOOD, (highlight,), words)
    (part,) = highlights(GOOD, words[2:-2])[0].rectangles
    assert 0.3 < box.left + 0.015 < part.left < part.right < box.right - 0.015 < box.left + 0.4


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
    ids=["dropped", "stays"],
)
def test_a_hyphen_at_a_line_end_is_covered_whether_the_text_has_it(
    rows: list[str], quote: str
) -> None:
    data = pdf([lines(rows, 90, 610) + body(f"All networks learn. {OTHER}", 560)])
    places = highlights(data, quote)
    assert_covers(data, places, quote)
    first, _ = places[0].rectangles
    assert first.right == pytest.approx((90 + 432) / 612, abs=0.001)


def test_ligatures_accents_and_double_spaces_keep_the_words_in_their_places() -> None:
    shown = "The e\x03cient \x01sh of M´alaga  \x02oats , past Gdansk and says nothing."
    data = pdf([text(shown, 90, 610, font="F3") + body(LOREM, 500)])
    spelled = "The efficient fish of Málaga floats, past Gdansk and says nothing."
    assert spelled in read(data).text
    for word in spelled.split():
        (box,) = highlights(data, word)[0].rectangles
        start = shown.index(
            {"efficient": "e\x03", "fish": "\x01", "Málaga": "M", "floats,": "\x02"}.get(word, word)
        )
        assert box.left == pytest.approx((90 + 6 * start) / 612, abs=0.001)


def test_a_quote_goes_on_past_a_footnote_and_the_head_of_the_next_page() -> None:
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
    places = highlights(data, LOREM)
    assert [highlight.page for highlight in places] == [1, 2]
    assert_covers(data, places, LOREM)


@pytest.mark.parametrize("nth", range(3))
def test_of_the_same_words_those_at_the_offset_of_the_quote_are_covered(nth: int) -> None:
    paragraph = f"{OTHER} {LOREM} {OTHER}"
    data = pdf([b"".join(body(paragraph, 720 - 230 * n) for n in range(3))])
    (highlight,) = highlights(data, LOREM, nth)
    assert highlight.rectangles[0].top == pytest.approx((72 + 4 * 12 + 230 * nth) / 792, abs=0.05)
    assert_covers(data, (highlight,), LOREM)


BOXES = [
    ((0, 0, 612, 792), "/CropBox [60 100 560 792]"),
    ((-100, -50, 700, 900), ""),
    ((-100, -50, 700, 900), "/CropBox [10 20 590 780]"),
    ((0, 0, 612, 792), "/CropBox [-500 -500 2000 2000]"),
    ((612, 792, 0, 0), "/CropBox [590 780 10 20]"),
]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize(("box", "crop"), BOXES)
def test_a_turned_and_cropped_page_is_covered_as_it_is_shown(
    turn: int, box: tuple[float, float, float, float], crop: str
) -> None:
    content = upright(turn, body(LOREM, 350, x=110, width=360))
    data = pdf([content], box=box, extra=f"{crop} /Rotate {turn}".encode())
    places = highlights(data, LOREM)
    assert_covers(data, places, LOREM)
    assert share_of_ink(drawn_pages(draw("", data, b"1"), [1])[0], places[0]) > 0.999


def share_of_ink(picture: tuple[int, int, bytes], highlight: Highlight) -> float:
    """The share of the picture's ink that lies in the rectangles, or within a pixel of them."""
    width, height, data = picture
    image = Image.open(io.BytesIO(data)).convert("L")
    assert image.size == (width, height)
    ink = image.point([1 if value < 128 else 0 for value in range(256)])
    total = sum(ink.tobytes())
    for box in highlight.rectangles:
        left, top = int(box.left * width) - 1, int(box.top * height) - 1
        ink.paste(0, (left, top, int(box.right * width) + 2, int(box.bottom * height) + 2))
    return 1 - sum(ink.tobytes()) / total


@st.composite
def sheets(draw: st.DrawFn) -> bytes:
    """Two pages of paragraphs of words that repeat a lot, in one column or two."""
    chance = random.Random(draw(st.integers(0, 1 << 30)))
    two, turn = draw(st.booleans()), draw(st.sampled_from([0, 90, 180, 270]))
    vocabulary = WORDS[: draw(st.integers(12, len(WORDS)))]

    def sentence() -> str:
        return f"{' '.join(chance.choices(vocabulary, k=chance.randint(6, 24))).capitalize()}."

    def column(x: float, width: float) -> bytes:
        content, y = b"", 540.0
        while y > 200:
            rows = wrapped(" ".join(sentence() for _ in range(chance.randint(2, 5))), width)
            content += lines(rows[: int(y / 12) - 3], x, y, width=width)
            y -= 12 * len(rows) + 10
        return content

    page = [column(60, 230) + column(320, 230) if two else column(90, 432) for _ in range(2)]
    return pdf([upright(turn, content) for content in page], extra=b"/Rotate %d" % turn)


@settings(max_examples=8)
@given(sheets())
def test_every_sentence_of_any_page_is_covered_exactly(data: bytes) -> None:
    document = read(data)
    for start, end in sentence_spans(document.text):
        places = highlights_of(document, start, end)
        assert tuple(highlight.page for highlight in places) == document.pages(start, end)
        assert_covers(data, places, document.text[start:end])


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 14400, 14400),
        (0, 0, 600, 6000),
        (0, 0, 2, 14400),
        (0, 0, 14400, 2),
        (0, 0, 0, 0),
        (0, 0, 1e9, 9),
    ],
)
def test_pages_of_any_size_are_drawn_within_bounds(box: tuple[float, float, float, float]) -> None:
    ((width, height, _),) = drawn_pages(draw("", pdf([body(LOREM, 600)], box=box), b"1"), [1])
    assert width * height < 4_000_000
    assert max(width, height) <= 10_001


def test_pages_are_drawn_small_and_in_colour_only_where_they_have_pictures() -> None:
    sky = b"q 0.2 0.5 1 rg 90 100 300 200 re f Q\n"
    data = pdf([body(LOREM, 600), body(OTHER, 600), body(LOREM, 500) + sky])
    for coloured, (*size, picture) in enumerate(drawn_pages(draw("", data, b"1 3"), [1, 3])):
        image = Image.open(io.BytesIO(picture))
        assert image.format == "WEBP"
        assert image.size == (*size,) == (1000, 1295)
        assert len(picture) < 60_000
        pixel = image.convert("RGB").getpixel((300, 1000))
        assert (len(set(pixel)) > 1) is bool(coloured)  # type: ignore[arg-type]


HEAD, WEBP = draw("", GOOD, b"1").split(b"\n", 1)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\n",
        b"\xff\n",
        WEBP,
        HEAD + b"\n" + WEBP[:-1],
        HEAD + b"\n" + WEBP + b"\0",
        2 * (HEAD + b"\n" + WEBP),
        HEAD + b"\n" + WEBP.replace(b"WEBP", b"<svg"),
        *(
            b"%b %d\n" % (size, len(WEBP)) + WEBP
            for size in (b"0 9", b"-9 -9", b"99999 99999", b"1e3 9", b"9", b"9 9 9")
        ),
        b"9 9 -1\n" + WEBP,
        b"9 9 99999999\n" + WEBP,
    ],
)
def test_a_reply_of_any_other_form_than_asked_for_is_refused(reply: bytes) -> None:
    assert drawn_pages(HEAD + b"\n" + WEBP, [1]) == [(1000, 1295, WEBP)]  # the page itself
    with pytest.raises(ValueError, match=r"\w"):
        drawn_pages(reply, [1])


def test_asking_for_pictures_loads_no_pdf_library_into_the_caller() -> None:
    script = (
        "import sys, rag.views.highlight\n"
        "print([name for name in ('pypdfium2', 'PIL', 'torch') if name in sys.modules])"
    )
    assert run(program=script).out == "[]\n"


def quotes_of_pdfs(answer: Answer) -> list[Quote]:
    return [quote for _, quote in answer.quotes() if quote.source_type == "full text"]


def test_every_quote_from_a_pdf_is_highlighted_where_its_words_are(
    answers: Mapping[str, Answer], pipeline: Pipeline
) -> None:
    for answer in answers.values():
        pictures = pictures_of(answer, pipeline.settings)
        hashes = {record.id: record.sha256 for record in answer.sources}
        quotes = quotes_of_pdfs(answer)
        assert quotes
        for quote in quotes:
            data = (pipeline.settings.sources / hashes[quote.source_id]).read_bytes()
            places = pictures.of(quote)
            assert [highlight.page for highlight in places] == list(quote.pages)
            assert_covers(data, places, quote.text)
        pages = {(quote.source_id, page) for quote in quotes for page in quote.pages}
        assert set(pictures.pages) == pages
        assert {span.source_id for span in pictures.highlights} <= {page[0] for page in pages}


def test_pictures_are_the_same_again_without_the_cache_and_report_their_progress(
    answers: Mapping[str, Answer], pipeline: Pipeline, tmp_path: Path
) -> None:
    shutil.copytree(pipeline.settings.sources, tmp_path / "sources")
    elsewhere = replace(pipeline.settings, data_dir=tmp_path)
    steps: list[tuple[str, int, int, str]] = []
    first = pictures_of(answers["move"], elsewhere, notify=lambda *step: steps.append(step))
    assert first == pictures_of(answers["move"], pipeline.settings)
    assert steps[0] == ("draw pages", 0, len(steps) - 1, "")
    assert [done for _, done, _, _ in steps] == list(range(len(steps)))
    assert {what for *_, what in steps[1:]} == {source for source, _ in first.pages}


@pytest.mark.parametrize(
    ("of_quote", "of_source"),
    [
        ({"text": "No quote."}, {}),
        ({"start": 1}, {}),
        ({"start": 0, "end": 0, "text": ""}, {}),
        ({"start": -5, "end": 1 << 40}, {}),
        ({"end": 0}, {}),
        ({}, {"sha256": "0" * 64}),
        ({}, {"document_sha256": "0" * 64}),
        ({}, {"id": "arxiv:9999.1"}),
    ],
)
def test_what_is_not_as_the_answer_says_has_no_pictures(
    of_quote: dict[str, Any], of_source: dict[str, Any],
    answers: Mapping[str, Answer], pipeline: Pipeline,
) -> None:  # fmt: skip
    answer = answers["move"]
    quote, *_ = quotes_of_pdfs(answer)
    (record,) = [one for one in answer.sources if one.source_type == "full text"]
    said = Statement("So it is.", (quote,))
    true = replace(EMPTY, task=(said,), sources=(record,))
    assert pictures_of(true, pipeline.settings).of(quote)
    said = Statement("So it is.", (replace(quote, **of_quote),))
    changed = replace(EMPTY, task=(said,), sources=(replace(record, **of_source),))
    assert pictures_of(changed, pipeline.settings) == NO_PICTURES


def test_a_source_that_is_not_stored_has_no_pictures_and_is_named(
    answers: Mapping[str, Answer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert pictures_of(answers["move"], Settings(data_dir=tmp_path)) == NO_PICTURES
    assert "its bytes are not in" in caplog.text


@pytest.fixture
def quoting(answers: Mapping[str, Answer], tmp_path: Path) -> Quoting:
    """Makes an answer that quotes the text of GOOD from each of some files."""

    def make(papers: Mapping[str, bytes], **limits: Any) -> tuple[Answer, Settings]:
        settings = Settings(data_dir=tmp_path, **limits)
        store, document = SourceStore(settings.sources), read(GOOD)
        quotes, records = [], []
        for source_id, data in papers.items():
            source = store.put(source_id, data, media_type=PDF, origin="x")
            cache_document(document, source, settings)
            quotes.append(Quote(source_id, "full text", 0, len(LOREM), LOREM, (1,)))
            hashes = source.sha256, document.extractor, document.sha256
            records.append(SourceRecord(source_id, "full text", *hashes, None, ""))
        task = (Statement("So it is.", tuple(quotes)),)
        return replace(answers["move"], task=task, sources=tuple(records)), settings

    return make


def sources_of(pictures: Pictures) -> set[str]:
    return {span.source_id for span in pictures.highlights}


NO_PDF = {
    "empty": b"",
    "zeros": b"\0" * 5000,
    "head": b"%PDF-1.5 and no more",
    "html": b"<html>Not found</html>",
    "half": GOOD[: len(GOOD) // 2],
    "no page": GOOD.replace(b"/Count 1", b"/Count 0").replace(b"/Kids [8 0 R]", b"/Kids []"),
    "itself": GOOD.replace(b"/Kids [8 0 R]", b"/Kids [2 0 R]"),
}


@pytest.mark.parametrize("bad", NO_PDF.values(), ids=NO_PDF)
def test_a_file_that_is_no_pdf_has_no_pictures_and_the_others_do(
    bad: bytes, quoting: Quoting, caplog: pytest.LogCaptureFixture
) -> None:
    answer, chosen = quoting({"arxiv:2401.00011": bad, "arxiv:2401.00012": GOOD})
    assert sources_of(pictures_of(answer, chosen)) == {"arxiv:2401.00012"}
    assert "no pictures of arxiv:2401.00011" in caplog.text


def test_a_page_that_takes_too_long_is_given_up(
    quoting: Quoting, caplog: pytest.LogCaptureFixture
) -> None:
    forms = [b"/X%d Do\n" % (n + 1) * 40 for n in range(9)] + [text("Now.", 9, 9)]
    endless = pdf([b"/X0 Do\n" * 40], forms=forms)
    answer, chosen = quoting({"arxiv:2401.00011": endless}, pdf_seconds=2)
    assert pictures_of(answer, chosen) == NO_PICTURES
    assert "longer than 2 seconds" in caplog.text


def test_a_page_that_unpacks_to_seventy_megabytes_costs_its_source_at_most(
    quoting: Quoting,
) -> None:
    papers = {"arxiv:2401.00011": oversized(), "arxiv:2401.00012": GOOD}
    answer, chosen = quoting(papers, pdf_memory_bytes=400 << 20)
    assert "arxiv:2401.00012" in sources_of(pictures_of(answer, chosen))


def test_a_worker_that_dies_costs_one_source(quoting: Quoting) -> None:
    papers = {f"arxiv:2401.0001{n}": GOOD + b"%%%d" % n for n in range(3)}
    answer, chosen = quoting(papers)
    before = children()

    def kill(stage: str, done: int, total: int, what: str) -> None:
        if done == 1:
            os.kill(max(children() - before), signal.SIGKILL)

    pictures = pictures_of(answer, chosen, notify=kill)
    assert len(sources_of(pictures)) in (2, 3)  # it may have been done by then
    assert children() == before
