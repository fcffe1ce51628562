"""Pages of a PDF as pictures, drawn by pdfium.

PDF files are hostile input, and pdfium is safe neither among threads nor against all of them:
`draw` runs in a worker process, and `drawn_pages` reads its reply with distrust.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

MEDIA_TYPE = "image/webp"
PICTURE = re.compile(rb"(\d{1,5}) (\d{1,5}) (\d{1,7})\n(?=RIFF....WEBP)", re.DOTALL)
WIDTH = 1000  # pixels: ten points are some sixteen pixels, and a page takes some 50 kB
MOST_PIXELS = 3_000_000
LONGEST_SIDE = 10_000
GREYS = 6  # enough for smooth letters
COLOURED = 40  # of 255: how far apart red, green and blue are
FIELD = 8  # pixels each way: of coloured letters a field shows only a tinge
COLOURFUL = 0.01  # share of coloured fields with which a page has pictures


def draw(source_id: str, data: bytes, numbers: bytes) -> bytes:
    """Pages of a PDF as pictures: for each of the 1-based `numbers`, separated by spaces, its
    width, height and length on a line, and then its bytes. Raises whatever pdfium and Pillow raise
    for a broken file."""
    import pypdfium2

    reply: list[bytes] = []
    file = pypdfium2.PdfDocument(data)
    for number in map(int, numbers.split()):
        page = file[number - 1]
        width, height = page.get_size()
        scale = min(
            WIDTH / width,
            math.sqrt(MOST_PIXELS / (width * height)),
            LONGEST_SIDE / max(width, height),
        )
        # Annotations draw frames around links.
        bitmap = page.render(
            scale=scale, draw_annots=False, may_draw_forms=False, rev_byteorder=True
        )
        picture = bitmap.to_pil().convert("RGB")
        packed = _packed(picture)
        reply += b"%d %d %d\n" % (*picture.size, len(packed)), packed
    return b"".join(reply)


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


def drawn_pages(reply: bytes, numbers: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Width and height in pixels and the bytes of each page in a reply of `draw`. The file may
    have taken over the worker: raises ValueError for anything but a picture of each of these."""
    pages = []
    start = 0
    for number in numbers:
        header = PICTURE.match(reply, start)
        width, height, length = map(int, header.groups()) if header else (0, 0, 0)
        if header is None or not 0 < width * height <= 2 * MOST_PIXELS:
            raise ValueError(f"the picture of page {number} is none")
        start = header.end() + length
        pages.append((width, height, reply[header.end() : start]))
    if start != len(reply):
        raise ValueError("other pictures than were asked for")
    return pages
