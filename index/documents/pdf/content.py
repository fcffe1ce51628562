"""Runs of visible text on one page, as the content stream paints them (ISO 32000-1, 8 and 9).

pypdf parses the file and decodes the fonts; this module follows the operators, because only the
graphics state tells what a reader can see and where. Knows nothing of lines or of words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from index.documents.document import Box
from index.documents.pdf.graphics import (
    COLOURS,
    IDENTITY,
    PLAIN_SPACES,
    SAME_COLOUR,
    Colour,
    Face,
    Ground,
    Matrix,
    Point,
    Run,
    Shown,
    State,
    numbers,
    times,
)

UNREADABLE = 1.0  # points: nobody reads text lower than this
KERNING = 0.1  # em: half of the smallest shift inside one string that is a gap
FORM_DEPTH = 12
DEEPEST_STACK = 10_000
SHOWS = re.compile(rb"T[jJ]|Do|['\"]")
PLAIN_NUMBERS = {b"Tc": "spacing", b"Tw": "word_spacing", b"TL": "leading", b"Ts": "rise"}
NO_SENSE = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError)


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
        self.path: list[list[Point]] = []
        self.ground = Ground()
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

    def _operate(self, op: bytes, operands: list[Any]) -> None:  # noqa: PLR0915
        state = self.state
        match op:
            case b"TJ":
                self._show(operands[0])
            case b"Tj":
                self._show(operands)
            case b"Td":
                self._next_line(*numbers(operands, 2))
            case b"m" | b"l" | b"c" | b"v" | b"y":
                if op == b"m" or not self.path:
                    self.path.append([])
                self.path[-1] += self._points(operands)
            case b"re":
                x, y, w, h = numbers(operands, 4)
                self.path.append(self._points([x, y, x + w, y, x + w, y + h, x, y + h]))
            case b"f" | b"F" | b"f*" | b"B" | b"B*" | b"b" | b"b*":
                if self.path and state.alpha > SAME_COLOUR:
                    self.ground.paint(self.path, state.fill, odd=op.endswith(b"*"))
                self.path.clear()
            case b"n" | b"S" | b"s":
                self.path.clear()
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
            case b"Tr":
                state.mode = int(numbers(operands, 1)[0])
            case b"Tc" | b"Tw" | b"TL" | b"Ts":
                setattr(state, PLAIN_NUMBERS[op], numbers(operands, 1)[0])
            case b"cs":
                state.set_space("fill", self._space(operands[0]))
            case b"CS":
                state.set_space("stroke", self._space(operands[0]))
            case b"gs":
                settings = self.resources["/ExtGState"][operands[0]].get_object()
                state.alpha = float(settings.get("/ca", state.alpha))
            case b"Do":
                self._paint_object(self.resources["/XObject"][operands[0]].get_object())
            case _ if op in COLOURS:
                state.set_colour(op, operands)

    def _space(self, name: str) -> Any:
        space = name if name in PLAIN_SPACES else self.resources["/ColorSpace"][name]
        return space if isinstance(space, str) else space.get_object()[0]

    def _points(self, operands: list[Any]) -> list[Point]:
        values = numbers(operands, len(operands))
        a, b, c, d, e, f = self.state.ctm
        pairs = zip(values[::2], values[1::2], strict=False)
        return [(a * x + c * y + e, b * x + d * y + f) for x, y in pairs]

    def _paint_object(self, form: Any) -> None:
        if form.get("/Subtype") == "/Image":
            self._cover([0, 0, 1, 1])
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
                self._cover(numbers(list(form["/BBox"]), 4))
            self.state, self.tm, self.line = before, tm, line

    def _cover(self, box: list[float]) -> None:
        left, foot, right, head = box
        corners = self._points([left, foot, right, foot, right, head, left, head])
        self.ground.paint([corners], None, odd=False)
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
        self,
        parts: list[tuple[float, Shown]],
        start: float,
        end: float,
        matrix: Matrix,
        font: str,
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
        if not self._seen(x0, x1, y, size):
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
        if self._seen(x, x, y, size):
            self.runs.append(Run("", x, x + 0.5 * size, y, size, "", self.depth > 0))

    def _seen(self, x0: float, x1: float, y: float, size: float) -> bool:
        state = self.state
        left, foot, right, head = self.box
        on_page = x1 > left and x0 < right and y + size > foot and y < head
        if not on_page or state.mode in (3, 7) or state.alpha < SAME_COLOUR:
            return False
        inks: tuple[Colour, ...] = (state.fill, state.stroke)
        if state.mode in (0, 4):
            inks = inks[:1]
        elif state.mode in (1, 5):
            inks = inks[1:]
        return self.ground.shows(inks, (x0 + x1) / 2, y + 0.3 * size)
