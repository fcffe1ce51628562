"""Runs of text on one page, as the content stream paints them (ISO 32000-1, 8 and 9).

pypdf parses the file and decodes the fonts; this module follows the operators, because only fonts
and the graphics state tell where text stands. Whether it can be seen is not known here (`ink`).
Knows nothing of lines or of words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from index.documents import Box

Matrix = tuple[float, float, float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
# Of a line's size, from its baseline: Latin letters and brackets stand between these.
DEPTH, HEIGHT = 0.22, 0.75
# Knuth's font of large signs has an encoding of its own, and old files do not say which.
LARGE_SIGNS = dict(zip("PQRXYZpqrs", "∑∏∫∑∏∫√√√√", strict=True))
LONGEST_READING = 3  # characters of one sign: ligatures have so many
# Nothing, the name of a glyph, a character for private use or the one that stands for none.
UNREAD = re.compile("|/.+|[\ue000-\uf8ff\ufffd]")
UNREADABLE = 2.0  # points: nobody reads text lower than this
KERNING = 0.1  # em: half of the smallest shift inside one string that is a gap
FORM_DEPTH = 12  # forms within forms: deeper ones are not followed
DEEPEST_STACK = 10_000
SHOWS = re.compile(rb"T[jJ]|Do|['\"]")
PLAIN_NUMBERS = {b"Tc": "spacing", b"Tw": "word_spacing", b"TL": "leading", b"Ts": "rise"}
# The operators that are followed: those of the others that paint are pdfium's.
TEXTUAL = {
    *(b"TJ", b"Tj", b"'", b'"', b"Td", b"TD", b"T*", b"Tm", b"BT", b"Tf", b"Tz"),
    *(b"q", b"Q", b"cm", b"Do"),
    *PLAIN_NUMBERS,
}
NO_SENSE = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)


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


class Interpreter:
    """Follows the operators of one page. `box` is what the page shows; `face` gives the font of
    a resource dictionary under a name, or None; `parse` gives the operations of a form."""

    def __init__(
        self, box: Box, base: Matrix, face: Callable[[Any, str], Face | None], parse: Any
    ) -> None:
        self.box = box
        self.face = face
        self.parse = parse
        self.state = State(ctm=base)
        self.saved: list[State] = []
        self.tm: Matrix = IDENTITY
        self.line: Matrix = IDENTITY
        self.runs: list[Run] = []
        self.resources: Any = {}
        self.depth = 0

    def follow(self, operations: Any, resources: Any) -> None:
        """Read all operations; one that makes no sense is passed over, as viewers do."""
        level, around = len(self.saved), self.resources
        self.resources = resources
        for operands, operator in operations:
            try:
                self._operate(operator, operands)
            except NO_SENSE:
                continue
        self.resources = around
        if len(self.saved) > level:
            self.state = self.saved[level]
            del self.saved[level:]

    def _operate(self, op: bytes, operands: list[Any]) -> None:
        state = self.state
        match op:
            case b"TJ":
                self._show(operands[0])
            case b"Tj":
                self._show(operands)
            case b"Td":
                self._next_line(*numbers(operands, 2))
            case b"q":
                if len(self.saved) < DEEPEST_STACK:
                    self.saved.append(replace(state))
            case b"Q":
                if self.saved:
                    self.state = self.saved.pop()
            case b"cm":
                a, b, c, d, e, f = numbers(operands, 6)
                state.ctm = times((a, b, c, d, e, f), state.ctm)
            case b"BT":
                self.tm = self.line = IDENTITY
            case b"Tf":
                state.font = self.face(self.resources, operands[0])
                state.size = numbers(operands, 1)[0]
            case b"Tm":
                a, b, c, d, e, f = numbers(operands, 6)
                self.tm = self.line = (a, b, c, d, e, f)
            case b"TD":
                state.leading = -numbers(operands, 2)[1]
                self._next_line(*numbers(operands, 2))
            case b"T*":
                self._next_line(0, -state.leading)
            case b"'":
                self._next_line(0, -state.leading)
                self._show(operands)
            case b'"':
                state.word_spacing, state.spacing = numbers(operands[:2], 2)
                self._next_line(0, -state.leading)
                self._show(operands[2:])
            case b"Tz":
                state.scale = numbers(operands, 1)[0] / 100
            case b"Tc" | b"Tw" | b"TL" | b"Ts":
                setattr(state, PLAIN_NUMBERS[op], numbers(operands, 1)[0])
            case b"Do":
                self._paint_object(self.resources["/XObject"][operands[0]].get_object())

    def _paint_object(self, form: Any) -> None:
        if form.get("/Subtype") == "/Image":
            self._note_picture([0, 0, 1, 1])
        elif form.get("/Subtype") == "/Form" and self.depth < FORM_DEPTH:
            before, tm, line = replace(self.state), self.tm, self.line
            self._operate(b"cm", list(form.get("/Matrix", IDENTITY)))
            if SHOWS.search(form.get_data()):
                inner = form.get("/Resources", self.resources).get_object()
                operations = self.parse(form)
                self.depth += 1
                self.follow(operations, inner)
                self.depth -= 1
            else:  # a drawing without a word in it is not worth reading
                self._note_picture(numbers(list(form["/BBox"]), 4))
            self.state, self.tm, self.line = before, tm, line

    def _note_picture(self, box: list[float]) -> None:
        a, b, c, d, e, f = self.state.ctm
        corners = [(a * x + c * y + e, b * x + d * y + f) for x in box[::2] for y in box[1::2]]
        xs, ys = zip(*corners, strict=True)
        self.runs.append(Run("", min(xs), max(xs), min(ys), max(ys) - min(ys), "", figure=True))

    def _next_line(self, x: float, y: float) -> None:
        self.tm = self.line = times((1, 0, 0, 1, x, y), self.line)

    def _show(self, items: Any) -> None:
        state, face = self.state, self.state.font
        matrix = times(self.tm, state.ctm)
        if face is None:  # nothing tells how wide it is
            self._note_unread(matrix[4], matrix[5], abs(state.size) * math.hypot(*matrix[2:4]))
            return
        parts: list[tuple[float, Shown]] = []
        advance = start = 0.0  # in unscaled text space
        for item in items:
            if isinstance(item, bytes | str):
                data = item if isinstance(item, bytes) else item.encode("latin-1", "replace")
                shown = face.shown(data)
                if shown.extent.codes:
                    parts.append((advance, shown))
                advance += state.advance(shown.extent)
            elif isinstance(item, int | float):
                shift = -float(item) / 1000
                if not -2 * KERNING < shift < KERNING:
                    self._emit(parts, start, advance, matrix, face.name)
                    parts = []
                advance += shift * state.size * state.scale
                if not parts:
                    start = advance
        self._emit(parts, start, advance, matrix, face.name)
        self.tm = times((1, 0, 0, 1, advance, 0), self.tm)

    def _emit(
        self, parts: list[tuple[float, Shown]], start: float, end: float, matrix: Matrix, font: str
    ) -> None:
        if not parts:
            return
        text = "".join([shown.text for _, shown in parts])
        state = self.state
        a, b, c, d, e, f = matrix
        upright = a > 0 and abs(b) < 0.05 * a and d != 0
        size = abs(state.size) * math.hypot(c, d)
        width = abs(state.size * state.scale) * math.hypot(a, b)
        if not upright or min(size, width) < UNREADABLE:
            return
        left = c * state.rise + e
        x0, x1 = a * start + left, a * end + left
        y = b * start + d * state.rise + f
        left_edge, foot, right_edge, head = self.box
        if x1 <= left_edge or x0 >= right_edge or y + size <= foot or y >= head:
            return
        for begin, shown in parts:
            for extent in shown.unread:
                self._note_unread(a * (begin + state.advance(extent)) + left, y, size)
        stops: list[tuple[int, float]] = []
        if not text:
            return
        if " " in text:
            length = 0
            for begin, shown in parts:
                for offset, extent in shown.stops:
                    stops.append((length + offset, a * (begin + state.advance(extent)) + left))
                length += len(shown.text)
        self.runs.append(Run(text, x0, max(x0, x1), y, size, font, self.depth > 0, stops))

    def _note_unread(self, x: float, y: float, size: float) -> None:
        self.runs.append(Run("", x, x + 0.5 * size, y, size, "", self.depth > 0))
