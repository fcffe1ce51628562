"""Findings: a quantity, date, comparison, negation or name of a statement that its evidence lacks
or contradicts, each of which a person can check by eye.

Both texts are read into tokens: words by their stem, quantities by their value in a base unit,
however they are written (0.5 s and 500 ms, twenty-five and 25, 1.5B and 1,500 million). Then

- by place: the statement is aligned with the sentence it is most like, and where they are nearly
  the same sentence, quantities, opposites, negations and names at one place are compared;
- by content: a quantity that all the evidence lacks or bounds otherwise, a comparison of two names
  that it turns round, and a denial of what its likest sentences say plainly are findings as well.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from rag.retrieval.scoring import terms
from rag.support import Finding, FindingKind, sentences
from rag.support.quantities import CITED, Quantity, quantities, unmarked

# Shares of a statement's content words that one sentence has: from _TOUCHED on, a quantity in
# digits is missed where the evidence lacks it, from _CERTAIN on one in words and a month as well;
# from _ALIGNED on, the two are compared by place. What sentences say plainly may be denied from
# _DENIED on, and within _BAND of the best.
_TOUCHED, _CERTAIN, _ALIGNED, _DENIED, _BAND = 0.2, 0.75, 0.5, 0.35, 0.3
# Below this ratio (difflib) the places of two sentences do not correspond; more tokens than
# _PHRASE are another phrase, not another word; names more than _REACH tokens off are not compared.
# difflib takes cubic time: it is not asked where more than _LONGEST² pairs of tokens would meet.
_ALIKE, _PHRASE, _REACH, _LONGEST = 0.6, 4, 10, 300


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of the negations only adverbs deny by content: "without", "fails" are compared by place alone.
_ADVERBS = _words("not no never cannot")
_NEGATIONS = _ADVERBS | _words(
    "none neither nor without nothing nobody nowhere hardly scarcely barely unable lack lacks "
    "lacked lacking fail fails failed failing unlikely impossible"
)
_IDLE = re.compile(
    r"(?i)\b(?:not|\w+n't) (?:only|just|merely)\b|whether or not|no\. ?\d|no warning"
)
_NOT_ALL = re.compile(r"(?i:(?:may|might) not\b|not (?:all|every|necessarily)\b)")
# Stems of words that a statement may render as a negation.
_DENIALS = _words(
    "against prohibit forbid ban refus reject deni deny exclud avoid prevent instead stop ceas "
    "elimin absent absenc non"
)
# A negation reaches no further than its clause.
_CLAUSE = re.compile(r"[,;:.!?()]|\b(?:but|while|whereas|(?:al)?though|because|since|which)\b")
# Comparisons in themselves; other words compare before "than".
_COMPARING = _words("outperform underperform surpass")
# One direction / the other; only words of one entry contradict each other.
_OPPOSING = """
more most/less least fewer fewest; higher highest high/lower lowest low; larger largest large
greater greatest bigger biggest big/smaller smallest small; increase grow grew grown rise rose gain
growth raise boost/decrease decline drop reduce reduction fall fell diminish shrink; above
exceed/below; maximum max maximal maximize/minimum min minimal minimize; better best/worse worst;
improve improvement/worsen degrade degradation deteriorate; outperform surpass/underperform;
superior/inferior; stronger strongest strong/weaker weakest weak; faster fastest fast quicker
quickly/slower slowest slow slowly; accelerate/decelerate; before earlier earliest prior/after later
latest subsequently; easier easiest easy easily/harder hardest difficult; simpler simplest
simple/complex; longer longest long/shorter shortest short; deeper deepest deep/shallower shallow;
true/false; first/last; positive/negative; newer newest/older oldest; always often/never rarely
seldom; succeed success/fail failure; cheaper/expensive costlier; present presence/absent absence;
with/without; majority/minority; include/exclude; similar/different; allow enable/prevent forbid
"""
_OPPOSITES = {
    "".join(terms(word)) or word: (entry, direction)
    for entry in _OPPOSING.split(";")
    for direction, side in enumerate(entry.split("/"))
    for word in side.split()
}
_PREFIXED = ("un", "in", "im", "ir", "il", "non", "dis")

# A capital there names nothing.
_BEGINNING = re.compile(r"(?:\A|[.!?:;]\s)[\s\"'([]*$")
_LABELS = _words("Figure Fig Table Section Equation Appendix Chapter Algorithm")
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
    flat = unmarked(text)
    every = [
        Token(it.start, it.end, it.text, f"{it.value.normalize()}{it.dimension}{it.bound}",
              quantity=it)
        for it in quantities(text)
    ]  # fmt: skip
    taken = {at for token in every for at in range(token.start, token.end)}
    idle = {at for match in _IDLE.finditer(flat) for at in range(*match.span())}
    for match in _WORD.finditer(flat):
        start, word = match.start(), match[0]
        if start in taken:
            continue
        key, content = _stem(word)
        # Capitals and digits within a word name as well.
        named = content and len(word) > 1 and not word.isdigit() and (
            any(char.isupper() or char.isdigit() for char in word[1:])
            or (word[0].isupper() and word not in _LABELS
                and not _BEGINNING.search(flat, max(0, start - 8), start))
        )  # fmt: skip
        negates = word.lower() in _NEGATIONS or word.lower().endswith("n't")
        denies = negates and start not in idle
        every.append(Token(start, match.end(), word, key, content, named, denies))
    return tuple(sorted(every, key=lambda token: token.start))


class Comparison:
    """A statement beside the sentences of its evidence, all read into tokens. `shares` are those
    of the statement's `content` words that each sentence has; empty where there are none. Of its
    `definite` quantities `missing` are those that no part of the evidence has."""

    def __init__(self, statement: str, evidence: Sequence[str]) -> None:
        self.statement = unmarked(statement)
        self.own = tokens(statement)
        self.theirs = [tokens(sentence) for sentence in sentences(evidence)]
        self.keys = [frozenset(token.key for token in sentence) for sentence in self.theirs]
        self.known = [it for its in self.theirs for token in its
                      if (it := token.quantity) and it.bound != CITED]  # fmt: skip
        stems = {token.key for token in self.own if token.content}
        # Opposites differ where a statement was turned round: they do not make sentences unlike.
        self.content = stems.difference(_OPPOSITES) or stems or {it.key for it in self.own}
        size = len(self.content)
        self.shares = [len(self.content & its) / size for its in self.keys] if size else []
        self.definite = [it for token in self.own if (it := token.quantity) and it.is_definite]
        self.missing = [it for it in self.definite if not any(map(it.equals, self.known))]


def findings(pair: Comparison) -> tuple[Finding, ...]:
    """All findings of a statement against its evidence, by their place in the statement."""
    if not pair.shares:
        return ()
    compared, turned = _compared(pair)
    # "B is slower than A" for "A is faster than B" changes the word and both the names.
    placed = (it for it in _by_place(pair) if not turned or it.kind not in ("comparison", "name"))
    chosen: list[Finding] = []
    for finding in (*compared, *placed, *_by_amount(pair), *_denied(pair)):
        if not any(finding.start < it.end and it.start < finding.end for it in chosen):
            chosen.append(finding)
    return tuple(sorted(chosen, key=lambda finding: finding.start))


def _finding(kind: FindingKind, said: Token | Quantity, found: str = "") -> Finding:
    return Finding(said.start, said.end, kind, said.text, found)


def _differing(own: Quantity, known: Sequence[Quantity]) -> Finding:
    """The finding that names the nearest of the quantities that may stand for this one."""
    alike = [it for it in known if it.written == own.written]
    sort = own.sort
    near = alike or [it for it in known if it.sort == sort]
    nearest = min(near, key=lambda it: abs(it.value - own.value), default=None)
    kind: FindingKind = "unit" if alike else "number"
    if nearest and nearest.value == -own.value:
        kind = "sign"
    elif own.dimension == "date" or sort[1]:
        kind = "date"
    elif own.dimension in ("%", "points") or (alike and nearest and nearest.dimension == "%"):
        kind = "percentage"
    return _finding(kind, own, nearest.text if nearest else "")


def _by_amount(pair: Comparison) -> Iterator[Finding]:
    """Quantities that all the evidence lacks, or bounds otherwise."""
    for own in pair.missing:
        exact = any(char.isdigit() for char in own.text)
        if max(pair.shares) >= (_TOUCHED if exact else _CERTAIN):
            yield _differing(own, pair.known)
    for token in pair.own:
        if token.quantity and (contrary := token.quantity.contrary(pair.known)):
            yield _finding("comparison", token, contrary.text)


def _orders(its: Sequence[Token]) -> Iterator[tuple[Token, str, tuple[str, ...], str]]:
    """The comparisons of a text: the word, its line of the opposites, the two names it compares,
    the greater first, and the words from the one to the other."""
    for at, word in enumerate(its):
        pole = _OPPOSITES.get(word.key)
        following = [token.text.lower() for token in its[at + 1 : at + 5]]
        if pole and (word.key in _COMPARING or "than" in following):
            near = range(max(0, at - _REACH), min(at + _REACH, len(its)))
            named = [row for row in near if its[row].named or row == 0]
            around = *[it for it in named if it < at][-1:], *[it for it in named if it > at][:1]
            names = tuple(its[row].key for row in around)
            if len({*names}) == 2:
                passive = word.text.endswith("ed") and following[:1] == ["by"]
                words = " ".join(it.text for it in its[around[0] : around[1] + 1])
                yield word, pole[0], names[:: -1 if bool(pole[1]) != passive else 1], words


def _compared(pair: Comparison) -> tuple[list[Finding], bool]:
    """Comparisons that the evidence turns round, or to which it has nothing like; and whether it
    has one of the statement's in other words."""
    theirs = [order for its in pair.theirs for order in _orders(its)]
    lacking = all(map(_OPPOSITES.keys().isdisjoint, pair.keys)) and max(pair.shares) >= _ALIGNED
    wrong, turned = [], False
    for word, row, names, _ in _orders(pair.own):
        alike = [its for its in theirs if its[1] == row and {*its[2]} == {*names}]
        said = [its[3] for its in alike if its[2] == names]
        turned = turned or (bool(said) and not any(word.text in words for words in said))
        if lacking or (alike and not said):
            wrong.append(_finding("comparison", word, alike[0][3] if alike else ""))
    return wrong, turned


def _denied(pair: Comparison) -> Iterator[Finding]:
    """What the statement denies, its likest sentences say plainly and no sentence denies."""
    least = max(_DENIED, max(pair.shares) - _BAND)
    plain, denied = set[str](), set[str]()
    for share, keys, its in zip(pair.shares, pair.keys, pair.theirs, strict=True):
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
    rest = [long.removeprefix(prefix) for prefix in _PREFIXED if long.startswith(prefix)]
    return len(short) >= 4 and _stem(short) in map(_stem, rest)


def _by_place(pair: Comparison) -> Iterator[Finding]:
    """What the statement has in the place of something else in the sentence it is most like."""
    own = pair.own
    aligned = [
        (SequenceMatcher(None, [it.key for it in own], [it.key for it in its], autojunk=False), its)
        for share, its in zip(pair.shares, pair.theirs, strict=True)
        if share >= _ALIGNED and len(own) * len(its) <= _LONGEST**2
    ]
    matcher, theirs = max(aligned, key=lambda it: it[0].ratio(), default=(None, ()))
    if matcher is None or matcher.ratio() < _ALIKE:
        return
    # Where the part of the sentence that the statement keeps has as many negations as it, one was
    # moved ("does not need any", "needs no"), not put in or taken out.
    blocks = matcher.get_matching_blocks()[:-1]
    part = theirs[max(0, blocks[0].b - 1) : blocks[-1].b + blocks[-1].size + 1]
    moved = sum(token.denies for token in own) == sum(token.denies for token in part)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        mine, its = own[i1:i2], theirs[j1:j2]
        if tag == "equal" or max(len(mine), len(its)) > _PHRASE:
            continue
        yield from _replaced(mine, its)
        put_in = next((it for it in mine if it.denies), None)
        taken_out = next((it for it in its if it.denies), None)
        if moved or any(_opposed(it, other) for it in mine for other in its):
            continue  # "not stable" and "unstable"
        if put_in and not taken_out:
            yield _finding("negation", put_in)
        elif taken_out and not put_in:
            denied = " ".join([taken_out.text, *(it.text for it in theirs[j2 : j2 + 1])])
            yield _finding("negation", own[min(i1, len(own) - 1)], denied)


def _replaced(mine: Sequence[Token], its: Sequence[Token]) -> Iterator[Finding]:
    """Opposites, other quantities and other names at the same place."""
    for token in mine:
        if other := next((other for other in its if _opposed(token, other)), None):
            yield _finding("comparison", token, other.text)
    alike = len(mine) == len(its)
    amounts = ([it.quantity for it in part if it.quantity] for part in (mine, its))
    for own, found in zip(*amounts, strict=False):
        # The unit or the sign was left out.
        unit_lost = found.dimension and not own.dimension and own.plain == found.plain
        lost = alike and (unit_lost or own.value == -found.value)
        loose = own.vague or (own.bound and not found.bound)
        if own.contrary([found]):
            yield _finding("comparison", own, found.text)
        elif not loose and (lost or not own.equals(found)):
            yield _differing(own, [found])
    for token, other in zip(mine, its, strict=True) if alike else ():
        short, long = sorted((token.key, other.key), key=len)
        # GANs and GAN, Armenian and Armenia are one name; GPT-3 and GPT-4 are two.
        root = short if long[-1:].isdigit() else short[: max(2, len(short) - 1)]
        if token.named and other.named and not long.startswith(root):
            yield _finding("name", token, other.text)
