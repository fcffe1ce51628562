"""Runs of visible text on one page, as the content stream paints them (ISO 32000-1, 8 and 9).

pypdf parses the file and decodes the fonts; this module follows the operators, because only the
graphics state tells what a reader can see and where. Knows nothing of lines or of words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

Matrix = tuple[float, float, float, float, float, float]
Colour = tuple[float, float, float] | None  # None: a pattern or an ink, which is never invisible
Box = tuple[float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)
BLACK: Colour = (0.0, 0.0, 0.0)
UNREADABLE = 1.0  # points: nobody reads text lower than this
SAME_COLOUR = 0.04
KERNING = 0.1  # em: a smaller shift inside one string is no gap
FORM_DEPTH = 12
PAINTED_AREAS = 4000
LONGEST_PATH = 100_000


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


def numbers(operands: list[Any], count: int) -> list[float]:
    """The last `count` operands as finite floats; ValueError where they are not."""
    found = [float(item) for item in operands[len(operands) - count :]]
    if len(operands) < count or not all(map(math.isfinite, found)):
        raise ValueError("operands missing")
    return found


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
        is_space = code == self.font.space_char
        width = self.font.space_width if is_space else self.font.get_text_width(code)
        return (text if isinstance(text, str) else str(text)), float(width) / 1000


class Interpreter:
    """Follows the operators of one page. `box` is what the page shows; `face` gives the font of
    a resource dictionary under a name, or None."""

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
        self.path: list[tuple[float, float]] = []
        self.areas: list[tuple[Box, Colour]] = []
        self.grounds: set[Colour] = {WHITE}
        self.runs: list[Run] = []

    def follow(self, operations: Any, resources: Any, depth: int = 0) -> None:
        """Read all operations; one that makes no sense is passed over, as viewers do."""
        level = len(self.saved)
        for operands, operator in operations:
            try:
                self._operate(operator, operands, resources, depth)
            except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError):
                continue
        if len(self.saved) > level:
            self.state = self.saved[level]
            del self.saved[level:]

    def _operate(self, op: bytes, operands: list[Any], resources: Any, depth: int) -> None:
        state = self.state
        if op in PLAIN_NUMBERS:
            setattr(state, PLAIN_NUMBERS[op], numbers(operands, 1)[0])
        elif op == b"Tj":
            self._show([operands[0]], depth)
        elif op == b"TJ":
            self._show(operands[0], depth)
        elif op in (b"'", b'"'):
            if op == b'"':
                state.word_spacing, state.spacing = numbers(operands[:2], 2)
            self._next_line(0, -state.leading)
            self._show([operands[-1]], depth)
        elif op in (b"Td", b"TD"):
            x, y = numbers(operands, 2)
            if op == b"TD":
                state.leading = -y
            self._next_line(x, y)
        elif op == b"Tm":
            a, b, c, d, e, f = numbers(operands, 6)
            self.tm = self.line = (a, b, c, d, e, f)
        elif op == b"T*":
            self._next_line(0, -state.leading)
        elif op == b"BT":
            self.tm = self.line = IDENTITY
        elif op == b"Tf":
            state.font = self.face(resources, operands[0])
            state.size = numbers(operands, 1)[0]
        elif op == b"Tz":
            state.scale = numbers(operands, 1)[0] / 100
        elif op == b"Tr":
            state.mode = int(numbers(operands, 1)[0])
        elif op == b"q":
            if len(self.saved) < 10_000:
                self.saved.append(replace(state))
        elif op == b"Q":
            if self.saved:
                self.state = self.saved.pop()
        elif op == b"cm":
            a, b, c, d, e, f = numbers(operands, 6)
            state.ctm = times((a, b, c, d, e, f), state.ctm)
        elif op == b"Do":
            self._paint_object(resources["/XObject"][operands[0]].get_object(), resources, depth)
        elif op == b"gs":
            settings = resources["/ExtGState"][operands[0]].get_object()
            state.alpha = float(settings.get("/ca", state.alpha))
        elif op in COLOURS or op in COLOUR_SPACES:
            self._colour(op, operands, resources)
        else:
            self._path(op, operands)

    def _colour(self, op: bytes, operands: list[Any], resources: Any) -> None:
        kind = "fill" if op.islower() else "stroke"
        if op in COLOUR_SPACES:
            name = operands[0]
            space = resources["/ColorSpace"][name] if name not in PLAIN_SPACES else name
            family = space if isinstance(space, str) else space.get_object()[0]
            setattr(self.state, f"{kind}_known", family in PLAIN_SPACES)
            setattr(self.state, kind, BLACK)
            return
        if op in (b"g", b"rg", b"k", b"G", b"RG", b"K"):
            setattr(self.state, f"{kind}_known", True)
        known = getattr(self.state, f"{kind}_known")
        values = [float(v) for v in operands] if known else []
        setattr(self.state, kind, colour_of(values))

    def _path(self, op: bytes, operands: list[Any]) -> None:
        """Areas that are filled: white text on them is not invisible."""
        if op == b"re":
            x, y, w, h = numbers(operands, 4)
            self._points(x, y, x + w, y + h)
        elif op in (b"m", b"l", b"c", b"v", b"y"):
            self._points(*numbers(operands, len(operands)))
        elif op in FILLS:
            if self.path and self.state.alpha > SAME_COLOUR:
                self._paint_area(self.state.fill)
            self.path.clear()
        elif op in (b"n", b"S", b"s"):
            self.path.clear()

    def _points(self, *values: float) -> None:
        a, b, c, d, e, f = self.state.ctm
        if len(self.path) > LONGEST_PATH:
            return
        for x, y in zip(values[::2], values[1::2], strict=False):
            self.path.append((a * x + c * y + e, b * x + d * y + f))

    def _paint_area(self, colour: Colour) -> None:
        xs, ys = [p[0] for p in self.path], [p[1] for p in self.path]
        if len(self.areas) < PAINTED_AREAS and max(xs) - min(xs) > 2 and max(ys) - min(ys) > 2:
            self.areas.append(((min(xs), min(ys), max(xs), max(ys)), colour))
            self.grounds.add(colour)

    def _paint_object(self, form: Any, resources: Any, depth: int) -> None:
        if form.get("/Subtype") == "/Image":
            self._points(0, 0, 1, 0, 1, 1, 0, 1)
            self._paint_area(None)
            self.path.clear()
        elif form.get("/Subtype") == "/Form" and depth < FORM_DEPTH:
            before, tm, line = replace(self.state), self.tm, self.line
            a, b, c, d, e, f = numbers(list(form.get("/Matrix", IDENTITY)), 6)
            self.state.ctm = times((a, b, c, d, e, f), self.state.ctm)
            if SHOWS.search(form.get_data()):
                inner = form.get("/Resources", resources).get_object()
                self.follow(self.parse(form), inner, depth + 1)
            else:  # a drawing without a word in it is not worth reading
                left, foot, right, head = numbers(list(form["/BBox"]), 4)
                self._points(left, foot, right, foot, right, head, left, head)
                self._paint_area(None)
                self.path.clear()
            self.state, self.tm, self.line = before, tm, line

    def _next_line(self, x: float, y: float) -> None:
        self.tm = self.line = times((1, 0, 0, 1, x, y), self.line)

    def _show(self, items: Any, depth: int) -> None:
        state = self.state
        if state.font is None:
            return
        parts: list[str] = []
        advance = start = 0.0  # in unscaled text space
        for item in items:
            if isinstance(item, bytes | str):
                data = item if isinstance(item, bytes) else item.encode("latin-1", "replace")
                for text, width, is_space in state.font.codes(data):
                    parts.append(text)
                    step = width * state.size + state.spacing
                    advance += (step + (state.word_spacing if is_space else 0.0)) * state.scale
            elif isinstance(item, int | float):
                shift = -float(item) / 1000
                if not -2 * KERNING < shift < KERNING:
                    self._emit(parts, start, advance, depth)
                    parts = []
                advance += shift * state.size * state.scale
                if not parts:
                    start = advance
        self._emit(parts, start, advance, depth)
        self.tm = times((1, 0, 0, 1, advance, 0), self.tm)

    def _emit(self, parts: list[str], start: float, end: float, depth: int) -> None:
        text = "".join(parts)
        state = self.state
        a, b, c, d, e, f = times(self.tm, state.ctm)
        upright = a > 0 and abs(b) < 0.05 * a and d != 0
        size = abs(state.size) * math.hypot(c, d)
        width = abs(state.size * state.scale) * math.hypot(a, b)
        if not text or not upright or min(size, width) < UNREADABLE:
            return
        x0, x1 = a * start + c * state.rise + e, a * end + c * state.rise + e
        y = b * start + d * state.rise + f
        if self._seen(x0, x1, y, size):
            name = state.font.name
            self.runs.append(Run(text, x0, max(x0, x1), y, size, name, depth > 0))

    def _seen(self, x0: float, x1: float, y: float, size: float) -> bool:
        state = self.state
        left, foot, right, head = self.box
        on_page = x1 > left and x0 < right and y + size > foot and y < head
        if not on_page or state.mode in (3, 7) or state.alpha < SAME_COLOUR:
            return False
        inks = {0: (state.fill,), 4: (state.fill,), 1: (state.stroke,), 5: (state.stroke,)}.get(
            state.mode, (state.fill, state.stroke)
        )
        if not any(_alike(ink, under) for ink in inks for under in self.grounds):
            return True
        middle, height = (x0 + x1) / 2, y + 0.3 * size
        under = WHITE
        for (u0, v0, u1, v1), colour in reversed(self.areas):
            if u0 <= middle <= u1 and v0 <= height <= v1:
                under = colour
                break
        return any(not _alike(ink, under) for ink in inks)


def _alike(one: Colour, other: Colour) -> bool:
    if one is None or other is None:
        return False
    return all(abs(a - b) <= SAME_COLOUR for a, b in zip(one, other, strict=True))


PLAIN_NUMBERS = {
    b"Tc": "spacing",
    b"Tw": "word_spacing",
    b"TL": "leading",
    b"Ts": "rise",
}
COLOURS = {b"g", b"rg", b"k", b"sc", b"scn", b"G", b"RG", b"K", b"SC", b"SCN"}
COLOUR_SPACES = {b"cs", b"CS"}
PLAIN_SPACES = {
    "/DeviceGray",
    "/DeviceRGB",
    "/DeviceCMYK",
    "/CalGray",
    "/CalRGB",
    "/ICCBased",
}
SHOWS = re.compile(rb"T[jJ]|Do|['\"]")
FILLS = {b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"}
