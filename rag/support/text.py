"""What the rules of support see in a text: words and stems, sentences, names, opposites, negations.

A name is a capitalised word that does not merely begin a sentence, an acronym, or a word with
digits or inner capitals (GPT-4, ResNet50, PyTorch). GPT-4, GPT4 and "GPT 4" are one name, GANs is
GAN, Armenian is met by Armenia, and an acronym is met by the words it stands for, either way.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from operator import attrgetter
from typing import TypeVar

from rag.retrieval.scoring import stemmer
from rag.support import Finding, FindingKind, Located

_PLAIN = str.maketrans("’‘ʼ“”−–‒‐‑\u00a0\t\n\r∼˜≃≅⩾⩽µ", "'''\"\"-----    ~~≈≈≥≤μ")


LEXICON = tomllib.loads((files("rag.support") / "lexicon.toml").read_text(encoding="utf-8"))
"""The tables of words and units that the rules know."""


STOPWORDS = frozenset(LEXICON["stopwords"].split())
_NO_NAMES = STOPWORDS.union(LEXICON["reporting"].split())

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# A full stop ends a sentence when a space and something that can begin one follow it.
_END = re.compile(r"[.!?…][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9À-Þ])|\n\s*\n")
_NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|etc|cf|vs|Fig|Figs|Eq|Eqs|Sec|Tab|Ref|Refs|No|Nos|Dr|Mr|Mrs|Ms|Prof"
    r"|St|Jr|Sr|approx|resp|ca|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
    r"|\b[A-Z])\.$"
)


LocatedItem = TypeVar("LocatedItem", bound=Located)


def overlap(one: Located, other: Located) -> bool:
    """Whether two places of a text have a character in common."""
    return one.start < other.end and other.start < one.end


def disjoint(items: Iterable[LocatedItem]) -> list[LocatedItem]:
    """The items that overlap none of those before them, by their place."""
    chosen: list[LocatedItem] = []
    for item in items:
        if not any(overlap(item, other) for other in chosen):
            chosen.append(item)
    return sorted(chosen, key=attrgetter("start"))


def finding_at(kind: FindingKind, statement: str, place: Located, found: str = "") -> Finding:
    """What the statement says at `place`, and what the evidence has instead."""
    said = statement[place.start : place.end]
    return Finding(place.start, place.end, kind, said, found)


@dataclass(frozen=True, slots=True)
class Word(Located):
    """`folded` is without case and accents."""

    text: str
    folded: str
    stem: str


def plain(text: str) -> str:
    """The text with one dash, one quotation mark and one space; its length is unchanged."""
    return text.translate(_PLAIN)


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """The word without case and accents."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=1 << 16)
def stem(folded: str) -> str:
    """Snowball's English stem of a folded word."""
    stemmed: str = stemmer().stemWord(folded.removesuffix("'s"))
    return stemmed


@lru_cache(maxsize=4096)  # one check reads the same evidence several times
def words(text: str) -> tuple[Word, ...]:
    """The words of a text in order; a hyphen separates, an apostrophe does not."""
    return tuple(
        Word(*match.span(), match.group(), folded := fold(match.group()), stem(folded))
        for match in _WORD.finditer(plain(text))
    )


def content_stems(text: str) -> set[str]:
    """Stems of the words that carry content."""
    return {word.stem for word in words(text) if word.folded not in STOPWORDS}


def all_sentences(evidence: Iterable[str]) -> list[str]:
    """The sentences of every piece of evidence, in order."""
    sentences = []
    for text in evidence:
        start = 0
        for match in _END.finditer(text):
            sentence = text[start : match.end()].rstrip()
            if match.group().isspace() or not _NO_END.search(sentence):
                sentences.append(sentence)
                start = match.end()
        sentences.append(text[start:].strip())
    return list(filter(None, sentences))


_TOKEN = re.compile(r"[^\W_]+(?:[-'./+&][^\W_]+)*\+*")
_SENTENCE_START = re.compile(
    r"(?:^|(?<!\b[A-Z])(?<! al)(?<!Mr)(?<!Dr)(?<!gs)\.\s+|[!?:]\s+|\n\s*|[\"'•]\s*)$"
)
_JOINERS = re.compile(r"[-'./+&\s]")
_CAPITALISED = frozenset(LEXICON["capitalised"].split())


@dataclass(frozen=True, slots=True)
class Name(Located):
    """`key` is equal for the ways of writing one name."""

    text: str
    key: str


def _key(token: str) -> str:
    return _JOINERS.sub("", fold(token.removesuffix("'s")))


def _has_form_of_name(token: str) -> bool:
    """Whether the form alone makes a name: GPT-4, mAP, PyTorch, NASA, yolov5."""
    if not any(char.isupper() for char in token):
        return bool(re.fullmatch(r"[a-z]{2,}[-]?\d+[a-z]?", token))
    return any(char.isupper() for char in token[1:]) or any(char.isdigit() for char in token)


def names(text: str) -> list[Name]:
    """The names of a text, one for each word of them, in order."""
    flat = plain(text)
    tokens = list(_TOKEN.finditer(flat))
    capitals = sum(match.group()[0].isupper() for match in tokens)
    title_case = len(tokens) > 3 and capitals > 0.7 * len(tokens)

    def is_name(token: str, start: int) -> bool:
        folded = fold(token)
        if folded in _CAPITALISED or token[0].isdigit() or len(token) < 2:
            return False
        if _has_form_of_name(token):
            return True
        no_name = title_case or not token[0].isupper() or folded in _NO_NAMES
        return not no_name and not _SENTENCE_START.search(flat[:start])

    return [
        Name(*match.span(), match.group(), _key(match.group()))
        for match in tokens
        if is_name(match.group(), match.start())
    ]


class NameIndex:
    """The names of the evidence, and the plain words that a name may be made of."""

    def __init__(self, evidence: Sequence[str]) -> None:
        self._keys: set[str] = set()
        self._stems: set[str] = set()
        self._initials: set[str] = set()
        for piece in evidence:
            tokens = _TOKEN.findall(plain(piece))
            keys = [_key(token) for token in tokens]
            parts = [part for token in tokens for part in _JOINERS.split(token)]
            self._keys.update(keys, map(_key, parts), (a + b for a, b in pairwise(keys)))
            folded = [part for token in tokens for part in _JOINERS.split(fold(token)) if part]
            self._stems.update(map(stem, folded))
            for run in (folded, [part for part in folded if part not in STOPWORDS]):
                initials = "".join(part[0] for part in run)
                starts = range(len(initials) - 1)
                self._initials |= {initials[at : at + n] for at in starts for n in range(2, 7)}

    def knows(self, name: Name) -> bool:
        """Whether the evidence has this name in any of its forms."""
        key = name.key
        singular = key.removesuffix("s")
        if self._has(key) or singular in self._keys or key + "s" in self._keys:
            return True
        if len(key) <= 7 and name.text[:2].isupper() and singular in self._initials:
            return True
        if any(char.isdigit() for char in key):
            return False
        parts = [_key(part) for part in _JOINERS.split(name.text) if part]
        if len(parts) > 1 and all(map(self._has, parts)):
            return True
        # Armenian and Armenia, Bayesian and Bayes.
        return len(key) >= 6 and any(
            len(other) >= 5
            and (key.startswith(other[:-1]) or other.startswith(key[:-1]))
            and abs(len(key) - len(other)) <= 3
            for other in self._keys
        )

    def abbreviates(self, group: Sequence[Name]) -> bool:
        """Whether the evidence has the acronym of these consecutive names (CNN)."""
        return len(group) > 1 and "".join(name.key[0] for name in group) in self._keys

    def _has(self, key: str) -> bool:
        return key in self._keys or stem(key) in self._stems


@dataclass(frozen=True, slots=True)
class Pole:
    """One end of a comparison: `direction` is +1 or -1 on line `row` of the opposites."""

    family: str
    row: int
    direction: int


POLES = {
    word: Pole(family, row, direction)
    for row, line in enumerate(LEXICON["opposites"].strip().splitlines())
    for family, _, sides in [line.partition(": ")]
    for direction, side in zip((1, -1), sides.split(" / "), strict=True)
    for word in side.split()
} | {"upper": Pole("amount", -1, 1)}  # "lower" has another opposite
"""The end of a comparison that a folded word names."""
COMPARATIVES = frozenset(LEXICON["comparatives"].split())

_NEGATIONS = frozenset(LEXICON["negations"].split())
DENIALS = _NEGATIONS.union(LEXICON["denials"].split())
_NOT_NEGATING = re.compile(
    r"(?:not\s+(?:only|just|merely)\b(?=[^.]*\b(?:but|also)\b)|no\s+warning|not\s+necessarily"
    r"|whether\s+or\s+not|no\s+(?:more|less|fewer|later|earlier)\s+than|no\.\s*\d"
    r"|not\s+(?:more|less)\s+than)",
    re.IGNORECASE,
)
_PREFIXES = ("un", "in", "im", "ir", "il", "non", "dis")
# A negation reaches no further than its clause.
_CLAUSE = re.compile(
    r"[,;:.!?()—]|\b(?:but|while|whereas|although|though|because|since|which)\b", re.IGNORECASE
)


def opposed(one: Word, other: Word) -> bool:
    """Whether two words contradict each other: faster and slower, supervised and unsupervised."""
    pole, its_pole = POLES.get(one.folded), POLES.get(other.folded)
    if pole is not None and its_pole is not None:
        return pole.row == its_pole.row and pole.direction == -its_pole.direction
    short, long = sorted((one.folded, other.folded), key=len)
    return len(short) >= 4 and any(
        long.startswith(prefix) and stem(long.removeprefix(prefix).lstrip("-")) == stem(short)
        for prefix in _PREFIXES
    )


def negations(text: str) -> list[Word]:
    """The words that negate, without those that do not after all: "not only", "no more than 5"."""
    idle = [match.span() for match in _NOT_NEGATING.finditer(plain(text))]
    return [
        word
        for word in words(text)
        if (word.folded in _NEGATIONS or word.folded.endswith("n't"))
        and not any(start <= word.start < end for start, end in idle)
    ]


def negated(text: str) -> list[tuple[Word, tuple[Word, ...]]]:
    """Every negation of a text with what it reaches: six content words, not past a clause."""
    flat, every = plain(text), words(text)
    scopes = []
    for cue in negations(text):
        stop = _CLAUSE.search(flat, cue.end)
        limit = stop.start() if stop else len(flat)
        after = every.index(cue) + 1
        near = (word for word in every[after : after + 11] if word.start < limit)
        scopes.append((cue, tuple(word for word in near if word.folded not in STOPWORDS)[:6]))
    return scopes
