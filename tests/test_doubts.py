"""Which statements a reader is warned of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pytest

from rag.answer.compose import NO_RELEVANCE
from rag.answer.model import Answer, Quote, Statement
from rag.support import BuiltinChecker, Finding, Pair, Support
from rag.views.warnings import SupportWarning, default_checker, find_support_warnings
from tests.test_page import EMPTY

WORDS = "The network was trained on 40 grey photographs of bridges."


def answer(*statements: Statement) -> Answer:
    return replace(Answer.from_json(EMPTY), task=statements)


def quoted(text: str, *words: str) -> Statement:
    quotes = tuple(Quote("arxiv:1", "full text", 0, len(each), each, (1,)) for each in words)
    return Statement(text, quotes)


@dataclass(frozen=True)
class Scripted:
    """A checker that says what it was told to, and keeps nothing back."""

    support: Support
    name: str = "scripted"
    threshold: float = 0.5

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        return self.support

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        return [self.check(*pair) for pair in pairs]


def test_a_statement_that_says_something_else_is_doubted_by_name() -> None:
    said = quoted("The network was trained on 400 grey photographs of bridges.", WORDS)
    (warning,) = find_support_warnings(answer(said), BuiltinChecker())
    assert warning.part == "task"
    assert warning.statement == said.text
    assert warning.why == "number: the statement says “400”, the evidence “40”"


def test_a_statement_in_other_words_is_not_doubted() -> None:
    said = quoted("They trained the network on 40 grey photographs of bridges.", WORDS)
    assert find_support_warnings(answer(said), BuiltinChecker()) == ()


def test_what_claims_nothing_of_its_own_is_never_asked_about() -> None:
    verbatim, fixed = quoted(WORDS, WORDS), Statement(NO_RELEVANCE, ())
    assert find_support_warnings(answer(verbatim, fixed), Scripted(Support(0.0))) == ()


@pytest.mark.parametrize(
    ("support", "why"),
    [
        (Support(0.499), "the checker puts its support at 0.49, and asks for 0.50"),
        (Support(0.5), None),
        (Support(None, reason="no words"), None),
        (
            Support(0.9, (Finding("name", "Ada", "", 0, 3),)),
            "name: the evidence has nothing that says “Ada”",
        ),
    ],
)
def test_a_doubt_says_why(support: Support, why: str | None) -> None:
    said = quoted("They trained it.", WORDS)
    expected = () if why is None else (SupportWarning("task", said.text, why),)
    assert find_support_warnings(answer(said), Scripted(support)) == expected


def test_the_name_of_the_work_may_be_said_without_standing_in_the_quote() -> None:
    base = answer(quoted("The authors of Lantern trained a network on 40 photographs.", WORDS))
    assert any(
        "Lantern" in warning.why for warning in find_support_warnings(base, BuiltinChecker())
    )
    from rag.answer.model import Reference

    listed = Reference(
        "Lantern", "related", None, None, ("arxiv:1",), relevant=False,
        relevance=Statement(NO_RELEVANCE, ()),
    )  # fmt: skip
    named = find_support_warnings(replace(base, references=(listed,)), BuiltinChecker())
    assert not any("Lantern" in warning.why for warning in named)


def test_there_is_always_a_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the model of token states is missing, it is said, and words alone are compared."""
    said: list[str] = []
    assert default_checker(offline=True, announce=said.append).name.startswith("builtin-soft")
    assert not said
    monkeypatch.setattr("index.weights.BUNDLE", "a-package-that-nobody-installed")
    monkeypatch.setenv("HF_HUB_CACHE", "/nonexistent")
    lexical = default_checker(offline=True, announce=said.append)
    assert lexical.name.startswith("builtin-lexical")
    assert len(said) == 1
