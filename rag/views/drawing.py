"""Pages of a PDF as pdfium shows them: the characters that can be seen, and a picture of them.

The one module that uses pypdfium2 and Pillow. PDF files are hostile input, and pdfium is safe
neither among threads nor against all of them: this runs in a worker process (`rag.views.page_work`).
"""

from __future__ import annotations

import ctypes
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rag.views.page_text import Glyph, key

MEDIA_TYPE = "image/webp"
SIGNATURE = re.compile(rb"RIFF....WEBP", re.DOTALL)
WIDTH = 1000  # pixels: ten points are some sixteen pixels, and a page takes some 50 kB
MOST_PIXELS = 3_000_000
LONGEST_SIDE = 10_000
MOST_CHARACTERS = 100_000
GREYS = 6  # enough for smooth letters
COLOURED = 40  # of 255: how far apart red, green and blue are
FIELD = 8  # pixels each way: of coloured letters a field shows only a tinge
COLOURFUL = 0.01  # share of coloured fields with which a page has pictures
INK = 12  # of 255: a step in brightness that can be seen
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in shares of the page as it is shown."""
TURNED = 5  # degrees
FINE = 1_000_000  # the whole side of a page: pdfium gives places on it in whole numbers


@dataclass(frozen=True, slots=True)
class Drawn:
    """One page: its size in points as it is shown, what can be read on it, and its picture."""

    size: tuple[float, float]
    glyphs: tuple[Glyph, ...]
    pixels: tuple[int, int]
    data: bytes


class Drawing:
    """An open PDF file. Whatever pdfium raises for a broken one goes through."""

    def __init__(self, data: bytes) -> None:
        import pypdfium2

        self._file = pypdfium2.PdfDocument(data)

    def page(self, number: int) -> Drawn:
        """Page `number`, 1-based."""
        page = self._file[number - 1]
        size = page.get_size()
        picture = _picture(page, size)
        glyphs = tuple(_glyphs(page, number, size, _Ink(picture)))
        return Drawn(size, glyphs, picture.size, _packed(picture))


def _picture(page: Any, size: tuple[float, float]) -> Any:
    """The page in colour, without annotations: they draw frames around links."""
    width, height = size
    scale = min(
        WIDTH / width,
        math.sqrt(MOST_PIXELS / (width * height)),
        LONGEST_SIDE / max(width, height),
    )
    bitmap = page.render(scale=scale, draw_annots=False, may_draw_forms=False, rev_byteorder=True)
    return bitmap.to_pil().convert("RGB")


def _packed(picture: Any) -> bytes:
    """A page of text in a few greys without loss, a page with pictures in colour."""
    import numpy as np
    from PIL import Image

    out = io.BytesIO()
    fields = np.asarray(picture.reduce(FIELD)).astype(np.int16)
    if (fields.max(axis=2) - fields.min(axis=2) > COLOURED).mean() > COLOURFUL:
        picture.save(out, "WEBP", quality=30, method=2)
    else:
        steps = [round(round(v * (GREYS - 1) / 255) * 255 / (GREYS - 1)) for v in range(256)]
        grey = picture.convert("L").point(steps)
        # Beyond this quality a page takes twice the time to become a tenth smaller.
        Image.merge("RGB", (grey,) * 3).save(out, "WEBP", lossless=True, quality=20, method=1)
    return out.getvalue()


class _Ink:
    """Where the picture shows anything: sums over its steps in brightness."""

    def __init__(self, picture: Any) -> None:
        import numpy as np

        grey = np.asarray(picture.convert("L")).astype(np.int16)
        steps = np.zeros(grey.shape, dtype=bool)
        steps[:, 1:] |= np.abs(np.diff(grey, axis=1)) > INK
        steps[1:, :] |= np.abs(np.diff(grey, axis=0)) > INK
        self._height, self._width = grey.shape
        self._sums = np.zeros((self._height + 1, self._width + 1), dtype=np.int32)
        self._sums[1:, 1:] = steps.cumsum(axis=0).cumsum(axis=1)

    def within(self, boxes: Sequence[Box]) -> list[bool]:
        """For each part of the page whether it shows anything."""
        import numpy as np

        left, top, right, bottom = np.clip(np.array(boxes, dtype=float).reshape(-1, 4), -1, 2).T
        x0 = np.clip(np.floor(left * self._width), 0, self._width - 1).astype(int)
        y0 = np.clip(np.floor(top * self._height), 0, self._height - 1).astype(int)
        x1 = np.clip(np.ceil(right * self._width) + 1, x0 + 1, self._width).astype(int)
        y1 = np.clip(np.ceil(bottom * self._height) + 1, y0 + 1, self._height).astype(int)
        sums = self._sums
        found = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        inside = (left < 1) & (right > 0) & (top < 1) & (bottom > 0)
        return [bool(seen) for seen in (found > 0) & inside]


def _glyphs(page: Any, number: int, size: tuple[float, float], ink: _Ink) -> Iterator[Glyph]:
    """The characters that can be seen, in the order of the content."""
    width, height = size
    characters = list(_characters(page))
    seen = ink.within([box for _, box in characters])
    for (char, (left, top, right, bottom)), visible in zip(characters, seen, strict=True):
        if visible:
            yield Glyph(
                number, key(char), left * width, top * height, right * width, bottom * height
            )


def _characters(page: Any) -> Iterator[tuple[str, Box]]:
    """All characters but spaces and what pdfium makes up."""
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    shown, turn = _as_shown(page), page.get_rotation()
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    matrix = pdfium.FS_MATRIX()
    first = 0
    for index in range(min(text.count_chars(), MOST_CHARACTERS)):
        code = pdfium.FPDFText_GetUnicode(text, index)
        if 0xD800 <= code < 0xDC00:  # one half of a character, which comes as two
            first = code
            continue
        if first and 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((first - 0xD800) << 10) + code - 0xDC00
        first = 0
        if chr(code).isspace() or pdfium.FPDFText_IsGenerated(text, index) == 1:
            continue
        pdfium.FPDFText_GetMatrix(text, index, matrix)
        turned = math.degrees(math.atan2(matrix.b, matrix.a)) - turn
        if abs((turned + 180) % 360 - 180) > TURNED:  # our text has upright lines only
            continue
        if pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top):
            one, other = shown(left.value, bottom.value), shown(right.value, top.value)
            xs, ys = sorted((one[0], other[0])), sorted((one[1], other[1]))
            yield chr(code), (xs[0], ys[0], xs[1], ys[1])


def _as_shown(page: Any) -> Callable[[float, float], tuple[float, float]]:
    """From a point of the page's own space to shares of the page as it is shown, turned and
    cropped: pdfium says where three corners go, and the rest is linear."""
    import pypdfium2.raw as pdfium

    left, foot, right, head = page.get_bbox()

    def place(x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, FINE, FINE, 0, x, y, across, down)
        return across.value / FINE, down.value / FINE

    (ox, oy), (ax, ay), (bx, by) = place(left, foot), place(right, foot), place(left, head)
    wide, high = (right - left) or 1.0, (head - foot) or 1.0

    def shown(x: float, y: float) -> tuple[float, float]:
        along, up = (x - left) / wide, (y - foot) / high
        return ox + along * (ax - ox) + up * (bx - ox), oy + along * (ay - oy) + up * (by - oy)

    return shown
