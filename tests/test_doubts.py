"""Which statements a reader is warned of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pytest

from rag.answer import Answer, Quote, Statement
from rag.compose import NO_BEARING
from rag.doubts import Doubt, checker_at_hand, doubts_of
from rag.support import BuiltinChecker, Finding, Pair, Support
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
    (doubt,) = doubts_of(answer(said), BuiltinChecker())
    assert doubt.part == "task"
    assert doubt.statement == said.text
    assert doubt.why == "number: the statement says “400”, the evidence “40”"


def test_a_statement_in_other_words_is_not_doubted() -> None:
    said = quoted("They trained the network on 40 grey photographs of bridges.", WORDS)
    assert doubts_of(answer(said), BuiltinChecker()) == ()


def test_what_claims_nothing_of_its_own_is_never_asked_about() -> None:
    verbatim, fixed = quoted(WORDS, WORDS), Statement(NO_BEARING, ())
    assert doubts_of(answer(verbatim, fixed), Scripted(Support(0.0))) == ()


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
    expected = () if why is None else (Doubt("task", said.text, why),)
    assert doubts_of(answer(said), Scripted(support)) == expected


def test_the_name_of_the_work_may_be_said_without_standing_in_the_quote() -> None:
    base = answer(quoted("The authors of Lantern trained a network on 40 photographs.", WORDS))
    assert any("Lantern" in doubt.why for doubt in doubts_of(base, BuiltinChecker()))
    from rag.answer import Reference

    listed = Reference(
        "Lantern", "related", None, None, ("arxiv:1",), bears=False,
        bearing=Statement(NO_BEARING, ()),
    )  # fmt: skip
    named = doubts_of(replace(base, references=(listed,)), BuiltinChecker())
    assert not any("Lantern" in doubt.why for doubt in named)


def test_there_is_always_a_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the model of token states is missing, it is said, and words alone are compared."""
    said: list[str] = []
    assert checker_at_hand(offline=True, announce=said.append).name.startswith("builtin-soft")
    assert not said
    monkeypatch.setattr("index.encoder.BUNDLE", "a-package-that-nobody-installed")
    monkeypatch.setenv("HF_HUB_CACHE", "/nonexistent")
    lexical = checker_at_hand(offline=True, announce=said.append)
    assert lexical.name.startswith("builtin-lexical")
    assert len(said) == 1
