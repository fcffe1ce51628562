"""Lines 2 and 3: whether statements follow from what they cite, and from anything listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.evaluation.citations import Judge, precisions, premises, recall
from rag.evaluation.evaluated import Claim, EvaluatedAnswer
from rag.evaluation.outcomes import ItemScore, Measure, gap
from rag.support import Pair
from rag.support.checker import premise

__all__ = ["Verdict", "citation_measures", "judge_claims", "unsupported_measures"]

BEST = 6
"""Passages of all listed works that a statement is held against: about 3,000 characters."""

Value = float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about one statement. Recall and precisions are 1, 0 or None; `supported`
    is against the whole closed set; `wrong` names what the checker found wrong, in its words."""

    key: str
    answer: str
    prompt: str
    part: str
    text: str
    citations: int
    quote_recall: Value
    quote_precisions: tuple[Value, ...]
    passage_recall: Value
    passage_precisions: tuple[Value, ...]
    supported: Value
    wrong: tuple[str, ...] = ()


def judge_claims(judge: Judge, subjects: Sequence[EvaluatedAnswer]) -> list[Verdict]:
    """A verdict for every statement that claims something, in the answers' order."""
    judge.prepare(
        pair
        for subject in subjects
        for claim in subject.claims
        if not claim.fixed
        for pair in _asked(subject, claim)
    )
    return [
        _verdict(judge, subject, claim)
        for subject in subjects
        for claim in subject.claims
        if not claim.fixed
    ]


def _texts(claim: Claim) -> tuple[list[str], list[str]]:
    """The quotes, and the passages around them, of the citations that stand in their source."""
    true = [item for item in claim.citations if item.state == "stands"]
    return (
        [premise(item.work, item.text) for item in true],
        [premise(item.work, item.passage) for item in true],
    )


def _asked(subject: EvaluatedAnswer, claim: Claim) -> Iterator[Pair]:
    for texts in _texts(claim):
        for evidence in premises(texts):
            yield claim.text, evidence
    if best := subject.closed_set.best(claim.text, BEST):
        yield claim.text, best


def _verdict(judge: Judge, subject: EvaluatedAnswer, claim: Claim) -> Verdict:
    quotes, passages = _texts(claim)
    found: list[tuple[Value, tuple[Value, ...]]] = []
    for texts in (quotes, passages):
        if any(item.state == "not read" for item in claim.citations):
            found.append((None, (None,) * len(claim.citations)))
            continue
        precise = iter(precisions(claim.text, texts, judge))
        found.append(
            (
                _value(recall(claim.text, texts, judge)),
                tuple(
                    _value(next(precise)) if item.state == "stands" else 0.0
                    for item in claim.citations
                ),
            )
        )
    best = subject.closed_set.best(claim.text, BEST)
    wrong = judge.support(claim.text, tuple(quotes) or best).findings if quotes or best else ()
    (quote_recall, quote_precisions), (passage_recall, passage_precisions) = found
    return Verdict(
        key=subject.key(claim),
        answer=subject.name,
        prompt=subject.prompt,
        part=claim.part,
        text=claim.text,
        citations=len(claim.citations),
        quote_recall=quote_recall,
        quote_precisions=quote_precisions,
        passage_recall=passage_recall,
        passage_precisions=passage_precisions,
        supported=_supported(judge, subject, claim, best),
        wrong=tuple(map(str, wrong)),
    )


def _supported(
    judge: Judge, subject: EvaluatedAnswer, claim: Claim, best: tuple[str, ...]
) -> Value:  # fmt: skip
    """1 where the quotes, their passages or the best passages of all listed works support the
    statement; 0 where none does; None where none does and something could not be told."""
    said: list[bool | None] = [
        judge(claim.text, tuple(evidence)) for evidence in (*_texts(claim), best) if evidence
    ]
    if any(said):
        return 1.0
    return None if None in said or not subject.closed_set.complete else 0.0


def _value(said: bool | None) -> Value:
    return None if said is None else float(said)


def citation_measures(verdicts: Sequence[Verdict]) -> list[Measure]:
    """Line 2."""
    recalls = {
        "quote": [ItemScore(item.prompt, item.quote_recall) for item in verdicts],
        "passage": [ItemScore(item.prompt, item.passage_recall) for item in verdicts],
    }
    precise = {
        "quote": _each((item.prompt, item.quote_precisions) for item in verdicts),
        "passage": _each((item.prompt, item.passage_precisions) for item in verdicts),
    }
    words = {"quote": "the quote alone", "passage": "the passage around it"}
    statements, quotes = "of all statements; without a quote: 0", "of all quotes of statements"
    found = []
    for what, told in words.items():
        found += [
            Measure(f"recall_{what}", 2, f"citation recall, from {told}", "higher",
                    tuple(recalls[what]), statements),
            Measure(f"precision_{what}", 2, f"citation precision, from {told}", "higher",
                    tuple(precise[what]), quotes),
        ]  # fmt: skip
    return [
        *found,
        Measure("recall_gap", 2, "recall: quote minus passage", "",
                gap(recalls["quote"], recalls["passage"]),
                "above 0: supported by the quote, not by the text it was taken from"),
    ]  # fmt: skip


def _each(precisions_: Iterable[tuple[str, tuple[Value, ...]]]) -> list[ItemScore]:
    return [ItemScore(prompt, value) for prompt, values in precisions_ for value in values]


def unsupported_measures(verdicts: Sequence[Verdict]) -> list[Measure]:
    """Line 3."""
    each = [ItemScore(item.prompt, _not(item.supported)) for item in verdicts]
    answers: dict[tuple[str, str], list[Value]] = {}
    for item in verdicts:
        answers.setdefault((item.answer, item.prompt), []).append(_not(item.supported))
    some = [ItemScore(prompt, _any(values)) for (_, prompt), values in answers.items()]
    return [
        Measure("unsupported", 3, "unsupported statements", "lower", tuple(each),
                "of all statements, held against every listed work"),
        Measure("answers_unsupported", 3, "answers with an unsupported statement", "lower",
                tuple(some), "of the answers with at least one statement"),
    ]  # fmt: skip


def _not(value: Value) -> Value:
    return None if value is None else 1.0 - value


def _any(values: Sequence[Value]) -> Value:
    if 1.0 in values:
        return 1.0
    return None if None in values else 0.0
