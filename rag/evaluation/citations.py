"""Lines 2 and 3: whether statements follow from what they cite, and from anything listed. Only
statements in a writer's own words are judged: a quotation that stands for itself follows from
itself, and would be recalled for nothing.

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

from index.build import Notify, silent
from index.errors import DatasetError
from rag.evaluation.answers import Claim, EvaluatedAnswer
from rag.evaluation.statistics import (
    CorrectedShare,
    Declared,
    Measure,
    Scores,
    corrected_share,
    measures_of,
)
from rag.support import Support, SupportChecker, premise

BEST = 6
"""Passages of all listed works that a statement is held against: about 3,000 characters."""

DECLARED: tuple[Declared, ...] = (
    ("recall_quote", 2, "citation recall, from the quote alone", "higher",
     "of statements in own words; without a quote: 0"),
    ("precision_quote", 2, "citation precision, from the quote alone", "higher",
     "of all quotes of those statements"),
    ("recall_passage", 2, "citation recall, from the passage around it", "higher",
     "of statements in own words; without a quote: 0"),
    ("precision_passage", 2, "citation precision, from the passage around it", "higher",
     "of all quotes of those statements"),
    ("recall_gap", 2, "recall: quote minus passage", "",
     "above 0: supported by the quote, not by the text it was taken from"),
    ("unsupported", 3, "unsupported statements", "lower",
     "of statements in own words, held against every listed work"),
    ("answers_unsupported", 3, "answers with an unsupported statement", "lower",
     "of the answers with at least one statement"),
)  # fmt: skip

Truth = bool | None
"""None is what could not be scored."""
Supports = Callable[[tuple[str, ...]], Truth]
"""Premises → whether they, together, support the statement in question."""


def _without(texts: tuple[str, ...], at: int) -> tuple[str, ...]:
    return texts[:at] + texts[at + 1 :]


def premise_sets(citations: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every set of citations that recall and precision ask about: all, each, all but each."""
    alone = [(citation,) for citation in citations]
    others = [_without(citations, at) for at in range(len(citations))]
    return [each for each in dict.fromkeys([citations, *alone, *others]) if each]


def recall_and_precisions(
    citations: tuple[str, ...], supports: Supports
) -> tuple[Truth, list[Truth]]:
    """Whether all citations together support the statement, and whether each is precise."""
    recalled = supports(citations) if citations else False
    if not recalled:
        return recalled, [recalled] * len(citations)
    precise: list[Truth] = []
    for at, citation in enumerate(citations):
        alone = supports((citation,))
        others = supports(_without(citations, at)) if len(citations) > 1 else False
        if alone or others is False:
            precise.append(True)
        else:
            precise.append(None if alone is None or others is None else False)
    return True, precise


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


_AT_ONCE = 128
"""Pairs that the checker is asked together: many, which is faster for a model."""


def judge_claims(
    checker: SupportChecker, answers: Sequence[EvaluatedAnswer], *, notify: Notify = silent
) -> list[Verdict]:
    """A verdict for every statement in a writer's own words, in the answers' order. The checker is
    asked nothing twice."""
    tasks = []
    for answer in answers:
        for claim in answer.claims:
            if claim.text and not claim.fixed:
                true = [item for item in claim.citations if item.state == "stands"]
                quotes = tuple(premise(item.work, item.text) for item in true)
                passages = tuple(premise(item.work, item.passage) for item in true)
                tasks.append((answer, claim, quotes, passages, answer.best(claim.text, BEST)))
    pairs = list(
        dict.fromkeys(
            (claim.text, texts)
            for _, claim, quotes, passages, best in tasks
            for texts in (*premise_sets(quotes), *premise_sets(passages), best)
            if texts
        )
    )
    support: dict[tuple[str, tuple[str, ...]], Support] = {}
    for start in range(0, len(pairs), _AT_ONCE):
        notify("check statements", start, len(pairs), f"{len(tasks)} statements")
        part = pairs[start : start + _AT_ONCE]
        support |= dict(zip(part, checker.check_all(part), strict=True))
    verdicts = []
    for answer, claim, quotes, passages, best in tasks:

        def supports(texts: tuple[str, ...], statement: str = claim.text) -> Truth:
            return support[statement, texts].holds(checker.threshold)

        opinions = [supports(texts) for texts in (quotes, passages, best) if texts]
        unknown = None in opinions or not answer.complete
        shown = quotes or best
        verdicts.append(
            Verdict(
                answer.key(claim),
                answer.name,
                answer.prompt,
                claim.part,
                claim.text,
                len(claim.citations),
                *_of_claim(claim, quotes, supports),
                *_of_claim(claim, passages, supports),
                supported=True if any(opinions) else None if unknown else False,
                wrong=tuple(map(str, support[claim.text, shown].findings)) if shown else (),
            )
        )
    return verdicts


def _of_claim(
    claim: Claim, texts: tuple[str, ...], supports: Supports
) -> tuple[Truth, tuple[Truth, ...]]:
    """Recall and precisions of all citations, where `texts` are those that stand in a source."""
    if any(item.state == "not read" for item in claim.citations):
        return None, (None,) * len(claim.citations)
    recall, precisions = recall_and_precisions(texts, supports)
    precise = iter(precisions)
    return recall, tuple(
        next(precise) if item.state == "stands" else False for item in claim.citations
    )


def verdict_measures(verdicts: Sequence[Verdict]) -> list[Measure]:
    """Lines 2 and 3."""
    by_answer: dict[tuple[str, str], list[Truth]] = {}
    gaps: list[tuple[str, float | None]] = []
    for item in verdicts:
        by_answer.setdefault((item.prompt, item.answer), []).append(item.supported)
        quote, passage = item.quote_recall, item.passage_recall
        gap = None if quote is None or passage is None else quote - passage
        gaps.append((item.prompt, gap))
    scores: Scores = {
        "recall_quote": [(item.prompt, item.quote_recall) for item in verdicts],
        "precision_quote": [(v.prompt, one) for v in verdicts for one in v.quote_precisions],
        "recall_passage": [(item.prompt, item.passage_recall) for item in verdicts],
        "precision_passage": [(v.prompt, one) for v in verdicts for one in v.passage_precisions],
        "recall_gap": gaps,
        "unsupported": [
            (item.prompt, None if item.supported is None else not item.supported)
            for item in verdicts
        ],
        "answers_unsupported": [
            (prompt, 1.0 if False in values else None if None in values else 0.0)
            for (prompt, _), values in by_answer.items()
        ],
    }
    return measures_of(DECLARED, scores)


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
        if claim.text and not claim.fixed
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
        texts = (answer.prompt, claim.text, "\n\n".join(quotes), "\n\n".join(passages))
        # A text of a paper must not become a formula where the sheet is opened.
        safe = ["'" + text if text[:1] in tuple("=+-@\t\r") else text for text in texts]
        writer.writerow([answer.key(claim), *safe, ""])
    return sheet.getvalue()


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
        if word := (row["supported"] or "").strip().lower():
            where = f"{path}:{rows.line_num}: "
            if word not in _WORDS:
                raise DatasetError(
                    f"{where}supported is {word[:40]!r}, expected yes, no or nothing"
                )
            if labels.setdefault(row["id"], _WORDS[word]) is not _WORDS[word]:
                raise DatasetError(f"{where}{row['id']!r} has two different labels")
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
