"""What is painted in one go, and what the codes of a font read as. Pure data and arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
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


@dataclass(slots=True)
class Face:
    """A font as needed here: what each code reads as and how wide it is, in em."""

    name: str
    font: Any
    known: dict[str, tuple[str, float]] = field(default_factory=dict)

    def codes(self, data: bytes) -> Iterator[tuple[str, float, bool]]:
        """Text, width and whether word spacing applies, for each code of a shown string."""
        encoding = self.font.encoding
        if isinstance(encoding, str):
            try:
                raw = data.decode(encoding, "surrogatepass")
            except (UnicodeDecodeError, LookupError):
                raw = data.decode("utf-16-be", "replace")
        else:
            raw = data.decode("latin-1")
        for code in raw:
            if code not in self.known:
                self.known[code] = self._read(code, encoding)
            yield *self.known[code], code == " "

    def _read(self, code: str, encoding: Any) -> tuple[str, float]:
        name = code if isinstance(encoding, str) else encoding.get(ord(code), code)
        text = self.font.character_map.get(name, name)
        if text == code and "CMEX" in self.name:
            text = LARGE_SIGNS.get(code, " ")
        is_space = code == self.font.space_char
        width = self.font.space_width if is_space else self.font.get_text_width(code)
        return (text if isinstance(text, str) else str(text)), float(width) / 1000
