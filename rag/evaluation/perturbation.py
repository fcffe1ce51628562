"""Spoils true sentences in known ways, so that a checker can be asked whether it notices.

Every case is a statement with the evidence it is held against. Spoiled statements are a real
sentence with one thing changed; untouched ones are the sentence itself, or an honest light
paraphrase of it, so that the rate of false alarms means something. The rules here are plain
regular expressions of their own: they share no parser with the checker they examine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["SPOILED", "UNTOUCHED", "Case", "perturbation_set", "usable"]

SPOILED = (
    "number", "unit", "sign", "percentage", "negation in", "negation out", "name", "comparison",
    "another work",
)  # fmt: skip
UNTOUCHED = ("verbatim", "lead-in", "clause dropped", "number rewritten", "voice")


@dataclass(frozen=True, slots=True)
class Case:
    """`kind` is one of SPOILED or UNTOUCHED; `work` is the source of the evidence."""

    kind: str
    work: str
    statement: str
    evidence: tuple[str, ...]

    @property
    def spoiled(self) -> bool:
        """Whether a checker should object."""
        return self.kind in SPOILED


_NUMBER = re.compile(r"(?<![\w.,/^-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w/^-]|[.,]\d|\s?%|\s?per\s?cent)")
_PERCENT = re.compile(r"(?<![\w.,-])(\d+(?:\.\d+)?)(\s?%|\spercent\b|\sper cent\b)")
_SIGNED = re.compile(r"(?<![\w.)\]%-])(?<!\d )[-−](?=\d)(?!\d[\d.]*[-−–])")
_UNSIGNED = re.compile(r"(?<![\w.,/^$-])(?<![\d] )(?=\d+\.\d+(?![\w/^-]|[.,]\d))")
_UNITS = {
    "ms": "s", "s": "ms", "seconds": "minutes", "minutes": "hours", "hours": "days",
    "days": "weeks", "weeks": "days", "months": "years", "years": "months", "GB": "MB",
    "MB": "GB", "KB": "MB", "TB": "GB", "Hz": "kHz", "kHz": "Hz", "km": "m", "cm": "mm",
    "mm": "cm", "kg": "g", "mg": "g", "million": "billion", "billion": "million",
    "thousand": "million", "pixels": "bits", "bits": "bytes", "dB": "Hz",
    "degrees": "radians", "percentage points": "percent",
}  # fmt: skip
_UNIT = re.compile(
    r"(?<![\w.,-])(\d[\d.,]*\s?-?)("
    + "|".join(sorted(_UNITS, key=len, reverse=True))
    + r")(?![\w/])"
)
_OPPOSITES = (
    ("more", "less"), ("higher", "lower"), ("larger", "smaller"), ("greater", "smaller"),
    ("faster", "slower"), ("better", "worse"), ("increase", "decrease"),
    ("increases", "decreases"), ("increased", "decreased"), ("increasing", "decreasing"),
    ("improves", "degrades"), ("improve", "degrade"), ("outperforms", "underperforms"),
    ("outperform", "underperform"), ("outperformed", "underperformed"), ("above", "below"),
    ("before", "after"), ("longer", "shorter"), ("stronger", "weaker"), ("at least", "at most"),
    ("highest", "lowest"), ("best", "worst"), ("largest", "smallest"), ("deeper", "shallower"),
    ("easier", "harder"), ("maximum", "minimum"), ("fewer", "more"), ("reduces", "increases"),
    ("reduce", "increase"), ("superior", "inferior"),
)  # fmt: skip
_OPPOSITE = {**{down: up for up, down in _OPPOSITES}, **dict(_OPPOSITES)}
_COMPARISON = re.compile(
    r"\b(" + "|".join(sorted(_OPPOSITE, key=len, reverse=True)) + r")\b(?! of the art)"
)
_AUXILIARY = re.compile(
    r"\b(is|are|was|were|can|could|will|would|should|does|do|did|has been|have been|may|must)\b"
    r"(?! not\b| no\b|n't)(?= [a-z])"
)
_NOT = re.compile(
    r"\b(?:(?P<cannot>cannot)|(?P<without>without)|(?<!or )not (?!only|just|necessarily)|"
    r"(?:is|are|was|were)(?P<contraction>n't))"
)
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][A-Za-z]*[A-Za-z0-9]+(?:-\d+)?(?![\w-])")
_LEAD = re.compile(r"^(?:However|Moreover|Furthermore|In addition|Finally|Therefore|Thus|Hence|"
                   r"Additionally|In particular|Specifically|Similarly), ")  # fmt: skip
_TAIL = re.compile(r", (?:which|where|while|whereas|and|but|since|because|as) [^,;:]{15,}\.$")
_WORDS = "two three four five six seven eight"
_DIGIT_WORDS = {str(digit): word for digit, word in enumerate(_WORDS.split(), start=2)}
_BAD = re.compile(r"(?:BIBREF|FIGREF|TABREF|SECREF|https?:|\.\.\.|[|{}\\∑∫]|\b[a-z] [a-z] [a-z]\b)")


def usable(sentence: str) -> bool:
    """Whether a sentence reads as one: words, an end, no formula debris."""
    letters = sum(char.isalpha() or char == " " for char in sentence)
    return (
        50 <= len(sentence) <= 320
        and sentence[0].isupper()
        and sentence.endswith(".")
        and letters > 0.8 * len(sentence)
        and not _BAD.search(sentence)
        and len(sentence.split()) >= 8
    )


def perturbation_set(
    works: Mapping[str, Sequence[str]], *, seed: int = 0, per_kind: int = 200
) -> tuple[Case, ...]:
    """Up to `per_kind` cases of every kind out of the works' sentences, in a fixed random order.

    Evidence is the sentence alone, or in every third case the sentence with its neighbours.
    """
    rng = random.Random(seed)
    places = [
        (work, at)
        for work in sorted(works)
        for at, sentence in enumerate(works[work])
        if usable(sentence)
    ]
    rng.shuffle(places)
    called = _called(works)
    cases: list[Case] = []
    for kind in (*SPOILED, *UNTOUCHED):
        made = 0
        for work, at in places:
            if made == per_kind:
                break
            sentence = works[work][at]
            if kind == "another work":
                statement = _foreign(work, works, rng)
            elif kind == "name":
                statement = _other_name(sentence, work, called, rng)
            else:
                statement = _RULES[kind](sentence, rng)
            if statement is None or (statement == sentence) != (kind == "verbatim"):
                continue
            evidence: tuple[str, ...] = (sentence,)
            if made % 3 == 2:
                evidence = tuple(works[work][max(0, at - 1) : at + 2])
            cases.append(Case(kind, work, statement, evidence))
            made += 1
    return tuple(cases)


def _called(works: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The names of every work: capitalised words that it never writes small."""
    called = {}
    for work, lines in works.items():
        small = {word for line in lines for word in re.findall(r"[a-z]+", line)}
        seen = {match.group() for line in lines for match in _NAME.finditer(line)}
        called[work] = sorted(name for name in seen if name.lower() not in small)
    return called


def _foreign(work: str, works: Mapping[str, Sequence[str]], rng: random.Random) -> str | None:
    others = sorted(set(works) - {work})
    if not others:
        return None
    candidates = [line for line in works[rng.choice(others)] if usable(line)]
    return rng.choice(candidates) if candidates else None


def _other_name(
    sentence: str, work: str, called: Mapping[str, Sequence[str]], rng: random.Random
) -> str | None:
    match = _pick(_NAME, sentence, rng)
    if match is None:
        return None
    pools = [called[work], called[rng.choice(sorted(called))]]
    names = [name for pool in pools for name in pool if name.lower() not in sentence.lower()]
    if not names:
        return None
    return sentence[: match.start()] + rng.choice(names) + sentence[match.end() :]


def _pick(pattern: re.Pattern[str], text: str, rng: random.Random) -> re.Match[str] | None:
    found = list(pattern.finditer(text))
    return rng.choice(found) if found else None


def _replace(
    pattern: re.Pattern[str], put: Callable[[re.Match[str], random.Random], str]
) -> Callable[[str, random.Random], str | None]:
    def apply(sentence: str, rng: random.Random) -> str | None:
        match = _pick(pattern, sentence, rng)
        if match is None:
            return None
        return sentence[: match.start()] + put(match, rng) + sentence[match.end() :]

    return apply


def _other_value(written: str, rng: random.Random) -> str:
    """Another number of the same look: a digit changed, two swapped, or ten times as much."""
    digits = [at for at, char in enumerate(written) if char.isdigit()]
    at = rng.choice(digits)
    old = written[at]
    new = rng.choice([digit for digit in "123456789" if digit != old])
    return written[:at] + new + written[at + 1 :]


def _number(match: re.Match[str], rng: random.Random) -> str:
    return _other_value(match.group(), rng)


def _percentage(match: re.Match[str], rng: random.Random) -> str:
    """Another value, or the sign left out."""
    if rng.random() < 0.25 and not re.match(
        r"\s?(?:and\b|or\b|to\b|[-–∼~,A-Z(]|\.\d)", match.string[match.end() :]
    ):
        return match[1]
    return _other_value(match[1], rng) + match[2]


def _comparison(match: re.Match[str], rng: random.Random) -> str:
    return _OPPOSITE[match.group()]


def _negation_out(match: re.Match[str], rng: random.Random) -> str:
    if match["cannot"]:
        return "can"
    if match["without"]:
        return "with"
    return match.group().removesuffix("n't") if match["contraction"] else ""


def _lead_in(sentence: str, rng: random.Random) -> str:
    lead = rng.choice(
        ["The authors report that ", "According to the paper, ", "The paper states that "]
    )
    head = sentence.split(maxsplit=1)[0]
    keep = len(head) > 1 and any(char.isupper() or char.isdigit() for char in head[1:])
    body = sentence if keep else sentence[0].lower() + sentence[1:]
    return lead + _we(body)


def _we(sentence: str) -> str:
    turned = re.sub(r"\bwe\b", "the authors", sentence)
    turned = re.sub(r"\bWe\b", "The authors", turned)
    turned = re.sub(r"\bour\b", "their", turned)
    return re.sub(r"\bOur\b", "Their", turned)


def _clause_dropped(sentence: str, rng: random.Random) -> str | None:
    shorter = _LEAD.sub("", sentence)
    shorter = _TAIL.sub(".", shorter)
    if shorter == sentence or len(shorter) < 40:
        return None
    return shorter[0].upper() + shorter[1:]


def _rewritten(sentence: str, rng: random.Random) -> str | None:
    """The same number in another notation."""
    for pattern, put in _NOTATIONS:
        turned = re.sub(pattern, put, sentence, count=1)
        if turned != sentence:
            return turned
    return None


_NOTATIONS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"(?<=\d)\s?%(?![\w–-])", lambda match: " percent"),
    (r"(?<![\w.,-])\d{4,9}(?![\w.,-])(?<!19\d\d)(?<!20\d\d)",
     lambda match: f"{int(match.group()):,}"),
    (r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w.,])", lambda match: match.group().replace(",", "")),
    (r"(?<![\w.,/-])(?<!Table )(?<!Figure )(?<!Section )(?<!× )(?<!x )[2-8](?= [a-z]{4,})",
     lambda match: _DIGIT_WORDS[match.group()]),
    (r"(?<![\w.,-])\d+\.\d(?![\w.,])", lambda match: match.group() + "0"),
    (r"(?<!-)(?<!hundred )(?<!thousand )(?<!hundred and )\b(?:two|three|four|five|six|seven|eight)"
     r"(?= (?!hundred|thousand|million|billion|percent)[a-z]{4,})",
     lambda match: next(d for d, word in _DIGIT_WORDS.items() if word == match.group())),
)  # fmt: skip


def _voice(sentence: str, rng: random.Random) -> str | None:
    """ "We" turned into "the authors", nothing put before it."""
    turned = _we(sentence)
    return turned if turned != sentence else None


_RULES: dict[str, Callable[[str, random.Random], str | None]] = {
    "number": _replace(_NUMBER, _number),
    "unit": _replace(_UNIT, lambda match, rng: match[1] + _UNITS[match[2]]),
    "sign": lambda sentence, rng: (
        _replace(_SIGNED, lambda match, rng: "")(sentence, rng)
        or _replace(_UNSIGNED, lambda match, rng: "-")(sentence, rng)
    ),
    "percentage": _replace(_PERCENT, _percentage),
    "negation in": _replace(_AUXILIARY, lambda match, rng: match.group() + " not"),
    "negation out": _replace(_NOT, _negation_out),
    "comparison": _replace(_COMPARISON, _comparison),
    "verbatim": lambda sentence, rng: sentence,
    "lead-in": _lead_in,
    "clause dropped": _clause_dropped,
    "number rewritten": _rewritten,
    "voice": _voice,
}
