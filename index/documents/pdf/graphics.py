"""What the text of a page depends on: fonts and the state of the text (ISO 32000-1, 8 and 9)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Matrix = tuple[float, float, float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
# Of a line's size, from its baseline: Latin letters and brackets stand between these.
DEPTH, HEIGHT = 0.22, 0.75
# Knuth's font of large signs has an encoding of its own, and old files do not say which.
LARGE_SIGNS = dict(zip("PQRXYZpqrs", "∑∏∫∑∏∫√√√√", strict=True))
# Nothing, the name of a glyph, a character for private use or the one that stands for none.
LONGEST_READING = 3  # characters of one sign: ligatures have so many
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
        text = str(self.font.character_map.get(name, name))
        descriptor = self.font.font_descriptor
        if len(text) > LONGEST_READING:  # no sign reads as a sentence
            text = ""
        elif getattr(descriptor, "font_file", None) is None and name.isalnum() and text.isalnum():
            text = name  # without a font program glyphs are drawn by their names alone
        if text == code and "CMEX" in self.name:
            text = LARGE_SIGNS.get(code, " ")
        is_space = code == self.font.space_char
        width = self.font.space_width if is_space else self.font.get_text_width(code)
        return text, float(width) / 1000


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
    font: Face | None = None
    size: float = 0.0
    spacing: float = 0.0
    word_spacing: float = 0.0
    scale: float = 1.0
    leading: float = 0.0
    rise: float = 0.0

    def advance(self, extent: Extent) -> float:
        """The width of a string in unscaled text space."""
        spread = extent.codes * self.spacing + extent.spaces * self.word_spacing
        return (extent.width * self.size + spread) * self.scale
