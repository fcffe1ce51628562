"""What pdfium, which shares no code with the extraction, reads at the places of a quote."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import pypdfium2

from rag.views.highlight import Highlight


def covered(file: Any, highlights: Sequence[Highlight]) -> str:
    """The text that pdfium has at the rectangles, in their order; `file` is open or bytes."""
    file = pypdfium2.PdfDocument(file) if isinstance(file, bytes) else file
    parts = []
    for highlight in highlights:
        page = file[highlight.page - 1]
        textpage = page.get_textpage()
        for box in highlight.rectangles:
            (x0, y0), (x1, y1) = _own(page, box.left, box.top), _own(page, box.right, box.bottom)
            xs, ys = sorted((x0, x1)), sorted((y0, y1))
            parts.append(textpage.get_text_bounded(xs[0], ys[0], xs[1], ys[1]))
    return " ".join(parts)


def _own(page: Any, u: float, v: float) -> tuple[float, float]:
    """The point of the page's own space that is shown at these shares of its width and height."""
    left, foot, right, head = page.get_bbox()
    w, h = right - left, head - foot
    return {
        0: (left + u * w, head - v * h),
        90: (left + v * w, foot + u * h),
        180: (right - u * w, foot + v * h),
        270: (right - v * w, head - u * h),
    }[page.get_rotation()]


def folded(words: str) -> str:
    """Without spaces, hyphens, accents and what two readers of one font call differently."""
    words = words.translate({1: "fi", 2: "-", 3: "ffi", 0xFFFE: "-"})
    plain = unicodedata.normalize("NFKD", words).replace("ı", "i").lower()
    return re.sub(r"[\s\-−–—/⁄´`ˆ˜¨ˇ*∗~∼\u00ad\u0300-\u036f]", "", plain)


def words(text: str) -> list[str]:
    """Words of letters, those broken at the end of a line in one piece."""
    whole = re.sub(r"[\ufffe\x02\u00ad]\s*|(?<=\w)-\s+", "", text)
    return re.findall(r"[a-z]{3,}", unicodedata.normalize("NFKD", whole).lower())
