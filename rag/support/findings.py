"""Everything in a statement that is wrong by rule: the findings of all kinds, in order.

A pair is examined by content (what the statement has and the whole evidence has not) and by place:
aligned with the sentence it is most like, the words at the same place are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from rag.support import Finding, Located
from rag.support.numbers import number_finding, number_findings
from rag.support.quantities import Quantity, quantities
from rag.support.text import (
    COMPARATIVES,
    DENIALS,
    LEXICON,
    POLES,
    STOPWORDS,
    Name,
    NameIndex,
    Pole,
    Word,
    all_sentences,
    disjoint,
    finding_at,
    names,
    negated,
    negations,
    opposed,
    overlap,
    words,
)

# Below this share of a statement's content words a sentence is no counterpart of it.
_COUNTERPART = 0.5
# Below this ratio the places of two sentences do not correspond.
_ALIKE = 0.6
# More words than this are another phrase, not another word.
_PHRASE = 4
_AUXILIARIES = frozenset(LEXICON["auxiliaries"].split())
# Families that order two things; before and after, first and last order events.
_ORDERING = frozenset({"amount", "quality", "speed", "effort", "length", "depth", "width", "cost"})
# Characters between a comparing word and the name it compares.
_REACH = 60


def findings(statement: str, evidence: Sequence[str]) -> tuple[Finding, ...]:
    """All findings of a statement against its evidence, by their place in the statement."""
    partners = _counterparts(statement, evidence)
    compared, turned = _comparison_findings(statement, evidence, partners)
    candidates = [
        *compared,
        *_own_negations(statement, evidence, partners),
        *_lost_negations(statement, partners),
    ]
    candidates += [
        finding
        for finding in _aligned_findings(statement, partners)
        # "B is slower than A" for "A is faster than B" changes the word and both the names.
        if not (turned and finding.kind in ("comparison", "name"))
    ]
    # Where another name stands in the place of a missing one, it is named.
    placed = [finding for finding in candidates if finding.kind == "name"]
    missing = [
        replace(name, found=next((it.found for it in placed if overlap(it, name)), ""))
        for name in _unknown_names(statement, evidence)
    ]
    return tuple(disjoint([*number_findings(statement, evidence), *missing, *candidates]))


def _counterparts(statement: str, evidence: Sequence[str]) -> list[str]:
    """The sentences of the evidence that have the statement's content, best first, two at most."""
    every = words(statement)
    # Opposites differ where a statement was turned round: they do not make sentences unlike.
    content = {
        word.stem for word in every if word.folded not in STOPWORDS and word.folded not in POLES
    } or {word.stem for word in every}
    shares = [
        (len(content & {word.stem for word in words(sentence)}) / max(1, len(content)), sentence)
        for sentence in all_sentences(evidence)
    ]
    best = sorted((it for it in shares if it[0] >= _COUNTERPART), key=lambda it: -it[0])[:2]
    return [sentence for share, sentence in best if share >= best[0][0] - 0.15]


def _unknown_names(statement: str, evidence: Sequence[str]) -> Iterator[Finding]:
    index = NameIndex(evidence)
    groups: list[list[Name]] = []
    for name in names(statement):
        if groups and not statement[groups[-1][-1].end : name.start].strip():
            groups[-1].append(name)
        else:
            groups.append([name])
    for group in groups:
        unknown = [name for name in group if not index.knows(name)]
        if unknown and not index.abbreviates(group):
            place = Located(unknown[0].start, unknown[-1].end)
            yield finding_at("name", statement, place)


@dataclass(frozen=True, slots=True)
class _Ordering:
    """`word` sets `names[0]` against `names[1]`, by their keys, passives turned round; `text` runs
    from the one name to the other."""

    word: Word
    pole: Pole
    names: tuple[str, str]
    text: str


def _agrees(own: _Ordering, others: Sequence[_Ordering]) -> bool | None:
    """Whether one of the others says the same of the same two names; None where none compares
    them."""
    verdicts = [
        (own.names == other.names) == (own.pole.direction == other.pole.direction)
        for other in others
        if other.pole.row == own.pole.row and set(own.names) == set(other.names)
    ]
    return any(verdicts) if verdicts else None


def _orderings(text: str) -> Iterator[_Ordering]:
    """The comparisons of a text that stand between two different names."""
    named = [(name.start, name.end, name.key) for name in names(text)]
    every = words(text)
    if every and every[0].text[0].isupper() and every[0].folded not in STOPWORDS:
        start = every[0].start
        if not any(name[0] <= start < name[1] for name in named):
            named.append((start, every[0].end, every[0].folded))
    for word, following in zip(every, (*every[1:], None), strict=False):
        pole = POLES.get(word.folded)
        if pole is None or pole.family not in _ORDERING:
            continue
        before = [name for name in named if 0 <= word.start - name[1] <= _REACH]
        after = [name for name in named if 0 <= name[0] - word.end <= _REACH]
        if not before or not after:
            continue
        (start, _, first), (_, end, second) = max(before), min(after)
        if following and following.folded == "by" and word.text.endswith("ed"):
            first, second = second, first
        if first != second:
            yield _Ordering(word, pole, (first, second), text[start:end])


def _comparison_findings(
    statement: str, evidence: Sequence[str], partners: Sequence[str]
) -> tuple[list[Finding], bool]:
    """The findings, and whether some comparison was turned round and says the same."""
    everywhere = [POLES.get(word.folded) for piece in evidence for word in words(piece)]
    known = {(pole.family, pole.direction) for pole in everywhere if pole}
    bounds = [quantity.start for quantity in quantities(statement) if quantity.bound]
    own = {ordering.word.start: ordering for ordering in _orderings(statement)}
    others = [ordering for sentence in partners for ordering in _orderings(sentence)]
    their_words = [word for sentence in partners for word in words(sentence)]
    found = []
    turned = False
    for word in words(statement):
        pole = POLES.get(word.folded)
        if pole is None:
            continue
        is_known = (pole.family, pole.direction) in known
        same = _agrees(own[word.start], others) if word.start in own else None
        if same is False:
            contrary = next(other for other in others if other.pole.row == pole.row)
            found.append(finding_at("comparison", statement, word, contrary.text))
        turned = turned or (same is True and not is_known)
        # "More than 5": its bound is compared with the quantities.
        if same is not None or is_known or any(0 < start - word.end < 8 for start in bounds):
            continue
        opposite = next((other.text for other in their_words if opposed(word, other)), "")
        if opposite or (word.folded in COMPARATIVES and not known):
            found.append(finding_at("comparison", statement, word, opposite))
    return found, turned


def _own_negations(
    statement: str, evidence: Sequence[str], partners: Sequence[str]
) -> Iterator[Finding]:
    """What the statement denies and nothing in the evidence does."""
    there = [word for sentence in partners for word in words(sentence)]
    # What exactly the counterparts deny, the alignment compares.
    if not there or any(word.folded in DENIALS for word in there):
        return
    denied = {word.stem for piece in evidence for _, reach in negated(piece) for word in reach}
    for cue, reach in negated(statement):
        # Denying the opposite word says the same.
        if reach and not any(
            word.stem in denied or any(opposed(word, other) for other in there) for word in reach
        ):
            yield finding_at("negation", statement, cue)


def _lost_negations(statement: str, partners: Sequence[str]) -> Iterator[Finding]:
    """What the evidence denies and the statement says plainly."""
    own = words(statement)
    denied = {word.stem for _, reach in negated(statement) for word in reach}
    for sentence in partners:
        denials = negated(sentence)
        reached = {word.start for _, reach in denials for word in reach}
        plain = {word.stem for word in words(sentence) if word.start not in reached}
        for cue, reach in denials:
            if not reach or any(word.folded == cue.folded for word in own):
                continue
            # The word that is most likely denied: the first that is more than an auxiliary.
            target = next((word for word in reach if word.folded not in _AUXILIARIES), reach[0])
            said = next((word for word in own if word.stem == target.stem), None)
            if said and target.stem not in denied | plain:
                yield finding_at("negation", statement, said, f"{cue.text} … {target.text}")


@dataclass(frozen=True, slots=True)
class _Token:
    """A word, or a quantity under its first word; equal keys are equal content."""

    key: str
    word: Word
    quantity: Quantity | None = None
    named: bool = False
    denies: bool = False


def _tokens(text: str) -> list[_Token]:
    """Words, with every quantity as one token, keyed by value, however it is written."""
    known = quantities(text, citations=True)
    named = {start for name in names(text) for start in range(name.start, name.end)}
    cues = {cue.start for cue in negations(text)}
    tokens: list[_Token] = []
    for word in words(text):
        quantity = next((it for it in known if overlap(word, it)), None)
        if quantity is None:
            flags = word.start in named, word.start in cues
            tokens.append(_Token(word.stem, word, None, *flags))
        elif not tokens or tokens[-1].quantity is not quantity:
            value, unit = quantity.readings[0]
            tokens.append(_Token(f"#{value.normalize()}{unit}", word, quantity))
    return tokens


def _aligned_findings(statement: str, sentences: Sequence[str]) -> Iterator[Finding]:
    """What the statement has in the place of something else in the sentence it is most like."""
    own = _tokens(statement)
    keys = [token.key for token in own]
    ratio = 0.0
    for its_sentence in sentences:
        tokens = _tokens(its_sentence)
        alignment = SequenceMatcher(None, keys, [token.key for token in tokens], autojunk=False)
        if alignment.ratio() > ratio:
            ratio, matcher, theirs, sentence = alignment.ratio(), alignment, tokens, its_sentence
    if ratio < _ALIKE:
        return
    changes = [
        (own[i1:i2], theirs[j1:j2], i1, j2)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal" and max(i2 - i1, j2 - j1) <= _PHRASE
    ]
    for mine, its, _, _ in changes:
        yield from _replaced(statement, sentence, mine, its)
    # Where the part of the sentence that the statement keeps has as many negations as it, one was
    # moved ("does not need any", "needs no"), not put in or taken out.
    blocks = matcher.get_matching_blocks()[:-1]
    part = theirs[max(0, blocks[0].b - 1) : blocks[-1].b + blocks[-1].size + 1]
    if sum(token.denies for token in own) == sum(token.denies for token in part):
        return
    for mine, its, start, end in changes:
        put_in = [token.word for token in mine if token.denies]
        taken_out = [token.word for token in its if token.denies]
        if any(opposed(one.word, other.word) for one in mine for other in its):
            continue  # "not stable" and "unstable"
        if put_in and not taken_out:
            yield finding_at("negation", statement, put_in[0])
        elif taken_out and not put_in:
            denied = theirs[end].word.text if end < len(theirs) else ""
            at = own[min(start, len(own) - 1)].word
            yield finding_at("negation", statement, at, f"{taken_out[0].text} {denied}".strip())


def _replaced(
    statement: str, sentence: str, mine: Sequence[_Token], its: Sequence[_Token]
) -> Iterator[Finding]:
    """Opposites, other quantities and other names at the same place."""
    for token in mine:
        other = next((other for other in its if opposed(token.word, other.word)), None)
        if other is not None:
            yield finding_at("comparison", statement, token.word, other.word.text)
    own_quantities = [token.quantity for token in mine if token.quantity]
    its_quantities = [token.quantity for token in its if token.quantity]
    for quantity, its_quantity in zip(own_quantities, its_quantities, strict=False):
        if finding := number_finding(statement, quantity, [(sentence, its_quantity)]):
            yield finding
    if len(mine) == len(its):
        for token, other in zip(mine, its, strict=True):
            if token.named and other.named and not _forms_of_one(token.word, other.word):
                yield finding_at("name", statement, token.word, other.word.text)


def _forms_of_one(one: Word, other: Word) -> bool:
    short, long = sorted((one.folded, other.folded), key=len)
    return long.startswith(short[:-1]) if len(short) > 3 else long.rstrip("s") == short
