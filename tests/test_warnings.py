"""Which statements get a support warning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.answer import Answer, Quote, Reference, Statement
from rag.answer.compose import NO_RELEVANCE
from rag.support import Finding, Pair, Support
from rag.support.builtin import BuiltinChecker, default_checker, shared_checker
from rag.views.markdown import SupportWarning, find_support_warnings
from rag.writers.choice import WriterChoice, open_writer
from tests.parts.answers import EMPTY

EVIDENCE = "The network was trained on 40 grey photographs of bridges."


def answer_with(*statements: Statement) -> Answer:
    return replace(EMPTY, task=statements)


def statement(text: str) -> Statement:
    return Statement(text, (Quote("arxiv:1", "full text", 0, len(EVIDENCE), EVIDENCE, (1,)),))


@dataclass
class FixedChecker:
    """A checker that gives every statement the same score."""

    support: Support
    name: str = "fixed"
    threshold: float = 0.5

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        return self.support

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
    assert find_support_warnings(answer_with(claim), lambda: FixedChecker(support)) == expected


class LanternChecker(FixedChecker):
    """A checker that finds support in whatever names Lantern."""

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        return Support(float(any("Lantern" in piece for piece in evidence)))


def test_the_name_of_the_work_counts_as_evidence() -> None:
    answer = answer_with(statement("The authors of Lantern trained a network on 40 photographs."))
    work = Reference(
        "Lantern", "related", None, None, ("arxiv:1",), relevant=False,
        relevance=Statement(NO_RELEVANCE, ()), mentions=(),
    )  # fmt: skip
    listed = replace(answer, references=(work,))
    for each, named in ((answer, True), (listed, False)):
        warnings = find_support_warnings(each, lambda: LanternChecker(Support(0.0)))
        assert bool(warnings) == named


def test_without_a_model_words_alone_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    assert default_checker(offline=True, announce=lines.append).name.startswith("builtin-read")
    assert not lines
    monkeypatch.setattr("index.weights.BUNDLE", "a-package-that-nobody-installed")
    monkeypatch.setenv("HF_HUB_CACHE", "/nonexistent")
    lexical = default_checker(offline=True, announce=lines.append)
    assert lexical.name.startswith("builtin-lexical")
    assert len(lines) == 1


def test_with_damaged_weights_words_alone_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in locate(DEFAULT_ENCODER, offline=True).glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    monkeypatch.setattr("index.weights._bundle", lambda: tmp_path)
    lines: list[str] = []
    checker = default_checker(offline=True, announce=lines.append)
    assert checker.name.startswith("builtin-lexical")
    (line,) = lines
    assert line.startswith("statements are checked without a model: the encoder in ")


def test_a_writer_and_the_warnings_share_a_checker() -> None:
    choice = WriterChoice("chat", "a model", "http://127.0.0.1:9/v1", offline=True)
    writer = open_writer(choice, announce=print)
    shared = shared_checker(offline=True, announce=print, device="")
    assert vars(writer)["checker"] is shared
