"""Reads calendar dates out of a text: "12 December 2013", "Dec. 12, 2013", "2013-12-12"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from rag.support.text import plain

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_UNITS = {word: value for value, word in enumerate(_SMALL.split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
           "trillion": 10**12}  # fmt: skip
_WORD = "|".join(sorted([*_UNITS, *_TENS, *_SCALES, "dozen"], key=len, reverse=True))
_RUN = re.compile(
    rf"(?<![\w-])(?:{_WORD})(?:(?:[ -]| and )(?:{_WORD}))*(?!\w)(?!'s)", re.IGNORECASE
)
_PIECE = re.compile(rf"(?:{_WORD}|and)", re.IGNORECASE)
_FRACTIONS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "tenth": 10}
_FRACTION = re.compile(
    r"\b(?:(?:(one|two|three|four|a)[ -])(third|quarter|fourth|fifth|tenth|half)s?|(half))"
    r"(?= of\b| the\b| as\b)", re.IGNORECASE,
)  # fmt: skip
_NTH = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDINAL_WORDS = {word: value for value, word in enumerate(_NTH.split(), start=3)}
_ORDINAL = re.compile(
    r"(?<![\w.-])(?:(\d+)(?:st|nd|rd|th)|(" + "|".join(_ORDINAL_WORDS) + r"))(?!\w)", re.IGNORECASE
)

Numeral = tuple[int, int, Decimal]
"""Start, end and value."""


def _value(pieces: list[tuple[str, int, int]]) -> Iterator[Numeral]:
    """Reads a run of number words; one that cannot be continued begins the next number."""
    total = current = 0
    last = 10**15  # the smallest piece of the current group: units cannot follow units
    start = end = -1
    for word, begin, stop in pieces:
        if word in _SCALES or word == "dozen":
            scale = _SCALES.get(word, 12)
            if start < 0:
                start, current = begin, 1
            if scale == 100 or word == "dozen":
                current *= scale
                last = 100
            else:
                total, current, last = total + current * scale, 0, 10**15
            end = stop
            continue
        value = _UNITS.get(word, _TENS.get(word, 0))
        fits = last >= 100 or (last >= 20 and 0 < value < 10)
        if start >= 0 and not fits:
            yield start, end, Decimal(total + current)
            total, current, start = 0, 0, -1
        if start < 0:
            start = begin
        current, end, last = current + value, stop, value
    if start >= 0:
        yield start, end, Decimal(total + current)


def _groups(text: str, match: re.Match[str]) -> Iterator[list[tuple[str, int, int]]]:
    """The runs of a match, cut at every "and" that does not stand behind a scale."""
    group: list[tuple[str, int, int]] = []
    offset = match.start()
    for piece in _PIECE.finditer(match.group()):
        word = piece.group().lower()
        if word == "and":
            if group and group[-1][0] not in _SCALES:
                yield group
                group = []
            continue
        group.append((word, offset + piece.start(), offset + piece.end()))
    if group:
        yield group


def numerals(text: str) -> list[Numeral]:
    """Cardinals written as words, and the fractions that "of", "the" or "as" marks as such."""
    found = [(match.start(), match.end(), _fraction(match)) for match in _FRACTION.finditer(text)]
    taken = [(start, end) for start, end, _ in found]
    for match in _RUN.finditer(text):
        for group in _groups(text, match):
            for start, end, value in _value(group):
                if not any(start < stop and begin < end for begin, stop in taken):
                    found.append((start, end, value))
    return sorted(found)


def _fraction(match: re.Match[str]) -> Decimal:
    over = _UNITS.get((match[1] or "one").lower(), 1)
    return Decimal(over) / Decimal(_FRACTIONS[(match[2] or match[3]).lower()])


def ordinals(text: str) -> list[Numeral]:
    """Ordinals from "third" and "1st" on: "first" and "second" in words order an argument more
    often than they count."""
    return [
        (match.start(), match.end(), Decimal(match[1] or _ORDINAL_WORDS[match[2].lower()]))
        for match in _ORDINAL.finditer(text)
    ]


Unit = tuple[str, Decimal]


def _scaled(dimension: str, **symbols: str) -> dict[str, Unit]:
    return {symbol: (dimension, Decimal(factor)) for symbol, factor in symbols.items()}


# Symbols are case-sensitive: mM is no Mm, and a b is a bit.
SYMBOLS: dict[str, Unit] = {
    **_scaled("s", ns="1e-9", us="1e-6", μs="1e-6", ms="1e-3", s="1", h="3600"),
    **_scaled("m", nm="1e-9", um="1e-6", μm="1e-6", mm="1e-3", cm="1e-2", m="1", km="1e3"),
    **_scaled("g", μg="1e-6", ug="1e-6", mg="1e-3", g="1", kg="1e3"),
    **_scaled("l", μl="1e-6", μL="1e-6", ml="1e-3", mL="1e-3", l="1", L="1"),
    **_scaled("mol", nM="1e-9", μM="1e-6", mM="1e-3", mol="1"),
    **_scaled("B", kB="1e3", KB="1e3", MB="1e6", GB="1e9", TB="1e12", PB="1e15"),
    **_scaled("B", KiB="1024", MiB="1048576", GiB="1073741824", TiB="1099511627776"),
    **_scaled("bit/s", bps="1", kbps="1e3", Kbps="1e3", Mbps="1e6", Gbps="1e9"),
    **_scaled("Hz", Hz="1", kHz="1e3", KHz="1e3", MHz="1e6", GHz="1e9", THz="1e12"),
    **_scaled("FLOP", FLOPs="1", MFLOPs="1e6", GFLOPs="1e9", TFLOPs="1e12", PFLOPs="1e15"),
    **_scaled("FLOP", FLOPS="1", MFLOPS="1e6", GFLOPS="1e9", TFLOPS="1e12", PFLOPS="1e15"),
    **_scaled("V", μV="1e-6", mV="1e-3", V="1", kV="1e3"),
    **_scaled("W", mW="1e-3", W="1", kW="1e3", MW="1e6", GW="1e9"),
    **_scaled("J", mJ="1e-3", J="1", kJ="1e3", MJ="1e6"),
    **_scaled("Pa", Pa="1", kPa="1e3", MPa="1e6"),
    **_scaled("eV", eV="1", keV="1e3", MeV="1e6", GeV="1e9"),
    **_scaled("Wh", Wh="1", kWh="1e3", MWh="1e6"),
    **_scaled("dB", dB="1"),
    **_scaled("px", px="1"),
    **_scaled("fps", fps="1", FPS="1"),
    "°C": ("°C", Decimal(1)),
    "°F": ("°F", Decimal(1)),
    "°": ("°", Decimal(1)),
    "%": ("%", Decimal(1)),
    "‰": ("%", Decimal("0.1")),
    "pp": ("points", Decimal(1)),
    "x": ("times", Decimal(1)),
    "×": ("times", Decimal(1)),
    "bps": ("bit/s", Decimal(1)),
}

_WORDS: dict[str, dict[str, str]] = {
    "s": {
        "millisecond milliseconds msec": "1e-3", "microsecond microseconds": "1e-6",
        "nanosecond nanoseconds": "1e-9", "second seconds sec secs": "1",
        "minute minutes min mins": "60", "hour hours hr hrs": "3600", "day days": "86400",
        "week weeks": "604800",
    },
    "month": {"month months": "1", "year years yr yrs": "12", "decade decades": "120",
              "century centuries": "1200"},
    "m": {
        "nanometer nanometers nanometre nanometres": "1e-9",
        "micrometer micrometers micrometre micrometres": "1e-6",
        "millimeter millimeters millimetre millimetres": "1e-3",
        "centimeter centimeters centimetre centimetres": "1e-2",
        "meter meters metre metres": "1", "kilometer kilometers kilometre kilometres": "1e3",
    },
    "ft": {"foot feet ft": "1"}, "mile": {"mile miles": "1"}, "inch": {"inch inches": "1"},
    "g": {"milligram milligrams": "1e-3", "gram grams": "1", "kilogram kilograms kilo": "1e3",
          "tonne tonnes": "1e6"},
    "ton": {"ton tons": "1"}, "lb": {"pound pounds lb lbs": "1"},
    "l": {"milliliter milliliters millilitre millilitres": "1e-3",
          "liter liters litre litres": "1"},
    "B": {"byte bytes": "1", "kilobyte kilobytes": "1e3", "megabyte megabytes": "1e6",
          "gigabyte gigabytes": "1e9", "terabyte terabytes": "1e12"},
    "bit": {"bit bits": "1"},
    "Hz": {"hertz": "1", "kilohertz": "1e3", "megahertz": "1e6", "gigahertz": "1e9"},
    "V": {"volt volts": "1"}, "W": {"watt watts": "1", "kilowatt kilowatts": "1e3",
                                   "megawatt megawatts": "1e6"},
    "J": {"joule joules": "1"}, "dB": {"decibel decibels db": "1"},
    "px": {"pixel pixels": "1"}, "fps": {"frames per second": "1"},
    "FLOP": {"gflops": "1e9", "tflops": "1e12", "mflops": "1e6", "flops": "1"},
    "°C": {"degrees celsius": "1"}, "°F": {"degrees fahrenheit": "1"}, "°": {"degree degrees": "1"},
    "%": {"percent pct": "1"}, "points": {"point points pts": "1"},
    "times": {"times fold": "1"},
    "$": {"dollar dollars usd": "1"}, "€": {"euro euros eur": "1"},
}  # fmt: skip

_PHRASES = {"frames per second", "degrees celsius", "degrees fahrenheit"}

# Words are matched without case; the longer phrase wins.
UNIT_WORDS: dict[str, Unit] = {
    "per cent": ("%", Decimal(1)),
    "percentage point": ("points", Decimal(1)),
    "percentage points": ("points", Decimal(1)),
    **{
        name: (dimension, Decimal(factor))
        for dimension, names in _WORDS.items()
        for group, factor in names.items()
        for name in ([group] if group in _PHRASES else group.split())
    },
}

MAGNITUDES: dict[str, Decimal] = {
    "hundred": Decimal(100), "thousand": Decimal(1000), "million": Decimal(10**6),
    "billion": Decimal(10**9), "trillion": Decimal(10**12), "k": Decimal(1000),
    "K": Decimal(1000), "M": Decimal(10**6), "B": Decimal(10**9), "T": Decimal(10**12),
    "bn": Decimal(10**9), "mn": Decimal(10**6),
}  # fmt: skip


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
