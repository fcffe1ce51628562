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

from index.documents.pdf.graphics import (
    COLOURS,
    IDENTITY,
    PLAIN_SPACES,
    SAME_COLOUR,
    Box,
    Colour,
    Face,
    Ground,
    Matrix,
    Run,
    State,
    numbers,
    times,
)

UNREADABLE = 1.0  # points: nobody reads text lower than this
KERNING = 0.1  # em: half of the smallest shift inside one string that is a gap
FORM_DEPTH = 12
LONGEST_PATH = 100_000
DEEPEST_STACK = 10_000
SHOWS = re.compile(rb"T[jJ]|Do|['\"]")
PLAIN_NUMBERS = {b"Tc": "spacing", b"Tw": "word_spacing", b"TL": "leading", b"Ts": "rise"}
LINES = {b"m", b"l", b"c", b"v", b"y"}
FILLS = {b"f", b"F", b"f*", b"B", b"B*", b"b", b"b*"}
UNFILLED = {b"n", b"S", b"s"}
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
        self.path: list[tuple[float, float]] = []
        self.ground = Ground()
        self.runs: list[Run] = []
        self.resources: Any = {}
        self.depth = 0
        self.operators: dict[bytes, Callable[[list[Any]], None]] = {
            b"q": self._save,
            b"Q": self._restore,
            b"cm": self._transform,
            b"gs": self._settings,
            b"Do": self._paint_object,
            b"BT": self._begin_text,
            b"Tf": self._font,
            b"Tz": self._scale,
            b"Tr": self._mode,
            b"Td": self._next_line,
            b"TD": self._next_line_leading,
            b"T*": self._next_line_led,
            b"Tm": self._place,
            b"Tj": self._show,
            b"TJ": lambda operands: self._show(operands[0]),
            b"'": self._show_next,
            b'"': self._show_next_spaced,
            b"cs": self._space_to_fill,
            b"CS": self._space_to_stroke,
            b"re": self._rectangle,
        }

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
        if op in self.operators:
            self.operators[op](operands)
        elif op in PLAIN_NUMBERS:
            setattr(self.state, PLAIN_NUMBERS[op], numbers(operands, 1)[0])
        elif op in COLOURS:
            self.state.set_colour(op, operands)
        elif op in LINES:
            self._points(*numbers(operands, len(operands)))
        elif op in FILLS:
            if self.path and self.state.alpha > SAME_COLOUR:
                self.ground.paint(self.path, self.state.fill)
            self.path.clear()
        elif op in UNFILLED:
            self.path.clear()

    def _save(self, operands: list[Any]) -> None:
        if len(self.saved) < DEEPEST_STACK:
            self.saved.append(replace(self.state))

    def _restore(self, operands: list[Any]) -> None:
        if self.saved:
            self.state = self.saved.pop()

    def _transform(self, operands: list[Any]) -> None:
        a, b, c, d, e, f = numbers(operands, 6)
        self.state.ctm = times((a, b, c, d, e, f), self.state.ctm)

    def _settings(self, operands: list[Any]) -> None:
        settings = self.resources["/ExtGState"][operands[0]].get_object()
        self.state.alpha = float(settings.get("/ca", self.state.alpha))

    def _space_to_fill(self, operands: list[Any]) -> None:
        self.state.set_space("fill", self._space(operands[0]))

    def _space_to_stroke(self, operands: list[Any]) -> None:
        self.state.set_space("stroke", self._space(operands[0]))

    def _space(self, name: str) -> Any:
        space = name if name in PLAIN_SPACES else self.resources["/ColorSpace"][name]
        return space if isinstance(space, str) else space.get_object()[0]

    def _rectangle(self, operands: list[Any]) -> None:
        x, y, w, h = numbers(operands, 4)
        self._points(x, y, x + w, y, x + w, y + h, x, y + h)

    def _points(self, *values: float) -> None:
        a, b, c, d, e, f = self.state.ctm
        if len(self.path) > LONGEST_PATH:
            return
        for x, y in zip(values[::2], values[1::2], strict=False):
            self.path.append((a * x + c * y + e, b * x + d * y + f))

    def _paint_object(self, operands: list[Any]) -> None:
        form = self.resources["/XObject"][operands[0]].get_object()
        if form.get("/Subtype") == "/Image":
            self._cover((0, 0, 1, 1))
        elif form.get("/Subtype") == "/Form" and self.depth < FORM_DEPTH:
            before, tm, line = replace(self.state), self.tm, self.line
            self._transform(list(form.get("/Matrix", IDENTITY)))
            if SHOWS.search(form.get_data()):
                inner = form.get("/Resources", self.resources).get_object()
                operations = self.parse(form)
                self.depth += 1
                self.follow(operations, inner)
                self.depth -= 1
            else:  # a drawing without a word in it is not worth reading
                left, foot, right, head = numbers(list(form["/BBox"]), 4)
                self._cover((left, foot, right, head))
            self.state, self.tm, self.line = before, tm, line

    def _cover(self, box: Box) -> None:
        left, foot, right, head = box
        self.path.clear()
        self._points(left, foot, right, foot, right, head, left, head)
        self.ground.paint(self.path, None)
        self.path.clear()

    def _begin_text(self, operands: list[Any]) -> None:
        self.tm = self.line = IDENTITY

    def _font(self, operands: list[Any]) -> None:
        self.state.font = self.face(self.resources, operands[0])
        self.state.size = numbers(operands, 1)[0]

    def _scale(self, operands: list[Any]) -> None:
        self.state.scale = numbers(operands, 1)[0] / 100

    def _mode(self, operands: list[Any]) -> None:
        self.state.mode = int(numbers(operands, 1)[0])

    def _place(self, operands: list[Any]) -> None:
        a, b, c, d, e, f = numbers(operands, 6)
        self.tm = self.line = (a, b, c, d, e, f)

    def _next_line(self, operands: list[Any]) -> None:
        x, y = numbers(operands, 2)
        self.tm = self.line = times((1, 0, 0, 1, x, y), self.line)

    def _next_line_leading(self, operands: list[Any]) -> None:
        self.state.leading = -numbers(operands, 2)[1]
        self._next_line(operands)

    def _next_line_led(self, operands: list[Any]) -> None:
        self._next_line([0, -self.state.leading])

    def _show_next(self, operands: list[Any]) -> None:
        self._next_line_led([])
        self._show(operands)

    def _show_next_spaced(self, operands: list[Any]) -> None:
        self.state.word_spacing, self.state.spacing = numbers(operands[:2], 2)
        self._show_next(operands[2:])

    def _show(self, items: Any) -> None:
        state = self.state
        if state.font is None:
            return
        parts: list[str] = []
        advance = start = 0.0  # in unscaled text space
        for item in items:
            if isinstance(item, bytes | str):
                data = item if isinstance(item, bytes) else item.encode("latin-1", "replace")
                shown = state.font.shown(data)
                if shown.codes:
                    parts.append(shown.text)
                spread = shown.codes * state.spacing + shown.spaces * state.word_spacing
                advance += (shown.width * state.size + spread) * state.scale
            elif isinstance(item, int | float):
                shift = -float(item) / 1000
                if not -2 * KERNING < shift < KERNING:
                    self._emit(parts, start, advance)
                    parts = []
                advance += shift * state.size * state.scale
                if not parts:
                    start = advance
        self._emit(parts, start, advance)
        self.tm = times((1, 0, 0, 1, advance, 0), self.tm)

    def _emit(self, parts: list[str], start: float, end: float) -> None:
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
            self.runs.append(Run(text, x0, max(x0, x1), y, size, name, self.depth > 0))

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
