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
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from index.documents.pdf.content import (
    DEPTH,
    FORM_DEPTH,
    HEIGHT,
    IDENTITY,
    Matrix,
    Run,
    times,
)
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
ROWS = 10  # of a word's box at which ink is looked for
MOST_LAYERS = 8  # what would need more is not seen
AGREEMENT = 0.9  # of a page's longer words (of 18 papers it is 1 on every page)
FIELDS = 256  # across the page and down it: so exactly is it known what touches text
OVERLAP = 0.3  # of a word's height on which another one stands
CROWDED = 0.6  # of a word's width where this is so
LETTERS = {"Lu", "Ll", "Lt", "Lo", "Nd"}  # not the accents that are letters, such as ˆ
Picture = npt.NDArray[np.uint8]
Edges = tuple[float, float, float, float]
"""Left, right, upper and lower, from the upper left corner."""


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
    visible, others = [], 0
    for index, page in enumerate(pages):
        words = [
            word
            for run in page.runs
            if (run.text.strip() or not (run.text or run.figure)) and (figures or not run.figure)
            for word in _words(run)
        ]
        try:
            seen: Sequence[bool] = ()
            if words and not _agree((word.text for _, word in words), file[index]):
                log.warning("page %d is not read: it draws other words than it holds", index + 1)
                others += 1
                seen = [False] * len(words)
            elif words:
                seen = _seen(file[index], page, words)
        except pypdfium2.PdfiumError as error:
            log.warning("page %d cannot be drawn, and is not read: %s", index + 1, error)
            seen = [False] * len(words)
        visible.append(page if all(seen) else replace(page, runs=_kept(page.runs, words, seen)))
    file.close()
    if others and not any(run.text.strip() for page in visible for run in page.runs):
        raise ExtractionError(source_id, "its pages draw other words than it holds")
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


def _agree(words: Iterable[str], drawing: Any) -> bool:
    """Whether pdfium reads nearly all of these words on the page that it draws. A file may be made
    to say one thing to one reader and another to others: by keys given twice, by pages that only
    some count."""
    text = drawing.get_textpage().get_text_range().lower()
    drawn = set(text.split())
    read = [word for word in words if len(word) > 3]
    missing = [_letters_of(word) for word in read if word.lower() not in drawn]
    letters = _letters_of(text) if missing else ""
    return sum(word not in letters for word in missing) <= (1 - AGREEMENT) * len(read)


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
    x0, x1, y, size, _ = boxes.T
    left = np.clip(np.rint(x0 * scale).astype(int), 0, width - 1)
    right = np.clip(np.rint(x1 * scale).astype(int), left + 1, width)
    top = np.clip(np.rint(height - (y + HEIGHT * size) * scale).astype(int), 0, height - 1)
    foot = np.clip(np.rint(height - (y - DEPTH * size) * scale).astype(int), top + 1, height)
    sides = left, right, top, foot
    drawn = _DrawnPage(drawing, width, height, sides)

    def inked(ink: Picture) -> list[bool]:
        return _inked(ink, words, sides, boxes, scale)

    seen = inked(drawn.ink)
    crowded = _crowded([word for _, word in words], sides, (height, width))
    if any(seen[n] for n in crowded):
        apart = drawn.layers([(left[n], right[n], top[n], foot[n]) for n in crowded])
        layers = [(inked(ink), members) for ink, members in apart]
        for n in crowded:
            own, x, y = _letters_of(words[n][1].text), left[n] + right[n], top[n] + foot[n]
            candidates = [
                (len(text), layer[n])
                for layer, members in layers
                for text, (u0, u1, v0, v1) in members
                if own in text and 2 * u0 <= x <= 2 * u1 and 2 * v0 <= y <= 2 * v1
            ]
            # Of the objects that read as the word, those that say the least beside it.
            seen[n] &= any(is_inked for size, is_inked in candidates if size == min(candidates)[0])
    return seen


def _inked(
    ink: Picture,
    words: Sequence[tuple[Run, Run]],
    sides: Sequence[npt.NDArray[np.int_]],
    boxes: npt.NDArray[np.float64],
    scale: float,
) -> list[bool]:
    """Whether each word has ink all along it."""
    (left, right, top, foot), (x0, x1, _, size, letters) = sides, boxes.T
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


def _crowded(
    words: Sequence[Run], sides: Sequence[npt.NDArray[np.int_]], shape: tuple[int, int]
) -> list[int]:
    """The numbers of the words all along which others stand: there, ink is no proof that they are
    seen. `sides` are their edges in the pixels of a picture of this shape. On a letter by itself
    a sign alone does not count: it is its accent."""
    left, right, top, foot = sides

    def cover(counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The pixels on which several of the counted words stand."""
        steps = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
        corners = ((top, left, 1), (top, right, -1), (foot, left, -1), (foot, right, 1))
        for rows, columns, step in corners:
            np.add.at(steps, (rows[counted], columns[counted]), step)
        crowd: npt.NDArray[np.bool_] = steps.cumsum(0).cumsum(1)[:-1, :-1] > 1
        return crowd

    every = cover(np.ones(len(words), np.bool_))
    total = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    total[1:, 1:] = every.cumsum(0, dtype=np.int32).cumsum(1)
    covered = total[foot, right] - total[top, right] - total[foot, left] + total[top, left]
    suspects = covered > CROWDED * OVERLAP * (right - left) * (foot - top) / 2
    letters = {n: len(_letters_of(words[n].text)) for n in np.nonzero(suspects)[0].tolist()}
    if not any(letters.values()):
        return []
    signs = cover(np.array([len(w.text) > 1 or bool(_letters_of(w.text)) for w in words]))
    crowded = []
    for n, count in letters.items():
        if count:
            place = (slice(top[n], foot[n]), slice(left[n], right[n]))
            others = (every if count > 1 else signs)[place].mean(axis=0) > OVERLAP
            # Neighbours share a column of pixels.
            if (others[1:-1] if len(others) > 2 else others).mean() > CROWDED:
                crowded.append(n)
    return crowded


def _letters_of(text: str) -> str:
    """What two readers of one string should agree on."""
    kept = (c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) in LETTERS)
    return "".join(kept).lower()


class _DrawnPage:
    """A page with and without its text: `ink` is how much text changes the `picture`. `sides` are
    where text is looked for: what touches none of it is switched off."""

    def __init__(
        self, drawing: Any, width: int, height: int, sides: Sequence[npt.NDArray[np.int_]]
    ) -> None:
        from pypdfium2 import raw

        self._drawing, self._size, page = drawing, (width, height), drawing.raw
        self._frame, self._turn = drawing.get_bbox(), drawing.get_rotation()
        self._field = np.zeros((FIELDS, FIELDS), np.bool_)
        lengths = width, width, height, height
        shares = (side / length * FIELDS for side, length in zip(sides, lengths, strict=True))
        edges = [np.clip(share.astype(int), 0, FIELDS - 1).tolist() for share in shares]
        for left, right, top, foot in zip(*edges, strict=True):
            self._field[top : foot + 1, left : right + 1] = True
        items = [raw.FPDFPage_GetObject(page, n) for n in range(raw.FPDFPage_CountObjects(page))]
        texts, others = self._sorted_out(items)
        marked = any(_is_painted(page, n) for n in range(raw.FPDFPage_GetAnnotCount(page)))
        self._flags = raw.FPDF_ANNOT if marked else 0
        self.picture = self._drawn()
        plain = not (others or marked)
        self.ink = 255 - self.picture if plain else self._ink([text for text, _ in texts])
        boxed = ((text, box) for text, matrix in texts if (box := self._box(text, matrix)))
        self._texts = [
            (text, (u0 * width, u1 * width, v0 * height, v1 * height))
            for text, (u0, u1, v0, v1) in boxed
        ]

    def layers(self, places: Sequence[Edges]) -> list[tuple[Picture, list[tuple[str, Edges]]]]:
        """The text at these places apart: layers in which nothing stands over anything else, but
        the same letters. Of each the ink, and the letters and boxes of its objects. What is in too
        many layers is in none."""
        from pypdfium2 import raw

        reader = self._drawing.get_textpage()
        here: list[tuple[Any, str, Edges]] = []
        for item, box in self._texts:
            if any(_meet(box, place) for place in places):
                count = raw.FPDFTextObj_GetText(item, reader.raw, None, 0)
                buffer = (ctypes.c_ushort * max(1, count // 2))()
                raw.FPDFTextObj_GetText(item, reader.raw, buffer, count)
                letters = _letters_of(bytes(buffer).decode("utf-16-le", "replace"))
                here.append((item, letters, box))
        layers: list[list[tuple[Any, str, Edges]]] = []
        for item, own, box in here:
            letters = own
            if not letters:  # pdfium reads what is painted twice, as bold text may be, once
                twins = (other for _, other, it in here if np.allclose(box, it, rtol=0, atol=2))
                letters = next(filter(None, twins), "")
            for layer in layers:
                if all(letters == other or not _meet(box, it) for _, other, it in layer):
                    layer.append((item, letters, box))
                    break
            else:
                if len(layers) < MOST_LAYERS:
                    layers.append([(item, letters, box)])
        return [
            (self._ink([item for item, *_ in layer]), [(own, box) for _, own, box in layer])
            for layer in layers
        ]

    def _ink(self, items: Sequence[Any]) -> Picture:
        """How much these objects change the picture."""
        from pypdfium2 import raw

        for item in items:
            raw.FPDFPageObj_SetIsActive(item, False)
        without = self._drawn()
        for item in items:
            raw.FPDFPageObj_SetIsActive(item, True)
        ink: Picture = np.maximum(self.picture, without) - np.minimum(self.picture, without)
        return ink

    def _drawn(self) -> Picture:
        """The page in greys, as it is now."""
        from pypdfium2 import raw

        width, height = self._size
        picture = np.full((height, width), 255, np.uint8)
        pixels = picture.ctypes.data_as(ctypes.c_void_p)
        bitmap = raw.FPDFBitmap_CreateEx(width, height, raw.FPDFBitmap_Gray, pixels, width)
        if not bitmap:
            raise MemoryError
        raw.FPDF_RenderPageBitmap(bitmap, self._drawing.raw, 0, 0, width, height, 0, self._flags)
        raw.FPDFBitmap_Destroy(bitmap)
        return picture

    def _sorted_out(
        self, items: Sequence[Any], matrix: Matrix = IDENTITY, depth: int = 0
    ) -> tuple[list[tuple[Any, Matrix]], bool]:
        """The objects of text with their `matrix`, which leads from their coordinates to those of
        the page, and whether there are others, once those that touch nothing are switched off."""
        from pypdfium2 import raw

        texts, others = [], False
        for item in items:
            kind = raw.FPDFPageObj_GetType(item)
            if kind == raw.FPDF_PAGEOBJ_TEXT:
                texts.append((item, matrix))
            elif not self._touches(item, matrix):
                raw.FPDFPageObj_SetIsActive(item, False)
            elif kind == raw.FPDF_PAGEOBJ_FORM and depth < FORM_DEPTH:
                own = raw.FS_MATRIX()
                raw.FPDFPageObj_GetMatrix(item, own)
                inside = times((own.a, own.b, own.c, own.d, own.e, own.f), matrix)
                count = raw.FPDFFormObj_CountObjects(item)
                inner = [raw.FPDFFormObj_GetObject(item, n) for n in range(count)]
                more, has_others = self._sorted_out(inner, inside, depth + 1)
                texts += more
                others |= has_others
            else:
                others = True
        return texts, others

    def _touches(self, item: Any, matrix: Matrix) -> bool:
        """Whether it may touch what is looked at."""
        if (box := self._box(item, matrix)) is None:
            return True
        u0, v0 = (max(0, int(side * FIELDS - 0.5)) for side in box[::2])
        u1, v1 = (max(0, int(side * FIELDS + 1.5)) for side in box[1::2])
        return bool(self._field[v0:v1, u0:u1].any())

    def _box(self, item: Any, matrix: Matrix) -> Edges | None:
        """In shares of the width and the height of the page as it is shown; None where the object
        does not say."""
        from pypdfium2 import raw

        bounds = [ctypes.c_float() for _ in range(4)]
        if not raw.FPDFPageObj_GetBounds(item, *bounds):
            return None
        x0, y0, x1, y1 = (side.value for side in bounds)
        a, b, c, d, e, f = matrix
        corners = ((x, y) for x in (x0, x1) for y in (y0, y1))
        places = [self._shares(a * x + c * y + e, b * x + d * y + f) for x, y in corners]
        us, vs = zip(*places, strict=True)
        return min(us), max(us), min(vs), max(vs)

    def _shares(self, x: float, y: float) -> tuple[float, float]:
        left, foot, right, head = self._frame
        across, up = (x - left) / (right - left), (y - foot) / (head - foot)
        turned = {0: (across, 1 - up), 90: (up, across), 180: (1 - across, up)}
        return turned.get(self._turn, (1 - up, 1 - across))


def _meet(one: Edges, other: Edges) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _is_painted(page: Any, number: int) -> bool:
    """Whether the annotation looks like anything: links mostly do not. Of others viewers make an
    appearance where the file gives none."""
    from pypdfium2 import raw

    annotation = raw.FPDFPage_GetAnnot(page, number)
    is_link = raw.FPDFAnnot_GetSubtype(annotation) == raw.FPDF_ANNOT_LINK
    painted = not is_link or bool(raw.FPDFAnnot_HasKey(annotation, b"AP"))
    raw.FPDFPage_CloseAnnot(annotation)
    return painted
