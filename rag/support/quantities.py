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
from decimal import Decimal, InvalidOperation

from rag.support.text import plain

Unit = tuple[str, Decimal]
"""Dimension, and the factor to the dimension's base unit."""

NO_UNIT: Unit = ("", Decimal(1))
_ORDINAL: Unit = ("ordinal", Decimal(1))


def _units(table: str) -> dict[str, Unit]:
    """Reads "dimension: name/name factor, ...; ..."; a "+" also adds the plural in s."""
    units: dict[str, Unit] = {}
    for line in table.strip().replace("\n", "; ").split("; "):
        dimension, _, entries = line.partition(": ")
        for entry in entries.split(", "):
            names, _, factor = entry.rpartition(" ")
            for name in names.split("/"):
                unit = dimension, Decimal(factor)
                units[name.removesuffix("+")] = unit
                if name.endswith("+"):
                    units[f"{name[:-1]}s"] = unit
    return units


# Symbols are case-sensitive: mM is no Mm.
_SYMBOLS = _units("""
s: ns 1e-9, us/μs 1e-6, ms 1e-3, s 1, h 3600
m: nm 1e-9, um/μm 1e-6, mm 1e-3, cm 1e-2, m 1, km 1e3
g: μg/ug 1e-6, mg 1e-3, g 1, kg 1e3
l: μl/μL 1e-6, ml/mL 1e-3, l/L 1
mol: nM 1e-9, μM 1e-6, mM 1e-3, mol 1
B: kB/KB 1e3, MB 1e6, GB 1e9, TB 1e12, PB 1e15
B: KiB 1024, MiB 1048576, GiB 1073741824, TiB 1099511627776
bit/s: bps 1, kbps/Kbps 1e3, Mbps 1e6, Gbps 1e9
Hz: Hz 1, kHz/KHz 1e3, MHz 1e6, GHz 1e9, THz 1e12
FLOP: FLOPs/FLOPS 1, MFLOPs/MFLOPS 1e6, GFLOPs/GFLOPS 1e9, TFLOPs/TFLOPS 1e12, PFLOPs/PFLOPS 1e15
V: μV 1e-6, mV 1e-3, V 1, kV 1e3
W: mW 1e-3, W 1, kW 1e3, MW 1e6
J: mJ 1e-3, J 1, kJ 1e3, MJ 1e6
Pa: Pa 1, kPa 1e3, MPa 1e6
eV: eV 1, keV 1e3, MeV 1e6, GeV 1e9
Wh: Wh 1, kWh 1e3, MWh 1e6
dB: dB 1; px: px 1; fps: fps/FPS 1; °C: °C 1; °F: °F 1; °: ° 1
%: % 1, ‰ 0.1; points: pp 1; times: x/× 1
""")
# Words are matched without case.
_UNIT_WORDS = _units("""
s: nanosecond+ 1e-9, microsecond+ 1e-6, millisecond+/msec 1e-3, second+/sec+ 1
s: minute+/min+ 60, hour+/hr+ 3600, day+ 86400, week+ 604800
month: month+ 1, year+/yr+ 12, decade+ 120, century/centuries 1200
m: nanometer+/nanometre+ 1e-9, micrometer+/micrometre+ 1e-6, millimeter+/millimetre+ 1e-3
m: centimeter+/centimetre+ 1e-2, meter+/metre+ 1, kilometer+/kilometre+ 1e3
ft: foot/feet/ft 1; mile: mile+ 1; inch: inch/inches 1
g: milligram+ 1e-3, gram+ 1, kilogram+/kilo 1e3, tonne+ 1e6
ton: ton+ 1; lb: pound+/lb+ 1
l: milliliter+/millilitre+ 1e-3, liter+/litre+ 1
B: byte+ 1, kilobyte+ 1e3, megabyte+ 1e6, gigabyte+ 1e9, terabyte+ 1e12
bit: bit+ 1
Hz: hertz 1, kilohertz 1e3, megahertz 1e6, gigahertz 1e9
W: watt+ 1, kilowatt+ 1e3, megawatt+ 1e6; V: volt+ 1; J: joule+ 1
dB: decibel+/db 1; px: pixel+ 1; fps: frames per second 1
FLOP: flops 1, mflops 1e6, gflops 1e9, tflops 1e12
°C: degrees celsius 1; °F: degrees fahrenheit 1; °: degree+ 1
%: percent/pct/per cent 1; points: point+/pts/percentage point+ 1; times: times/fold 1
$: dollar+/usd 1; €: euro+/eur 1
""")


def numbered(names: str, *, first: int = 0, step: int = 1) -> dict[str, int]:
    """The names of a list with their numbers, which rise by `step`."""
    return {name: first + at * step for at, name in enumerate(names.split())}


_ONES = numbered(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = numbered("twenty thirty forty fifty sixty seventy eighty ninety", first=20, step=10)
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
           "trillion": 10**12}  # fmt: skip
_MAGNITUDES = {
    **_SCALES, "k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "B": 10**9, "bn": 10**9,
    "T": 10**12,
}  # fmt: skip
_ORDINAL_WORDS = numbered(
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth",
    first=3,
)
_DIVISORS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "tenth": 10}
_FOLDS = {
    **numbered("twice thrice", first=2),
    **numbered("twofold threefold fourfold fivefold", first=2), "two-fold": 2, "tenfold": 10,
    **dict.fromkeys(["doubled", "doubles", "doubling"], 2),
    **dict.fromkeys(["tripled", "triples", "tripling"], 3),
}  # fmt: skip


def any_of(names: Iterable[str]) -> str:
    """A pattern for any of the names, the longest first."""
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


_NUMERAL = any_of([*_ONES, *_TENS, *_SCALES])
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
_AGE = re.compile(r"[\s-]years?[\s-]old\b")
_DECADE = re.compile(r"(?:1\d|20)\d0s")
_CITATION = re.compile(r"(?<!\w)\[(?!0)\d{1,3}(?:\s?[,;-]\s?\d{1,3})*\]")
_INTERVAL = re.compile(r"\b(?:in|interval|range|ranges|to|between|from|over|∈|within)\s*$|[=∈]\s*$")
_GLUE = re.compile(r"\s*(?:,|-|/|±|\bto\b|\band\b|\bor\b|,\s*and|,\s*or)\s*(?:between\s)?$")
_BOUNDS = {
    ">=": r"at\s+least|no\s+less\s+than|no\s+fewer\s+than|not\s+less\s+than|a\s+minimum\s+of"
    r"|≥|>=",
    "<=": r"at\s+most|no\s+more\s+than|not\s+more\s+than|up\s+to|a\s+maximum\s+of|as\s+many\s+as"
    r"|≤|<=",
    ">": r"(?:more|greater|higher|larger|longer|better)\s+than|over|above|exceed(?:s|ed|ing)?"
    r"|beyond|>",
    "<": r"(?:less|fewer|lower|smaller|shorter|worse)\s+than|below|under|<",
    "~": r"about|around|approximately|approx\.?|roughly|nearly|almost|circa|ca\.?|some|~|≈"
    r"|close\s+to|an\s+estimated|on\s+the\s+order\s+of",
}
_ANY_BOUND = "|".join(f"({pattern})" for pattern in _BOUNDS.values())
_BOUND = re.compile(rf"(?:{_ANY_BOUND})\s*(?:a\s)?$", re.IGNORECASE)
_BOUND_AFTER = re.compile(
    r"\s*(?:(or\s+(?:more|above|higher|greater)|\+(?!\d))|or\s+(?:less|fewer|below|lower))",
    re.IGNORECASE,
)


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
    flat = plain(text)
    if not citations:
        flat = _CITATION.sub(lambda match: _blank_citation(flat, match), flat)
    found: list[Quantity] = []
    for quantity in _candidates(flat):
        if not any(quantity.start < it.end and it.start < quantity.end for it in found):
            found.append(quantity)
    return tuple(_shared_units(flat, sorted(found, key=lambda quantity: quantity.start)))


def _candidates(text: str) -> Iterator[Quantity]:
    for match in _NUMBER.finditer(text):
        if not _grown_together(text, match):
            yield _from_digits(text, match)
    for match in _ORDINALS.finditer(text):
        value = Decimal(match[1] or _ORDINAL_WORDS[match[2].lower()])
        yield Quantity(*match.span(), value, _ORDINAL, value, also=((value, NO_UNIT),))
    for start, end, value in sorted(_numerals(text)):
        yield _from_words(text, start, end, value)
    for match in _FOLD.finditer(text):
        value = Decimal(_FOLDS[match.group().lower()])
        yield Quantity(*match.span(), value, _SYMBOLS["×"], value, also=((value, NO_UNIT),))


def _blank_citation(text: str, match: re.Match[str]) -> str:
    mark = match.group()
    return mark if _INTERVAL.search(text, 0, match.start()) else " " * len(mark)


def _from_digits(text: str, match: re.Match[str]) -> Quantity:
    start, end = match.span()
    mantissa = Decimal(re.sub(r"[^\d.]", "", match["digits"]))
    value = -mantissa if match["sign"].strip().lower() in {"-", "minus", "negative"} else mantissa
    also: list[tuple[Decimal, Unit]] = []
    raised = _raised(match["exponent"], value)
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
    if unit == _SYMBOLS["s"] and _DECADE.fullmatch(text, match.start("digits"), end):
        unit = ("decade", Decimal(1))
    if match["currency"]:
        unit = (match["currency"].strip(), Decimal(1))
    return Quantity(start, end, value, unit, mantissa, _bound(text, start, end), tuple(also))


def _from_words(text: str, start: int, end: int, value: Decimal) -> Quantity:
    numeral = text[start:end].lower()
    unit, stop = _unit(text, end)
    also: tuple[tuple[Decimal, Unit], ...] = ()
    if value != value.to_integral_value():
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
    before = text[max(0, begin - 2) : begin]
    if re.search(r"[A-Za-z][-_/.]?$", before) and not re.search(r"\d[xX]$", before):
        return True
    rest = text[match.end() :]
    if re.match(r"\.\d", rest):  # a version or section number: 1.2.3
        return True
    units = _MAGNITUDE_LETTER, _UNIT_WORD, _UNIT_SYMBOL, re.compile(r"x\d|million|billion|thousand")
    return bool(re.match(r"[A-Za-z_]", rest)) and not any(unit.match(rest) for unit in units)


def _raised(exponent: str | None, value: Decimal) -> Decimal | None:
    """The value with its exponent applied (e5, ×10⁵ or ^5); None where there is none to read."""
    if not exponent:
        return None
    written = exponent.translate(_SUPERSCRIPT).replace(" ", "")
    try:
        if written[0] in "eE":
            return value.scaleb(int(written[1:]))
        if written[0] in "×x·*":
            return value.scaleb(int(re.sub(r"[{}^]", "", written[3:])))
        return value ** int(re.sub(r"[{}^]", "", written))
    except (InvalidOperation, ValueError, OverflowError):
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


def _shared_units(text: str, found: list[Quantity]) -> list[Quantity]:
    """Gives a number without a unit that of the number that closes its list or range."""
    shared: Unit | None = None
    for at in range(len(found) - 1, -1, -1):
        quantity = found[at]
        if quantity.unit != NO_UNIT:
            shared = None if quantity.unit == _ORDINAL else quantity.unit
            continue
        next_start = found[at + 1].start if at + 1 < len(found) else len(text)
        if shared is not None and _GLUE.fullmatch(text, quantity.end, next_start):
            found[at] = replace(quantity, also=(*quantity.also, (quantity.value, shared)))
        else:
            shared = None
    return found


def _numerals(text: str) -> Iterator[tuple[int, int, Decimal]]:
    """Start, end and value of cardinals written as words, and of the fractions that "of", "the"
    or "as" marks as such."""
    fractions = list(_FRACTION.finditer(text))
    for match in fractions:
        share = Decimal(_ONES.get((match[1] or "one").lower(), 1))
        yield *match.span(), share / _DIVISORS[(match[2] or match[3]).lower()]
    for match in _NUMERALS.finditer(text):
        for start, end, value in _cardinals(text, match):
            if not any(start < it.end() and it.start() < end for it in fractions):
                yield start, end, value


def _cardinals(text: str, run: re.Match[str]) -> Iterator[tuple[int, int, Decimal]]:
    """Reads a run of number words. A word that cannot continue a number begins the next, and so
    does "and" that does not stand behind a scale ("two hundred and five", "two and three")."""
    total = current = 0
    start = end = last = -1  # `last` is the value before, -1 where any may follow
    previous = ""
    for match in _NUMERAL_OR_AND.finditer(text, *run.span()):
        word = match.group().lower()
        is_and = word == "and"
        value = _ONES.get(word, _TENS.get(word, 0))
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
        if scale in (12, 100):
            current, last = current * scale, 100
        elif scale:
            total, current, last = total + current * scale, 0, -1
        else:
            current, last = current + value, value
        end = match.end()
    if start >= 0:
        yield start, end, Decimal(total + current)
