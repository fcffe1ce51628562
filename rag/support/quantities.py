"""Reads the quantities out of a text: value, sign, unit, bound.

What counts as one quantity, and what is equal to what, is decided in docs/decisions/0020. In
short: digits grown together with letters (GPT-4, CIFAR-10) are names and not read here; a number
in a list or range without a unit has that of the number that closes it (45, 50 and 55 %);
"10-4" may be a range or, out of a PDF that lost its superscript, 10⁻⁴, and has both readings.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from rag.support.text import plain
from rag.support.units import MAGNITUDES, SYMBOLS, UNIT_WORDS, Unit, numerals, ordinals

__all__ = ["NO_UNIT", "Quantity", "quantities"]

NO_UNIT: Unit = ("", Decimal(1))
ORDINAL: Unit = ("ordinal", Decimal(1))

SECONDS = SYMBOLS["s"]
_DECADE = re.compile(r"(?:1\d|20)\d0s")

_AGE = re.compile(r"[\s-]years?[\s-]old\b")

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")

_NUMBER = re.compile(
    r"""
    (?P<sign>(?<![\w.)\]%°-])[-+±]|(?<![\w.)\]%])(?:minus|negative)\s|)
    (?P<currency>[$€£¥]\s?)?
    (?:(?<![\w.])|(?<=\d[xX]))
    (?P<digits>(?:\d{1,3}(?:[,\u2009\u202f ]\d{3})+(?![\d])|\d+)(?:\.\d+)?|\.\d+)
    (?P<exponent>[eE][-+]?\d{1,3}(?!\w)
      |\s?[×x·*]\s?10\s?(?:\^\s?\{?\s?[-+]?\d{1,2}\}?|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+|[-+]\d{1,2}(?!\d))
      |\^\s?\{?[-+]?\d{1,2}\}?|[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)?
    """,
    re.VERBOSE,
)
_WORDY = re.compile(r"\s?-?(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_LETTER = re.compile(r"(k|K|M|B|T|bn|mn)(?![\w])|\s(M|B|K|bn|mn)(?=\s[a-z]{4,})")
_WORD_UNIT = re.compile(
    r"[\s-]{0,2}("
    + "|".join(re.escape(word) for word in sorted(UNIT_WORDS, key=len, reverse=True))
    + r")(?![\w])",
    re.IGNORECASE,
)
_SYMBOL_UNIT = re.compile(
    r"[\s-]?("
    + "|".join(re.escape(symbol) for symbol in sorted(SYMBOLS, key=len, reverse=True))
    + r")(?P<per>/[A-Za-zμ]{1,6})?(?![\w/])"
)
_CITATION = re.compile(r"(?<!\w)\[(?!0)\d{1,3}(?:\s?[,;-]\s?\d{1,3})*\]")
_INTERVAL = re.compile(r"\b(?:in|interval|range|ranges|to|between|from|over|∈|within)\s*$|[=∈]\s*$")
_GLUE = re.compile(r"\s*(?:,|-|/|±|\bto\b|\band\b|\bor\b|,\s*and|,\s*or)\s*(?:between\s)?$")
_BEFORE: tuple[tuple[str, str], ...] = (
    (r"at\s+least|no\s+less\s+than|no\s+fewer\s+than|not\s+less\s+than|a\s+minimum\s+of"
     r"|≥|>=", ">="),
    (r"at\s+most|no\s+more\s+than|not\s+more\s+than|up\s+to|a\s+maximum\s+of|as\s+many\s+as"
     r"|≤|<=", "<="),
    (r"(?:more|greater|higher|larger|longer|better)\s+than|over|above|exceed(?:s|ed|ing)?"
     r"|beyond|>", ">"),
    (r"(?:less|fewer|lower|smaller|shorter|worse)\s+than|below|under|<", "<"),
    (r"about|around|approximately|approx\.?|roughly|nearly|almost|circa|ca\.?|some|~|≈"
     r"|close\s+to|an\s+estimated|on\s+the\s+order\s+of", "~"),
)  # fmt: skip
_BOUND = re.compile(
    "(?:"
    + "|".join(f"(?P<b{i}>{words})" for i, (words, _) in enumerate(_BEFORE))
    + r")\s*(?:a\s)?$",
    re.IGNORECASE,
)
_AFTER = re.compile(r"\s*(?:(?P<more>or\s+(?:more|above|higher|greater)|\+(?!\d))"
                    r"|(?P<less>or\s+(?:less|fewer|below|lower)))", re.IGNORECASE)  # fmt: skip
_FOLDS = {
    "twice": 2, "thrice": 3, "twofold": 2, "two-fold": 2, "threefold": 3, "fourfold": 4,
    "fivefold": 5, "tenfold": 10, "doubled": 2, "doubles": 2, "doubling": 2, "tripled": 3,
    "triples": 3, "tripling": 3,
}  # fmt: skip
_FOLD = re.compile(r"\b(" + "|".join(_FOLDS) + r")\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quantity:
    """`text[start:end]` says `value` in `unit`; `bound` is one of "", ~, <, >, <=, >=.

    `value` keeps its sign and is not scaled by the unit. `mantissa` is the number as written,
    before a magnitude (5 of 5 million). `also` are further readings as (value, unit).
    `vague` marks what is too often no quantity to be reported (the pronoun "one").
    """

    start: int
    end: int
    value: Decimal
    unit: Unit = NO_UNIT
    mantissa: Decimal = Decimal(0)
    bound: str = ""
    also: tuple[tuple[Decimal, Unit], ...] = ()
    vague: bool = False

    @property
    def readings(self) -> tuple[tuple[Decimal, str], ...]:
        """Every reading as (value in the base unit, dimension)."""
        pairs = ((self.value, self.unit), *self.also)
        return tuple((value * unit[1], unit[0]) for value, unit in pairs)


def quantities(text: str, *, citations: bool = False) -> tuple[Quantity, ...]:
    """All quantities of a text, in order. Citation marks such as [12] are none unless asked for."""
    masked = plain(text) if citations else _without_citations(plain(text))
    found = [_from_digits(masked, match) for match in _NUMBER.finditer(masked)]
    read: list[Quantity] = [quantity for quantity in found if quantity is not None]
    spans = _Spans(read)
    for start, end, value in ordinals(masked):
        spans.add(Quantity(start, end, value, ORDINAL, value, also=((value, NO_UNIT),)))
    for start, end, value in numerals(masked):
        spans.add(_from_words(masked, start, end, value))
    for match in _FOLD.finditer(masked):
        value = Decimal(_FOLDS[match.group().lower()])
        unit = SYMBOLS["×"]
        spans.add(
            Quantity(match.start(), match.end(), value, unit, value, also=((value, NO_UNIT),))
        )
    return tuple(_shared_units(masked, spans.in_order()))


class _Spans:
    """Quantities that do not overlap; who comes first stays."""

    def __init__(self, first: list[Quantity]) -> None:
        self._kept = sorted(first, key=lambda quantity: quantity.start)

    def add(self, quantity: Quantity) -> None:
        at = bisect_right([kept.start for kept in self._kept], quantity.start)
        if at and self._kept[at - 1].end > quantity.start:
            return
        if at < len(self._kept) and self._kept[at].start < quantity.end:
            return
        self._kept.insert(at, quantity)

    def in_order(self) -> list[Quantity]:
        return list(self._kept)


def _without_citations(flat: str) -> str:
    def blank(match: re.Match[str]) -> str:
        if _INTERVAL.search(flat, 0, match.start()):
            return match.group()
        return " " * len(match.group())

    return _CITATION.sub(blank, flat)


def _from_digits(text: str, match: re.Match[str]) -> Quantity | None:
    if _grown_together(text, match):
        return None
    mantissa = Decimal(re.sub(r"[^\d.]", "", match["digits"]))
    negative = match["sign"].strip().lower() in {"-", "minus", "negative"}
    value = -mantissa if negative else mantissa
    also: list[tuple[Decimal, Unit]] = []
    raised = _raised(match["exponent"], value)
    end = match.end()
    if raised is not None:
        value = raised
    elif mantissa == 10 and (lost := re.match(r"-(\d{1,2})(?![\d%]|[.,]\d)", text[end:])):
        also.append((Decimal(10) ** -int(lost[1]), NO_UNIT))
    year = re.search(r"(?<!\d)((?:1\d|20)\d\d)-$", text[max(0, match.start() - 6) : match.start()])
    if year and re.fullmatch(r"\d\d", match["digits"]):
        also.append((Decimal(year[1][:2] + match["digits"]), NO_UNIT))  # 2018-19
    value, end = _magnified(text, end, value)
    unit, end = _unit(text, end)
    if unit == SECONDS and _DECADE.fullmatch(text, match.start("digits"), end):
        unit = ("decade", Decimal(1))
    if match["currency"]:
        unit = (match["currency"].strip(), Decimal(1))
    start = match.start()
    return Quantity(
        start, end, value, unit, mantissa, _bound(text, start, end), tuple(also), vague=False
    )


def _from_words(text: str, start: int, end: int, value: Decimal) -> Quantity:
    said = text[start:end].lower()
    unit, stop = _unit(text, end)
    also: tuple[tuple[Decimal, Unit], ...] = ()
    if value != value.to_integral_value():
        also = ((value * 100, SYMBOLS["%"]), (Decimal(round(value * 100)), SYMBOLS["%"]))
    vague = (said in {"one", "zero"} and unit == NO_UNIT) or said in {"hundred", "thousand"}
    if said == "one" and re.match(r"\s+(?:second|time|point|day)\b", text[end:]):
        vague = True
    return Quantity(start, stop, value, unit, value, _bound(text, start, stop), also, vague=vague)


def _grown_together(text: str, match: re.Match[str]) -> bool:
    """Digits that belong to a name: CIFAR-10, v1.5, 3D, 1990s are no quantities; 12-layer is."""
    begin = match.start("digits")
    before = text[max(0, begin - 2) : begin]
    if re.search(r"[A-Za-z][-_/.]?$", before) and not re.search(r"\d[xX]$", before):
        return True
    rest = text[match.end() :]
    if re.match(r"\.\d", rest):  # a version or section number: 1.2.3
        return True
    if not re.match(r"[A-Za-z_]", rest):
        return False
    return not (
        _LETTER.match(rest) or _WORD_UNIT.match(rest) or _SYMBOL_UNIT.match(rest)
        or re.match(r"x\d|(?:million|billion|thousand)", rest)
    )  # fmt: skip


def _raised(exponent: str | None, value: Decimal) -> Decimal | None:
    if not exponent:
        return None
    written = exponent.translate(_SUPERSCRIPT).replace(" ", "")
    try:
        if written[0] in "eE":
            return value.scaleb(int(written[1:]))
        if written[0] in "×x·*":
            power = re.sub(r"[{}^]", "", written[3:])
            return value.scaleb(int(power))
        power = re.sub(r"[{}^]", "", written)
        return value ** int(power)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _magnified(text: str, end: int, value: Decimal) -> tuple[Decimal, int]:
    while match := (_WORDY.match(text, end) or _LETTER.match(text, end)):
        word = next(group for group in match.groups() if group)
        value *= MAGNITUDES.get(word) or MAGNITUDES[word.lower()]
        end = match.end()
    return value, end


def _unit(text: str, end: int) -> tuple[Unit, int]:
    if age := _AGE.match(text, end):
        return NO_UNIT, age.end()
    if match := _WORD_UNIT.match(text, end):
        return UNIT_WORDS[match[1].lower()], match.end()
    if match := _SYMBOL_UNIT.match(text, end):
        symbol = match[1]
        if symbol in "x×" and re.match(r"\s?\d", text[match.end() :]):
            return NO_UNIT, end  # 16×16
        # One letter behind a space is a unit only where no word can be meant.
        if (
            len(symbol) == 1
            and symbol.isalpha()
            and match.group()[0] in " -"
            and symbol not in "smgVW"
        ):
            return NO_UNIT, end
        dimension, factor = SYMBOLS[symbol]
        return (dimension + (match["per"] or ""), factor), match.end()
    return NO_UNIT, end


def _bound(text: str, start: int, end: int) -> str:
    after = _AFTER.match(text, end)
    if after:
        return ">=" if after["more"] else "<="
    before = _BOUND.search(text[max(0, start - 24) : start])
    if before is None:
        return ""
    return next(sign for i, (_, sign) in enumerate(_BEFORE) if before[f"b{i}"])


def _shared_units(text: str, found: list[Quantity]) -> list[Quantity]:
    """Gives a number without a unit that of the number that closes its list or range."""
    carried: Unit | None = None
    for at in range(len(found) - 1, -1, -1):
        here = found[at]
        if here.unit != NO_UNIT:
            carried = None if here.unit == ORDINAL else here.unit
            continue
        after = found[at + 1].start if at + 1 < len(found) else len(text)
        if carried is None or not _GLUE.fullmatch(text, here.end, after):
            carried = None
            continue
        found[at] = replace(here, also=(*here.also, (here.value, carried)))
    return found
