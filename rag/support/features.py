"""What a pair looks like in numbers, for the logistic regression of the built-in checker.

Few, and such as mean the same for any text. A word of the statement counts as met when the
evidence has its stem or one that differs only in its ending (mathematics, mathematical).
The length of the evidence is among them because long evidence meets words by chance.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from rag.support.checker import Finding
from rag.support.text import STOPWORDS, Word, all_sentences, words

__all__ = ["LEXICAL", "lexical_features"]

LEXICAL = (
    "window", "bigrams", "novel", "sentence_share", "evidence_length", "statement_length",
    "wrong_names", "wrong_numbers", "wrong_polarity",
)  # fmt: skip

_CITATION = re.compile(r"\[\d{1,3}\]")
_KIND = {"name": "wrong_names", "comparison": "wrong_polarity", "negation": "wrong_polarity"}
# Shorter stems must be equal; longer ones may differ in the last three tenths.
_ROOT = 5
_ALIKE = 0.7


def lexical_features(
    statement: str, evidence: Sequence[str], findings: Sequence[Finding]
) -> dict[str, float]:
    """The features that need no model, named by LEXICAL.

    `window`: share of the content words met by two neighbouring sentences, the best two;
    `bigrams`: share of the neighbouring word pairs that the evidence has; `novel`: how many
    content words nothing meets; `sentence_share`: share of a sentence's content that the statement
    takes up, the best sentence; lengths are logarithms of word counts; the last three count
    findings, two at most.
    """
    said = words(_CITATION.sub(lambda match: " " * len(match.group()), statement))
    wanted = {word.stem for word in said if word.folded not in STOPWORDS}
    there = [found for sentence in all_sentences(evidence) if (found := words(sentence))]
    stems = [{word.stem for word in found if word.folded not in STOPWORDS} for found in there]
    met = _met(wanted, stems)
    size = max(1, len(wanted))
    windows = [one | two for one, two in pairwise(met)] or met
    shares = [len(its) / max(1, len(all_its)) for its, all_its in zip(met, stems, strict=True)]
    wrong = Counter(_KIND.get(finding.kind, "wrong_numbers") for finding in findings)
    return {
        "window": max((len(window) for window in windows), default=0) / size,
        "bigrams": _bigram_share(said, there),
        "novel": float(len(wanted.difference(*met))),
        "sentence_share": max(shares, default=0.0),
        "evidence_length": math.log1p(sum(len(found) for found in there)),
        "statement_length": math.log(size),
        **{name: float(min(2, wrong[name])) for name in LEXICAL if name.startswith("wrong_")},
    }


def _met(wanted: set[str], stems: Sequence[set[str]]) -> list[set[str]]:
    """For each sentence, the wanted stems it meets."""
    by_root: dict[str, set[str]] = {}
    for stem in set().union(*stems):
        by_root.setdefault(stem[:_ROOT], set()).add(stem)
    forms: Mapping[str, set[str]] = {
        stem: {other for other in by_root.get(stem[:_ROOT], ()) if _same_root(stem, other)}
        for stem in wanted
    }
    return [{stem for stem in wanted if forms[stem] & its} for its in stems]


def _same_root(one: str, other: str) -> bool:
    if one == other:
        return True
    if min(len(one), len(other)) < _ROOT:
        return False
    common = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return common >= _ALIKE * max(len(one), len(other))


def _bigram_share(said: Sequence[Word], there: Sequence[Sequence[Word]]) -> float:
    pairs = {(one.stem, two.stem) for one, two in pairwise(said)}
    known = {(one.stem, two.stem) for found in there for one, two in pairwise(found)}
    return len(pairs & known) / max(1, len(pairs))
