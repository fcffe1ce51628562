"""One clean text per source, whatever the bytes are."""

from __future__ import annotations

import io
import random
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter

from index.documents import Document
from index.documents.extract import extract, extractor_of
from index.errors import ExtractionError
from tests.parts.commands import Output, run
from tests.parts.invariants import assert_invariants
from tests.parts.pdfs import HEIGHT, WIDTH, assembled, lines, pdf, text, wrapped

PDF = "application/pdf"
WORDS = "A short report on the harbour that was lost to the dunes of the western coast long ago."
SOUND = pdf([text(WORDS, 90, 600), lines(wrapped(WORDS), 90, 500)])


def read_or_refused(data: bytes, media_type: str = PDF) -> Document | None:
    """A sound document, or None where the bytes were refused with a reason."""
    try:
        document = extract("arxiv:1", data, media_type)
    except ExtractionError as error:
        if not error.reason:
            raise
        return None
    assert_invariants(document, len(document.page_starts))
    return document


def locked(password: str, algorithm: str = "RC4-128") -> bytes:
    writer = PdfWriter(PdfReader(io.BytesIO(pdf([text(WORDS, 90, 600)]))))
    writer.encrypt(password, owner_password="owner", algorithm=algorithm)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>"
REFUSED = {
    "the file is empty": b"",
    "zero bytes": bytes(804_296),
    "HTML page": b"\n <!DOCTYPE html><html><body>Rate exceeded.</body></html>",
    "not a PDF": b"PDF-1.5",
    "broken": b"%PDF-1.5\n%nothing more",
    "no text": pdf([b"", b"0 0 m 10 10 l S"]),
    "only numbers": pdf([text("17", 300, 40)]),
    "no pages": pdf([]),
    "password": locked("secret"),
    "3000 pages": assembled(
        [CATALOG, b"<< /Type /Pages /Count 3000 /Kids [" + b"3 0 R " * 3000 + b"] >>", PAGE]
    ),
    "cyclic page": assembled([CATALOG, b"<< /Type /Pages /Count 1 /Kids [2 0 R] >>"]),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_read_is_refused_with_a_reason_in_plain_words(reason: str) -> None:
    with pytest.raises(ExtractionError, match=reason) as caught:
        extract("arxiv:1706.03762", REFUSED[reason], PDF)
    assert caught.value.source_id == "arxiv:1706.03762"


def test_other_media_types_are_refused_with_those_that_are_read() -> None:
    with pytest.raises(ExtractionError, match="text/markdown"):
        extract("x", b"", "image/png")


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256"])
def test_a_pdf_encrypted_with_an_empty_password_is_read(algorithm: str) -> None:
    assert extract("arxiv:1", locked("", algorithm), PDF).text == WORDS


def test_the_extractor_is_named_with_its_version_and_that_of_pypdf() -> None:
    named = {
        PDF: f"pdf-4 (pypdf {version('pypdf')})",
        "text/markdown": "markdown-2",
        "text/x-rst": "rst-2",
        "text/plain": "plain-1",
    }
    for media_type, name in named.items():
        data = pdf([text(WORDS, 90, 600)]) if media_type == PDF else WORDS.encode()
        assert extract("x", data, media_type).extractor == name == extractor_of(media_type)


def test_plain_text_stays_as_it_is_but_for_line_ends() -> None:
    document = extract("summary:1", "  One  line — 🙂.\r\n\r\n\tTwo\rThree ".encode(), "text/plain")
    assert document.text == "  One  line — 🙂.\n\n\tTwo\nThree "
    assert document.page_starts == ()
    assert_invariants(document)
    odd = extract("summary:1", b"\xef\xbb\xbfOne \xed\xa0\x80 two \xff", "text/plain")
    assert odd.text.startswith("One ")
    assert_invariants(odd)


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(["text/markdown", "text/x-rst"]))
def test_any_readme_gives_a_document_or_a_reason(source: str, media_type: str) -> None:
    document = read_or_refused(source.encode("utf-8", "surrogatepass"), media_type)
    assert document is None or document.page_starts == ()


STRINGS = st.builds(
    text,
    st.text(st.characters(codec="cp1252"), min_size=1, max_size=40)
    | st.sampled_from([WORDS, "References", "1 Introduction", "Figure 1: A net-", "- 3 -"]),
    st.integers(-50, WIDTH + 50),
    st.integers(-50, HEIGHT + 50),
    size=st.sampled_from([0, 0.5, 6, 8, 10, 10, 10, 14]),
    font=st.sampled_from(["F1", "F2", "F3", "F4"]),
    setup=st.sampled_from(["", "", "", "1 g", "3 Tr", "1 0 0 rg", "50 Tz"]),
)
PAGES = st.lists(st.lists(STRINGS, max_size=6).map(b"".join), min_size=1, max_size=3)


@settings(max_examples=40)
@given(PAGES)
def test_whatever_stands_on_the_pages_the_invariants_hold(pages: list[bytes]) -> None:
    data = pdf(pages)
    document = read_or_refused(data)
    if document:
        assert len(document.page_starts) == len(pages)
        assert extract("arxiv:1", data, PDF) == document


@given(st.integers(0, 2**32), st.integers(0, 40), st.none() | st.integers(20, len(SOUND)))
def test_a_damaged_file_is_read_or_refused_but_never_more(
    seed: int, damages: int, end: int | None
) -> None:
    data = bytearray(SOUND)
    chance = random.Random(seed)
    for _ in range(damages):
        data[chance.randrange(9, len(data))] = chance.randrange(256)
    document = read_or_refused(bytes(data[:end]))
    assert document is None or document.text


def test_a_form_that_paints_itself_ends() -> None:
    inner = text("axis", 10, 10) + b"/X0 Do\n"
    document = extract("x", pdf([lines(wrapped(WORDS), 90, 600) + b"/X0 Do\n"], forms=[inner]), PDF)
    assert WORDS in document.text


def test_pypdf_warns_in_the_log_and_not_on_the_terminal(tmp_path: Path) -> None:
    """See test_isolation.py for the log."""
    path = tmp_path / "odd.pdf"
    path.write_bytes(SOUND.replace(b"startxref\n", b"startxref\n9"))
    script = f"""
from pathlib import Path
from index.documents.extract import extract
extract("x", Path({str(path)!r}).read_bytes(), {PDF!r})
"""
    assert run(program=script) == Output("", "")
