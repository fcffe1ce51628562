"""The built-in checker: what it scores, what it does not, and what its features mean."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.encoder import TokenStates
from rag.support import Finding, Support
from rag.support.builtin import (
    LEXICAL,
    READ,
    SOFT,
    BuiltinChecker,
    features_of,
    soft_alignments,
)

QUOTE = "The encoder has 12 layers, and we train it on ImageNet for 90 epochs."


def random_states(texts: Sequence[str]) -> list[TokenStates]:
    """A token encoder: every word has one random direction, whatever stands beside it."""
    states = []
    for text in texts:
        tokens = tuple(text.lower().split())
        seeds = (zlib.crc32(token.encode()) for token in tokens)
        rows = [np.random.default_rng(seed).normal(size=16) for seed in seeds]
        unit = [row / np.linalg.norm(row) for row in rows]
        states.append(TokenStates(tokens, np.array(unit, np.float32).reshape(-1, 16)))
    return states


def logits(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """From -3 to 3: the share of the statement's words that the evidence has."""
    words = [(set(statement.split()), set(evidence.split())) for statement, evidence in pairs]
    return [6 * len(own & theirs) / max(1, len(own)) - 3 for own, theirs in words]


LEXICAL_CHECKER = BuiltinChecker()
CHECKERS = [
    LEXICAL_CHECKER,
    BuiltinChecker({SOFT: partial(soft_alignments, random_states), READ: logits}),
]


@pytest.mark.parametrize("checker", CHECKERS, ids=["lexical", READ])
def test_a_quote_supports_itself_and_not_something_else(checker: BuiltinChecker) -> None:
    itself = checker.check(QUOTE, [QUOTE])
    other = checker.check("Antibodies bind to the spike protein in mice.", [QUOTE])
    assert itself.holds(checker.threshold) is True
    assert other.holds(checker.threshold) is False
    assert itself.checker == checker.name


@pytest.mark.parametrize("checker", CHECKERS, ids=["lexical", READ])
def test_a_lone_surrogate_is_read_as_the_replacement_character(checker: BuiltinChecker) -> None:
    odd, plain = (
        checker.check(f"The encoder{char} has 12 layers.", [f"{char} {QUOTE}"])
        for char in ("\ud800", "\ufffd")
    )
    assert odd == plain


def test_a_finding_is_enough_to_reject_however_probable() -> None:
    assert Support(0.99).holds(0.5) is True
    assert Support(0.4).holds(0.5) is False
    assert Support(None).holds(0.5) is None
    assert Support(0.99, (Finding(0, 1, "number", "3", "4"),)).holds(0.5) is False
    assert [it.said for it in LEXICAL_CHECKER.check("It has 13 layers.", [QUOTE]).findings] == [
        "13"
    ]


@pytest.mark.parametrize(
    ("statement", "evidence", "reason"),
    [
        (" … !", [QUOTE], "the statement has no words"),
        (QUOTE, [], "there is no evidence with words"),
        (QUOTE, ["", "—"], "there is no evidence with words"),
    ],
)
def test_without_words_nothing_is_scored(statement: str, evidence: list[str], reason: str) -> None:
    support = LEXICAL_CHECKER.check(statement, evidence)
    assert (support.probability, support.reason) == (None, reason)


@given(st.text(max_size=120), st.lists(st.text(max_size=120), max_size=3))
def test_a_probability_is_one_or_there_is_a_reason(statement: str, evidence: list[str]) -> None:
    for checker in CHECKERS:
        support = checker.check(statement, evidence)
        assert support.reason if support.probability is None else 0 <= support.probability <= 1
        assert checker.check_all([("", []), (statement, evidence)])[1] == support


def test_features_by_hand() -> None:
    statement = "Deep models learn mathematical objects."
    evidence = ["Models are deep. They learn mathematics. Cats sleep."]
    features, wrong = features_of(statement, evidence)
    assert tuple(features) == LEXICAL
    assert features["window"] == pytest.approx(4 / 5)
    assert features["sentence_share"] == pytest.approx(1)
    assert features["evidence_length"] == pytest.approx(np.log1p(6))
    assert (features["new_quantities"], features["new_names"], wrong) == (0, 0, ())
    # A citation mark is none of the statement's words.
    assert features_of("Deep models learn mathematical objects [3].", evidence)[0] == features
    features, _ = features_of("It has 3 of the moons of Mars.", ["Saturn has 4 moons."])
    assert (features["new_quantities"], features["findings"]) == (1, 1)
    assert features["new_names"] == pytest.approx(1 / 3)


def test_soft_alignment_by_hand() -> None:
    pairs = [
        ("water", ""),
        ("deep models learn", "deep models learn well"),
        ("deep models", "deep water"),
    ]
    (states,) = random_states(["deep models water"])
    nearest = max(float(states.vectors[1] @ states.vectors[at]) for at in (0, 2))
    assert soft_alignments(random_states, pairs) == pytest.approx([0, 1, (1 + nearest) / 2])
