"""Compares the quantities and dates of a statement with those of its evidence.

A quantity of the statement stands when the evidence has one of equal value in the same dimension:
0.5 s is 500 ms, 5 million is 5,000,000, fifty per cent is 50 %, and 50 % is the fraction 0.5
(written with a point, at most 1). What does not stand is a finding; its kind says how the nearest
quantity of the evidence differs. Only a statement that says so ("about") may round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rag.support.checker import Finding, FindingKind
from rag.support.quantities import NO_UNIT, Quantity, any_of, numbered, quantities
from rag.support.text import plain

Quantities = Sequence[tuple[str, Quantity]]
"""Quantities of the evidence, each with the piece of text it stands in."""

_CONFLICTS = {">": {"<", "<=", ""}, ">=": {"<", "<="}, "<": {">", ">=", ""}, "<=": {">", ">="}}
_SINGLE = re.compile(r"\b(?:an?|single|only|sole|each|every|per)\b", re.IGNORECASE)
_BOTH = re.compile(r"\b(?:both|pair|twin|twice|double|dual|two-\w+)\b", re.IGNORECASE)
_DOWNWARD = re.compile(
    r"\b(?:drop|decreas|declin|reduc|fall|fell|lower|loss|lose|lost|less|worse|degrad)",
    re.IGNORECASE,
)

_MONTHS = {
    **numbered("january february march april may june july august september october november "
                "december", first=1),
    **numbered("jan feb mar apr may jun jul aug sep oct nov dec", first=1), "sept": 9,
}  # fmt: skip
_MONTH = rf"(?P<month>{any_of(_MONTHS)})\.?"
_YEAR = r"(?P<year>1[0-9]\d\d|20\d\d)(?![\d.]\d)(?!\d)"
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
_DATE_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\w)(?P<year>\d{{4}})-(?P<month_number>0[1-9]|1[0-2])-{_DAY}(?!\w)",
        rf"(?<!\w){_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+{_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH}\s+{_DAY}(?!\d)(?:,?\s+{_YEAR})?(?!\w)",
        rf"(?<!\w){_MONTH},?\s+(?:of\s+)?{_YEAR}(?!\w)",
    )
]


@dataclass(frozen=True, slots=True)
class Date:
    """`text[start:end]` names this day, month or both; `parts` are year, month and day, a part
    that is not named is 0."""

    start: int
    end: int
    parts: tuple[int, int, int]

    def agrees(self, other: Date) -> bool:
        """Whether every part that both name is the same."""
        pairs = zip(self.parts, other.parts, strict=True)
        return all(part == its_part for part, its_part in pairs if part and its_part)


def dates(text: str) -> list[Date]:
    """The dates of a text that name a month, in order. A year alone is a number."""
    found: list[Date] = []
    for match in (match for form in _DATE_FORMS for match in form.finditer(plain(text))):
        if any(match.start() < date.end and date.start < match.end() for date in found):
            continue
        parts = match.groupdict()
        month = parts.get("month") or ""
        if month[:1].islower():
            continue  # "may" is a verb more often than a month
        number = parts.get("month_number") or _MONTHS[month.lower()]
        day = int(parts.get("day") or 0)
        found.append(Date(*match.span(), (int(parts.get("year") or 0), int(number), day)))
    return sorted(found, key=lambda date: date.start)


def _names_month(month: int, text: str) -> bool:
    return any(name.capitalize() in text for name, number in _MONTHS.items() if number == month)


def number_findings(statement: str, evidence: Sequence[str]) -> list[Finding]:
    """Numbers, units, signs, percentages, dates and their bounds that the evidence lacks."""
    known = [(piece, quantity) for piece in evidence for quantity in quantities(piece)]
    known_dates = [(piece, date) for piece in evidence for date in dates(piece)]
    own_dates = dates(statement)
    found = [_check_date(statement, date, known_dates, known, evidence) for date in own_dates]
    found += [
        _check(statement, quantity, known, evidence)
        for quantity in quantities(statement)
        if not any(it.start < quantity.end and quantity.start < it.end for it in own_dates)
    ]
    return sorted(filter(None, found), key=lambda finding: finding.start)


def mismatch(statement: str, quantity: Quantity, sentence: str, other: Quantity) -> Finding | None:
    """The finding, if any, where these two quantities stand at the same place."""
    return _check(statement, quantity, [(sentence, other)], [])


def _check_date(
    statement: str,
    date: Date,
    known_dates: Sequence[tuple[str, Date]],
    known: Quantities,
    evidence: Sequence[str],
) -> Finding | None:
    numbers = {value for _, quantity in known for value, _ in quantity.readings}
    year, month, day = date.parts
    if not day and year in numbers and any(_names_month(month, piece) for piece in evidence):
        return None
    for _, other in known_dates:
        missing = [
            part for part, its in zip(date.parts, other.parts, strict=True) if part and not its
        ]
        if date.agrees(other) and numbers.issuperset(map(Decimal, missing)):
            return None
    nearest = max(
        known_dates,
        key=lambda pair: sum(a == b for a, b in zip(date.parts, pair[1].parts, strict=True) if a),
        default=None,
    )
    there = nearest[0][nearest[1].start : nearest[1].end] if nearest else ""
    return Finding("date", statement[date.start : date.end], there, date.start, date.end)


def _check(
    statement: str, quantity: Quantity, known: Quantities, evidence: Sequence[str]
) -> Finding | None:
    equal = [(piece, other) for piece, other in known if _equal(quantity, other)]
    if equal:
        conflicts = _CONFLICTS.get(quantity.bound, set())
        stands = not conflicts or any(other.bound not in conflicts for _, other in equal)
        if stands or _entailed(quantity, known):
            return None
        return _bound_finding(statement, quantity, *equal[0])
    if (
        quantity.vague
        or _entailed(quantity, known)
        or _in_words(quantity, evidence)
        or _said_downward(statement, quantity, known)
    ):
        return None
    start, end = quantity.start, quantity.end
    nearest = _nearest(quantity, known)
    there = nearest[0][nearest[1].start : nearest[1].end].strip() if nearest else ""
    kind = _kind(quantity, nearest[1] if nearest else None, statement)
    return Finding(kind, statement[start:end].strip(), there, start, end)


def _bound_finding(statement: str, quantity: Quantity, piece: str, other: Quantity) -> Finding:
    """The statement's quantity with the two words before it, against the evidence's with its."""
    before = statement[: quantity.start].split(" ")[-3:-1]
    start = max(0, quantity.start - len(" ".join(["", *before, ""])) + 1)
    bound = plain(piece)[: other.start].split()[-2:] if other.bound else []
    there = " ".join([*bound, piece[other.start : other.end]]).strip()
    said = statement[start : quantity.end].strip()
    return Finding("comparison", said, there, start, quantity.end)


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
    if not quantity.bound or not value:
        return False
    return any(
        its_unit == unit and other.bound in ("", "~") and _follows(quantity.bound, value, its_value)
        for _, other in known
        for its_value, its_unit in other.readings
    )


def _follows(bound: str, value: Decimal, its_value: Decimal) -> bool:
    if bound == "~":  # rounded at the last digit that is not a trailing zero
        exponent = value.normalize().as_tuple().exponent
        return (
            isinstance(exponent, int) and its_value.quantize(Decimal(1).scaleb(exponent)) == value
        )
    ratio = its_value / value
    return 1 < ratio <= Decimal("1.5") if bound in (">", ">=") else Decimal("0.66") <= ratio < 1


def _in_words(quantity: Quantity, evidence: Sequence[str]) -> bool:
    """One is also "a" or "a single", two is also "both"."""
    if quantity.unit != NO_UNIT or quantity.value not in (1, 2):
        return False
    pattern = _SINGLE if quantity.value == 1 else _BOTH
    return any(pattern.search(piece) for piece in evidence)


def _said_downward(statement: str, quantity: Quantity, known: Quantities) -> bool:
    """ "Drops by 0.5" says −0.5."""
    before = statement[max(0, quantity.start - 30) : quantity.start]
    after = statement[quantity.end : quantity.end + 20]
    return (
        quantity.value >= 0
        and bool(_DOWNWARD.search(before) or _DOWNWARD.search(after))
        and any(_equal(quantity, other, sign=-1) for _, other in known)
    )


def _nearest(quantity: Quantity, known: Quantities) -> tuple[str, Quantity] | None:
    """The quantity of the evidence the statement most likely meant."""

    def likeness(pair: tuple[str, Quantity]) -> tuple[int, Decimal]:
        other = pair[1]
        agree = 4 * (other.mantissa == quantity.mantissa) + 2 * (other.unit == quantity.unit)
        agree += other.unit[0] == quantity.unit[0]
        return agree, -abs(other.value - quantity.value)

    return max(known, key=likeness, default=None)


def _kind(quantity: Quantity, nearest: Quantity | None, statement: str) -> FindingKind:
    if nearest is not None and nearest.mantissa == quantity.mantissa:
        if nearest.unit == quantity.unit and nearest.value == -quantity.value:
            return "sign"
        return "percentage" if "%" in (quantity.unit[0], nearest.unit[0]) else "unit"
    if quantity.unit[0] in ("%", "points"):
        return "percentage"
    digits = statement[quantity.start : quantity.end]
    return "date" if re.fullmatch(r"(?:1[5-9]|20)\d\d", digits) else "number"
