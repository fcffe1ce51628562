"""What is painted in one go, and what the codes of a font read as. Pure data and arithmetic."""

from __future__ import annotations

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
