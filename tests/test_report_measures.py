"""The report's arithmetic, against cases worked out by hand from the papers' definitions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.evaluation.citations import Judge, precisions, premises, recall
from rag.evaluation.evaluated import Citation, Claim, ClosedSet, EvaluatedAnswer
from rag.evaluation.judging import citation_measures, judge_claims, unsupported_measures
from rag.evaluation.outcomes import ItemScore, Measure, change, estimate, gap
from rag.evaluation.ppi import corrected_mean
from rag.support import Pair, Support


class Scripted:
    """Supports a statement when the evidence, taken together, holds one of its sets of words;
    cannot score evidence with a question mark."""

    name = "scripted"
    threshold = 0.5

    def __init__(self, enough: dict[str, list[set[str]]]) -> None:
        self.enough = enough
        self.asked: list[Pair] = []

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        self.asked.append((statement, evidence))
        words = set(" ".join(evidence).split())
        if "?" in words:
            return Support(None, checker=self.name, reason="unreadable")
        held = any(needed <= words for needed in self.enough.get(statement, []))
        return Support(float(held), checker=self.name)

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        return [self.check(statement, evidence) for statement, evidence in pairs]


def judged(enough: list[set[str]], citations: list[str]) -> tuple[object, tuple[object, ...]]:
    judge = Judge(Scripted({"S": enough}))
    return recall("S", citations, judge), precisions("S", citations, judge)


# ALCE, section 4: recall asks all citations together; a citation is irrelevant when it does not
# support alone and the rest does without it.
@pytest.mark.parametrize(
    ("enough", "citations", "recalled", "precise"),
    [
        pytest.param([{"a"}], ["a"], True, (True,), id="one that supports"),
        pytest.param([{"a"}], ["b"], False, (False,), id="one that does not"),
        pytest.param([{"a", "b"}], ["a", "b"], True, (True, True), id="only together"),
        pytest.param([{"a"}], ["a", "b"], True, (True, False), id="one of two is idle"),
        pytest.param([{"a"}, {"b"}], ["a", "b"], True, (True, True), id="each alone"),
        pytest.param(
            [{"a", "b"}, {"c"}], ["a", "b", "c"], True, (False, False, True), id="two beside enough"
        ),
        pytest.param(
            [{"a", "b"}], ["a", "b", "c"], True, (True, True, False), id="a third is idle"
        ),
        pytest.param([{"a", "d"}], ["a", "b"], False, (False, False), id="not recalled"),
        pytest.param([{"a"}], [], False, (), id="nothing cited"),
        pytest.param([{"a"}], ["?"], None, (None,), id="not scored"),
    ],
)
def test_citation_recall_and_precision_follow_their_definition(
    enough: list[set[str]], citations: list[str], recalled: object, precise: tuple[object, ...]
) -> None:
    assert judged(enough, citations) == (recalled, precise)


def test_everything_that_will_be_asked_is_known_beforehand_and_asked_once() -> None:
    checker = Scripted({"S": [{"a", "b"}]})
    judge = Judge(checker)
    judge.prepare(("S", evidence) for evidence in premises(["a", "b", "c"]))
    asked = len(checker.asked)
    recall("S", ["a", "b", "c"], judge)
    precisions("S", ["a", "b", "c"], judge)
    assert asked == len(checker.asked) == 7  # three alone, three pairs, all


def subject(
    name: str, *claims: tuple[str, list[str]], passages: Sequence[str] = ()
) -> EvaluatedAnswer:
    made = tuple(
        Claim("task", text, tuple(Citation(word, f"{word} around") for word in cited))
        for text, cited in claims
    )
    return EvaluatedAnswer(name, f"Q {name}", made, ClosedSet(passages))


def shares(measures: Iterable[Measure]) -> dict[str, tuple[float, int, int]]:
    return {item.key: (item.numerator, item.denominator, item.unscored) for item in measures}


def test_statements_are_counted_strictly_and_what_is_not_scored_apart() -> None:
    checker = Scripted({"good": [{"a"}], "bad": [{"z"}], "elsewhere": [{"closed"}], "x": []})
    verdicts = judge_claims(
        Judge(checker),
        [
            subject("one", ("good", ["a", "b"]), ("bad", ["a"]), ("x", ["?"])),
            subject("two", ("elsewhere", []), passages=["elsewhere closed", "other"]),
        ],
    )
    found = shares([*citation_measures(verdicts), *unsupported_measures(verdicts)])
    assert found["recall_quote"] == (1, 3, 1)  # good of good, bad, elsewhere; x not scored
    assert found["precision_quote"] == (1, 3, 1)  # a of (a, b), (a)
    assert found["unsupported"] == (1, 3, 1)  # bad; the closed set supports elsewhere
    assert found["answers_unsupported"] == (1, 2, 0)


def test_a_cherry_picked_quote_shows_as_a_gap() -> None:
    """Supported by the quote; not by the passage, which takes it back."""

    class TakenBack(Scripted):
        def check(self, statement: str, evidence: Sequence[str]) -> Support:
            return Support(float(not any("around" in piece for piece in evidence)))

    verdicts = judge_claims(Judge(TakenBack({})), [subject("one", ("S", ["a"]))])
    found = {item.key: item.estimate().value for item in citation_measures(verdicts)}
    assert (found["recall_quote"], found["recall_passage"], found["recall_gap"]) == (1, 0, 1)


@pytest.mark.parametrize("subjects", [[], [subject("one")]], ids=["no answers", "no statements"])
def test_of_nothing_nothing_is_said(subjects: list[EvaluatedAnswer]) -> None:
    verdicts = judge_claims(Judge(Scripted({})), subjects)
    for item in (*citation_measures(verdicts), *unsupported_measures(verdicts)):
        assert (item.denominator, item.unscored) == (0, 0)
        assert item.estimate().value is None


def test_answers_without_any_quote_score_nothing_and_are_unsupported() -> None:
    verdicts = judge_claims(Judge(Scripted({})), [subject("one", ("S", []), ("T", []))])
    found = shares([*citation_measures(verdicts), *unsupported_measures(verdicts)])
    assert found["recall_quote"] == (0, 2, 0)
    assert found["precision_quote"] == (0, 0, 0)
    assert found["unsupported"] == (2, 2, 0)


def test_one_prompt_has_a_figure_and_no_interval() -> None:
    found = estimate([ItemScore("q", 1.0), ItemScore("q", 0.0), ItemScore("q", None)])
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_the_interval_over_prompts_is_that_of_the_closed_form() -> None:
    """With clusters of equal size the bootstrap variance of the mean is the variance of the
    cluster means divided by their number."""
    rng = np.random.default_rng(1)
    means = rng.uniform(0, 1, 60)
    outcomes = [
        ItemScore(str(prompt), float(mean)) for prompt, mean in enumerate(means) for _ in range(4)
    ]
    found = estimate(outcomes)
    half = 1.96 * math.sqrt(float(means.var()) / len(means))
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)
    # Taken as independent, the same values would seem twice as sure.
    alone = estimate([ItemScore(str(at), item.value) for at, item in enumerate(outcomes)])
    assert alone.low is not None
    assert alone.high is not None
    assert (found.high - found.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.1)


def measure(*values: tuple[str, float | None]) -> Measure:
    return Measure("m", 2, "m", "higher", tuple(ItemScore(*item) for item in values))


def test_systems_are_compared_by_question_each_counting_once() -> None:
    first = measure(("a", 1), ("a", 1), ("a", 0), ("b", 1), ("c", 1), ("only first", 1))
    second = measure(("a", 1), ("a", 0), ("b", 0), ("b", 0), ("c", None), ("c", 1))
    found = change(first, second)
    assert found.prompts == 3
    assert found.mean == pytest.approx(((2 / 3 - 1 / 2) + 1 + 0) / 3)
    assert found.p is not None
    assert found.p > 0.25  # three questions can show nothing
    nothing = change(measure(("a", 1)), measure(("b", 1)))
    assert (nothing.prompts, nothing.mean, nothing.p) == (0, None, None)
    assert change(measure(("a", 1)), measure(("a", 0))).low is None


def test_a_gap_is_open_only_where_both_sides_are_known() -> None:
    one, other = measure(("a", 1), ("a", None)), measure(("a", 0), ("a", 1))
    assert [item.value for item in gap(one.outcomes, other.outcomes)] == [1, None]


def test_labels_correct_the_checkers_mean_as_the_formula_says() -> None:
    # Angelopoulos et al. 2023: mean(f over N) - mean(f - Y over n), 1.96 * its standard error.
    found = corrected_mean([1, 0, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1])
    errors = [0, 0, -1, -1]
    value = 2 / 8 - sum(errors) / 4
    variance = np.var(errors) / 4 + np.var([1, 0, 0, 0, 0, 0, 0, 1]) / 8
    assert found.value == pytest.approx(value) == pytest.approx(0.75)
    assert found.low == pytest.approx(value - 1.959964 * math.sqrt(variance))
    assert found.high == pytest.approx(value + 1.959964 * math.sqrt(variance))


def test_labels_of_everything_leave_the_checker_out() -> None:
    found = corrected_mean([1, 0, 1, 1], [0, 0, 0, 0], [])
    assert found.value == 0.75
    assert found.high == pytest.approx(0.75 + 1.959964 * math.sqrt(0.1875 / 4))
    assert corrected_mean([], [], [1, 0]).value is None
    assert corrected_mean([1], [1], [1, 0]).low is None
    with pytest.raises(ValueError, match="every label"):
        corrected_mean([1], [], [])


def test_the_corrected_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        truth = rng.random(300) < 0.3
        checker = np.where(rng.random(300) < 0.85, truth, ~truth)  # right 85 times of 100
        found = corrected_mean(
            *(part.tolist() for part in (truth[:80], checker[:80], checker[80:]))
        )
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.3 <= found.high
    assert held / 400 == pytest.approx(0.95, abs=0.03)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0, None]))))
def test_every_outcome_is_counted_once(values: list[tuple[str, float | None]]) -> None:
    item = measure(*values)
    assert item.denominator + item.unscored == len(values)
    found = item.estimate()
    assert (found.value is None) == (item.denominator == 0)
    if found.low is not None and found.high is not None and found.value is not None:
        assert 0 <= found.low <= found.high <= 1
