"""Runs of text on one page, as the content stream paints them (ISO 32000-1, 8 and 9).

pypdf parses the file and decodes the fonts; this module follows the operators, because only the
graphics state tells where text stands. Whether it can be seen is not known here (`ink`). Knows
nothing of lines or of words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from index.documents.document import Box
from index.documents.pdf.graphics import (
    IDENTITY,
    Face,
    Matrix,
    Run,
    Shown,
    State,
    numbers,
    times,
)

UNREADABLE = 2.0  # points: nobody reads text lower than this
KERNING = 0.1  # em: half of the smallest shift inside one string that is a gap
FORM_DEPTH = 12
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
