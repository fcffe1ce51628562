"""Which statements get a support warning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.answer import Answer, Quote, Reference, Statement
from rag.answer.compose import NO_RELEVANCE
from rag.support import Finding, Pair, Support
from rag.support.builtin import BuiltinChecker, default_checker
from rag.views.markdown import SupportWarning, find_support_warnings
from tests.parts.answers import EMPTY

EVIDENCE = "The network was trained on 40 grey photographs of bridges."


def answer_with(*statements: Statement) -> Answer:
    return replace(EMPTY, task=statements)


def statement(text: str) -> Statement:
    return Statement(text, (Quote("arxiv:1", "full text", 0, len(EVIDENCE), EVIDENCE, (1,)),))


@dataclass
class Checker:
    """A checker that scores the evidence alone."""

    score: Callable[[Sequence[str]], Support]
    name: str = "scripted"
    threshold: float = 0.5

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        return self.score(evidence)

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        return [self.check(*pair) for pair in pairs]


def test_a_wrong_number_is_named_and_a_paraphrase_passes() -> None:
    wrong = statement("The network was trained on 400 grey photographs of bridges.")
    paraphrase = statement("They trained the network on 40 grey photographs of bridges.")
    (warning,) = find_support_warnings(answer_with(wrong, paraphrase), BuiltinChecker)
    assert warning.part == "task"
    assert warning.statement == wrong.text
    assert warning.why == "number: the statement says “400”, the evidence “40”"


def test_quotations_and_fixed_sentences_are_not_checked_and_need_no_checker() -> None:
    def unneeded() -> BuiltinChecker:
        raise AssertionError

    answer = answer_with(statement(""), Statement(NO_RELEVANCE, statement("").quotes))
    assert find_support_warnings(answer, unneeded) == ()


@pytest.mark.parametrize(
    ("support", "why"),
    [
        (Support(0.499), "the quotes do not clearly bear this out"),
        (Support(0.5), None),
        (Support(None, reason="no words"), None),
        (
            Support(0.9, (Finding(0, 3, "name", "Ada"),)),
            "name: the evidence has nothing that says “Ada”",
        ),
    ],
)
def test_a_warning_gives_findings_or_says_what_a_score_means(
    support: Support, why: str | None
) -> None:
    claim = statement("They trained it.")
    expected = () if why is None else (SupportWarning("task", claim.text, why),)
    assert find_support_warnings(answer_with(claim), lambda: Checker(lambda _: support)) == expected


def test_the_name_of_the_work_counts_as_evidence() -> None:
    answer = answer_with(statement("The authors of Lantern trained a network on 40 photographs."))
    work = Reference(
        "Lantern", "related", None, None, ("arxiv:1",), relevant=False,
        relevance=Statement(NO_RELEVANCE, ()), mentions=(),
    )  # fmt: skip
    of_names = Checker(lambda evidence: Support(float("Lantern" in " ".join(evidence))))
    assert find_support_warnings(answer, lambda: of_names)
    assert not find_support_warnings(replace(answer, references=(work,)), lambda: of_names)


def test_where_the_weights_are_damaged_or_missing_words_alone_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def name() -> str:
        return default_checker(offline=True, announce=lines.append).name

    assert name().startswith("builtin-read")
    assert not lines
    for path in locate(DEFAULT_ENCODER, offline=True).glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with monkeypatch.context() as damaged:
        damaged.setattr("index.weights._bundle", lambda: tmp_path)
        assert name().startswith("builtin-lexical")
    monkeypatch.setattr("index.weights.BUNDLE", "a-package-that-nobody-installed")
    monkeypatch.setenv("HF_HUB_CACHE", "/nonexistent")
    assert name().startswith("builtin-lexical")
    assert len(lines) == 2
    assert lines[0].startswith("statements are checked without a model: the encoder in ")
