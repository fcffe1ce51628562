"""True sentences perturbed in known ways, so that a checker can be asked whether it notices.

Every case is a statement with the evidence it is held against. Perturbed statements are a real
sentence with one thing changed; unchanged ones are the sentence itself, or an honest light
paraphrase of it, so that the rate of false alarms means something. The rules are plain regular
expressions of their own: they share no parser with the checker they examine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

PERTURBED = (
    "number", "unit", "sign", "percentage", "negation in", "negation out", "name", "comparison",
    "another work",
)  # fmt: skip
UNCHANGED = ("verbatim", "lead-in", "clause dropped", "number rewritten", "voice")


@dataclass(frozen=True, slots=True)
class PerturbedClaim:
    """`kind` is one of PERTURBED or UNCHANGED; `work` is the source of the evidence."""

    kind: str
    work: str
    statement: str
    evidence: tuple[str, ...]


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
_DIGIT_WORDS = {"2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven",
                "8": "eight"}  # fmt: skip
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
) -> tuple[PerturbedClaim, ...]:
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
    names = {work: _names(sentences) for work, sentences in works.items()}

    def of_another_work(work: str) -> str | None:
        others = sorted(set(works) - {work})
        sentences = [line for line in works[rng.choice(others)] if usable(line)] if others else []
        return rng.choice(sentences) if sentences else None

    def other_name(work: str) -> Rule:
        def replacement(match: re.Match[str], rng: random.Random) -> str | None:
            pool = [*names[work], *names[rng.choice(sorted(names))]]
            pool = [name for name in pool if name.lower() not in match.string.lower()]
            return rng.choice(pool) if pool else None

        return _replace(_NAME, replacement)

    claims: list[PerturbedClaim] = []
    for kind in (*PERTURBED, *UNCHANGED):
        made = 0
        for work, at in places:
            if made == per_kind:
                break
            sentence = works[work][at]
            if kind == "another work":
                statement = of_another_work(work)
            else:
                rule = other_name(work) if kind == "name" else _RULES[kind]
                statement = rule(sentence, rng)
            if statement is None or (statement == sentence) != (kind == "verbatim"):
                continue
            evidence = works[work][max(0, at - 1) : at + 2] if made % 3 == 2 else [sentence]
            claims.append(PerturbedClaim(kind, work, statement, tuple(evidence)))
            made += 1
    return tuple(claims)


def _names(sentences: Sequence[str]) -> list[str]:
    """The names in a work: capitalised words that it never writes small."""
    small = {word for line in sentences for word in re.findall(r"[a-z]+", line)}
    capitalised = {match.group() for line in sentences for match in _NAME.finditer(line)}
    return sorted(name for name in capitalised if name.lower() not in small)


Rule = Callable[[str, random.Random], str | None]
"""A sentence changed, None where the rule does not apply to it."""


def _replace(
    pattern: re.Pattern[str], replacement: Callable[[re.Match[str], random.Random], str | None]
) -> Rule:
    """The rule that replaces one match of `pattern`, drawn at random."""

    def apply(sentence: str, rng: random.Random) -> str | None:
        matches = list(pattern.finditer(sentence))
        match = rng.choice(matches) if matches else None
        words = replacement(match, rng) if match else None
        if match is None or words is None:
            return None
        return sentence[: match.start()] + words + sentence[match.end() :]

    return apply


def _other_value(written: str, rng: random.Random) -> str:
    """Another number of the same look: one digit changed."""
    at = rng.choice([at for at, char in enumerate(written) if char.isdigit()])
    digit = rng.choice([digit for digit in "123456789" if digit != written[at]])
    return written[:at] + digit + written[at + 1 :]


def _percentage(match: re.Match[str], rng: random.Random) -> str:
    """Another value, or the sign left out."""
    if rng.random() < 0.25 and not re.match(
        r"\s?(?:and\b|or\b|to\b|[-–∼~,A-Z(]|\.\d)", match.string[match.end() :]
    ):
        return match[1]
    return _other_value(match[1], rng) + match[2]


def _negation_out(match: re.Match[str], rng: random.Random) -> str:
    if match["cannot"]:
        return "can"
    if match["without"]:
        return "with"
    return match.group().removesuffix("n't") if match["contraction"] else ""


def _lead_in(sentence: str, rng: random.Random) -> str:
    lead = rng.choice(
        ("The authors report that ", "According to the paper, ", "The paper states that ")
    )
    head = sentence.split(maxsplit=1)[0]
    keep = len(head) > 1 and any(char.isupper() or char.isdigit() for char in head[1:])
    return lead + _third_person(sentence if keep else sentence[0].lower() + sentence[1:])


def _third_person(sentence: str) -> str:
    for word, other in (("we", "the authors"), ("our", "their")):
        sentence = re.sub(rf"\b{word}\b", other, sentence)
        sentence = re.sub(rf"\b{word.capitalize()}\b", other.capitalize(), sentence)
    return sentence


def _clause_dropped(sentence: str, rng: random.Random) -> str | None:
    shorter = _TAIL.sub(".", _LEAD.sub("", sentence))
    if shorter == sentence or len(shorter) < 40:
        return None
    return shorter[0].upper() + shorter[1:]


def _rewritten(sentence: str, rng: random.Random) -> str | None:
    """The same number in another notation."""
    rewritten = (re.sub(pattern, put, sentence, count=1) for pattern, put in _NOTATIONS)
    return next((one for one in rewritten if one != sentence), None)


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


_RULES: dict[str, Rule] = {
    "number": _replace(_NUMBER, lambda match, rng: _other_value(match.group(), rng)),
    "unit": _replace(_UNIT, lambda match, rng: match[1] + _UNITS[match[2]]),
    "sign": lambda sentence, rng: (
        _replace(_SIGNED, lambda match, rng: "")(sentence, rng)
        or _replace(_UNSIGNED, lambda match, rng: "-")(sentence, rng)
    ),
    "percentage": _replace(_PERCENT, _percentage),
    "negation in": _replace(_AUXILIARY, lambda match, rng: match.group() + " not"),
    "negation out": _replace(_NOT, _negation_out),
    "comparison": _replace(_COMPARISON, lambda match, rng: _OPPOSITE[match.group()]),
    "verbatim": lambda sentence, rng: sentence,
    "lead-in": _lead_in,
    "clause dropped": _clause_dropped,
    "number rewritten": _rewritten,
    "voice": lambda sentence, rng: _third_person(sentence),
}
