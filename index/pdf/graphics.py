"""The graphics state of a page (ISO 32000-1, 8.4 and 9.3), as far as text depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from index.pdf.glyphs import IDENTITY, Matrix
from index.pdf.paint import BLACK, Colour, colour_of

COLOURS = {b"g", b"rg", b"k", b"sc", b"scn", b"G", b"RG", b"K", b"SC", b"SCN"}
OWN_SPACE = {b"g", b"rg", b"k", b"G", b"RG", b"K"}
PLAIN_SPACES = {
    "/DeviceGray",
    "/DeviceRGB",
    "/DeviceCMYK",
    "/CalGray",
    "/CalRGB",
    "/ICCBased",
}


def numbers(operands: list[Any], count: int) -> list[float]:
    """The last `count` operands as finite floats; ValueError where they are not."""
    found = [float(item) for item in operands[len(operands) - count :]]
    if len(operands) < count or not all(map(math.isfinite, found)):
        raise ValueError("operands missing")
    return found


@dataclass(slots=True)
class State:
    """The graphics state that q saves and Q restores."""

    ctm: Matrix = IDENTITY
    fill: Colour = BLACK
    stroke: Colour = BLACK
    fill_known: bool = True  # False while the colour space is one whose white is not known
    stroke_known: bool = True
    alpha: float = 1.0
    font: Any = None
    size: float = 0.0
    spacing: float = 0.0
    word_spacing: float = 0.0
    scale: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    mode: int = 0

    def set_space(self, kind: str, family: Any) -> None:
        """Choose the colour space of `kind` (fill or stroke): its first colour is black."""
        setattr(self, f"{kind}_known", family in PLAIN_SPACES)
        setattr(self, kind, BLACK)

    def set_colour(self, op: bytes, operands: list[Any]) -> None:
        """What the operators g, rg, k, sc, scn and their capitals do."""
        kind = "fill" if op.islower() else "stroke"
        if op in OWN_SPACE:
            setattr(self, f"{kind}_known", True)
        known = getattr(self, f"{kind}_known")
        setattr(self, kind, colour_of([float(v) for v in operands] if known else []))
