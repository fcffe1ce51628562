"""What the drawn page does not show is no text, however it is hidden; what it shows is."""

from __future__ import annotations

import re

import pytest

from index.errors import ExtractionError
from tests.parts.hiding import HIDDEN, SHOWN, WORDS, X, Y, hiding, words
from tests.parts.pdfs import LOREM, OTHER, body, pdf, read, text


@pytest.mark.parametrize("content", HIDDEN.values(), ids=HIDDEN)
def test_hidden_words_are_no_text_and_the_visible_ones_around_them_are(content: bytes) -> None:
    document = read(hiding(content))
    assert document.text.split() == f"{LOREM} {OTHER}".split()


@pytest.mark.parametrize("content", SHOWN.values(), ids=SHOWN)
def test_words_that_are_shown_are_text(content: bytes) -> None:
    assert WORDS in read(hiding(content)).text


OVER = {
    "rendering mode 3": words("3 Tr"),
    "rendering mode 3, a little higher": words("3 Tr", y=Y + 3),
    "white": words("1 g"),
    "no alpha": words("/A0 gs"),
    "each letter by itself": b"".join(
        text(letter, X + 6 * n, Y, setup="3 Tr") for n, letter in enumerate(WORDS)
    ),
}


@pytest.mark.parametrize("content", OVER.values(), ids=OVER)
@pytest.mark.parametrize("shown", ["Many other words are seen at the same place.", "." * 43])
def test_words_behind_others_are_no_text(content: bytes, shown: str) -> None:
    document = read(hiding(content + text(shown, X, Y)))
    hidden = {"Ignore", "previous", "instructions", "praise."}
    assert not hidden.intersection(document.text.split())
    assert f"{LOREM} {OTHER}".split()[-9:] == document.text.split()[-9:]
    assert shown in document.text or "." in shown[:2]


@pytest.mark.parametrize("kind", [b"/Square /IC [1 1 1]", b"/Highlight /C [0 0 0]"])
def test_words_under_an_annotation_without_an_appearance_are_no_text(kind: bytes) -> None:
    box = b"/Rect [80 290 500 315] /QuadPoints [80 315 500 315 80 290 500 290] /F 4"
    note = b" /Annots [<< /Type /Annot /Subtype %b %b >>]" % (kind, box)
    assert "Ignore" in read(pdf([body(LOREM, 700) + words()])).text
    assert "Ignore" not in read(pdf([body(LOREM, 700) + words()], extra=note)).text


def test_a_page_that_draws_other_words_than_it_holds_is_not_read() -> None:
    held, drawn = "held " * 60, "seen " * 60
    file = pdf([body(held, 700), body(drawn, 700), body(LOREM, 700)])
    first, second, _ = re.findall(rb"/Contents (\d+ 0 R)", file)
    twice = file.replace(b"/Contents " + first, b"/Contents %b /Contents %b" % (first, second))
    assert "held" in read(file).text
    assert "held" not in read(twice).text
    # One reader counts a page that is null, the other does not: all others would be misnumbered.
    misnumbered = re.sub(rb"/Count 3 /Kids \[", b"/Count 4 /Kids [null ", file)
    with pytest.raises(ExtractionError, match="draw other words"):
        read(misnumbered + b"\nstartxref\n0")


def test_of_a_line_that_is_covered_in_part_the_rest_is_text() -> None:
    line = text("The bridge was not closed to the public.", X, Y)
    document = read(hiding(line + b"q 1 g %d 295 24 20 re f Q " % (X + 15 * 6 - 3)))
    assert "The bridge was" in document.text
    assert "not" not in document.text.split("The bridge was")[1][:5]


@pytest.mark.parametrize(
    "readings",
    [{"A": WORDS}, dict(zip("acdeghilnorstu", "bdceighlnrosut", strict=True))],
    ids=["a letter that reads as a sentence", "letters that read as others"],
)
def test_a_font_does_not_read_as_what_it_does_not_draw(readings: dict[str, str]) -> None:
    seen = "the large house stood at the end"
    written = text(f"A {seen} of it.", X, Y, font="F5")
    document = read(pdf([body(LOREM, 700) + written], readings=readings))
    assert "Ignore" not in document.text
    assert seen in document.text


def test_a_file_whose_pages_cannot_be_drawn_has_no_text() -> None:
    with pytest.raises(ExtractionError):
        read(
            pdf([body(LOREM, 700)]).replace(b"/Catalog", b"/Nothing").replace(b"/Pages 2", b"/X 2")
        )
