"""What the text of a page depends on: fonts, colours, and what was painted over (ISO 32000-1)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from index.documents.document import Box

Matrix = tuple[float, float, float, float, float, float]
Point = tuple[float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
# Knuth's font of large signs has an encoding of its own, and old files do not say which.
LARGE_SIGNS = dict(zip("PQRXYZpqrs", "∑∏∫∑∏∫√√√√", strict=True))
# Nothing, the name of a glyph, a character for private use or the one that stands for none.
UNREAD = re.compile("|/.+|[\ue000-\uf8ff\ufffd]")


class Run(NamedTuple):
    """Text painted in one go. Coordinates are points of the page as shown, `y` the baseline;
    `figure` where it stands in a form, as the text of drawings does. `stops` are offsets in the
    text with their x: both edges of each space. Without text it is a sign that cannot be read, or
    as `figure` a picture, `size` high."""

    text: str
    x0: float
    x1: float
    y: float
    size: float
    font: str
    figure: bool = False
    stops: Sequence[tuple[int, float]] = ()


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


class Extent(NamedTuple):
    """How far a string goes: its width in em, its codes, and those that word spacing applies to."""

    width: float
    codes: int
    spaces: int


class Shown(NamedTuple):
    """A string as it reads. `stops` are offsets in the text, at both edges of each space, with
    the extent up to there; `unread` are the extents up to signs that cannot be read."""

    text: str
    extent: Extent
    stops: Sequence[tuple[int, Extent]]
    unread: Sequence[Extent] = ()


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
        if data not in self.strings:
            self.strings[data] = self._shown(data)
        return self.strings[data]

    def _shown(self, data: bytes) -> Shown:
        encoding = self.font.encoding
        if isinstance(encoding, str):
            try:
                codes = data.decode(encoding, "surrogatepass")
            except (UnicodeDecodeError, LookupError):
                codes = data.decode("utf-16-be", "replace")
        else:
            codes = data.decode("latin-1")
        text, width, spaces = "", 0.0, 0
        stops: list[tuple[int, Extent]] = []
        unread: list[Extent] = []
        for count, code in enumerate(codes):
            if code not in self.codes:
                self.codes[code] = self._read(code, encoding)
            part, em = self.codes[code]
            if part == " ":
                stops.append((len(text), Extent(width, count, spaces)))
            if em > 0 and UNREAD.fullmatch(part):
                unread.append(Extent(width, count, spaces))
            text += part
            width += em
            spaces += code == " "
            if part == " ":
                stops.append((len(text), Extent(width, count + 1, spaces)))
        return Shown(text, Extent(width, len(codes), spaces), stops, unread)

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
OWN_SPACE = {b"g", b"rg", b"k", b"G", b"RG", b"K"}
COLOURS = OWN_SPACE | {b"sc", b"scn", b"SC", b"SCN"}
PLAIN_SPACES = {"/DeviceGray", "/DeviceRGB", "/DeviceCMYK", "/CalGray", "/CalRGB", "/ICCBased"}


def colour_of(values: list[float]) -> Colour:
    """RGB of grey, RGB or CMYK components; None of any others."""
    match values:
        case [grey]:
            return grey, grey, grey
        case [red, green, blue]:
            return red, green, blue
        case [c, m, y, k]:
            return max(0.0, 1 - c - k), max(0.0, 1 - m - k), max(0.0, 1 - y - k)
    return None


def alike(one: Colour, other: Colour) -> bool:
    """Whether no eye could tell them apart."""
    if one is None or other is None:
        return False
    return all(abs(a - b) <= SAME_COLOUR for a, b in zip(one, other, strict=True))


class Ground:
    """The page as painted so far: a white sheet, and areas on it."""

    def __init__(self) -> None:
        self._areas: list[tuple[Box, list[tuple[Box, int]], Colour]] = []
        self._colours: set[Colour] = {WHITE}
        self._stands_out: dict[Colour, bool] = {}  # from every colour there is

    def paint(self, path: Sequence[Sequence[Point]], colour: Colour, *, odd: bool) -> None:
        """Fill a path, each subpath taken for its bounding box. Rules (2 points thick or less)
        hide nothing. Where subpaths overlap, the even-odd rule applies if `odd`, else the nonzero
        winding number rule (8.5.3.3): a box within a box may be a hole."""
        boxes: list[tuple[Box, int]] = []
        for points in filter(None, path):
            xs, ys = [p[0] for p in points], [p[1] for p in points]
            box = min(xs), min(ys), max(xs), max(ys)
            if box[2] - box[0] > 2 and box[3] - box[1] > 2:
                boxes.append((box, 0 if odd else _turn(points)))
        if boxes and len(self._areas) < MOST_AREAS:
            lefts, feet, rights, heads = zip(*(box for box, _ in boxes), strict=True)
            around = min(lefts), min(feet), max(rights), max(heads)
            self._areas.append((around, boxes, colour))
            if colour not in self._colours:
                self._colours.add(colour)
                self._stands_out.clear()

    def shows(self, inks: tuple[Colour, ...], x: float, y: float) -> bool:
        """Whether any of `inks` stands out from what is at this point."""
        for ink in inks:
            if ink not in self._stands_out:
                self._stands_out[ink] = not any(alike(ink, under) for under in self._colours)
        if all(self._stands_out[ink] for ink in inks):
            return True
        under = WHITE
        for (left, foot, right, head), boxes, colour in reversed(self._areas):
            if left <= x <= right and foot <= y <= head and _filled(boxes, x, y):
                under = colour
                break
        return any(not alike(ink, under) for ink in inks)


def _turn(points: Sequence[Point]) -> int:
    """1 for a subpath that goes round anticlockwise, -1 for a clockwise one."""
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise([*points, points[0]]))
    return 1 if area > 0 else -1


def _filled(boxes: Sequence[tuple[Box, int]], x: float, y: float) -> bool:
    turns = [turn for (x0, y0, x1, y1), turn in boxes if x0 <= x <= x1 and y0 <= y <= y1]
    return sum(turns) != 0 if any(turns) else len(turns) % 2 == 1


def numbers(operands: list[Any], count: int) -> list[float]:
    """The last `count` operands as finite floats; ValueError where they are not."""
    values = [float(item) for item in operands[len(operands) - count :]]
    if len(operands) < count or not all(map(math.isfinite, values)):
        raise ValueError("operands missing")
    return values


@dataclass(slots=True)
class State:
    """The graphics state that q saves and Q restores."""

    ctm: Matrix = IDENTITY
    fill: Colour = BLACK
    stroke: Colour = BLACK
    fill_known: bool = True  # False while the colour space is one whose white is not known
    stroke_known: bool = True
    alpha: float = 1.0
    font: Face | None = None
    size: float = 0.0
    spacing: float = 0.0
    word_spacing: float = 0.0
    scale: float = 1.0
    leading: float = 0.0
    rise: float = 0.0
    mode: int = 0

    def set_space(self, kind: Literal["fill", "stroke"], family: Any) -> None:
        """Choose a colour space: its first colour is black."""
        setattr(self, f"{kind}_known", family in PLAIN_SPACES)
        setattr(self, kind, BLACK)

    def set_colour(self, op: bytes, operands: list[Any]) -> None:
        """Apply g, rg, k, sc, scn (fill) or their capitals (stroke)."""
        kind = "fill" if op.islower() else "stroke"
        known = op in OWN_SPACE or getattr(self, f"{kind}_known")
        setattr(self, f"{kind}_known", known)
        setattr(self, kind, colour_of([float(v) for v in operands] if known else []))

    def advance(self, extent: Extent) -> float:
        """The width of a string in unscaled text space."""
        spread = extent.codes * self.spacing + extent.spaces * self.word_spacing
        return (extent.width * self.size + spread) * self.scale
