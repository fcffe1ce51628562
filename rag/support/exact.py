"""Everything in a statement that is wrong by rule: the findings of all kinds, in order.

Two looks at the same pair. Apart: what the statement has and the whole evidence has not (a number,
a name, a comparison where nothing is compared). Side by side (alignment.py): the statement laid
along the sentence of the evidence it is most like.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.support.alignment import alignment_findings
from rag.support.checker import Finding, FindingKind
from rag.support.names import Name, NameIndex, names
from rag.support.numbers import number_findings
from rag.support.polarity import COMPARATIVES, DENIALS, head, negated, opposed, poles
from rag.support.quantities import quantities
from rag.support.roles import agreement, comparisons
from rag.support.text import STOPWORDS, Word, all_sentences, plain, words

__all__ = ["findings"]

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
