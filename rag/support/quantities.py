"""Reads quantities out of a text: value, sign, unit, bound.

What counts as one quantity is decided in docs/decisions/0020. In short: digits grown together with
letters (GPT-4, CIFAR-10) are names and not read here; a number in a list or range without a unit
has that of the number that closes it (45, 50 and 55 %); "10-4" may be a range or, out of a PDF
that lost its superscript, 10⁻⁴, and has both readings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from rag.support import Located
from rag.support.text import LEXICON, disjoint, plain

Unit = tuple[str, Decimal]
"""Dimension, and the factor to the dimension's base unit."""

NO_UNIT: Unit = ("", Decimal(1))
_ORDINAL: Unit = ("ordinal", Decimal(1))


def _units(table: str) -> dict[str, Unit]:
    return {
        form: (dimension, Decimal(factor))
        for line in LEXICON[table].strip().replace("\n", "; ").split("; ")
        for dimension, _, entries in [line.partition(": ")]
        for entry in entries.split(", ")
        for names, _, factor in [entry.rpartition(" ")]
        for name in names.split("/")
        for form in ([name[:-1], f"{name[:-1]}s"] if name.endswith("+") else [name])
    }


_SYMBOLS = _units("unit_symbols")
_UNIT_WORDS = _units("unit_words")


def numbered(table: str, *, first: int = 1, step: int = 1) -> dict[str, int]:
    """The words of a list of the lexicon with their numbers, which rise by `step`."""
    return {name: first + at * step for at, name in enumerate(LEXICON[table].split())}


_CARDINALS = numbered("ones", first=0) | numbered("tens", first=20, step=10)
_SCALES: dict[str, int] = LEXICON["scales"]
_MAGNITUDES: dict[str, int] = _SCALES | LEXICON["magnitudes"]
_ORDINAL_WORDS = numbered("ordinals", first=3)
_DIVISORS: dict[str, int] = LEXICON["divisors"]
_FOLDS: dict[str, int] = LEXICON["folds"]


def any_of(names: Iterable[str]) -> str:
    """A pattern for any of the names, the longest first."""
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


_NUMERAL = any_of([*_CARDINALS, *_SCALES])
_NUMERALS = re.compile(
    rf"(?<![\w-])(?:{_NUMERAL})(?:(?:[ -]| and )(?:{_NUMERAL}))*(?!\w)(?!'s)", re.IGNORECASE
)
_NUMERAL_OR_AND = re.compile(rf"{_NUMERAL}|and", re.IGNORECASE)
_FRACTION = re.compile(
    r"\b(?:(?:(one|two|three|four|a)[ -])(third|quarter|fourth|fifth|tenth|half)s?|(half))"
    r"(?= of\b| the\b| as\b)",
    re.IGNORECASE,
)
# From "third" and "1st" on: "first" and "second" order an argument more often than they count.
_ORDINALS = re.compile(
    rf"(?<![\w.-])(?:(\d+)(?:st|nd|rd|th)|({any_of(_ORDINAL_WORDS)}))(?!\w)", re.IGNORECASE
)
_FOLD = re.compile(rf"\b({any_of(_FOLDS)})\b", re.IGNORECASE)
# Letters that a pattern without case takes for an ASCII letter, and lower() does not.
ASCII = str.maketrans("ſıİ", "siI")
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
_MAGNITUDE = re.compile(r"\s?-?(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_MAGNITUDE_LETTER = re.compile(r"(k|K|M|B|T|bn|mn)(?![\w])|\s(M|B|K|bn|mn)(?=\s[a-z]{4,})")
_UNIT_WORD = re.compile(rf"[\s-]{{0,2}}({any_of(_UNIT_WORDS)})(?![\w])", re.IGNORECASE)
_UNIT_SYMBOL = re.compile(rf"[\s-]?({any_of(_SYMBOLS)})(?P<per>/[A-Za-zμ]{{1,6}})?(?![\w/])")
_GROWN_UNIT = re.compile(r"x\d|million|billion|thousand")
_AGE = re.compile(r"[\s-]years?[\s-]old\b")
_DECADE = re.compile(r"(?:1\d|20)\d0s")
_CITATION = re.compile(r"\[(?!0)\d{1,3}(?:\s?[,;-]\s?\d{1,3})*\]")
_INTERVAL = re.compile(r"\b(?:in|interval|range|ranges|to|between|from|over|∈|within)\s*$|[=∈]\s*$")
_GLUE = re.compile(r"\s*(?:,|-|/|±|\bto\b|\band\b|\bor\b|,\s*and|,\s*or)\s*(?:between\s)?$")
_BOUNDS: dict[str, str] = LEXICON["bounds"]
_ANY_BOUND = "|".join(f"({pattern})" for pattern in _BOUNDS.values())
_BOUND = re.compile(rf"(?:{_ANY_BOUND})\s*(?:a\s)?$", re.IGNORECASE)
_BOUND_AFTER = re.compile(
    r"\s*(?:(or\s+(?:more|above|higher|greater)|\+(?!\d))|or\s+(?:less|fewer|below|lower))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quantity(Located):
    """A `value` in a `unit`; `bound` is one of "", ~, <, >, <=, >=.

    `value` keeps its sign and is not scaled by the unit. `mantissa` is the number as written,
    before a magnitude (5 of 5 million). `also` are further readings as (value, unit).
    `vague` marks what is too often no quantity to be reported (the pronoun "one").
    """

    value: Decimal
    unit: Unit
    mantissa: Decimal
    bound: str = ""
    also: tuple[tuple[Decimal, Unit], ...] = ()
    vague: bool = False

    @property
    def readings(self) -> tuple[tuple[Decimal, str], ...]:
        """Every reading as (value in the base unit, dimension)."""
        pairs = ((self.value, self.unit), *self.also)
        return tuple((value * unit[1], unit[0]) for value, unit in pairs)


def quantities(text: str, *, citations: bool = False) -> tuple[Quantity, ...]:
    """All quantities of a text, in order, without overlaps. Citation marks such as [12] are none
    unless asked for."""
    flat = plain(text).translate(ASCII)
    if not citations:
        flat = _CITATION.sub(
            lambda mark: mark[0] if _INTERVAL.search(flat, 0, mark.start()) else " " * len(mark[0]),
            flat,
        )
    return tuple(_shared_units(flat, disjoint(_candidates(flat))))


def _candidates(text: str) -> Iterator[Quantity]:
    for match in _NUMBER.finditer(text):
        if not _grown_together(text, match):
            yield _from_digits(text, match)
    for match in _ORDINALS.finditer(text):
        value = Decimal(match[1] or _ORDINAL_WORDS[match[2].lower()])
        yield Quantity(*match.span(), value, _ORDINAL, value, also=((value, NO_UNIT),))
    fractions = list(_FRACTION.finditer(text))
    for match in fractions:
        share = Decimal(_CARDINALS.get((match[1] or "one").lower(), 1))
        value = share / _DIVISORS[(match[2] or match[3]).lower()]
        yield _from_words(text, *match.span(), value)
    for match in _NUMERALS.finditer(text):
        for start, end, value in _cardinals(text, match):
            if not any(start < fraction.end() and fraction.start() < end for fraction in fractions):
                yield _from_words(text, start, end, value)
    for match in _FOLD.finditer(text):
        value = Decimal(_FOLDS[match.group().lower()])
        yield Quantity(*match.span(), value, _SYMBOLS["×"], value, also=((value, NO_UNIT),))


def _from_digits(text: str, match: re.Match[str]) -> Quantity:
    start, end = match.span()
    mantissa = Decimal(re.sub(r"[^\d.]", "", match["digits"]))
    value = -mantissa if match["sign"].strip().lower() in {"-", "minus", "negative"} else mantissa
    also: list[tuple[Decimal, Unit]] = []
    raised = _raised(match["exponent"], value) if match["exponent"] else None
    if raised is not None:
        value = raised
    elif mantissa == 10 and (lost := re.match(r"-(\d{1,2})(?![\d%]|[.,]\d)", text[end:])):
        also.append((Decimal(10) ** -int(lost[1]), NO_UNIT))
    year = re.search(r"(?<!\d)((?:1\d|20)\d\d)-$", text[max(0, start - 6) : start])
    if year and re.fullmatch(r"\d\d", match["digits"]):
        also.append((Decimal(year[1][:2] + match["digits"]), NO_UNIT))  # 2018-19
    while magnitude := (_MAGNITUDE.match(text, end) or _MAGNITUDE_LETTER.match(text, end)):
        word = magnitude[magnitude.lastindex or 1]
        value *= _MAGNITUDES.get(word) or _MAGNITUDES[word.lower()]
        end = magnitude.end()
    unit, end = _unit(text, end)
    if match["currency"]:
        unit = (match["currency"].strip(), Decimal(1))
    elif unit == _SYMBOLS["s"] and _DECADE.fullmatch(text, match.start("digits"), end):
        unit = ("decade", Decimal(1))
    return Quantity(start, end, value, unit, mantissa, _bound(text, start, end), tuple(also))


def _from_words(text: str, start: int, end: int, value: Decimal) -> Quantity:
    numeral = text[start:end].lower()
    unit, stop = _unit(text, end)
    also: tuple[tuple[Decimal, Unit], ...] = ()
    if value % 1:
        percent = _SYMBOLS["%"]
        also = ((value * 100, percent), (Decimal(round(value * 100)), percent))
    vague = (
        numeral in {"hundred", "thousand"}
        or (numeral in {"one", "zero"} and unit == NO_UNIT)
        or (numeral == "one" and bool(re.match(r"\s+(?:second|time|point|day)\b", text[end:])))
    )
    return Quantity(start, stop, value, unit, value, _bound(text, start, stop), also, vague)


def _grown_together(text: str, match: re.Match[str]) -> bool:
    """Digits that belong to a name: CIFAR-10, v1.5, 3D, 1990s are no quantities; 12-layer is."""
    begin = match.start("digits")
    before, rest = text[max(0, begin - 2) : begin], text[match.end() :]
    if re.search(r"[A-Za-z][-_/.]?$", before) and not re.search(r"\d[xX]$", before):
        return True
    if re.match(r"\.\d", rest):  # a version or section number: 1.2.3
        return True
    return bool(re.match(r"[A-Za-z_]", rest)) and not any(
        unit.match(rest) for unit in (_MAGNITUDE_LETTER, _UNIT_WORD, _UNIT_SYMBOL, _GROWN_UNIT)
    )


def _raised(exponent: str, value: Decimal) -> Decimal | None:
    """The value with its exponent applied (e5, ×10⁵ or ^5); None where that is no number."""
    written = re.sub(r"[\s{}^×x·*]", "", exponent.translate(_SUPERSCRIPT))
    try:
        if written[0] in "eE":
            return value.scaleb(int(written[1:]))
        if exponent.strip()[0] in "×x·*":
            return value.scaleb(int(written.removeprefix("10")))
        return value ** int(written)
    except ArithmeticError:
        return None


def _unit(text: str, end: int) -> tuple[Unit, int]:
    """The unit that stands at `end`, and where it ends."""
    if age := _AGE.match(text, end):
        return NO_UNIT, age.end()
    if match := _UNIT_WORD.match(text, end):
        return _UNIT_WORDS[match[1].lower()], match.end()
    match = _UNIT_SYMBOL.match(text, end)
    if not match:
        return NO_UNIT, end
    symbol = match[1]
    product = symbol in "x×" and re.match(r"\s?\d", text[match.end() :])  # 16×16
    # One letter behind a space is a unit only where no word can be meant.
    letter = re.fullmatch(r"[^\W\d_]", symbol) and match.group()[0] in " -"
    if product or (letter and symbol not in "smgVW"):
        return NO_UNIT, end
    dimension, factor = _SYMBOLS[symbol]
    return (dimension + (match["per"] or ""), factor), match.end()


def _bound(text: str, start: int, end: int) -> str:
    if after := _BOUND_AFTER.match(text, end):
        return ">=" if after[1] else "<="
    before = _BOUND.search(text[max(0, start - 24) : start])
    return list(_BOUNDS)[(before.lastindex or 1) - 1] if before else ""


def _shared_units(text: str, every: list[Quantity]) -> list[Quantity]:
    """Gives a number without a unit that of the number that closes its list or range."""
    shared: Unit | None = None
    next_start = len(text)
    for at, quantity in reversed(list(enumerate(every))):
        if quantity.unit != NO_UNIT:
            shared = None if quantity.unit == _ORDINAL else quantity.unit
        elif shared and _GLUE.fullmatch(text, quantity.end, next_start):
            every[at] = replace(quantity, also=(*quantity.also, (quantity.value, shared)))
        else:
            shared = None
        next_start = quantity.start
    return every


def _cardinals(text: str, run: re.Match[str]) -> Iterator[tuple[int, int, Decimal]]:
    """Start, end and value of the numbers in a run of number words. A word that cannot continue a
    number begins the next, and so does "and" that does not stand behind a scale ("two hundred and
    five", "two and three")."""
    total = current = 0
    start = end = last = -1  # `last` is the value before, -1 where any may follow
    previous = ""
    for match in _NUMERAL_OR_AND.finditer(text, *run.span()):
        word = match.group().lower()
        is_and = word == "and"
        value = _CARDINALS.get(word, 0)
        scale = _SCALES.get(word, 0)
        fits = bool(scale) or last in (-1, 100) or (last >= 20 and 0 < value < 10)
        if start >= 0 and (previous not in _SCALES or previous == "dozen" if is_and else not fits):
            yield start, end, Decimal(total + current)
            total, current, start, last = 0, 0, -1, -1
        previous = word
        if is_and:
            continue
        if start < 0:
            start, current = match.start(), 1 if scale else 0
        end = match.end()
        if scale in (12, 100):
            current, last = current * scale, 100
        elif scale:
            total, current, last = total + current * scale, 0, -1
        else:
            current, last = current + value, value
    if start >= 0:
        yield start, end, Decimal(total + current)
