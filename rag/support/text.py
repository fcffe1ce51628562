"""What the rules of support see in a text: words and stems, sentences, names, opposites, negations.

A name is a capitalised word that does not merely begin a sentence, an acronym, or a word with
digits or inner capitals (GPT-4, ResNet50, PyTorch). GPT-4, GPT4 and "GPT 4" are one name, GANs is
GAN, Armenian is met by Armenia, and an acronym is met by the words it stands for, either way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rag.retrieval.scoring import stemmer

_PLAIN = str.maketrans("’‘ʼ“”−–‒‐‑\u00a0\t\n\r∼˜≃≅⩾⩽µ", "'''\"\"-----    ~~≈≈≥≤μ")


def word_set(words: str) -> frozenset[str]:
    """The words of a list that is written as prose."""
    return frozenset(words.split())


STOPWORDS = word_set(
    """a about above after again all also although am an and any are as at be because been before
    being below between both but by can could did do does doing done down during each either et
    al etc for from further had has have having he her here hers herself him himself his how
    however i if in into is it its itself just may me might more most much must my myself of off
    on once only or other our ours ourselves out over own same shall she should so some such than
    that the their theirs them themselves then there therefore these they this those through thus
    to too under until up upon us very was we were what when where whether which while who whom
    whose why will with within would yet you your yours yourself via i.e e.g s t d ll re ve m"""
)
# Words that introduce what a source says, as in "The authors report that ...".
_LEAD_WORDS = word_set(
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
    """One word of a text: `text[start:end]`; `folded` is without case and accents."""

    text: str
    start: int
    end: int
    folded: str
    stem: str


def plain(text: str) -> str:
    """The text with one dash, one quotation mark and one space; its length is unchanged."""
    return text.translate(_PLAIN)


def fold(text: str) -> str:
    """The text without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
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
        Word(match.group(), *match.span(), folded := fold(match.group()), stem(folded))
        for match in _WORD.finditer(plain(text))
    )


def content_stems(text: str) -> set[str]:
    """Stems of the words that carry content."""
    return {word.stem for word in words(text) if word.folded not in STOPWORDS}


def sentences(text: str) -> list[str]:
    """The sentences of a text, without their offsets."""
    parts: list[str] = []
    start = 0
    for match in _END.finditer(text):
        sentence = text[start : match.end()].rstrip()
        if match.group().isspace() or not _NO_END.search(sentence):
            parts.append(sentence)
            start = match.end()
    return [part for part in (*parts, text[start:].strip()) if part]


def all_sentences(evidence: Sequence[str]) -> list[str]:
    """The sentences of every piece of evidence, in order."""
    return [sentence for piece in evidence for sentence in sentences(piece)]


_TOKEN = re.compile(r"[^\W_]+(?:[-'./+&][^\W_]+)*\+*")
_SENTENCE_START = re.compile(
    r"(?:^|(?<!\b[A-Z])(?<! al)(?<!Mr)(?<!Dr)(?<!gs)\.\s+|[!?:]\s+|\n\s*|[\"'•]\s*)$"
)
_JOINERS = re.compile(r"[-'./+&\s]")
_CALENDAR = word_set(
    """january february march april may june july august september october november december monday
    tuesday wednesday thursday friday saturday sunday mr mrs ms dr prof figure fig table section
    eq equation appendix chapter algorithm theorem lemma"""
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
        if folded in _CALENDAR or token[0].isdigit() or len(token) < 2:
            return False
        if _has_form_of_name(token):
            return True
        if title_case or not token[0].isupper() or folded in STOPWORDS or folded in _LEAD_WORDS:
            return False
        return not _SENTENCE_START.search(flat[:start])

    return [
        Name(match.group(), *match.span(), _key(match.group()))
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
            self._initials.update(_initials(folded))
            self._initials.update(_initials([part for part in folded if part not in STOPWORDS]))

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


def _initials(parts: Sequence[str]) -> Iterator[str]:
    """The initials of every run of two to six words."""
    letters = "".join(part[0] for part in parts)
    for length in range(2, 7):
        for at in range(len(letters) - length + 1):
            yield letters[at : at + length]


# Opposites, "family: one direction / the other". Words of one family and direction may stand for
# one another ("higher", "increases"); only words of one line contradict each other. No word stands
# on two lines.
_OPPOSITES = """
amount: more most / less least fewer fewest
amount: higher highest high / lower lowest low
amount: larger largest greater greatest bigger biggest large big / smaller smallest small
amount: increase increases increased increasing grow grows grew grown rise rises rose gain gains \
gained growth raise raises raised boost boosts boosted / decrease decreases decreased decreasing \
decline declines declined drop drops dropped reduce reduces reduced reducing reduction fall falls \
fell diminish diminishes diminished shrink
amount: above exceed exceeds exceeded exceeding / below
amount: maximum max maximal maximize maximizes maximizing maximise maximises / minimum min minimal \
minimize minimizes minimizing minimise minimises
quality: better best / worse worst
quality: improve improves improved improving improvement / worsen worsens worsened degrade \
degrades degraded degradation deteriorate deteriorates
quality: outperform outperforms outperformed outperforming surpass surpasses surpassed / \
underperform underperforms underperformed underperforming
quality: superior / inferior
quality: stronger strongest strong / weaker weakest weak
speed: faster fastest fast quicker quickly / slower slowest slow slowly
speed: accelerate accelerates accelerated / decelerate decelerates slows slowed
time: before earlier earliest prior / after later latest subsequently
effort: easier easiest easy easily / harder hardest difficult
effort: simpler simplest simple / complex
length: longer longest long / shorter shortest short
depth: deeper deepest deep / shallower shallow
width: wider widest wide / narrower narrow
sign: positive positively / negative negatively
truth: true / false
frequency: always often frequently / never rarely seldom
success: succeed succeeds succeeded success / fail fails failed failure
cost: cheaper cheapest cheap / expensive costlier
temperature: warmer hotter hot / colder cooler cold
age: newer newest / older oldest
place: first / last
presence: presence present / absence absent
presence: include includes included including / exclude excludes excluded excluding
presence: with / without
share: majority / minority
likeness: similar similarly same / different differently dissimilar
permission: allow allows allowed enable enables enabled / prevent prevents prevented forbid forbids
"""


@dataclass(frozen=True, slots=True)
class Pole:
    """One end of a comparison: `direction` is +1 or -1 on line `row` of the opposites."""

    family: str
    row: int
    direction: int


def _read_poles() -> Iterator[tuple[str, Pole]]:
    for row, line in enumerate(_OPPOSITES.strip().splitlines()):
        family, _, sides = line.partition(": ")
        for direction, side in zip((1, -1), sides.split(" / "), strict=True):
            for word in side.split():
                yield word, Pole(family, row, direction)


_POLES = {**dict(_read_poles()), "upper": Pole("amount", -1, 1)}  # "lower" has another opposite
# A comparison in itself: it is missed where the evidence compares nothing.
COMPARATIVES = word_set(
    """more less fewer higher lower larger greater smaller bigger better worse faster slower longer
    shorter stronger weaker cheaper deeper easier harder outperform outperforms outperformed
    underperform underperforms underperformed surpass surpasses surpassed exceed exceeds exceeded
    superior inferior"""
)

_NEGATIONS = word_set(
    """not no never none neither nor without cannot nothing nobody nowhere hardly scarcely barely
    unable lack lacks lacked lacking absence absent fail fails failed failing failure unlikely
    impossible"""
)
# Verbs of the evidence that a statement may render as a negation.
DENIALS = _NEGATIONS | word_set(
    """against prohibit prohibits prohibited forbid forbids forbidden ban bans banned refuse refuses
    refused reject rejects rejected deny denies denied exclude excludes excluded avoid avoids
    prevent prevents prevented instead stop stops stopped ceased avoided eliminate eliminates"""
)
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


def pole_of(word: Word) -> Pole | None:
    """The end of a comparison that a word names, if any."""
    return _POLES.get(word.folded)


def opposed(one: Word, other: Word) -> bool:
    """Whether two words contradict each other: faster and slower, supervised and unsupervised."""
    pole, its_pole = pole_of(one), pole_of(other)
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
        reach = [
            word
            for word in every[after : after + 11]
            if word.start < limit and word.folded not in STOPWORDS
        ]
        scopes.append((cue, tuple(reach[:6])))
    return scopes
