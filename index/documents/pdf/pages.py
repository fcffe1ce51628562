"""Bytes of a PDF → its pages of visible text. pypdf is the reader; all of its errors end here."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from index.documents import Box
from index.documents.pdf.content import TEXTUAL, Face, Interpreter, Matrix, Run
from index.errors import ExtractionError
from index.sources import pdf_error

log = logging.getLogger(__name__)

Operation = tuple[list[Any], bytes]

# Quantifiers are possessive: no stream, however hostile, is read twice.
NUMBER = rb"[+-]?(?:\d++\.?+\d*+|\.\d++)(?![\d+\-.,])"
REGULAR = rb"[^\s()<>\[\]{}/%\x00]"
OPERATOR = rb"[A-Za-z'\"]" + REGULAR + rb"*+"
STRING = rb"\((?:[^()\\]++|\\.|\((?:[^()\\]++|\\.)*+\))*+\)"
HEX = rb"<[0-9A-Fa-f\s]*+>"
TOKEN = re.compile(
    rb"(?:\s++|%[^\r\n]*+)*+(?:"
    rb"(?P<run>(?:" + NUMBER + rb"\s*+)++)(?P<operator>" + OPERATOR + rb")?+"
    rb"|(?P<bare>" + OPERATOR + rb")"
    rb"|(?P<name>/[^\s()<>\[\]{}/%\x00#]*+)"  # without escapes
    rb"|(?P<string>" + STRING + rb")"
    rb"|(?P<hex>" + HEX + rb")"
    rb"|\[(?P<array>(?:[-+.\d\s]++|" + STRING + rb"|" + HEX + rb")*+)\]"
    # The properties of marked content, which paint nothing.
    rb"|(?P<properties><<(?:[^<>()%]++|" + STRING + rb"|" + HEX + rb")*+>>)"
    rb"|(?P<end>\Z))",
    re.DOTALL,
)
ITEM = re.compile(rb"(?P<string>" + STRING + rb")|(?P<hex>" + HEX + rb")|[^\s(<]++", re.DOTALL)
ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[\r\n][\r\n]?+|(.))", re.DOTALL)
ESCAPED = dict(zip(b"nrtbf()/\\ %<>[]#_&$", b"\n\r\t\b\f()/\\ %<>[]#_&$", strict=True))


def read_operations(data: bytes) -> list[Operation] | None:
    """`TEXTUAL` operators with the operands before them: numbers as floats, names as str with their
    slash, strings as bytes, arrays as lists; None in the place of properties. None where the stream
    holds anything else, such as an image or an odd escape, or ends in the middle."""
    operations: list[Operation] = []
    operands: list[Any] = []
    place = 0
    try:
        while (match := TOKEN.match(data, place)) is not None:
            place = match.end()
            kind = match.lastgroup
            if kind == "operator":
                if match["operator"] in TEXTUAL:
                    operands.extend(map(float, match["run"].split()))
                    operations.append((operands, match["operator"]))
                operands = []
            elif kind == "bare":
                if match["bare"] == b"BI":  # what follows is an image's, and no operators
                    return None
                if match["bare"] in TEXTUAL:
                    operations.append((operands, match["bare"]))
                operands = []
            elif kind == "run":
                operands.extend(map(float, match["run"].split()))
            elif kind == "name":
                operands.append(match["name"].decode("ascii"))
            elif kind == "array":
                operands.append([_item(item) for item in ITEM.finditer(match["array"])])
            elif kind == "end":
                return operations
            else:
                operands.append(_item(match))
    except (KeyError, ValueError):
        return None
    return None


def _item(match: re.Match[bytes]) -> float | bytes | None:
    kind = match.lastgroup
    if kind == "string":
        inside = match["string"][1:-1]
        return ESCAPE.sub(_unescaped, inside) if b"\\" in inside else inside
    if kind == "hex":
        digits = b"".join(match["hex"][1:-1].split())
        return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
    return None if kind == "properties" else float(match[0])


def _unescaped(match: re.Match[bytes]) -> bytes:
    """Raises ValueError or KeyError for a number that is no byte, and an escape that is none."""
    if match[1]:
        return bytes([int(match[1], 8)])
    return bytes([ESCAPED[match[2][0]]]) if match[2] else b""  # at the end of a line


for name in ("pypdf", "index"):  # where no log is set up, warnings must not reach the terminal
    logging.getLogger(name).addHandler(logging.NullHandler())
MAX_PAGES = 2000
Faces = dict[int, tuple[Any, Face | None]]
"""Fonts by the `id` of pypdf's object, which is held so that no other object gets that id."""


@dataclass(frozen=True, slots=True)
class Page:
    """`width` and `height` in points, as the page is shown; its lower left corner is 0, 0."""

    width: float
    height: float
    runs: tuple[Run, ...]


@lru_cache(maxsize=1)
def pdf_extractor() -> str:
    """The name and version of this reading: the text depends on pypdf's, so that is in it."""
    return f"pdf-4 (pypdf {version('pypdf')})"


def read_pdf(source_id: str, data: bytes) -> tuple[tuple[Page, ...], str]:
    """All pages, and the title that the file claims to have or "". Raises ExtractionError where
    there is no PDF, a locked or a broken one, or one that holds no text."""
    from pypdf import PdfReader

    if reason := pdf_error(data):
        raise ExtractionError(source_id, reason)
    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ExtractionError(source_id, "the PDF is locked with a password")
        if (count := len(reader.pages)) > MAX_PAGES:
            raise ExtractionError(
                source_id, f"the PDF has {count} pages, more than the {MAX_PAGES} that are read"
            )
        faces: Faces = {}
        pages = tuple(_page(page, faces) for page in reader.pages)
        title = _title(reader)
    except (ExtractionError, MemoryError):
        raise
    except RecursionError as error:
        raise ExtractionError(source_id, "the PDF is broken: it refers to itself") from error
    except Exception as error:  # besides its own errors pypdf lets KeyError and the like through
        reason = f"the PDF is broken and cannot be read ({type(error).__name__}: {error})"
        raise ExtractionError(source_id, reason[:300]) from error
    if not pages:
        raise ExtractionError(source_id, "the PDF has no pages")
    if not any(run.text.strip() for page in pages for run in page.runs):
        raise ExtractionError(
            source_id, "no text can be read from the PDF: its pages are pictures, or empty"
        )
    return pages, title


def _title(reader: Any) -> str:
    try:
        return " ".join(str(reader.metadata.title or "").split()) if reader.metadata else ""
    except Exception:  # broken metadata must not cost the text
        return ""


def _page(page: Any, faces: Faces) -> Page:
    from pypdf.errors import PyPdfError
    from pypdf.generic import ContentStream
    from pypdf.generic._font import Font

    def operations(stream: Any) -> Any:
        content = ContentStream(stream, page.pdf, "bytes")
        quickly = read_operations(content.get_data())
        return content.operations if quickly is None else quickly

    def form_operations(form: Any) -> Any:
        try:
            return operations(form)
        except PyPdfError as error:  # a drawing that cannot be read must not cost the page
            log.warning("A form of the page is passed over: %s", error)
            return []

    def face(resources: Any, name: str) -> Face | None:
        resource = resources["/Font"][name].get_object()
        if id(resource) not in faces:
            font = Font.from_font_resource(resource)
            faces[id(resource)] = resource, Face(font.name, font) if font.interpretable else None
        return faces[id(resource)][1]

    box, base = _frame(page)
    runs: list[Run] = []
    if "/Contents" in page and page["/Contents"] is not None:
        interpreter = Interpreter(box, base, face, form_operations)
        resources = page.get("/Resources", {})
        resources = resources.get_object() if hasattr(resources, "get_object") else resources
        interpreter.follow(operations(page["/Contents"].get_object()), resources)
        runs = interpreter.runs
    return Page(box[2], box[3], tuple(runs))


def _frame(page: Any) -> tuple[Box, Matrix]:
    """The visible box moved to the origin and turned upright, and the matrix that does it."""
    media, crop = _corners(page.mediabox), _corners(page.cropbox)
    left, right = max(media[0], crop[0]), min(media[2], crop[2])
    foot, head = max(media[1], crop[1]), min(media[3], crop[3])
    if left >= right or foot >= head:
        left, foot, right, head = media
    w, h = right - left, head - foot
    match int(page.get("/Rotate", 0) or 0) % 360:
        case 90:
            return (0.0, 0.0, h, w), (0, -1, 1, 0, -foot, right)
        case 180:
            return (0.0, 0.0, w, h), (-1, 0, 0, -1, right, head)
        case 270:
            return (0.0, 0.0, h, w), (0, 1, -1, 0, head, -left)
    return (0.0, 0.0, w, h), (1, 0, 0, 1, -left, -foot)


def _corners(box: Any) -> Box:
    """Left, bottom, right and top: a rectangle may be given by any two opposite corners."""
    xs, ys = sorted((float(box[0]), float(box[2]))), sorted((float(box[1]), float(box[3])))
    return xs[0], ys[0], xs[1], ys[1]
