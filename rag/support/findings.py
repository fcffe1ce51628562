"""Everything in a statement that is wrong by rule: the findings of all kinds, in order.

Two looks at the same pair. Apart: what the statement has and the whole evidence has not (a number,
a name, a comparison where nothing is compared). Side by side (alignment.py): the statement laid
along the sentence of the evidence it is most like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from rag.support.checker import Finding, FindingKind
from rag.support.numbers import mismatch, number_findings
from rag.support.polarity import (
    COMPARATIVES,
    DENIALS,
    NEGATIONS,
    agreement,
    comparisons,
    head,
    idle_spans,
    negated,
    opposed,
    poles,
)
from rag.support.quantities import Quantity, quantities
from rag.support.text import STOPWORDS, Name, NameIndex, Word, all_sentences, names, plain, words

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
            yield _aligned_finding("comparison", statement, token.word, other.word.text)
    numbers = [token.quantity for token in mine if token.quantity]
    its_numbers = [token.quantity for token in theirs if token.quantity]
    for quantity, its in zip(numbers, its_numbers, strict=False):
        finding = mismatch(statement, quantity, sentence, its)
        if finding is not None:
            yield finding
    if len(mine) == len(theirs):
        for token, other in zip(mine, theirs, strict=True):
            if token.called and other.called and not _forms_of_one(token.word, other.word):
                yield _aligned_finding("name", statement, token.word, other.word.text)


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
            yield _aligned_finding("negation", statement, put_in[0].word, "")
        elif taken_out and not put_in and (i1 < len(mine) or i1 > 0):
            at = mine[min(i1, len(mine) - 1)].word
            denied = theirs[j2].word.text if j2 < len(theirs) else ""
            yield _aligned_finding(
                "negation", statement, at, f"{taken_out[0].word.text} {denied}".strip()
            )


def _aligned_finding(kind: str, statement: str, word: Word, found: str) -> Finding:
    return Finding(kind, statement[word.start : word.end], found, word.start, word.end)  # type: ignore[arg-type]


# Below this share of a statement's content words a sentence is no counterpart of it.
_COUNTERPART = 0.5


def findings(statement: str, evidence: Sequence[str]) -> tuple[Finding, ...]:
    """All findings of a statement against its evidence, by their place in the statement."""
    said = words(statement)
    partners = counterparts(said, evidence)
    compared, turned = _comparisons(statement, said, evidence, partners)
    found = [
        *number_findings(statement, evidence),
        *_unknown_names(statement, evidence),
        *compared,
        *_own_negations(statement, said, evidence, partners),
        *_lost_negations(statement, said, partners),
    ]
    found += [
        finding
        for finding in alignment_findings(statement, [sentence for sentence, _ in partners])
        # "B is slower than A" for "A is faster than B" changes the word and both the names.
        if not (turned and finding.kind in ("comparison", "name"))
    ]
    kept: list[Finding] = []
    for finding in found:
        if not any(finding.start < other.end and other.start < finding.end for other in kept):
            kept.append(finding)
    return tuple(sorted(kept, key=lambda finding: finding.start))


def counterparts(said: Sequence[Word], evidence: Sequence[str]) -> list[tuple[str, list[Word]]]:
    """The sentences of the evidence that have the statement's content, best first, two at most."""
    content = [word for word in said if word.folded not in STOPWORDS]
    # Opposites differ where a statement was turned round: they do not make sentences unlike.
    wanted = {word.stem for word in content if poles(word) is None}
    wanted = wanted or {word.stem for word in said}
    if not wanted:
        return []
    scored = []
    for at, sentence in enumerate(all_sentences(evidence)):
        there = words(sentence)
        share = len(wanted & {word.stem for word in there}) / len(wanted)
        if share >= _COUNTERPART:
            scored.append((-share, at, sentence, there))
    scored.sort(key=lambda item: item[:2])
    best = scored[0][0] if scored else 0.0
    return [(sentence, there) for share, _, sentence, there in scored[:2] if share <= best + 0.15]


def _finding(kind: FindingKind, statement: str, word: Word | Name, found: str) -> Finding:
    return Finding(kind, statement[word.start : word.end], found, word.start, word.end)


def _unknown_names(statement: str, evidence: Sequence[str]) -> list[Finding]:
    known = NameIndex(evidence)
    missing: list[Finding] = []
    for group in _consecutive(names(statement), statement):
        if known.abbreviates(group):
            continue
        unknown = [name for name in group if not known.knows(name)]
        if unknown:
            first, last = unknown[0], unknown[-1]
            said = statement[first.start : last.end]
            missing.append(Finding("name", said, "", first.start, last.end))
    return missing


def _consecutive(found: Sequence[Name], text: str) -> list[list[Name]]:
    groups: list[list[Name]] = []
    for name in found:
        if groups and text[groups[-1][-1].end : name.start].strip() == "":
            groups[-1].append(name)
        else:
            groups.append([name])
    return groups


def _comparisons(
    statement: str, said: Sequence[Word], evidence: Sequence[str],
    partners: Sequence[tuple[str, list[Word]]],
) -> tuple[list[Finding], bool]:  # fmt: skip
    """The findings, and whether some comparison was turned round and says the same."""
    everywhere = [word for piece in evidence for word in words(piece)]
    known = {(pole.family, pole.direction) for word in everywhere if (pole := poles(word))}
    bounded = [quantity.start for quantity in quantities(statement) if quantity.bound]
    compared = {mine.word.start: mine for mine in comparisons(statement)}
    theirs = [other for text, _ in partners for other in comparisons(text)]
    found = []
    turned = False
    for word in said:
        pole = poles(word)
        if pole is None:
            continue
        same = agreement(compared[word.start], theirs) if word.start in compared else None
        if same is False:
            other = next(other for other in theirs if other.pole.row == pole.row)
            found.append(_finding("comparison", statement, word, other.text))
        turned = turned or (same is True and (pole.family, pole.direction) not in known)
        if same is not None or (pole.family, pole.direction) in known:
            continue
        if any(0 < start - word.end < 8 for start in bounded):
            continue  # "more than 5": the bound was held against the evidence's own
        against = next(
            (other for _, there in partners for other in there if opposed(word, other)), None
        )
        if against is not None:
            found.append(_finding("comparison", statement, word, against.text))
        elif word.folded in COMPARATIVES and not known:
            found.append(_finding("comparison", statement, word, ""))
    return found, turned


def _own_negations(
    statement: str, said: list[Word], evidence: Sequence[str],
    partners: Sequence[tuple[str, list[Word]]],
) -> list[Finding]:  # fmt: skip
    """What the statement denies and nothing in the evidence does."""
    if not partners:
        return []
    denied = {
        word.stem
        for piece in evidence
        for _, reach in negated(plain(piece), words(piece))
        for word in reach
    }
    found = []
    for cue, reach in negated(plain(statement), said):
        if not reach or denied & {word.stem for word in reach}:
            continue
        if any(word.folded in DENIALS for _, there in partners for word in there):
            continue  # what exactly they deny, alignment.py compares
        if any(_denies_otherwise(word, there) for word in reach for _, there in partners):
            continue
        found.append(_finding("negation", statement, cue, ""))
    return found


def _lost_negations(
    statement: str, said: list[Word], partners: Sequence[tuple[str, list[Word]]]
) -> list[Finding]:
    """What the evidence denies and the statement says plainly."""
    reached = {word.stem for _, reach in negated(plain(statement), said) for word in reach}
    spoken = {word.folded for word in said}
    found = []
    for text, there in partners:
        denials = negated(plain(text), there)
        inside = {id(word) for _, reach in denials for word in reach}
        for cue, reach in denials:
            target = head(reach)
            if target is None or target.stem in reached or cue.folded in spoken:
                continue
            plainly = next((word for word in said if word.stem == target.stem), None)
            if plainly is None:
                continue
            if any(word.stem == target.stem and id(word) not in inside for word in there):
                continue
            found.append(_finding("negation", statement, plainly, f"{cue.text} … {target.text}"))
    return found


def _denies_otherwise(word: Word, there: Sequence[Word]) -> bool:
    """Whether the evidence has the opposite word, so that denying this one says the same."""
    return any(opposed(word, other) for other in there)
