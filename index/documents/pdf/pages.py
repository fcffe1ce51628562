"""Bytes of a PDF → its pages of visible text. pypdf is the reader; all of its errors end here."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from index.documents.pdf.content import Interpreter
from index.documents.pdf.graphics import Box, Face, Matrix, Run
from index.documents.pdf.operators import read_operations
from index.errors import ExtractionError

LOG = logging.getLogger(__name__)
for name in ("pypdf", "index"):  # warnings are for the log: where there is none, they go nowhere
    logging.getLogger(name).addHandler(logging.NullHandler())
MAX_PAGES = 2000


@dataclass(frozen=True, slots=True)
class Page:
    """`width` and `height` in points, as the page is shown; its lower left corner is 0, 0."""

    width: float
    height: float
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Pages:
    """All pages, and the title the file claims to have ("" where it claims none)."""

    pages: tuple[Page, ...]
    title: str


@lru_cache(maxsize=1)
def pdf_extractor() -> str:
    """The name and version of this reading: the text depends on pypdf's, so that is in it."""
    return f"pdf-1 (pypdf {version('pypdf')})"


def read_pdf(source_id: str, data: bytes) -> Pages:
    """Raises ExtractionError where there is no PDF, a locked or a broken one, or one that holds
    no text."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    _check_kind(source_id, data)
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ExtractionError(source_id, "the PDF is locked with a password")
        count = len(reader.pages)
        if count > MAX_PAGES:
            raise ExtractionError(
                source_id, f"the PDF has {count} pages, more than the {MAX_PAGES} that are read"
            )
        faces: dict[int, tuple[Any, Face | None]] = {}
        pages = tuple(_page(page, faces) for page in reader.pages)
        title = _title(reader)
    except (ExtractionError, MemoryError):
        raise
    except RecursionError as error:
        raise ExtractionError(source_id, "the PDF is broken: it refers to itself") from error
    except (PyPdfError, Exception) as error:  # pypdf lets KeyError and the like through
        reason = f"the PDF is broken and cannot be read ({type(error).__name__}: {error})"
        raise ExtractionError(source_id, reason[:300]) from error
    if not pages:
        raise ExtractionError(source_id, "the PDF has no pages")
    if not any(run.text.strip() for page in pages for run in page.runs):
        raise ExtractionError(
            source_id, "no text can be read from the PDF: its pages are pictures, or empty"
        )
    return Pages(pages, title)


def _check_kind(source_id: str, data: bytes) -> None:
    if not data:
        raise ExtractionError(source_id, "the file is empty")
    if not data.strip(b"\0"):
        raise ExtractionError(source_id, "the file holds nothing but zero bytes")
    if not data[:1024].strip(b"\0"):
        raise ExtractionError(source_id, "the file is damaged: it begins with zero bytes")
    head = data[:1024].lstrip()
    if b"%PDF-" not in data[:1024]:
        is_page = head[:15].lower().startswith((b"<!doctype", b"<html", b"<?xml"))
        found = "a web page" if is_page else "something else"
        raise ExtractionError(source_id, f"the file is not a PDF but {found}")


def _title(reader: Any) -> str:
    try:
        return " ".join(str(reader.metadata.title or "").split()) if reader.metadata else ""
    except Exception:  # metadata is a courtesy: a broken one costs nothing
        return ""


def _page(page: Any, faces: dict[int, tuple[Any, Face | None]]) -> Page:
    from pypdf.errors import PyPdfError
    from pypdf.generic import ContentStream

    box, base, width, height = _frame(page)

    def operations(stream: Any) -> Any:
        content = ContentStream(stream, page.pdf, "bytes")
        found = read_operations(content.get_data())
        return content.operations if found is None else found

    if "/Contents" not in page or page["/Contents"] is None:
        return Page(width, height, ())

    def face(resources: Any, name: str) -> Face | None:
        found = resources["/Font"][name].get_object()
        if id(found) not in faces:
            faces[id(found)] = found, _face(found)  # kept, or another could get its id
        return faces[id(found)][1]

    def form_operations(form: Any) -> Any:
        try:
            return operations(form)
        except PyPdfError as error:  # a drawing that cannot be read costs nothing else
            LOG.warning("A form of the page is passed over: %s", error)
            return []

    interpreter = Interpreter(box, base, face, form_operations)
    resources = page.get("/Resources", {})
    resources = resources.get_object() if hasattr(resources, "get_object") else resources
    interpreter.follow(operations(page["/Contents"].get_object()), resources)
    return Page(width, height, tuple(interpreter.runs))


def _face(resource: Any) -> Face | None:
    from pypdf.generic._font import Font

    font = Font.from_font_resource(resource)
    return Face(font.name, font) if font.interpretable else None


def _frame(page: Any) -> tuple[Box, Matrix, float, float]:
    """The visible box moved to the origin and turned upright, with the matrix that does it."""
    media, crop = _corners(page.mediabox), _corners(page.cropbox)
    left, right = max(media[0], crop[0]), min(media[2], crop[2])
    foot, head = max(media[1], crop[1]), min(media[3], crop[3])
    if left >= right or foot >= head:
        left, foot, right, head = media
    x, y, w, h = left, foot, right - left, head - foot
    turn = int(page.get("/Rotate", 0) or 0) % 360
    bases: dict[int, Matrix] = {
        0: (1, 0, 0, 1, -x, -y),
        90: (0, -1, 1, 0, -y, x + w),
        180: (-1, 0, 0, -1, x + w, y + h),
        270: (0, 1, -1, 0, y + h, -x),
    }
    base = bases.get(turn, bases[0])
    if turn in (90, 270):
        w, h = h, w
    return (0.0, 0.0, w, h), base, w, h


def _corners(box: Any) -> Box:
    """Left, foot, right and head: a rectangle may be given by any two opposite corners."""
    xs, ys = sorted((float(box[0]), float(box[2]))), sorted((float(box[1]), float(box[3])))
    return xs[0], ys[0], xs[1], ys[1]
