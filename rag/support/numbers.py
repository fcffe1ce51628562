"""Holds the quantities and dates of a statement against those of its evidence.

A quantity of the statement stands when the evidence has one of equal value in the same dimension:
0.5 s is 500 ms, 5 million is 5,000,000, fifty per cent is 50 %, and 50 % is the fraction 0.5
(written with a point, at most 1). What does not stand is a finding; its kind says how the nearest
quantity of the evidence differs. Rounding is only honest where the statement says so ("about").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from rag.support.checker import Finding, FindingKind
from rag.support.quantities import NO_UNIT, Quantity, quantities
from rag.support.text import plain
from rag.support.units import MONTHS, Date, dates

__all__ = ["mismatch", "number_findings"]

_CONFLICTS = {">": {"<", "<=", ""}, ">=": {"<", "<="}, "<": {">", ">=", ""}, "<=": {">", ">="}}
_HUNDRED = Decimal(100)
_SINGLE = re.compile(r"\b(?:an?|single|only|sole|each|every|per)\b", re.IGNORECASE)
_BOTH = re.compile(r"\b(?:both|pair|twin|twice|double|dual|two-\w+)\b", re.IGNORECASE)
_DOWNWARD = re.compile(
    r"\b(?:drop|decreas|declin|reduc|fall|fell|lower|loss|lose|lost|less|worse|degrad)",
    re.IGNORECASE,
)


def number_findings(statement: str, evidence: Sequence[str]) -> list[Finding]:
    """Numbers, units, signs, percentages, dates and their bounds that the evidence lacks."""
    known = [(piece, quantity) for piece in evidence for quantity in quantities(piece)]
    days = [(piece, date) for piece in evidence for date in dates(piece)]
    found = [
        finding
        for date in dates(statement)
        if (finding := _check_date(statement, date, days, known, evidence)) is not None
    ]
    taken = [(date.start, date.end) for date in dates(statement)]
    for quantity in quantities(statement):
        if any(start < quantity.end and quantity.start < end for start, end in taken):
            continue
        finding = _check(statement, quantity, known, evidence)
        if finding is not None:
            found.append(finding)
    return sorted(found, key=lambda finding: finding.start)


def mismatch(statement: str, quantity: Quantity, sentence: str, other: Quantity) -> Finding | None:
    """The finding, if any, where these two quantities stand at the same place."""
    return _check(statement, quantity, [(sentence, other)], [])


def _check_date(
    statement: str, date: Date, days: Sequence[tuple[str, Date]],
    known: Sequence[tuple[str, Quantity]], evidence: Sequence[str],
) -> Finding | None:  # fmt: skip
    numbers = {value for _, quantity in known for value, _ in quantity.readings}
    if not date.day and Decimal(date.year) in numbers and _names_month(date.month, evidence):
        return None
    for _, other in days:
        if date.agrees(other):
            missing = [
                mine for mine, its in zip(date.parts, other.parts, strict=True) if mine and not its
            ]
            if all(Decimal(part) in numbers for part in missing):
                return None
    nearest = max(
        days,
        key=lambda pair: sum(a == b for a, b in zip(date.parts, pair[1].parts, strict=True) if a),
        default=None,
    )
    said = statement[date.start : date.end]
    there = "" if nearest is None else nearest[0][nearest[1].start : nearest[1].end]
    return Finding("date", said, there, date.start, date.end)


def _names_month(month: int, evidence: Sequence[str]) -> bool:
    return any(name in piece for name in MONTHS[month] for piece in evidence)


def _check(
    statement: str, quantity: Quantity, known: Sequence[tuple[str, Quantity]],
    evidence: Sequence[str],
) -> Finding | None:  # fmt: skip
    equal = [(piece, other) for piece, other in known if _equal(quantity, other)]
    if equal:
        conflicts = _CONFLICTS.get(quantity.bound, set())
        if not conflicts or any(other.bound not in conflicts for _, other in equal):
            return None
        if _entailed(quantity, known):
            return None
        return _finding("comparison", statement, quantity, equal[0], wide=True)
    if quantity.vague or _entailed(quantity, known) or _in_words(quantity, evidence):
        return None
    if _said_downward(statement, quantity, known):
        return None
    nearest = _nearest(quantity, known)
    return _finding(_kind(quantity, nearest, statement), statement, quantity, nearest)


def _finding(
    kind: FindingKind, statement: str, quantity: Quantity,
    nearest: tuple[str, Quantity] | None, *, wide: bool = False,
) -> Finding:  # fmt: skip
    start, end = quantity.start, quantity.end
    if wide:
        start -= len(" ".join(["", *statement[:start].split(" ")[-3:-1], ""])) - 1
        start = max(0, start)
    there = ""
    if nearest is not None:
        piece, other = nearest
        there = _with_bound(piece, other) if wide else piece[other.start : other.end]
    return Finding(kind, statement[start:end].strip(), there.strip(), start, end)


def _with_bound(piece: str, quantity: Quantity) -> str:
    """The quantity with the two words before it, where its bound stands."""
    before = plain(piece)[: quantity.start].split()[-2:] if quantity.bound else []
    return " ".join([*before, piece[quantity.start : quantity.end]])


def _equal(mine: Quantity, other: Quantity) -> bool:
    """Whether any reading of one is any reading of the other."""
    return any(
        _same(value, unit, its_value, its_unit)
        for value, unit in mine.readings
        for its_value, its_unit in other.readings
    )


def _same(value: Decimal, unit: str, its_value: Decimal, its_unit: str) -> bool:
    if unit == its_unit:
        return value == its_value
    if {unit, its_unit} == {"%", ""}:
        percentage, fraction = (value, its_value) if unit == "%" else (its_value, value)
        # A whole number is no fraction: 100 % is not the number 1.
        return fraction.as_tuple().exponent != 0 and abs(fraction) <= 1 and (
            percentage == fraction * _HUNDRED
        )  # fmt: skip
    return False


def _entailed(quantity: Quantity, known: Sequence[tuple[str, Quantity]]) -> bool:
    """Whether a bounded or rounded quantity follows from one of the evidence near to it.

    "More than 90 %" follows from 93.2 %, "about 90 %" from 90.3 %; but not from anything, however
    large: within half as much again, so that another quantity does not stand in by chance.
    """
    if not quantity.bound:
        return False
    value, unit = quantity.readings[0]
    return value != 0 and any(
        its_unit == unit and _follows(quantity.bound, value, its_value, other.bound)
        for _, other in known
        for its_value, its_unit in other.readings
    )


def _follows(bound: str, value: Decimal, its_value: Decimal, its_bound: str) -> bool:
    ratio = its_value / value
    if its_bound not in ("", "~"):
        return False
    if bound == "~":
        return _rounds_to(its_value, value)
    return 1 < ratio <= Decimal("1.5") if bound in (">", ">=") else Decimal("0.66") <= ratio < 1


def _rounds_to(precise: Decimal, value: Decimal) -> bool:
    """Whether `value` is `precise` rounded at value's last digit that is not a trailing zero."""
    exponent = value.normalize().as_tuple().exponent
    return isinstance(exponent, int) and precise.quantize(Decimal(1).scaleb(exponent)) == value


def _in_words(quantity: Quantity, evidence: Sequence[str]) -> bool:
    """One is also "a" or "a single", two is also "both"."""
    if quantity.unit != NO_UNIT or quantity.value not in (1, 2):
        return False
    pattern = _SINGLE if quantity.value == 1 else _BOTH
    return any(pattern.search(piece) for piece in evidence)


def _said_downward(
    statement: str, quantity: Quantity, known: Sequence[tuple[str, Quantity]]
) -> bool:
    """ "Drops by 0.5" says −0.5."""
    if quantity.value < 0:
        return False
    before = statement[max(0, quantity.start - 30) : quantity.start]
    after = statement[quantity.end : quantity.end + 20]
    if not (_DOWNWARD.search(before) or _DOWNWARD.search(after)):
        return False
    return any(
        _same(-value, unit, its_value, its_unit)
        for value, unit in quantity.readings
        for _, other in known
        for its_value, its_unit in other.readings
    )


def _nearest(
    quantity: Quantity, known: Sequence[tuple[str, Quantity]]
) -> tuple[str, Quantity] | None:
    """The quantity of the evidence the statement most likely meant."""

    def similarities(pair: tuple[str, Quantity]) -> tuple[int, Decimal]:
        other = pair[1]
        agree = 4 * (other.mantissa == quantity.mantissa) + 2 * (other.unit == quantity.unit)
        agree += other.unit[0] == quantity.unit[0]
        return agree, -abs(other.value - quantity.value)

    return max(known, key=similarities, default=None)


def _kind(quantity: Quantity, nearest: tuple[str, Quantity] | None, statement: str) -> FindingKind:
    percent = "%" in (quantity.unit[0], "" if nearest is None else nearest[1].unit[0])
    if nearest is not None and nearest[1].mantissa == quantity.mantissa:
        if nearest[1].unit == quantity.unit and nearest[1].value == -quantity.value:
            return "sign"
        return "percentage" if percent else "unit"
    if quantity.unit[0] in ("%", "points"):
        return "percentage"
    digits = statement[quantity.start : quantity.end]
    return "date" if re.fullmatch(r"(?:1[5-9]|20)\d\d", digits) else "number"
