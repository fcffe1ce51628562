"""Compares the quantities and dates of a statement with those of its evidence.

A quantity stands when the evidence has one of equal value in the same dimension: 0.5 s is 500 ms,
50 % is the fraction 0.5 (with a point, at most 1). What does not stand is a finding; its kind says
how the nearest quantity of the evidence differs. Only what says so ("about") may round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rag.support import Finding, FindingKind, Located
from rag.support.quantities import ASCII, NO_UNIT, Quantity, any_of, numbered, quantities
from rag.support.text import disjoint, finding_at, overlap, plain

Quantities = Sequence[tuple[str, Quantity]]
"""Quantities of the evidence, each with the piece of text it stands in."""

_CONFLICTS = {">": {"<", "<=", ""}, ">=": {"<", "<="}, "<": {">", ">=", ""}, "<=": {">", ">="}}
# One is also "a" or "a single", two is also "both".
_IN_WORDS = {
    Decimal(1): re.compile(r"\b(?:an?|single|only|sole|each|every|per)\b", re.IGNORECASE),
    Decimal(2): re.compile(r"\b(?:both|pair|twin|twice|double|dual|two-\w+)\b", re.IGNORECASE),
}
_DOWNWARD = re.compile(
    r"\b(?:drop|decreas|declin|reduc|fall|fell|lower|loss|lose|lost|less|worse|degrad)",
    re.IGNORECASE,
)

_MONTHS = numbered("months") | numbered("short_months") | {"sept": 9}
_MONTH = rf"(?P<month>{any_of(_MONTHS)})\.?"
_YEAR = r"(?P<year>1[0-9]\d\d|20\d\d)(?![\d.]\d)(?!\d)"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_DATE_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\w)(?P<year>\d{{4}})-(?P<month>0[1-9]|1[0-2])-{_DAY}(?!\w)",
        rf"(?<!\w){_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+{_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH}\s+{_DAY}(?!\d)(?:,?\s+{_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH},?\s+(?:of\s+)?{_YEAR}(?!\w)",
    )
]


@dataclass(frozen=True, slots=True)
class Date(Located):
    """`parts` are year, month and day; one that is not named is 0."""

    parts: tuple[int, int, int]


def dates(text: str) -> list[Date]:
    """The dates of a text that name a month, in order. A year alone is a number."""
    every = []
    text = plain(text).translate(ASCII)
    for match in (match for form in _DATE_FORMS for match in form.finditer(text)):
        parts = {"year": None, "day": None} | match.groupdict()
        month = str(parts["month"])
        if not month[0].islower():  # "may" is a verb more often than a month
            number = _MONTHS.get(month.lower()) or int(month)
            every.append(
                Date(*match.span(), (int(parts["year"] or 0), number, int(parts["day"] or 0)))
            )
    return disjoint(every)


def number_findings(statement: str, evidence: Sequence[str]) -> list[Finding]:
    """Numbers, units, signs, percentages, dates and their bounds that the evidence lacks."""
    known = [(piece, quantity) for piece in evidence for quantity in quantities(piece)]
    own_dates = dates(statement)
    found = [_date_finding(statement, date, known, evidence) for date in own_dates]
    found += [
        number_finding(statement, quantity, known, evidence)
        for quantity in quantities(statement)
        if not any(overlap(date, quantity) for date in own_dates)
    ]
    return sorted(filter(None, found), key=lambda finding: finding.start)


def _date_finding(
    statement: str, date: Date, known: Quantities, evidence: Sequence[str]
) -> Finding | None:
    numbers = {value for _, quantity in known for value, _ in quantity.readings}
    year, month, day = date.parts
    month_names = [name.capitalize() for name, number in _MONTHS.items() if number == month]
    in_evidence = any(name in piece for name in month_names for piece in evidence)
    if not day and year in numbers and in_evidence:
        return None
    nearest, most = "", -1
    known_dates = [(piece, other) for piece in evidence for other in dates(piece)]
    for piece, other in known_dates:
        pairs = [(part, its) for part, its in zip(date.parts, other.parts, strict=True) if part]
        missing = [Decimal(part) for part, its in pairs if not its]
        if all(not its or part == its for part, its in pairs) and numbers.issuperset(missing):
            return None
        if (equal := sum(part == its for part, its in pairs)) > most:
            nearest, most = piece[other.start : other.end], equal
    return finding_at("date", statement, date, nearest)


def number_finding(
    statement: str, quantity: Quantity, known: Quantities, evidence: Sequence[str] = ()
) -> Finding | None:
    """What is wrong with a quantity of the statement, if anything is."""
    equal = [(piece, other) for piece, other in known if _equal(quantity, other)]
    if equal:
        conflicts = _CONFLICTS.get(quantity.bound, set())
        stands = not conflicts or any(other.bound not in conflicts for _, other in equal)
        if stands or _entailed(quantity, known):
            return None
        return _bound_finding(statement, quantity, *equal[0])
    words = _IN_WORDS.get(quantity.value)
    if (
        quantity.vague
        or _entailed(quantity, known)
        or (words and quantity.unit == NO_UNIT and any(map(words.search, evidence)))
        or _is_decrease(statement, quantity, known)
    ):
        return None

    def likeness(pair: tuple[str, Quantity]) -> tuple[int, Decimal]:
        other = pair[1]
        agree = 4 * (other.mantissa == quantity.mantissa) + 2 * (other.unit == quantity.unit)
        agree += other.unit[0] == quantity.unit[0]
        return agree, -abs(other.value - quantity.value)

    # What the statement most likely meant.
    piece, nearest = max(known, key=likeness, default=("", None))
    there = piece[nearest.start : nearest.end].strip() if nearest else ""
    said = statement[quantity.start : quantity.end].strip()
    return Finding(quantity.start, quantity.end, _kind(quantity, nearest, said), said, there)


def _bound_finding(statement: str, quantity: Quantity, piece: str, other: Quantity) -> Finding:
    """The statement's quantity with the two words before it, against the evidence's with its."""
    before = statement[: quantity.start].split(" ")[-3:-1]
    start = max(0, quantity.start - len(" ".join(["", *before, ""])) + 1)
    bound = plain(piece)[: other.start].split()[-2:] if other.bound else []
    there = " ".join([*bound, piece[other.start : other.end]]).strip()
    said = statement[start : quantity.end].strip()
    return Finding(start, quantity.end, "comparison", said, there)


def _equal(quantity: Quantity, other: Quantity, sign: int = 1) -> bool:
    """Whether any reading of one, times the sign, is any reading of the other."""
    return any(
        _same(sign * value, unit, its_value, its_unit)
        for value, unit in quantity.readings
        for its_value, its_unit in other.readings
    )


def _same(value: Decimal, unit: str, its_value: Decimal, its_unit: str) -> bool:
    if unit == its_unit:
        return value == its_value
    if {unit, its_unit} != {"%", ""}:
        return False
    percentage, fraction = (value, its_value) if unit == "%" else (its_value, value)
    # A whole number is no fraction: 100 % is not the number 1.
    is_fraction = fraction.as_tuple().exponent != 0 and abs(fraction) <= 1
    return is_fraction and percentage == fraction * 100


def _entailed(quantity: Quantity, known: Quantities) -> bool:
    """Whether a bounded or rounded quantity follows from one of the evidence near to it.

    "More than 90 %" follows from 93.2 %, "about 90 %" from 90.3 %; but not from anything, however
    large: within half as much again, so that another quantity does not stand in by chance.
    """
    value, unit = quantity.readings[0]
    return bool(quantity.bound and value) and any(
        its_unit == unit and other.bound in ("", "~") and _follows(quantity.bound, value, its_value)
        for _, other in known
        for its_value, its_unit in other.readings
    )


def _follows(bound: str, value: Decimal, its_value: Decimal) -> bool:
    if bound == "~":  # rounded at the last digit that is not a trailing zero
        exponent = int(value.normalize().as_tuple().exponent)
        return its_value.quantize(Decimal(1).scaleb(exponent)) == value
    ratio = its_value / value
    return 1 < ratio <= Decimal("1.5") if bound in (">", ">=") else Decimal("0.66") <= ratio < 1


def _is_decrease(statement: str, quantity: Quantity, known: Quantities) -> bool:
    """ "Drops by 0.5" says −0.5."""
    before = statement[max(0, quantity.start - 30) : quantity.start]
    after = statement[quantity.end : quantity.end + 20]
    return (
        quantity.value >= 0
        and bool(_DOWNWARD.search(before) or _DOWNWARD.search(after))
        and any(_equal(quantity, other, sign=-1) for _, other in known)
    )


def _kind(quantity: Quantity, nearest: Quantity | None, said: str) -> FindingKind:
    if nearest is not None and nearest.mantissa == quantity.mantissa:
        if nearest.unit == quantity.unit and nearest.value == -quantity.value:
            return "sign"
        return "percentage" if "%" in (quantity.unit[0], nearest.unit[0]) else "unit"
    if quantity.unit[0] in ("%", "points"):
        return "percentage"
    return "date" if re.fullmatch(r"(?:1[5-9]|20)\d\d", said) else "number"
