"""Bytes of a source → its Document. Pure: the same bytes give the same Document, always."""

from __future__ import annotations

from collections.abc import Callable

from index.document import Document, Section
from index.errors import ExtractionError
from index.markup import MARKDOWN, RST, extract_markdown, extract_rst
from index.pdf.pages import pdf_extractor
from index.pdf.paper import extract_pdf
from index.repair import encodable

PLAIN = "plain-1"


def extract(source_id: str, data: bytes, media_type: str) -> Document:
    """Raises ExtractionError, with a reason in plain words, where no text can be had."""
    try:
        reader = READERS[media_type.partition(";")[0].strip().lower()]
    except KeyError:
        raise ExtractionError(
            source_id, f"files of type {media_type!r} are not read; {', '.join(READERS)} are"
        ) from None
    return reader(source_id, data)


def extract_plain(source_id: str, data: bytes) -> Document:
    """The text exactly as it is, but for line ends and what cannot be encoded."""
    text = encodable(data.decode("utf-8-sig", "replace"))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ExtractionError(source_id, "the file holds no text")
    return Document(text, "", (), (Section(0, len(text)),), PLAIN)


READERS: dict[str, Callable[[str, bytes], Document]] = {
    "application/pdf": extract_pdf,
    "text/markdown": extract_markdown,
    "text/x-rst": extract_rst,
    "text/plain": extract_plain,
}


def extractor_of(media_type: str) -> str:
    """What `Document.extractor` will say of a file of this type, without reading one."""
    kind = media_type.partition(";")[0].strip().lower()
    return pdf_extractor() if kind == "application/pdf" else _MARKS.get(kind, PLAIN)


_MARKS = {"text/markdown": MARKDOWN, "text/x-rst": RST}
