"""Blocks → paragraphs: they run on over columns and pages, and floats step aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from index.pdf.layout import Block
from index.pdf.lines import Line
from index.pdf.measures import ENDS
from index.repair import HYPHENS

FLOATS = {"caption", "footnote", "aside"}


@dataclass(slots=True)
class Paragraph:
    """Blocks that read as one, with the section they stand in."""

    blocks: list[Block]
    heading: str = ""
    quotable: bool = True

    @property
    def lines(self) -> list[Line]:
        """All lines, in order."""
        return [line for block in self.blocks for line in block.lines]

    @property
    def pages(self) -> tuple[int, int]:
        """The first and the last page it stands on."""
        lines = self.lines
        return lines[0].page, lines[-1].page


def flowing(blocks: Sequence[Block]) -> list[Paragraph]:
    """Paragraphs, those that a column, a page or a float interrupts put together again."""
    done: list[Paragraph] = []
    current: Paragraph | None = None
    waiting: list[Paragraph] = []
    for block in blocks:
        if block.kind == "footnote" and _ends_note([*done, *waiting], block):
            continue
        if block.kind in FLOATS:
            waiting.append(Paragraph([block]))
        elif current and block.kind == "prose" and _reads_on(current, block, waiting):
            current.blocks.append(block)
            waiting = _settle(done, current, waiting)
        elif block.kind != "formula" or _displayed(block, current, bool(waiting)):
            done += [current, *waiting] if current else waiting
            waiting = []
            current = Paragraph([block]) if block.kind != "formula" else None
    if current:
        done.append(current)
    return done + waiting


def _ends_note(paragraphs: Sequence[Paragraph], block: Block) -> bool:
    """Give the rest of a footnote, at the foot of the next column, back to its beginning."""
    first = block.lines[0]
    for item in reversed(paragraphs[-12:]):
        last = item.lines[-1]
        if item.blocks[0].kind == "footnote" and last.page == first.page:
            if ENDS.search(last.text) or not first.text[0].islower():
                return False
            item.blocks.append(block)
            return True
    return False


def _displayed(formula: Block, current: Paragraph | None, interrupted: bool) -> bool:
    """Whether the formula stands in the paragraph, and is not debris of a drawing or a table."""
    if current is None or not any(item.math > 0.1 for item in formula.lines):
        return False
    line, last = formula.lines[0], current.lines[-1]
    beside = min(line.x1, last.x1) > max(line.x0, last.x0)
    if last.page == line.page and beside and 0 < last.y - line.y < 5 * last.size:
        return True
    return not interrupted and not ENDS.search(last.text)


def _settle(done: list[Paragraph], current: Paragraph, waiting: list[Paragraph]) -> list[Paragraph]:
    """Floats of a page that `current` has left go before it; the others follow it."""
    last = current.pages[1]
    stay = [item for item in waiting if item.pages[0] >= last]
    gone = [item for item in waiting if item.pages[0] < last]
    done += gone
    return stay


def _reads_on(current: Paragraph, block: Block, waiting: Sequence[Paragraph]) -> bool:
    """Whether `block`, in another place than the paragraph, is its continuation. Not so where a
    float in between could go neither before nor after the paragraph without changing its page."""
    before, after = current.blocks[-1], block
    last, first = before.lines[-1], after.lines[0]
    if any(current.pages[0] < item.pages[0] < first.page for item in waiting):
        return False
    apart = first.page != last.page or first.y > last.y or bool(waiting)
    alike = before.kind == "prose" and abs(last.size - first.size) <= 0.06 * last.size
    if not (apart and alike) or first.page > last.page + 1:
        return False
    if last.text[-1] in HYPHENS:
        return True
    if ENDS.search(last.text):
        return not before.closes and not after.opens and first.page == last.page + 1
    return first.text[0].islower() or not after.opens or first.text[0] in '(["“'
