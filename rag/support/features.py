"""What a pair looks like in numbers: a few shares and counts that mean the same for any text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rag.support.checker import Finding
from rag.support.text import STOPWORDS, Word, all_sentences, content_stems, words

__all__ = ["FEATURES", "lexical_features"]

FEATURES = ("coverage", "best_sentence", "pairs", "findings")


def lexical_features(
    statement: str, evidence: Sequence[str], findings: Sequence[Finding]
) -> dict[str, float]:
    """Features that need no model, each in [0, 1] but the count of findings."""
    said = [word for word in words(statement) if word.folded not in STOPWORDS]
    wanted = {word.stem for word in said}
    there = [words(sentence) for sentence in all_sentences(evidence)]
    stems = [set(content_stems(sentence)) for sentence in there]
    everything = set().union(*stems) if stems else set()
    best = max((len(wanted & each) for each in stems), default=0)
    return {
        "coverage": len(wanted & everything) / max(1, len(wanted)),
        "best_sentence": best / max(1, len(wanted)),
        "pairs": _pair_share(said, there),
        "findings": float(min(3, len(findings))),
    }


def _pair_share(said: Sequence[Word], there: Sequence[Sequence[Word]]) -> float:
    pairs = {(one.stem, two.stem) for one, two in pairwise(said)}
    known: set[tuple[str, str]] = set()
    for sentence in there:
        kept = content_stems(sentence)
        known.update(pairwise(kept))
    return len(pairs & known) / max(1, len(pairs))
