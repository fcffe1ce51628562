"""Which words a reader of the drawn page can see: those whose removal changes the picture.

pdfium, which shares no code with the extraction, draws each page with and without its text.
Whatever hides words (their colour, what lies over them, a clip path, a layer that is switched off,
a soft mask), the two are alike where they should stand. What touches no text is not drawn at all.
"""

from __future__ import annotations

import ctypes
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from index.documents.pdf.graphics import DEPTH, HEIGHT, IDENTITY, Matrix, Run, times
from index.documents.pdf.pages import Page
from index.errors import ExtractionError

log = logging.getLogger(__name__)

CONTRAST = 24  # of 255: text in a lighter grey than 90 % does not reach it
HAIRLINE = 8  # the same for a sign without letters, such as a dash
SCALE = 0.75  # pixels a point: no dearer than less, and enough for a hairline
MOST_PIXELS = 2_000_000  # of one picture
WIDEST_GAP = 0.75  # em without ink inside a word
LOOSEST = 1.6  # the same in mean advances, for letters that are set apart
# Large signs of formulas hang from their line in the fonts of TeX, such as CMEX10.
HANGING = re.compile(r"(ex|sy)(\d|tension|$)", re.I)
FORM_DEPTH = 12
ROWS = 10
FIELDS = 256  # across the page and down it: so exactly is it known what touches text
Picture = npt.NDArray[np.uint8]


def visible_pages(
    source_id: str, data: bytes, pages: Sequence[Page], *, figures: bool
) -> tuple[Page, ...]:
    """The pages without the words that cannot be seen; the text of figures is looked at only if
    `figures`. Raises ExtractionError where nothing of the file can be drawn."""
    import pypdfium2

    try:
        file = pypdfium2.PdfDocument(data, "")
    except pypdfium2.PdfiumError as error:
        reason = f"its pages cannot be drawn, so that nobody sees its text ({error})"
        raise ExtractionError(source_id, reason) from error
    visible = []
    for index, page in enumerate(pages):
        words = [
            word
            for run in page.runs
            if (run.text.strip() or not (run.text or run.figure)) and (figures or not run.figure)
            for word in _words(run)
        ]
        try:
            seen = _seen(file[index], page, words) if words else ()
        except pypdfium2.PdfiumError as error:
            log.warning("page %d cannot be drawn, and is not read: %s", index + 1, error)
            seen = [False] * len(words)
        visible.append(page if all(seen) else replace(page, runs=_kept(page.runs, words, seen)))
    file.close()
    return tuple(visible)


def _words(run: Run) -> Iterator[tuple[Run, Run]]:
    """The run with each of its words."""
    if not run.stops:
        yield run, run
        return
    places = [(0, run.x0), *run.stops, (len(run.text), run.x1)]
    for (start, x0), (end, x1) in zip(places[::2], places[1::2], strict=True):
        if end > start:
            yield run, run._replace(text=run.text[start:end], x0=x0, x1=x1, stops=())


def _kept(
    runs: Sequence[Run], words: Sequence[tuple[Run, Run]], seen: Sequence[bool]
) -> tuple[Run, ...]:
    """The runs whose words are all seen, and of the others the words that are."""
    left: dict[int, list[Run]] = {}
    for (run, word), is_seen in zip(words, seen, strict=True):
        left.setdefault(id(run), []).extend([word] * is_seen)
    hidden = {id(run) for (run, _), is_seen in zip(words, seen, strict=True) if not is_seen}
    return tuple(part for run in runs for part in (left[id(run)] if id(run) in hidden else (run,)))


def _seen(drawing: Any, page: Page, words: Sequence[tuple[Run, Run]]) -> Sequence[bool]:
    """Whether each word shows in the drawn page."""
    scale = min(SCALE, math.sqrt(MOST_PIXELS / (page.width * page.height)))
    width, height = (max(1, round(side * scale)) for side in (page.width, page.height))
    boxes = np.array([(w.x0, w.x1, w.y, w.size, len(w.text) or 1) for _, w in words])
    x0, x1, y, size, letters = boxes.T
    left = np.clip(np.rint(x0 * scale).astype(int), 0, width - 1)
    right = np.clip(np.rint(x1 * scale).astype(int), left + 1, width)
    top = np.clip(np.rint(height - (y + HEIGHT * size) * scale).astype(int), 0, height - 1)
    foot = np.clip(np.rint(height - (y - DEPTH * size) * scale).astype(int), top + 1, height)
    ink = _ink(drawing, width, height, (left, right, top, foot))
    # For every column of every box, one after the other: is there ink in it, and how far back?
    widths = right - left
    ends = np.cumsum(widths)
    starts = ends - widths
    columns = np.arange(ends[-1]) + np.repeat(left - starts, widths)
    rows = top + (np.arange(ROWS)[:, None] + 0.5) / ROWS * (foot - top)
    inked = (ink[np.repeat(rows.astype(int), widths, axis=1), columns] > CONTRAST).any(axis=0)
    index = np.arange(ends[-1])
    first = np.repeat(starts, widths)
    last = np.maximum(np.maximum.accumulate(np.where(inked, index, -1)), first - 1)
    gaps = np.maximum.reduceat(index - last, starts)
    widest = np.maximum(WIDEST_GAP * size, LOOSEST * (x1 - x0) / letters) * scale
    seen: list[bool] = ((gaps < widths) & (gaps <= np.maximum(widest, 2))).tolist()
    for n, (_, word) in enumerate(words):
        if not (seen[n] or any(map(str.isalnum, word.text))):
            # Beside it there may be a neighbour's ink.
            side, deepest = (right[n] - left[n] - 1) // 3, foot[n]
            if HANGING.search(word.font):
                side, deepest = 0, foot[n] + math.ceil(size[n] * scale)
            box = ink[top[n] : deepest, left[n] + side : right[n] - side]
            seen[n] = bool((box > HAIRLINE).any())
    return seen


def _ink(drawing: Any, width: int, height: int, boxes: Sequence[npt.NDArray[np.int_]]) -> Picture:
    """How much text changes the picture of the page. `boxes` are where text is looked for."""
    from pypdfium2 import raw

    sides = width, width, height, height
    touches = _reach(drawing, [box / side for box, side in zip(boxes, sides, strict=True)])
    page = drawing.raw
    count, item = raw.FPDFPage_CountObjects(page), raw.FPDFPage_GetObject
    texts, others = _sorted_out([item(page, n) for n in range(count)], touches)
    marked = any(_is_painted(page, n) for n in range(raw.FPDFPage_GetAnnotCount(page)))
    flags = raw.FPDF_ANNOT if marked else 0
    picture = _drawn(page, width, height, flags)
    if not (others or marked):
        return 255 - picture
    for text in texts:
        raw.FPDFPageObj_SetIsActive(text, False)
    without = _drawn(page, width, height, flags)
    return np.maximum(picture, without) - np.minimum(picture, without)


def _reach(drawing: Any, boxes: Sequence[npt.NDArray[np.float64]]) -> Callable[[Any, Matrix], bool]:
    """Tells of an object of the page whether it may touch what is looked at. `boxes` are the left,
    right, upper and lower edges in shares of the page."""
    from pypdfium2 import raw

    field = np.zeros((FIELDS, FIELDS), np.bool_)
    edges = [np.clip((box * FIELDS).astype(int), 0, FIELDS - 1).tolist() for box in boxes]
    for left, right, top, foot in zip(*edges, strict=True):
        field[top : foot + 1, left : right + 1] = True
    left, foot, right, head = drawing.get_bbox()
    turn, w, h = drawing.get_rotation(), right - left, head - foot
    bounds = [ctypes.c_float() for _ in range(4)]

    def shares(x: float, y: float) -> tuple[float, float]:
        """Of the width and the height of the page as it is shown, from its upper left corner."""
        across, up = (x - left) / w, (y - foot) / h
        return {0: (across, 1 - up), 90: (up, across), 180: (1 - across, up)}.get(
            turn, (1 - up, 1 - across)
        )

    def touches(item: Any, matrix: Matrix) -> bool:
        if not raw.FPDFPageObj_GetBounds(item, *bounds):
            return True
        x0, y0, x1, y1 = (side.value for side in bounds)
        a, b, c, d, e, f = matrix
        corners = ((x, y) for x in (x0, x1) for y in (y0, y1))
        places = [shares(a * x + c * y + e, b * x + d * y + f) for x, y in corners]
        us, vs = zip(*places, strict=True)
        u0, v0 = (max(0, int(min(side) * FIELDS - 0.5)) for side in (us, vs))
        u1, v1 = (max(0, int(max(side) * FIELDS + 1.5)) for side in (us, vs))
        return bool(field[v0:v1, u0:u1].any())

    return touches


def _sorted_out(
    items: Sequence[Any],
    touches: Callable[[Any, Matrix], bool],
    matrix: Matrix = IDENTITY,
    depth: int = 0,
) -> tuple[list[Any], bool]:
    """The objects of text, and whether there are others, once those that touch nothing are
    switched off. `matrix` leads from their coordinates to those of the page."""
    from pypdfium2 import raw

    texts, others = [], False
    for item in items:
        kind = raw.FPDFPageObj_GetType(item)
        if kind == raw.FPDF_PAGEOBJ_TEXT:
            texts.append(item)
        elif not touches(item, matrix):
            raw.FPDFPageObj_SetIsActive(item, False)
        elif kind == raw.FPDF_PAGEOBJ_FORM and depth < FORM_DEPTH:
            own = raw.FS_MATRIX()
            raw.FPDFPageObj_GetMatrix(item, own)
            inside = times((own.a, own.b, own.c, own.d, own.e, own.f), matrix)
            count = raw.FPDFFormObj_CountObjects(item)
            inner = [raw.FPDFFormObj_GetObject(item, n) for n in range(count)]
            more, has_others = _sorted_out(inner, touches, inside, depth + 1)
            texts += more
            others |= has_others
        else:
            others = True
    return texts, others


def _is_painted(page: Any, number: int) -> bool:
    """Whether the annotation looks like anything: links mostly do not. Of others viewers make an
    appearance where the file gives none."""
    from pypdfium2 import raw

    annotation = raw.FPDFPage_GetAnnot(page, number)
    is_link = raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_LINK
    painted = not is_link or bool(raw.FPDFAnnot_HasKey(annotation, b"AP"))
    raw.FPDFPage_CloseAnnot(annotation)
    return painted


def _drawn(page: Any, width: int, height: int, flags: int) -> Picture:
    """The page in greys."""
    from pypdfium2 import raw

    bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_Gray, None, 0)
    if not bitmap:
        raise MemoryError
    raw.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
    raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    shape = height, raw.FPDFBitmap_GetStride(bitmap)
    buffer = ctypes.cast(raw.FPDFBitmap_GetBuffer(bitmap), ctypes.POINTER(ctypes.c_ubyte))
    picture = np.ctypeslib.as_array(buffer, shape)[:, :width].copy()
    raw.FPDFBitmap_Destroy(bitmap)
    return picture
