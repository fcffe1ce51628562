"""Lays a statement along the sentence of the evidence it is most like, and reads the differences.

Where two sentences are alike but for a few words, those words are what the statement changed: an
opposite word, another name or number at the same place, a negation that stands on one side only.
This finds what looking for each word anywhere in the evidence cannot: values swapped between two
places, a "not" lost in a sentence that has another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rag.support.checker import Finding
from rag.support.names import names
from rag.support.numbers import mismatch
from rag.support.polarity import NEGATIONS, idle_spans, opposed
from rag.support.quantities import Quantity, quantities
from rag.support.text import Word, plain, words

__all__ = ["alignment_findings"]

# Less alike than this, the places of two sentences do not correspond.
_ALIKE = 0.6
# More words than this are another phrase, not another word.
_SHORT = 4


@dataclass(frozen=True, slots=True)
class _Token:
    key: str
    word: Word
    quantity: Quantity | None
    called: bool
    denies: bool


def alignment_findings(statement: str, sentences: Sequence[str]) -> list[Finding]:
    """What the statement has in the place of something else, against its likest sentence."""
    mine = _tokens(statement)
    best: tuple[float, SequenceMatcher[str], list[_Token], str] | None = None
    for sentence in sentences:
        theirs = _tokens(sentence)
        keys = [token.key for token in mine], [token.key for token in theirs]
        matcher = SequenceMatcher(None, *keys, autojunk=False)
        if (ratio := matcher.ratio()) >= _ALIKE and (best is None or ratio > best[0]):
            best = ratio, matcher, theirs, sentence
    if best is None:
        return []
    _, matcher, theirs, sentence = best
    found: list[Finding] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal" or max(i2 - i1, j2 - j1) > _SHORT:
            continue
        if tag == "replace":
            found += _replaced(statement, sentence, mine[i1:i2], theirs[j1:j2])
    if not _as_often_denied(mine, theirs, matcher):
        found += _denials(statement, mine, theirs, matcher)
    return found


def _tokens(text: str) -> list[_Token]:
    """Words with every quantity as one token, keyed by value, however it is written."""
    idle = idle_spans(plain(text))
    found = words(text)
    known = quantities(text, citations=True)
    called = {start for name in names(text) for start in range(name.start, name.end)}
    tokens = []
    spans = iter([*known, None])
    current = next(spans)
    placed = False
    for word in found:
        while current is not None and current.end <= word.start:
            current, placed = next(spans), False
        if current is not None and word.start < current.end and current.start < word.end:
            if not placed:
                value, unit = current.readings[0]
                key = f"#{value.normalize()}{unit}"
                tokens.append(_Token(key, word, current, called=False, denies=False))
                placed = True
            continue
        denies = (word.folded in NEGATIONS or word.folded.endswith("n't")) and not any(
            start <= word.start < end for start, end in idle
        )
        tokens.append(_Token(word.stem, word, None, word.start in called, denies))
    return tokens


def _replaced(
    statement: str, sentence: str, mine: Sequence[_Token], theirs: Sequence[_Token]
) -> Iterator[Finding]:
    for token in mine:
        other = next((other for other in theirs if opposed(token.word, other.word)), None)
        if other is not None:
            yield _finding("comparison", statement, token.word, other.word.text)
    numbers = [token.quantity for token in mine if token.quantity]
    its_numbers = [token.quantity for token in theirs if token.quantity]
    for quantity, its in zip(numbers, its_numbers, strict=False):
        finding = mismatch(statement, quantity, sentence, its)
        if finding is not None:
            yield finding
    if len(mine) == len(theirs):
        for token, other in zip(mine, theirs, strict=True):
            if token.called and other.called and not _forms_of_one(token.word, other.word):
                yield _finding("name", statement, token.word, other.word.text)


def _forms_of_one(one: Word, other: Word) -> bool:
    short, long = sorted((one.folded, other.folded), key=len)
    return long.startswith(short[:-1]) if len(short) > 3 else long.rstrip("s") == short


def _as_often_denied(
    mine: Sequence[_Token], theirs: Sequence[_Token], matcher: SequenceMatcher[str]
) -> bool:
    """Whether the part of the sentence that the statement keeps has as many negations as it:
    then one was moved ("does not need any", "needs no"), not put in or taken out."""
    blocks = [block for block in matcher.get_matching_blocks() if block.size]
    first, last = blocks[0].b, blocks[-1].b + blocks[-1].size
    kept = theirs[max(0, first - 1) : last + 1]
    return sum(token.denies for token in mine) == sum(token.denies for token in kept)


def _denials(
    statement: str, mine: Sequence[_Token], theirs: Sequence[_Token],
    matcher: SequenceMatcher[str],
) -> Iterator[Finding]:  # fmt: skip
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal" or max(i2 - i1, j2 - j1) > _SHORT:
            continue
        put_in = [token for token in mine[i1:i2] if token.denies]
        taken_out = [token for token in theirs[j1:j2] if token.denies]
        if len(put_in) == len(taken_out):
            continue
        if any(opposed(token.word, other.word) for token in mine[i1:i2] for other in theirs[j1:j2]):
            continue  # "not stable" and "unstable"
        if put_in and not taken_out:
            yield _finding("negation", statement, put_in[0].word, "")
        elif taken_out and not put_in and (i1 < len(mine) or i1 > 0):
            at = mine[min(i1, len(mine) - 1)].word
            denied = theirs[j2].word.text if j2 < len(theirs) else ""
            yield _finding("negation", statement, at, f"{taken_out[0].word.text} {denied}".strip())


def _finding(kind: str, statement: str, word: Word, found: str) -> Finding:
    return Finding(kind, statement[word.start : word.end], found, word.start, word.end)  # type: ignore[arg-type]
