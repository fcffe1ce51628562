"""Citation recall and precision by ALCE's definition, and what is counted of the verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from rag.evaluation.citations import (
    Citation,
    Claim,
    EvaluatedAnswer,
    judge_claims,
    recall_and_precisions,
    verdict_measures,
)
from rag.support import Pair, Support


class Scripted:
    """Supports a statement when the evidence, taken together, holds one of its sets of words;
    cannot score evidence with a question mark."""

    name = "scripted"
    threshold = 0.5

    def __init__(self, enough: dict[str, list[set[str]]]) -> None:
        self.enough = enough
        self.asked: list[list[Pair]] = []

    def check(self, statement: str, evidence: Sequence[str]) -> Support:
        words = set(" ".join(evidence).split())
        if "?" in words:
            return Support(None, checker=self.name, reason="unreadable")
        return Support(float(any(needed <= words for needed in self.enough.get(statement, []))))

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        self.asked.append(list(pairs))
        return [self.check(statement, evidence) for statement, evidence in self.asked[-1]]


# ALCE, section 4: recall asks all citations together; a citation is irrelevant when it does not
# support alone and the rest does without it.
@pytest.mark.parametrize(
    ("enough", "citations", "recalled", "precise"),
    [
        pytest.param([{"a"}], "a", True, (True,), id="one that supports"),
        pytest.param([{"a"}], "b", False, (False,), id="one that does not"),
        pytest.param([{"a", "b"}], "ab", True, (True, True), id="only together"),
        pytest.param([{"a"}], "ab", True, (True, False), id="one of two is idle"),
        pytest.param([{"a"}, {"b"}], "ab", True, (True, True), id="each alone"),
        pytest.param(
            [{"a", "b"}, {"c"}], "abc", True, (False, False, True), id="two beside enough"
        ),
        pytest.param([{"a", "b"}], "abc", True, (True, True, False), id="a third is idle"),
        pytest.param([{"a", "d"}], "ab", False, (False, False), id="not recalled"),
        pytest.param([{"a"}], "", False, (), id="nothing cited"),
        pytest.param([{"a"}], "?", None, (None,), id="not scored"),
    ],
)
def test_citation_recall_and_precision_follow_their_definition(
    enough: list[set[str]], citations: str, recalled: object, precise: tuple[object, ...]
) -> None:
    checker = Scripted({"S": enough})

    def supports(evidence: tuple[str, ...]) -> bool | None:
        return checker.check("S", evidence).holds(checker.threshold)

    assert recall_and_precisions(tuple(citations), supports) == (recalled, list(precise))


def evaluated(
    name: str, *claims: tuple[str, list[str]], passages: tuple[str, ...] = ()
) -> EvaluatedAnswer:
    made = tuple(
        Claim("task", text, tuple(Citation(word, f"{word} around") for word in cited))
        for text, cited in claims
    )
    return EvaluatedAnswer(name, f"Q {name}", made, passages)


def counts(checker: Scripted, *answers: EvaluatedAnswer) -> dict[str, tuple[float, int, int]]:
    return {item.key: item.counts() for item in verdict_measures(judge_claims(checker, answers))}


def test_the_checker_is_asked_everything_at_once_and_nothing_twice() -> None:
    checker = Scripted({"S": [{"a", "b"}]})
    judge_claims(checker, [evaluated("one", ("S", ["a", "b", "c"]), ("S", ["a", "b", "c"]))])
    (asked,) = checker.asked
    assert len(asked) == 2 * 7  # quotes and passages: three alone, three pairs, all


def test_statements_are_counted_strictly_and_unscored_ones_apart() -> None:
    checker = Scripted({"good": [{"a"}], "bad": [{"z"}], "elsewhere": [{"closed"}], "x": []})
    one = evaluated("one", ("good", ["a", "b"]), ("bad", ["a"]), ("x", ["?"]))
    two = evaluated("two", ("elsewhere", []), passages=("elsewhere closed", "other"))
    found = counts(checker, one, two)
    assert found["recall_quote"] == (1, 3, 1)  # good of good, bad, elsewhere; x not scored
    assert found["precision_quote"] == (1, 3, 1)  # a of (a, b), (a)
    assert found["unsupported"] == (1, 3, 1)  # bad; the closed set supports elsewhere
    assert found["answers_unsupported"] == (1, 2, 0)


def test_a_quote_picked_against_its_context_shows_as_a_gap() -> None:
    class TakenBack(Scripted):
        def check(self, statement: str, evidence: Sequence[str]) -> Support:
            return Support(float(not any("around" in piece for piece in evidence)))

    found = counts(TakenBack({}), evaluated("one", ("S", ["a"])))
    assert [found[key][0] for key in ("recall_quote", "recall_passage", "recall_gap")] == [1, 0, 1]
    # The gap is known only where both sides are.
    assert counts(Scripted({}), evaluated("one", ("S", ["?"])))["recall_gap"] == (0, 0, 1)


def test_without_statements_nothing_is_counted_and_without_quotes_nothing_is_supported() -> None:
    for answers in ([], [evaluated("one")]):
        assert set(counts(Scripted({}), *answers).values()) == {(0, 0, 0)}
    found = counts(Scripted({}), evaluated("one", ("S", []), ("T", [])))
    assert found["recall_quote"] == (0, 2, 0)
    assert found["precision_quote"] == (0, 0, 0)
    assert found["unsupported"] == (2, 2, 0)
