"""Findings: a quantity, date, comparison, negation or name of a statement that its evidence lacks
or contradicts, each of which a person can check by eye.

Both texts are read into tokens: words by their stem, quantities by their value in a base unit,
however they are written (0.5 s and 500 ms, twenty-five and 25, 1.5B and 1,500 million). Then

- by place: the statement is aligned with the sentence it is most like, and where they are nearly
  the same sentence, quantities, opposites, negations and names at one place are compared;
- by content: where sentences of the evidence say most of what the statement says (its
  counterparts), a quantity that all the evidence lacks and a denial of what stands there plainly
  are findings as well.

A statement that its evidence hardly touches has no findings: nothing there contradicts it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from heapq import nlargest

from rag.retrieval.scoring import terms
from rag.support import Finding, FindingKind, sentences
from rag.support.quantities import PLAIN, Quantity, quantities

# Shares of a statement's content words. From _COUNTERPART on, evidence of _SHORT sentences or two
# neighbouring ones of a longer text say what the statement says; a quantity is missed there if
# another stands for it, or from _CERTAIN on. _SENTENCE and _DENIED are of one sentence, to be
# aligned and to be denied. Counterparts have at most _BAND less than the best one.
_COUNTERPART, _CERTAIN, _SHORT, _SENTENCE, _DENIED, _BAND = 0.3, 0.75, 5, 0.5, 0.35, 0.15
# Below this ratio (difflib) the places of two sentences do not correspond; more tokens than
# _PHRASE are another phrase, not another word.
_ALIKE, _PHRASE = 0.6, 4


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of the negations only adverbs deny by content: "without", "fails" are compared by place alone.
_ADVERBS = _words("not no never cannot")
_NEGATIONS = _ADVERBS | _words(
    "none neither nor without nothing nobody nowhere hardly scarcely barely unable lack lacks "
    "lacked lacking fail fails failed failing unlikely impossible"
)
_IDLE = re.compile(
    r"(?:not|\w+n't) (?:only|just|merely)\b(?=[^.]*\b(?:but|also)\b)|not (?:more|less) than"
    r"|no (?:more|less|fewer|later|earlier) than|whether or not|no\. ?\d|no warning",
    re.IGNORECASE,
)
_NOT_ALL = re.compile(r"(?:may|might) not\b|not (?:all|every|necessarily)\b", re.IGNORECASE)
# Stems of words that a statement may render as a negation.
_DENIALS = _words(
    "against prohibit forbid ban refus reject deni deny exclud avoid prevent instead stop ceas "
    "elimin absent absenc non"
)
# A negation reaches no further than its clause.
_CLAUSE = re.compile(
    r"[,;:.!?()]|\b(?:but|while|whereas|although|though|because|since|which)\b", re.IGNORECASE
)
# One direction / the other; only words of one entry contradict each other.
_OPPOSING = """
more most/less least fewer fewest; higher highest high/lower lowest low; larger largest large
greater greatest bigger biggest big/smaller smallest small; increase increasing grow grew grown
rise rose gain growth raise boost/decrease decreasing decline drop reduce reduction fall fell
diminish shrink; above exceed/below; maximum max maximal maximize/minimum min minimal minimize;
better best/worse worst; improve improvement/worsen degrade degradation deteriorate; outperform
surpass/underperform; superior/inferior; stronger strongest strong/weaker weakest weak; faster
fastest fast quicker quickly/slower slowest slow slowly; accelerate/decelerate; before earlier
earliest prior/after later latest subsequently; easier easiest easy easily/harder hardest
difficult; simpler simplest simple/complex; longer longest long/shorter shortest short; deeper
deepest deep/shallower shallow; wider widest wide/narrower narrow; true/false; first/last;
positive/negative; newer newest/older oldest; always often frequently/never rarely seldom; succeed
success/fail failure; cheaper cheapest cheap/expensive costlier; warmer hotter hot/colder cooler
cold; present presence/absent absence; with/without; majority/minority; include/exclude; similar
same/different dissimilar; allow enable/prevent forbid
"""
_OPPOSITES = {
    "".join(terms(word)) or word: (entry, direction)
    for entry in _OPPOSING.split(";")
    for direction, side in enumerate(entry.split("/"))
    for word in side.split()
}
_PREFIXED = ("un", "in", "im", "ir", "il", "non", "dis")

_WORD = re.compile(r"[A-Za-z]+-\d\w*|[^\W_]+(?:'[^\W_]+)?")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, or a quantity; equal keys are equal content. `content` marks words that carry it."""

    start: int
    end: int
    text: str
    key: str
    content: bool = False
    named: bool = False
    denies: bool = False
    quantity: Quantity | None = None


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> tuple[str, bool]:
    """A word's key, without case, accents and endings, and whether it carries content."""
    decomposed = unicodedata.normalize("NFKD", word.removesuffix("'s"))
    folded = "".join(char for char in decomposed if not unicodedata.combining(char)).lower()
    stems = terms(folded)
    return "".join(stems) or folded, bool(stems)


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """The words and quantities of a text, in order."""
    flat = text.translate(PLAIN)
    every = [
        Token(it.start, it.end, text[it.start : it.end], f"{it.value.normalize()}{it.dimension}",
              quantity=it)
        for it in quantities(text)
    ]  # fmt: skip
    taken = {at for token in every for at in range(token.start, token.end)}
    idle = {at for match in _IDLE.finditer(flat) for at in range(*match.span())}
    for match in _WORD.finditer(flat):
        if match.start() not in taken:
            word = match[0]
            key, content = _stem(word)
            denies = word.lower() in _NEGATIONS or word.lower().endswith("n't")
            # A capital names anything but at the beginning; inner capitals and digits do so too.
            named = content and len(word) > 1 and not word.isdigit() and (
                any(char.isupper() or char.isdigit() for char in word[1:])
                or (word[0].isupper() and bool(flat[: match.start()].strip(" \"'([")))
            )  # fmt: skip
            denies = denies and match.start() not in idle
            every.append(
                Token(*match.span(), text[slice(*match.span())], key, content, named, denies)
            )
    return tuple(sorted(every, key=lambda token: token.start))


class _Pair:
    """A statement beside the sentences of its evidence, all read into tokens."""

    def __init__(self, statement: str, evidence: Sequence[str]) -> None:
        self.statement = statement.translate(PLAIN)
        self.own = tokens(statement)
        self.theirs = [tokens(sentence) for sentence in sentences(evidence)]
        self.keys = [frozenset(token.key for token in sentence) for sentence in self.theirs]
        content = {token.key for token in self.own if token.content}
        # Opposites differ where a statement was turned round: they do not make sentences unlike.
        every = frozenset(token.key for token in self.own if not token.quantity)
        self.content = content.difference(_OPPOSITES) or content or every

    def share(self, *rows: int) -> float:
        """The share of the statement's content that these sentences have together."""
        known = frozenset().union(*(self.keys[row] for row in rows))
        return len(self.content & known) / max(1, len(self.content))

    def unmet(self) -> list[tuple[Token, Quantity]]:
        """The statement's quantities that no part of the evidence has."""
        known = [token.quantity for its in self.theirs for token in its if token.quantity]
        return [
            (token, own)
            for token in self.own
            if (own := token.quantity) and own.is_definite
            and not any(own.equals(other) for other in known)
        ]  # fmt: skip


def novelties(statement: str, evidence: Sequence[str]) -> tuple[float, int]:
    """Of a statement's quantities the share, and of its names the number, that no part of the
    evidence has, certain or not."""
    pair = _Pair(statement, evidence)
    known = frozenset[str]().union(*pair.keys)
    starts = {key[:5] for key in known if len(key) >= 5}
    names = {token for token in pair.own if token.named and token.key not in known}
    # Armenian is met by Armenia, GANs by GAN.
    new = [it for it in names if it.key.rstrip("s") not in known
           and not (len(it.key) >= 6 and it.key[:5] in starts)]  # fmt: skip
    definite = [it for it in pair.own if it.quantity and it.quantity.is_definite]
    return len(pair.unmet()) / max(1, len(definite)), len(new)


def findings(statement: str, evidence: Sequence[str]) -> tuple[Finding, ...]:
    """All findings of a statement against its evidence, by their place in the statement."""
    pair = _Pair(statement, evidence)
    if not pair.content or not pair.theirs:
        return ()
    chosen: list[Finding] = []
    for finding in (*_by_place(pair), *_missing(pair), *_denied(pair)):
        if not any(finding.start < it.end and it.start < finding.end for it in chosen):
            chosen.append(finding)
    return tuple(sorted(chosen, key=lambda finding: finding.start))


def _finding(kind: FindingKind, token: Token, found: str = "") -> Finding:
    return Finding(token.start, token.end, kind, token.text, found)


def _differing(token: Token, own: Quantity, known: Sequence[Token]) -> Finding:
    """The finding that names the nearest of the quantities that may stand for this one."""
    nearest, there = max(
        ((other, it.text) for it in known if (other := it.quantity)),
        key=lambda it: (it[0].written == own.written, it[0].sort == own.sort,
                        -abs(it[0].value - own.value)),
        default=(own, ""),
    )  # fmt: skip
    same = nearest is not own and nearest.written == own.written
    kind: FindingKind = "unit" if same else "number"
    if nearest.value == -own.value:
        kind = "sign"
    elif own.dimension == "date" or own.sort[1]:
        kind = "date"
    elif own.dimension in ("%", "points") or (same and nearest.dimension == "%"):
        kind = "percentage"
    return _finding(kind, token, there)


def _missing(pair: _Pair) -> Iterator[Finding]:
    """Quantities that all the evidence lacks though a counterpart says the rest."""
    unmet = pair.unmet()
    if not unmet:
        return
    count = len(pair.theirs)
    size = count if count <= _SHORT else 2
    windows = [range(row, min(row + size, count)) for row in range(count)]
    best = max(pair.share(*window) for window in windows)
    least = max(_COUNTERPART, best - _BAND)
    near = {row for window in windows if pair.share(*window) >= least for row in window}
    mine = [token.quantity for token in pair.own if token.quantity]
    rest = [
        token
        for row in sorted(near)
        for token in pair.theirs[row]
        if (other := token.quantity) and other.is_definite
        and not any(own.equals(other) for own in mine)
    ]  # fmt: skip
    for token, own in unmet:
        instead = [it for it in rest if it.quantity and it.quantity.sort == own.sort]
        if instead or best >= _CERTAIN:
            yield _differing(token, own, instead or rest)


def _denied(pair: _Pair) -> Iterator[Finding]:
    """What the statement denies, counterparts say plainly and no sentence denies."""
    shares = [pair.share(row) for row in range(len(pair.theirs))]
    least = max(_DENIED, max(shares) - 2 * _BAND)
    plain: set[str] = set()
    denied: set[str] = set()
    for share, keys, its in zip(shares, pair.keys, pair.theirs, strict=True):
        plain |= keys if share >= least else set()
        denied |= keys if any(it.denies or it.key in _DENIALS for it in its) else set()
    idle = {at for match in _NOT_ALL.finditer(pair.statement) for at in range(*match.span())}
    for at, cue in enumerate(pair.own):
        adverb = cue.text.lower() in _ADVERBS or cue.text.lower().endswith("t")
        if cue.denies and adverb and cue.start not in idle:
            stop = _CLAUSE.search(pair.statement, cue.end)
            end = stop.start() if stop else len(pair.statement)
            reach = [it.key for it in pair.own[at:] if it.content and it.start < end][:3]
            if not plain.isdisjoint(reach) and denied.isdisjoint(reach):
                yield _finding("negation", cue)


def _opposed(one: Token, other: Token) -> bool:
    """Whether two words contradict each other: faster and slower, supervised and unsupervised."""
    pole, its_pole = _OPPOSITES.get(one.key), _OPPOSITES.get(other.key)
    if pole and its_pole:
        return pole[0] == its_pole[0] and pole[1] != its_pole[1]
    short, long = sorted((one.text.lower(), other.text.lower()), key=len)
    return len(short) >= 4 and any(
        long.startswith(prefix) and _stem(long.removeprefix(prefix)) == _stem(short)
        for prefix in _PREFIXED
    )


def _by_place(pair: _Pair) -> Iterator[Finding]:
    """What the statement has in the place of something else in the sentence it is most like."""
    own = pair.own
    rows = nlargest(2, range(len(pair.theirs)), key=pair.share)
    aligned = [
        (SequenceMatcher(None, [it.key for it in own], [it.key for it in its], autojunk=False), its)
        for its in (pair.theirs[row] for row in rows if pair.share(row) >= _SENTENCE)
    ]
    matcher, theirs = max(aligned, key=lambda it: it[0].ratio(), default=(None, ()))
    if matcher is None or matcher.ratio() < _ALIKE:
        return
    changes = [
        (own[i1:i2], theirs[j1:j2], i1, j2)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal" and max(i2 - i1, j2 - j1) <= _PHRASE
    ]
    for mine, its, _, _ in changes:
        yield from _replaced(mine, its)
    # Where the part of the sentence that the statement keeps has as many negations as it, one was
    # moved ("does not need any", "needs no"), not put in or taken out.
    blocks = matcher.get_matching_blocks()[:-1]
    part = theirs[max(0, blocks[0].b - 1) : blocks[-1].b + blocks[-1].size + 1]
    if sum(token.denies for token in own) == sum(token.denies for token in part):
        return
    for mine, its, start, end in changes:
        put_in = [token for token in mine if token.denies]
        taken_out = [token for token in its if token.denies]
        if any(_opposed(token, other) for token in mine for other in its):
            continue  # "not stable" and "unstable"
        if put_in and not taken_out:
            yield _finding("negation", put_in[0])
        elif taken_out and not put_in:
            denied = theirs[end].text if end < len(theirs) else ""
            place = own[min(start, len(own) - 1)]
            yield _finding("negation", place, f"{taken_out[0].text} {denied}".strip())


def _replaced(mine: Sequence[Token], its: Sequence[Token]) -> Iterator[Finding]:
    """Opposites, other quantities and other names at the same place."""
    for token in mine:
        if other := next((other for other in its if _opposed(token, other)), None):
            yield _finding("comparison", token, other.text)
    alike = len(mine) == len(its)
    pairs = zip((it for it in mine if it.quantity), (it for it in its if it.quantity), strict=False)
    for token, other in pairs:
        if (own := token.quantity) and (found := other.quantity) and not own.vague:
            # The unit or the sign was left out.
            unit_lost = found.dimension and not own.dimension and own.plain == found.plain
            lost = unit_lost or own.value == -found.value
            loose = own.bounded and not found.bounded
            if not loose and (not own.equals(found) or (lost and alike)):
                yield _differing(token, own, [other])
    for token, other in zip(mine, its, strict=True) if alike else ():
        short, long = sorted((token.key, other.key), key=len)
        # GANs and GAN, Armenian and Armenia are one name; GPT-3 and GPT-4 are two.
        root = short if long[-1:].isdigit() else short[: max(2, len(short) - 1)]
        if token.named and other.named and not long.startswith(root):
            yield _finding("name", token, other.text)
