"""Reads the quantities and dates of a text: value in a base unit, dimension, bound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal


def _numbered(words: str, *, first: int = 1, step: int = 1) -> dict[str, int]:
    return {word: first + at * step for at, word in enumerate(words.split())}


_ONES = _numbered("one two three four five six seven eight nine")
_TEENS = _numbered(
    "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", first=10
)
_TENS = _numbered("twenty thirty forty fifty sixty seventy eighty ninety", first=20, step=10)
# "First" and "second" order an argument more often than they count.
_ORDINALS = _numbered("third fourth fifth sixth seventh eighth ninth tenth", first=3)
_FOLDS = {"twice": 2, "doubled": 2, "twofold": 2, "thrice": 3, "tripled": 3, "threefold": 3,
          "tenfold": 10, "both": 2, "pair": 2, "double": 2}  # fmt: skip
_NUMERALS = {"zero": 0} | _ONES | _TEENS | _TENS | _ORDINALS | _FOLDS
_SHARES = _numbered("half third quarter fifth", first=2) | {"tenth": 10}
_SCALES = {"hundred": 2, "thousand": 3, "k": 3, "K": 3, "million": 6, "M": 6, "mn": 6,
           "billion": 9, "B": 9, "bn": 9, "trillion": 12, "T": 12}  # fmt: skip
_MONTHS = _numbered(
    "January February March April May June July August September October November December"
)
# "dimension: names factor, …": names of a base unit (factor "SI") take the SI prefixes.
_TABLE = """s: s second sec SI, minute min 60, hour hr h 3600, day 86400, week 604800; m: m meter
metre SI; g: g gram SI; l: l L liter litre SI; mol: M mol SI; B: B byte SI, KiB 1024, MiB 1048576;
bps: bps SI; Hz: Hz hertz SI; V: V volt SI; W: W watt SI; J: J joule SI; Pa: Pa pascal SI; eV: eV
SI; Wh: Wh SI; FLOP: FLOPs FLOPS flops SI; month: month 1, year yr 12, decade 120, century centuries
1200; ft: foot feet ft 1; mile: mile 1; inch: inch inches 1; ton: ton tonne 1; lb: pound lb 1;
bit: bit 1; px: pixel px 1; dB: dB decibel 1; fps: fps FPS 1; °C: °C 1; °F: °F 1; °: ° degree 1;
%: % percent pct 1; points: point pp pts 1; times: times x × fold 1; $: dollar USD 1; €: euro 1"""
_PREFIXES = {"n": -9, "u": -6, "μ": -6, "m": -3, "c": -2, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12,
             "P": 15, "nano": -9, "micro": -6, "milli": -3, "centi": -2, "kilo": 3, "mega": 6,
             "giga": 9, "tera": 12, "peta": 15}  # fmt: skip


def _units() -> dict[str, tuple[str, Decimal]]:
    """Every unit's names with its dimension and the factor to the dimension's base unit."""
    units = {}
    for line in " ".join(_TABLE.split()).split("; "):
        dimension, _, entries = line.partition(": ")
        for *names, factor in map(str.split, entries.split(",")):
            for name in names:
                units[name] = dimension, Decimal(1 if factor == "SI" else factor)
                for prefix, power in _PREFIXES.items() if factor == "SI" else ():
                    if (len(prefix) > 1) == (len(name) > 3 and name[0].islower()):
                        units[prefix + name] = dimension, Decimal(10) ** power
    return units | {f"{name}s": unit for name, unit in units.items() if len(name) > 2}


_UNITS = _units()


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


_SMALL = (
    rf"(?:(?:{_any_of(_TENS)})(?:[ -](?:{_any_of(_ONES)}))?|{_any_of(['zero', *_ONES, *_TEENS])})"
)
_NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![\w.)\]%°-])[-+](?=[\d.])|)(?P<currency>[$€£¥]\s?)?
    (?:(?<![\w.])|(?<=\d[xX×])|(?<=[$€£¥]))(?<![A-Za-z]-)
    (?:(?P<digits>(?:\d{{1,3}}(?:[,\u2009\u202f]\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)
        (?:[eE](?P<e>[-+]?\d{{1,3}})(?!\w)
          |\s?[×x·*]\s?10\s?(?:\^\s?\{{?\s?(?P<power>[-+]?\d{{1,2}})\}}?
          |(?P<raised>[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)))?
        (?:st|nd|rd|th)?
      |(?P<share>(?:(?:one|two|three|four|a)[ -])?(?:{_any_of(_SHARES)})s?
        (?=\s(?:of|the|as)\s(?!\d)))
      |(?P<word>(?i:{_any_of([*_ORDINALS, *_FOLDS])}|{_SMALL}
        (?:\s+hundred(?:\s+(?:and\s+)?{_SMALL})?)?)(?!\w))
      |a(?=\s(?:hundred|thousand|million|billion)\b))
    """,
    re.VERBOSE,
)
_SCALE = re.compile(
    r"[\s-]?(?i:(hundred|thousand|million|billion|trillion))s?\b|(k|K|M|B|T|bn|mn)(?!\w)"
)
_UNIT = re.compile(
    rf"(?P<gap>[\s-]?)(?:(?P<symbol>{_any_of(_UNITS)})|(?P<word>(?i:percentage points?|per cent|"
    rf"{_any_of(name for name in _UNITS if len(name) > 3)})))(?P<per>/[A-Za-zμ]+)?(?!\w)"
)
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_MONTH = "|".join([*_MONTHS, *(rf"{name[:3]}\b\.?" for name in _MONTHS), r"Sept\b\.?"])
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?"
# A month alone is a date if it is written out and is no verb, or if a year follows.
_DATE = re.compile(
    rf"(?<!\w)(?:(?<=\d{{4}}-)(?P<iso>(?:0\d|1[0-2])-[0-3]\d)"
    rf"|(?P<day>{_DAY})\s+(?:of\s+)?(?P<month>{_MONTH})"
    rf"|(?P<first>{_MONTH})\s+(?P<second>{_DAY})(?![\d.:%]\d)"
    rf"|(?P<alone>(?:{_MONTH})(?=,?\s+(?:of\s+)?\d{{4}}\b)"
    rf"|{_any_of(_MONTHS.keys() - {'March', 'May'})}))(?!\w)"
)
# What bounds or rounds the number behind it, or before it.
_BOUND = re.compile(
    r"""(?<!\w)(?:
    (?P<least>at\ least|not?\ (?:less|fewer|lower|earlier)\ than|a\ minimum\ of|≥|>=)
    |(?P<most>at\ most|not?\ (?:more|higher|later)\ than|up\ to|a\ maximum\ of|≤|<=)
    |(?P<over>(?:more|greater|higher|larger|longer|better)\ than|over|above|exceed\w*|beyond|>)
    |(?P<under>(?:less|fewer|lower|smaller|shorter|worse)\ than|below|under|<)
    |(?P<about>almost|nearly|about|around|approximately|approx\.?|roughly|circa|ca\.?|some
        |close\ to|an\ estimated|[~≈])
    )\s*(?:an?\s)?$""",
    re.IGNORECASE | re.VERBOSE,
)
_BOUND_AFTER = re.compile(
    r"\s*(?:(?P<least>or (?:more|above|higher)\b|\+(?!\d))|(?P<most>or (?:less|fewer|below)\b))"
)
_CONFLICTS = {
    "over": ("", "under", "most"), "least": ("under", "most"),
    "under": ("", "over", "least"), "most": ("over", "least"),
}  # fmt: skip
# Numbers of list items and the like: nothing is measured there. Citations likewise.
_MARK = re.compile(r"^\s*\(?\d{1,2}[.)]\s|\b(?i:no|nos|id)\.?\s\d+")
_CITATION = re.compile(r"\[(?!0)\d{1,3}(?:\s?[,;-]\s?\d{1,3})*\]")
CITED = "cited"

# One dash, one quotation mark, one space; the length stays.
PLAIN = str.maketrans("’‘ʼ“”−–—‒‐‑\u00a0\t\n\r∼˜≃≅⩾⩽µſıİ", "'''\"\"------    ~~≈≈≥≤μsiI")


@dataclass(frozen=True, slots=True)
class Quantity:
    """`value` in the base unit of `dimension`, "" where there is none; `plain` is the value without
    its unit, `written` the number without its magnitude (5 of 5 million). `bound` is "", "over",
    "least", "under", "most", "about" or CITED, and its words belong to the quantity. A date has the
    value 100 · month + day; its year is a quantity of its own. `vague` are words that are often no
    quantity: "one", "both", "third"."""

    start: int
    end: int
    text: str
    value: Decimal
    dimension: str
    plain: Decimal
    written: Decimal
    bound: str = ""
    vague: bool = False

    @property
    def is_definite(self) -> bool:
        """Whether it is missed where the evidence lacks it."""
        return not self.vague and not self.bound and self.value not in (0, 1)

    @property
    def sort(self) -> tuple[str, bool]:
        """Equal for quantities that may stand for one another: dimension, and whether a year."""
        is_year = self.plain == self.written and 1000 <= self.plain < 10000
        return self.dimension, not self.dimension and is_year

    def equals(self, other: Quantity) -> bool:
        """Whether they may be the same amount. A number without a unit may have any."""
        if self.dimension == other.dimension == "date":  # a month meets every day of it
            day = other.value % 100 * (self.value % 100 == 0)
            return other.value == self.value + day
        if self.dimension == other.dimension:
            return abs(self.value) == abs(other.value)
        if "date" in (self.dimension, other.dimension) or (self.dimension and other.dimension):
            return False
        if "%" in (self.dimension, other.dimension):
            fraction, share = sorted((self, other), key=lambda it: it.dimension)
            # A whole number is no fraction: 100 % is not the number 1.
            if abs(fraction.plain) <= 1 and fraction.plain % 1:
                return abs(fraction.plain) * 100 == abs(share.plain)
        return abs(self.plain) == abs(other.plain)

    def contrary(self, known: Sequence[Quantity]) -> Quantity | None:
        """What bounds this amount otherwise, where none near to it lies within its own bound:
        "more than 90 %" follows from 93.2 %, not from 90 %."""
        contrary = _CONFLICTS.get(self.bound, ())
        equal = [other for other in known if self.equals(other)] if contrary else []
        sign = 1 if self.bound in ("over", "least") else -1
        near = (it.value - self.value for it in known if it.dimension == self.dimension)
        follows = any(0 < sign * by <= abs(self.value) / 2 for by in near)
        stands = follows or any(other.bound not in contrary for other in equal)
        return equal[0] if equal and not stands else None


def unmarked(text: str) -> str:
    """The text with plain dashes, quotation marks and spaces, and blanks for what only numbers
    an item of a list; its length is unchanged."""
    return _MARK.sub(lambda mark: " " * len(mark[0]), text.translate(PLAIN))


def quantities(text: str) -> list[Quantity]:
    """All quantities of a text in order, without overlaps. Digits that belong to a name (GPT-4)
    are none, and the numbers of citations are bounded as CITED."""
    flat = unmarked(text)
    every: list[Quantity] = []
    for match in _DATE.finditer(flat):
        name = match["month"] or match["first"] or match["alone"] or ""
        day = re.sub(r"\D", "", match["day"] or match["second"] or "0")
        month = next(at for it, at in _MONTHS.items() if it.startswith(name[:3]))
        value = Decimal((match["iso"] or f"{month}{int(day):02}").replace("-", ""))
        every.append(Quantity(*match.span(), match[0], value, "date", value, value))
    dated = {at for date in every for at in range(date.start, date.end)}
    cited = {at for match in _CITATION.finditer(flat) for at in range(*match.span())}
    for match in _NUMBER.finditer(flat):
        if dated.isdisjoint(range(*match.span())):
            every += _read(flat, match, CITED if match.start() in cited else "")
    return sorted(every, key=lambda quantity: quantity.start)


def _read(text: str, match: re.Match[str], known_bound: str) -> Iterator[Quantity]:
    """The quantity that begins with this number, unless it belongs to a name."""
    start, end = match.span()
    word = (match["word"] or "").lower()
    written = Decimal(1)
    if match["digits"]:
        written = Decimal(re.sub(r"[^\d.]", "", match["digits"]))
    elif match["share"]:
        *count, part = re.split("[ -]", match["share"])
        written = Decimal(_ONES.get("".join(count), 1)) / _SHARES[part.removesuffix("s")]
    elif word:
        parts = [re.split(r"[\s-]+", part) for part in word.split("hundred")]
        hundreds, *units = (sum(_NUMERALS.get(it, 0) for it in part) for part in parts)
        written = Decimal(hundreds * 100 + units[0] if units else hundreds)
    value = -written if match["sign"] == "-" else written
    power = match["e"] or match["power"] or (match["raised"] or "0").translate(_POWERS)
    value = value.scaleb(int(power))
    while scale := _SCALE.match(text, end):
        value, end = value.scaleb(_SCALES[(scale[1] or "").lower() or scale[2]]), scale.end()
    dimension, factor, end = _unit(text, end)
    if match["currency"]:
        dimension, factor = match["currency"].strip(), Decimal(1)
    elif dimension == "s" and re.fullmatch(r"(?:1\d|20)\d0s", text[start:end]):
        dimension, factor = "decade", Decimal(1)  # the 1990s
    if re.match(r"(?![xX]\d)[^\W\d]|[.']\d", text[end:]):
        return
    bound = _BOUND.search(text, max(0, start - 24), start) or _BOUND_AFTER.match(text, end)
    if bound:
        start, end = min(start, bound.start()), max(end, bound.end())
    is_span = re.search(r"\d{4}-$", text[max(0, start - 5) : start])  # 2018-19
    vague = bool(is_span) or word in {"zero", "one", "both", "pair", "double", *_ORDINALS}
    named = (
        known_bound or (bound.lastgroup if bound else None) or ("about" if match["share"] else "")
    )
    yield Quantity(
        start, end, text[start:end], value * factor, dimension, value, written, named, vague
    )


def _unit(text: str, end: int) -> tuple[str, Decimal, int]:
    """Dimension and factor of the unit that stands at `end`, and where it ends."""
    if match := _UNIT.match(text, end):
        name = match["symbol"] or match["word"].lower()
        name = "%" if name == "per cent" else name.replace("percentage ", "")
        is_product = name in "x×" and re.match(r"\s?\d", text[match.end() :])  # 16×16
        # One letter behind a space is a unit only where no word can be meant.
        is_word = len(name) == 1 and name.isalpha() and match["gap"] and name not in "smgVW"
        if not is_product and not is_word and name in _UNITS:
            dimension, factor = _UNITS[name]
            return dimension + (match["per"] or ""), factor, match.end()
    return "", Decimal(1), end
