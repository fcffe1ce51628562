"""The graphics state of a page (ISO 32000-1, 8.4 and 9.3), as far as text depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

Matrix = tuple[float, float, float, float, float, float]
Box = tuple[float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
# Knuth's font of large signs has an encoding of its own, and old files do not say which.
LARGE_SIGNS = dict(zip("PQRXYZpqrs", "∑∏∫∑∏∫√√√√", strict=True))


@dataclass(frozen=True, slots=True)
class Run:
    """Text painted in one go. Coordinates are points in the unrotated page, y upwards from its
    foot, `y` the baseline; `figure` where it stands in a form, as the text of drawings does."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    font: str
    figure: bool = False


def times(m: Matrix, n: Matrix) -> Matrix:
    """The matrix that applies `m` first and then `n`."""
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A shown string as it reads: `width` in em, `codes` and `spaces` (those that word spacing
    applies to) counted."""

    text: str
    width: float
    codes: int
    spaces: int


@dataclass(slots=True)
class Face:
    """A font as needed here: what its strings read as and how wide they are. The same syllables
    come again and again: each is read once."""

    name: str
    font: Any
    codes: dict[str, tuple[str, float]] = field(default_factory=dict)
    strings: dict[bytes, Shown] = field(default_factory=dict)

    def shown(self, data: bytes) -> Shown:
        """What the string shows."""
        found = self.strings.get(data)
        if found is None:
            found = self.strings[data] = self._shown(data)
        return found

    def _shown(self, data: bytes) -> Shown:
        encoding = self.font.encoding
        if isinstance(encoding, str):
            try:
                raw = data.decode(encoding, "surrogatepass")
            except (UnicodeDecodeError, LookupError):
                raw = data.decode("utf-16-be", "replace")
        else:
            raw = data.decode("latin-1")
        for code in raw:
            if code not in self.codes:
                self.codes[code] = self._read(code, encoding)
        read = [self.codes[code] for code in raw]
        return Shown(
            "".join(text for text, _ in read),
            sum(width for _, width in read),
            len(raw),
            raw.count(" "),
        )

    def _read(self, code: str, encoding: Any) -> tuple[str, float]:
        name = code if isinstance(encoding, str) else encoding.get(ord(code), code)
        text = self.font.character_map.get(name, name)
        if text == code and "CMEX" in self.name:
            text = LARGE_SIGNS.get(code, " ")
        is_space = code == self.font.space_char
        width = self.font.space_width if is_space else self.font.get_text_width(code)
        return (text if isinstance(text, str) else str(text)), float(width) / 1000


Colour = tuple[float, float, float] | None  # None: a pattern or an ink, which is never invisible

WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.0, 0.0, 0.0)
SAME_COLOUR = 0.04
MOST_AREAS = 4000


def colour_of(values: list[float]) -> Colour:
    """RGB of grey, RGB or CMYK components."""
    if len(values) == 1:
        return (values[0], values[0], values[0])
    if len(values) == 3:
        return (values[0], values[1], values[2])
    if len(values) == 4:
        ink = values[3]
        return tuple(max(0.0, 1 - v - ink) for v in values[:3])  # type: ignore[return-value]
    return None


def alike(one: Colour, other: Colour) -> bool:
    """Whether no eye could tell them apart."""
    if one is None or other is None:
        return False
    return all(abs(a - b) <= SAME_COLOUR for a, b in zip(one, other, strict=True))


class Ground:
    """The page as painted so far: a white sheet, and areas on it."""

    def __init__(self) -> None:
        self.areas: list[tuple[Box, Colour]] = []
        self.colours: set[Colour] = {WHITE}
        self._stands_out: dict[Colour, bool] = {}  # from every colour there is

    def paint(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Cover the box around `points`; what is as thin as a rule hides nothing."""
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        if len(self.areas) < MOST_AREAS and max(xs) - min(xs) > 2 and max(ys) - min(ys) > 2:
            self.areas.append(((min(xs), min(ys), max(xs), max(ys)), colour))
            if colour not in self.colours:
                self.colours.add(colour)
                self._stands_out.clear()

    def shows(self, inks: tuple[Colour, ...], x: float, y: float) -> bool:
        """Whether any of `inks` stands out from what is at this point."""
        for ink in inks:
            if ink not in self._stands_out:
                self._stands_out[ink] = not any(alike(ink, under) for under in self.colours)
        if all(self._stands_out[ink] for ink in inks):
            return True
        under = WHITE
        for (left, foot, right, head), colour in reversed(self.areas):
            if left <= x <= right and foot <= y <= head:
                under = colour
                break
        return any(not alike(ink, under) for ink in inks)


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
