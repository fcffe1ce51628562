"""Names in a statement that the evidence does not know: people, places, models, data sets.

A name is a capitalised word that does not merely begin a sentence, an acronym, or a word with
digits or inner capitals (GPT-4, ResNet50, PyTorch). GPT-4, GPT4 and "GPT 4" are one name, GANs is
GAN, Armenian is met by Armenia, and an acronym is met by the words it stands for, either way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

_PLAIN = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"',
        "−": "-", "–": "-", "‒": "-", "‐": "-", "‑": "-",
        "\u00a0": " ", "\t": " ", "\n": " ", "\r": " ",
        "∼": "~", "˜": "~", "≃": "≈", "≅": "≈", "⩾": "≥", "⩽": "≤", "µ": "μ",
    }
)  # fmt: skip


def word_set(listing: str) -> frozenset[str]:
    """The words of a listing, for word lists that read as prose."""
    return frozenset(listing.split())


STOPWORDS = word_set(
    """a about above after again all also although am an and any are as at be because been before
    being below between both but by can could did do does doing done down during each either et al
    etc for from further had has have having he her here hers herself him himself his how however
    i if in into is it its itself just may me might more most much must my myself of off on once
    only or other our ours ourselves out over own same shall she should so some such than that the
    their theirs them themselves then there therefore these they this those through thus to too
    under until up upon us very was we were what when where whether which while who whom whose why
    will with within would yet you your yours yourself via i.e e.g s t d ll re ve m"""
)

# What a writer puts before a statement without saying anything of the evidence by it.
LEAD_WORDS = word_set(
    """author authors paper papers work works study article state states stated report reports
    reported show shows showed shown note notes noted find finds found say says said according
    describe describes described explain explains explained propose proposes present presents
    observe observes claim claims argue argues write writes mention mentions"""
)

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# A full stop ends a sentence when a space and something that can begin one follow it.
_END = re.compile(r"[.!?…][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9À-Þ])|\n\s*\n")
_NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|et al|etc|cf|vs|Fig|Figs|Eq|Eqs|Sec|Tab|Ref|Refs|No|Nos|Dr|Mr|Mrs|Ms|Prof"
    r"|St|Jr|Sr|approx|resp|ca|Inc|Ltd|Co|Corp|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
    r"|\b[A-Z])\.$"
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text: `text[start:end]`, case and accents folded in `folded`."""

    text: str
    start: int
    end: int
    folded: str
    stem: str


def plain(text: str) -> str:
    """The text with one dash, one quotation mark and one space, length kept."""
    return text.translate(_PLAIN)


def fold(text: str) -> str:
    """Case and accents removed."""
    lowered = text.casefold()
    if lowered.isascii():
        return lowered
    decomposed = unicodedata.normalize("NFKD", lowered)
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


@lru_cache(maxsize=1 << 16)
def stem(folded: str) -> str:
    """Snowball's English stem of a folded word."""
    stemmed: str = _stemmer().stemWord(folded.removesuffix("'s"))
    return stemmed


def words(text: str) -> list[Word]:
    """The words of a text in order; a hyphen separates, an apostrophe does not."""
    return list(_words(text))


# One check reads the same evidence several times; a report, hundreds of times.
@lru_cache(maxsize=4096)
def _words(text: str) -> tuple[Word, ...]:
    found = []
    for match in _WORD.finditer(plain(text)):
        folded = fold(match.group())
        found.append(Word(match.group(), match.start(), match.end(), folded, stem(folded)))
    return tuple(found)


def content_stems(found: Iterable[Word]) -> list[str]:
    """Stems of the words that carry content, in order, repetitions kept."""
    return [word.stem for word in found if word.folded not in STOPWORDS]


def sentences(text: str) -> list[str]:
    """The sentences of a text. Meant for evidence that is already short; offsets are not kept."""
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        before = text[start : match.end()].rstrip()
        if _NO_END.search(before) and not match.group().isspace():
            continue
        parts.append(before)
        start = match.end()
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def all_sentences(evidence: Sequence[str]) -> list[str]:
    """The sentences of every piece of evidence, in order."""
    return [sentence for piece in evidence for sentence in sentences(piece)]


_TOKEN = re.compile(r"[^\W_]+(?:[-'./+&][^\W_]+)*\+*")
_BEGINS = re.compile(
    r"(?:^|(?<!\b[A-Z])(?<! al)(?<!Mr)(?<!Dr)(?<!gs)\.\s+|[!?:]\s+|\n\s*|[\"'•]\s*)$"
)
_JOINERS = re.compile(r"[-'./+&\s]")
_CALENDAR = word_set(
    """january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday mr mrs ms dr prof figure fig table
    section eq equation appendix chapter algorithm theorem lemma"""
)


@dataclass(frozen=True, slots=True)
class Name:
    """`text[start:end]`; `key` is equal for the ways of writing one name."""

    text: str
    start: int
    end: int
    key: str


def _key(token: str) -> str:
    return _JOINERS.sub("", fold(token.removesuffix("'s")))


def _shaped(token: str) -> bool:
    """Whether the form alone makes a name: GPT-4, mAP, PyTorch, NASA."""
    if not any(char.isupper() for char in token):
        # alphanumeric in small letters: a name only where digits end a word (yolov5), not 3d.
        return bool(re.fullmatch(r"[a-z]{2,}[-]?\d+[a-z]?", token))
    inner = any(char.isupper() for char in token[1:])
    return inner or any(char.isdigit() for char in token)


def names(text: str) -> list[Name]:
    """The names of a text, one for each word of them, in order."""
    flat = plain(text)
    tokens = list(_TOKEN.finditer(flat))
    capitals = sum(match.group()[0].isupper() for match in tokens)
    title_case = len(tokens) > 3 and capitals > 0.7 * len(tokens)
    found = []
    for match in tokens:
        token = match.group()
        folded = fold(token)
        if folded in _CALENDAR or token[0].isdigit() or len(token) < 2:
            continue
        if _shaped(token):
            found.append(Name(token, match.start(), match.end(), _key(token)))
            continue
        if not token[0].isupper() or folded in STOPWORDS or folded in LEAD_WORDS or title_case:
            continue
        if _BEGINS.search(flat[: match.start()]):
            continue
        found.append(Name(token, match.start(), match.end(), _key(token)))
    return found


class NameIndex:
    """What the evidence knows by name, or by the plain words a name is made of."""

    def __init__(self, evidence: Sequence[str]) -> None:
        self._keys: set[str] = set()
        self._stems: set[str] = set()
        self._initials: set[str] = set()
        for piece in evidence:
            tokens = [match.group() for match in _TOKEN.finditer(plain(piece))]
            keys = [_key(token) for token in tokens]
            self._keys.update(keys)
            self._keys.update(one + two for one, two in pairwise(keys))
            for token in tokens:
                self._keys.update(_key(part) for part in _JOINERS.split(token))
            parts = [part for token in tokens for part in _JOINERS.split(fold(token)) if part]
            self._stems.update(stem(part) for part in parts)
            self._initials.update(_initials(parts))

    def knows(self, name: Name) -> bool:
        """Whether the evidence has this name in any of its forms."""
        key = name.key
        if key in self._keys or stem(key) in self._stems:
            return True
        singular = key.removesuffix("s")
        if singular in self._keys or key + "s" in self._keys:
            return True
        if len(key) <= 7 and name.text[:2].isupper() and singular in self._initials:
            return True
        if any(char.isdigit() for char in key):
            return False
        parts = [_key(part) for part in _JOINERS.split(name.text) if part]
        if len(parts) > 1 and all(
            part in self._keys or stem(part) in self._stems for part in parts
        ):
            return True
        # Armenian and Armenia, Bayesian and Bayes.
        return len(key) >= 6 and any(
            len(other) >= 5 and (key.startswith(other[:-1]) or other.startswith(key[:-1]))
            and abs(len(key) - len(other)) <= 3
            for other in self._keys
        )  # fmt: skip

    def abbreviates(self, group: Sequence[Name]) -> bool:
        """Whether the evidence has the acronym of these consecutive names (CNN)."""
        return len(group) > 1 and "".join(name.key[0] for name in group) in self._keys


def _initials(parts: Sequence[str]) -> set[str]:
    """The initials of every run of two to six words, small words in or out."""
    found: set[str] = set()
    for kept in (parts, [part for part in parts if part not in STOPWORDS]):
        letters = "".join(part[0] for part in kept)
        found.update(
            letters[at : at + length]
            for length in range(2, 7)
            for at in range(len(letters) - length + 1)
        )
    return found
