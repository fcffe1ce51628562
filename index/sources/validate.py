"""Which bytes are accepted as a paper or a README, wherever they come from.

A validation error is a sentence that a user understands; "" means that the bytes are accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

PDF_LIMIT = 100_000_000
README_LIMIT = 5_000_000

_MEDIA_TYPES = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd", ".mkdn"), "text/markdown"),
    **dict.fromkeys((".rst", ".rest"), "text/x-rst"),
    **dict.fromkeys((".adoc", ".asciidoc"), "text/asciidoc"),
    ".org": "text/org",
}


@dataclass(frozen=True, slots=True)
class Download:
    """Valid bytes, not yet stored. `version` is the arXiv version (`v4`) or the commit, None where
    the origin does not say."""

    data: bytes
    media_type: str
    origin: str
    version: str | None = None


def readme_media_type(name: str) -> str:
    """The media type of a README called `name`; plain text where its ending says nothing."""
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), "text/plain")


def pdf_error(data: bytes) -> str:
    """What is wrong with `data` as a PDF. Readers look for `%PDF-` in the first 1024 bytes (ISO
    32000-1, annex H.3.4.1), and so do we."""
    head = data[:1024]
    if not data:
        return "not a PDF: the file is empty"
    if len(data) > PDF_LIMIT:
        return f"larger than {PDF_LIMIT // 1_000_000} MB: not kept"
    if _is_web_page(head):
        return "not a PDF: an HTML page came in its place"
    if b"%PDF-" in head:
        return ""
    if not head.strip(b"\0"):
        return "not a PDF: the file begins with zero bytes"
    return "not a PDF: it does not begin with %PDF-"


def readme_error(data: bytes) -> str:
    """What is wrong with `data` as a README."""
    if not data.strip():
        return "the README is empty"
    if len(data) > README_LIMIT:
        return f"larger than {README_LIMIT // 1_000_000} MB: not kept"
    if _is_web_page(data[:1024]):
        return "not a README: an HTML page came in its place"
    if b"\0" in data:
        return "not a README: it is no plain text"
    return ""


def _is_web_page(head: bytes) -> bool:
    """READMEs may well begin with HTML (`<p align="center">`), but not with a whole page's."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))
