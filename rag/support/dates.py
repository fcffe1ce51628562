"""Reads calendar dates out of a text: "12 December 2013", "Dec. 12, 2013", "2013-12-12"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.support.text import plain

__all__ = ["MONTHS", "Date", "dates"]

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul",
         "august aug", "september sept sep", "october oct", "november nov", "december dec"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
# The capitalised names of each month, the full one first.
MONTHS = {
    number: tuple(name.capitalize() for name, at in _MONTHS.items() if at == number)
    for number in range(1, 13)
}
_MONTH = "(?P<month>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_YEAR = r"(?P<year>1[0-9]\d\d|20\d\d)(?![\d.]\d)(?!\d)"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\w)(?P<year>\d{{4}})-(?P<month_number>0[1-9]|1[0-2])-{_DAY}(?!\w)",
        rf"(?<!\w){_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+{_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH}\s+{_DAY}(?!\d)(?:,?\s+{_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH},?\s+(?:of\s+)?{_YEAR}(?!\w)",
    )
)


@dataclass(frozen=True, slots=True)
class Date:
    """`text[start:end]` names this day, month or both; a part that is not said is 0."""

    start: int
    end: int
    year: int
    month: int
    day: int

    def agrees(self, other: Date) -> bool:
        """Whether every part that both say is the same."""
        pairs = zip(self.parts, other.parts, strict=True)
        return all(mine == theirs for mine, theirs in pairs if mine and theirs)

    @property
    def parts(self) -> tuple[int, int, int]:
        """Year, month, day."""
        return self.year, self.month, self.day


def dates(text: str) -> tuple[Date, ...]:
    """The dates of a text that name a month, in order. A year alone is a number."""
    flat = plain(text)
    found: list[Date] = []
    for form in _FORMS:
        for match in form.finditer(flat):
            if any(match.start() < date.end and date.start < match.end() for date in found):
                continue
            named = match.groupdict()
            if (named.get("month") or "X")[0].islower():
                continue  # "may" is a verb more often than a month
            month = named.get("month_number") or _MONTHS[(named["month"] or "").lower()]
            found.append(
                Date(match.start(), match.end(), int(named.get("year") or 0), int(month),
                     int(named.get("day") or 0))
            )  # fmt: skip
    return tuple(sorted(found, key=lambda date: date.start))
