"""Bytes that are no PDF, or no README, are refused with a reason that a layman understands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.sources.store import (
    PDF_LIMIT,
    README_LIMIT,
    pdf_error,
    readme_error,
    readme_media_type,
)


@given(st.binary())
def test_a_pdf_is_known_by_its_beginning(rest: bytes) -> None:
    assert pdf_error(b"%PDF-1.4\n" + rest) == ""


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "not a PDF: the file is empty"),
        (bytes(4000), "not a PDF: the file begins with zero bytes"),
        (b"\xef\xbb\xbf\n <!doctype HTML>%PDF-", "not a PDF: an HTML page came in its place"),
        (b"<html><body>Slow down", "not a PDF: an HTML page came in its place"),
        (b"PK\x03\x04", "not a PDF: it does not begin with %PDF-"),
        (b"x" * 1020 + b"%PDF-1.4", "not a PDF: it does not begin with %PDF-"),
        (b"x" * 1019 + b"%PDF-1.4", ""),
    ],
)
def test_the_flaw_of_what_is_no_pdf(data: bytes, error: str) -> None:
    assert pdf_error(data) == error


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"# Title", ""),
        ("# Überschrift".encode("latin-1"), ""),
        (b'<p align="center"><img src="logo.png"></p>\n# Title', ""),
        (b" \r\n\t", "the README is empty"),
        (b"<!DOCTYPE html>\n<title>404", "not a README: an HTML page came in its place"),
        (b"GIF89a\0\0", "not a README: it is no plain text"),
    ],
)
def test_the_flaw_of_what_is_no_readme(data: bytes, error: str) -> None:
    assert readme_error(data) == error


def test_too_much_is_refused() -> None:
    assert "larger than 100 MB" in pdf_error(b"%PDF-" + bytes(PDF_LIMIT))
    assert "larger than 5 MB" in readme_error(b"x" * (README_LIMIT + 1))


def test_the_media_type_follows_the_ending() -> None:
    names = ["README.md", "readme.MARKDOWN", "README.rst", "README.org", "README", "README.zh"]
    assert [readme_media_type(name) for name in names] == [
        "text/markdown",
        "text/markdown",
        "text/x-rst",
        "text/org",
        "text/plain",
        "text/plain",
    ]
