"""Lines 2 and 3: whether statements follow from what they cite, and from anything listed.

Recall and precision are ALCE's (Gao et al. 2023, arXiv 2305.14627, section 4). A statement is
recalled when its citations, together, support it; one without citations is not (no length
threshold). A citation is precise when its statement is recalled and it is not irrelevant; it is
irrelevant when it does not support the statement alone and the others do without it.

Line 3 can be corrected by people's labels, which they write on a sheet (CSV): `supported` is
"yes", "no" or empty. The checker's verdict is not on it: a label that knows it is worth little.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from index.errors import DatasetError
from rag.evaluation.answers import Claim, EvaluatedAnswer
from rag.evaluation.statistics import CorrectedShare, ItemScore, Measure, corrected_share
from rag.support import Support, SupportChecker, premise

BEST = 6
"""Passages of all listed works that a statement is held against: about 3,000 characters."""

Truth = bool | None
"""None is what could not be scored."""
Supports = Callable[[str, tuple[str, ...]], Truth]
"""(statement, premises together) → whether they support it."""


def premise_sets(citations: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every set of citations that recall and precision ask about: all, each, all but each."""
    alone = [(citation,) for citation in citations]
    others = [citations[:at] + citations[at + 1 :] for at in range(len(citations))]
    return [each for each in dict.fromkeys([citations, *alone, *others]) if each]


def citation_recall(statement: str, citations: tuple[str, ...], supports: Supports) -> Truth:
    """Whether all citations together support the statement."""
    return supports(statement, citations) if citations else False


def citation_precisions(
    statement: str, citations: tuple[str, ...], supports: Supports
) -> tuple[Truth, ...]:
    """For each citation whether it is precise."""
    recalled = citation_recall(statement, citations, supports)
    if not recalled:
        return (recalled,) * len(citations)
    precise: list[Truth] = []
    for at, citation in enumerate(citations):
        others = citations[:at] + citations[at + 1 :]
        alone = supports(statement, (citation,))
        without = supports(statement, others) if others else False
        if alone or without is False:
            precise.append(True)
        else:
            precise.append(None if alone is None or without is None else False)
    return tuple(precise)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker says of one statement: of its quotes alone, of the passages around them,
    and (`supported`) of those and the best passages of all listed works. `wrong` are the
    checker's findings in words."""

    key: str
    answer: str
    prompt: str
    part: str
    text: str
    citations: int
    quote_recall: Truth
    quote_precisions: tuple[Truth, ...]
    passage_recall: Truth
    passage_precisions: tuple[Truth, ...]
    supported: Truth
    wrong: tuple[str, ...] = ()


_Evidence = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What a claim is held against: quotes and the passages around them, of the citations that stand
in their source, and the best passages of all listed works."""


def judge_claims(checker: SupportChecker, answers: Sequence[EvaluatedAnswer]) -> list[Verdict]:
    """A verdict for every statement that claims something, in the answers' order. The checker is
    asked everything at once, which is faster for a model, and nothing twice."""
    tasks = [
        (answer, claim, _evidence(answer, claim))
        for answer in answers
        for claim in answer.claims
        if not claim.fixed
    ]
    pairs = dict.fromkeys(
        (claim.text, texts)
        for _, claim, (quotes, passages, best) in tasks
        for texts in (*premise_sets(quotes), *premise_sets(passages), best)
        if texts
    )
    support = dict(zip(pairs, checker.check_all(list(pairs)), strict=True))
    return [_verdict(*task, support, checker.threshold) for task in tasks]


def _evidence(answer: EvaluatedAnswer, claim: Claim) -> _Evidence:
    true = [item for item in claim.citations if item.state == "stands"]
    return (
        tuple(premise(item.work, item.text) for item in true),
        tuple(premise(item.work, item.passage) for item in true),
        answer.best(claim.text, BEST),
    )


def _verdict(
    answer: EvaluatedAnswer,
    claim: Claim,
    evidence: _Evidence,
    support: Mapping[tuple[str, tuple[str, ...]], Support],
    threshold: float,
) -> Verdict:
    def supports(statement: str, texts: tuple[str, ...]) -> Truth:
        return support[statement, texts].holds(threshold)

    def recall_and_precisions(texts: tuple[str, ...]) -> tuple[Truth, tuple[Truth, ...]]:
        if any(item.state == "not read" for item in claim.citations):
            return None, (None,) * len(claim.citations)
        precise = iter(citation_precisions(claim.text, texts, supports))
        return citation_recall(claim.text, texts, supports), tuple(
            next(precise) if item.state == "stands" else False for item in claim.citations
        )

    quotes, passages, best = evidence
    opinions = [supports(claim.text, texts) for texts in evidence if texts]
    unknown = None in opinions or not answer.complete
    shown = quotes or best
    return Verdict(
        answer.key(claim),
        answer.name,
        answer.prompt,
        claim.part,
        claim.text,
        len(claim.citations),
        *recall_and_precisions(quotes),
        *recall_and_precisions(passages),
        supported=True if any(opinions) else None if unknown else False,
        wrong=tuple(map(str, support[claim.text, shown].findings)) if shown else (),
    )


def citation_measures(verdicts: Sequence[Verdict]) -> list[Measure]:
    """Line 2."""
    recalls: list[tuple[ItemScore, ...]] = []
    measures = []
    for kind, source in (("quote", "the quote alone"), ("passage", "the passage around it")):
        recalls.append(
            tuple(_score(item.prompt, getattr(item, f"{kind}_recall")) for item in verdicts)
        )
        precisions = tuple(
            _score(item.prompt, value)
            for item in verdicts
            for value in getattr(item, f"{kind}_precisions")
        )
        measures += [
            Measure(f"recall_{kind}", 2, f"citation recall, from {source}", "higher", recalls[-1],
                    "of all statements; without a quote: 0"),
            Measure(f"precision_{kind}", 2, f"citation precision, from {source}", "higher",
                    precisions, "of all quotes of statements"),
        ]  # fmt: skip
    gaps = tuple(
        ItemScore(
            one.prompt,
            None if one.value is None or other.value is None else one.value - other.value,
        )
        for one, other in zip(*recalls, strict=True)
    )
    note = "above 0: supported by the quote, not by the text it was taken from"
    return [*measures, Measure("recall_gap", 2, "recall: quote minus passage", "", gaps, note)]


def unsupported_measures(verdicts: Sequence[Verdict]) -> list[Measure]:
    """Line 3."""
    statements = tuple(_score(item.prompt, _not(item.supported)) for item in verdicts)
    by_answer: dict[tuple[str, str], list[Truth]] = {}
    for item in verdicts:
        by_answer.setdefault((item.answer, item.prompt), []).append(_not(item.supported))
    answers = tuple(
        _score(prompt, True if True in values else None if None in values else False)
        for (_, prompt), values in by_answer.items()
    )
    return [
        Measure("unsupported", 3, "unsupported statements", "lower", statements,
                "of all statements, held against every listed work"),
        Measure("answers_unsupported", 3, "answers with an unsupported statement", "lower",
                answers, "of the answers with at least one statement"),
    ]  # fmt: skip


def _score(prompt: str, value: Truth) -> ItemScore:
    return ItemScore(prompt, None if value is None else float(value))


def _not(value: Truth) -> Truth:
    return None if value is None else not value


COLUMNS = ("id", "question", "statement", "quotes", "passages", "supported")
_WORDS = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}


def draw(
    answers: Sequence[EvaluatedAnswer], size: int, *, seed: int = 0
) -> list[tuple[EvaluatedAnswer, Claim]]:
    """At most `size` statements, each as likely as any other; none twice."""
    claims = {
        answer.key(claim): (answer, claim)
        for answer in answers
        for claim in answer.claims
        if not claim.fixed
    }
    keys = sorted(claims)
    return [claims[key] for key in random.Random(seed).sample(keys, min(size, len(keys)))]


def write_sheet(drawn: Sequence[tuple[EvaluatedAnswer, Claim]]) -> str:
    """The sheet as CSV: each statement with its quotes and, as it is to be judged against all
    listed works, the passages that are nearest to it."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\n")
    writer.writerow(COLUMNS)
    for answer, claim in drawn:
        quotes = [item.text for item in claim.citations if item.text]
        around = [item.passage for item in claim.citations if item.passage]
        passages = dict.fromkeys((*around, *answer.best(claim.text, 3)))
        texts = (claim.text, "\n\n".join(quotes), "\n\n".join(passages))
        writer.writerow([_cell(text) for text in (answer.key(claim), answer.prompt, *texts, "")])
    return sheet.getvalue()


def _cell(text: str) -> str:
    """A text of a paper must not become a formula where the sheet is opened."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def read_labels(path: Path) -> dict[str, bool]:
    """The labels of a filled-in sheet, by statement; lines without one are left out. Raises
    DatasetError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: the labels cannot be read ({error})") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"id", "supported"} <= set(rows.fieldnames or ()):
        raise DatasetError(
            f"{path}: no sheet of labels; expected CSV with the columns {', '.join(COLUMNS)}, as "
            "`rag evaluate sheet` writes it"
        )
    labels: dict[str, bool] = {}
    for row in rows:
        word = (row["supported"] or "").strip().lower()
        if not word:
            continue
        where = f"{path}:{rows.line_num}"
        if word not in _WORDS:
            raise DatasetError(f"{where}: supported is {word[:40]!r}, expected yes, no or nothing")
        if labels.setdefault(row["id"], _WORDS[word]) is not _WORDS[word]:
            raise DatasetError(f"{where}: {row['id']!r} has two different labels")
    return labels


def correct(verdicts: Sequence[Verdict], labels: Mapping[str, bool]) -> CorrectedShare:
    """The share of unsupported statements, corrected by labels. What the checker could not score
    has no prediction and is left out, with its label."""
    scored = {
        item.key: float(not item.supported) for item in verdicts if item.supported is not None
    }
    labelled = [key for key in scored if key in labels]
    return corrected_share(
        [float(not labels[key]) for key in labelled],
        [scored[key] for key in labelled],
        [value for key, value in scored.items() if key not in labels],
        ignored=len(labels.keys() - scored.keys()),
    )
