"""What can be seen: colours, and the areas they were painted on. Knows nothing of text."""

from __future__ import annotations

from index.pdf.glyphs import Box

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
