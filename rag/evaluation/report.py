"""The report on one system's answers: six lines, and everything that is wrong by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from index.errors import DatasetError
from rag.answer.model import Answer
from rag.answer.verify import DocumentOf
from rag.evaluation.answers import CheckedAnswer, EvaluatedAnswer, evaluated_answers
from rag.evaluation.citations import (
    Verdict,
    citation_measures,
    correct,
    judge_claims,
    unsupported_measures,
)
from rag.evaluation.datasets import first_error
from rag.evaluation.fidelity import (
    MismatchedAnswers,
    abstention_measures,
    coverage_measures,
    fidelity_measures,
    missing_works,
)
from rag.evaluation.statistics import CorrectedShare, Estimate, Measure
from rag.evaluation.support import (
    PerturbationReport,
    SupportReport,
    render_markdown,
    try_on_documents,
)
from rag.plaintext import escape
from rag.support import SupportChecker

FORMAT = "grounding-report/2"

LINES = {
    1: "Quote fidelity",
    2: "Citation recall and precision",
    3: "Unsupported statements",
    4: "Coverage",
    5: "Abstention",
    6: "The checker's own validity",
}
_SHOWN = 60
"""Problems that the Markdown shows; the JSON has all of them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in one answer: where, and what."""

    answer: str
    line: int
    part: str
    message: str

    def __str__(self) -> str:
        return f"{self.answer}, {self.part}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """One system on a set of answers. `fixed` statements claim nothing and enter no measure of
    lines 2 and 3. `corrected` needs labels of statements, `validity` labelled claims;
    `perturbations` is the checker on changed sentences of the listed works."""

    name: str
    checker: str
    threshold: float
    answers: int
    prompts: int
    statements: int
    fixed: int
    measures: tuple[Measure, ...]
    verdicts: tuple[Verdict, ...]
    problems: tuple[Problem, ...]
    validity: tuple[SupportReport, ...] = ()
    perturbations: PerturbationReport | None = None
    corrected: CorrectedShare | None = None

    def measure(self, key: str) -> Measure | None:
        """The measure of this key, None where it was not taken."""
        return next((item for item in self.measures if item.key == key), None)

    def to_json(self) -> str:
        """Every field, and the estimate of each measure; the inverse of `read_report`."""
        raw: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        raw["measures"] = [
            {
                **asdict(item.estimate()),
                "numerator": item.numerator,
                "denominator": item.denominator,
                "unscored": item.unscored,
                **asdict(item),
            }
            for item in self.measures
        ]
        return json.dumps(raw, ensure_ascii=False, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The six lines with denominators and intervals, then what is wrong by name."""
        lines = [
            f"# {cell(self.name)}",
            "",
            f"{self.answers} answers to {self.prompts} questions, {self.statements} statements; "
            f"{self.fixed} fixed sentences that claim nothing are left out of lines 2 and 3. "
            f"Support checker: {cell(self.checker)}, threshold {self.threshold:.2f}. "
            "Intervals: 95 %, bootstrap over questions; none with fewer than two. What could not "
            "be scored enters no share.",
            "",
        ]
        if self.prompts == 1:
            lines += ["Only one question: there are no intervals.", ""]
        elif 1 < self.prompts < 10:
            lines += [
                f"Only {self.prompts} questions: the intervals are rough, and too narrow.", ""
            ]  # fmt: skip
        lines += [
            "| | figure | 95 % interval | counted | could not be scored | better | |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for number, title in LINES.items():
            rows = [_row(item) for item in self.measures if item.line == number]
            if number == 3 and self.corrected is not None:
                rows.append(_corrected_row(self.corrected))
            if number == 6:
                labelled = "below" if self.validity else "no labelled file was given"
                changed = "below" if self.perturbations else "not tried"
                rows.append(f"| on people's labels: {labelled} | | | | | | |")
                rows.append(f"| on perturbed sentences: {changed} | | | | | | |")
            none = "| not measured here | — | — | — | — | | |"
            lines += [f"| **{number}. {title}** | | | | | | |", *(rows or [none])]
        if self.validity or self.perturbations:
            tables = render_markdown(self.validity, self.perturbations).strip()
            lines += ["", f"## {LINES[6]}", "", tables]
        lines += ["", "## What is wrong", ""]
        lines += [
            f"- line {one.line}, {cell(one.answer)}, {cell(one.part)}: {cell(one.message)}"
            for one in self.problems[:_SHOWN]
        ]
        if not self.problems:
            lines.append("Nothing.")
        if len(self.problems) > _SHOWN:
            lines.append(f"- and {len(self.problems) - _SHOWN} more, in the JSON")
        return "\n".join(lines) + "\n"


def evaluate(
    name: str,
    checker: SupportChecker,
    *,
    answers: Mapping[str, Answer],
    document_of: DocumentOf,
    external: Sequence[EvaluatedAnswer] = (),
    mismatched: MismatchedAnswers | None = None,
    labels: Mapping[str, bool] | None = None,
    validity: Sequence[SupportReport] = (),
    perturbed_per_kind: int = 0,
) -> Report:
    """The report on `answers` (by name) of this project and on those of external systems, of which
    only statements and citations are known. It is named after the writer where no `name` is given.
    `labels` say whether a statement is supported by the listed works, by its key; the checker is
    tried on `perturbed_per_kind` sentences of the works for each kind of change."""
    own, checked = evaluated_answers(answers, document_of)
    evaluated = [*own, *external]
    verdicts = judge_claims(checker, evaluated)
    measures = [*citation_measures(verdicts), *unsupported_measures(verdicts)]
    if checked:
        measures = [
            *fidelity_measures(checked),
            *measures,
            *coverage_measures(checked),
            *abstention_measures(list(answers.values()), mismatched),
        ]
    made = [answer.writer for answer in answers.values()]
    written_by = {" ".join(filter(None, (writer.name, writer.model))) for writer in made}
    documents = {
        source_id: document
        for item in checked
        for source_id, document in item.documents.items()
        if document is not None
    }
    return Report(
        name=name or (written_by.pop() if len(written_by) == 1 and not external else "answers"),
        checker=checker.name,
        threshold=checker.threshold,
        answers=len(evaluated),
        prompts=len({answer.prompt for answer in evaluated}),
        statements=len(verdicts),
        fixed=sum(len(answer.claims) for answer in evaluated) - len(verdicts),
        measures=tuple(measures),
        verdicts=tuple(verdicts),
        problems=tuple(_problems(answers, checked, verdicts)),
        validity=tuple(validity),
        perturbations=try_on_documents(checker, documents.items(), per_kind=perturbed_per_kind),
        corrected=None if labels is None else correct(verdicts, labels),
    )


def _problems(
    answers: Mapping[str, Answer], checked: Sequence[CheckedAnswer], verdicts: Sequence[Verdict]
) -> list[Problem]:
    """What verification found, then works that are missing, then what is wrong in statements."""
    problems = []
    for name, item in zip(answers, checked, strict=True):
        problems += [Problem(name, 1, f.part, f.message) for f in item.verification.failures]
        problems += [
            Problem(name, 4, "references", f"{work!r} is listed and nothing is said of it")
            for work in missing_works(item)
        ]
    for verdict in verdicts:
        where = verdict.answer, verdict.part
        shown = repr(verdict.text[:80])
        for finding in verdict.wrong:
            problems.append(Problem(where[0], 2, where[1], f"{finding} ({shown})"))
        if verdict.supported is False:
            problems.append(Problem(where[0], 3, where[1], f"no listed work supports {shown}"))
        elif verdict.quote_recall is False and not verdict.wrong:
            why = "its quotes do not support" if verdict.citations else "no quote stands behind"
            problems.append(Problem(where[0], 2, where[1], f"{why} {shown}"))
    return problems


def read_report(path: Path) -> Report:
    """The report in a JSON file. Raises DatasetError."""
    advice = "`rag evaluate answers --output` writes one"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError(f"expected the format {FORMAT!r}")
        return TypeAdapter(Report).validate_python(raw)
    except ValidationError as error:
        raise DatasetError(f"{path}: not a report ({first_error(error)}); {advice}") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not a report ({error}); {advice}") from error


def _row(item: Measure) -> str:
    estimate = item.estimate()
    counted = f"{item.numerator:g} of {item.denominator}"
    if item.key == "recall_gap":  # a mean of differences: its numerator says nothing
        counted = f"over {item.denominator}"
    return (
        f"| {item.label} | {percent(estimate.value, signed=item.key == 'recall_gap')} "
        f"| {interval(estimate)} | {counted} | {item.unscored} | {item.better or '—'} "
        f"| {item.note} |"
    )


def _corrected_row(share: CorrectedShare) -> str:
    note = f"{share.labelled} labelled and {share.others} other statements"
    if share.ignored:
        note += f"; {share.ignored} labels belong to no statement here"
    return (
        "| unsupported statements, corrected by labels (PPI) "
        f"| {percent(share.estimate.value)} | {interval(share.estimate)} | {note} | | lower "
        "| normal interval, statements as independent |"
    )


def percent(value: float | None, *, signed: bool = False) -> str:
    """A share in per cent, or a dash where there is none."""
    if value is None:
        return "—"
    return f"{100 * value:+.1f} %" if signed else f"{100 * value:.1f} %"


def interval(estimate: Estimate) -> str:
    """The two ends in per cent, or a dash."""
    if estimate.low is None or estimate.high is None:
        return "—"
    return f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f} %"


def cell(text: str) -> str:
    """Words of a file as Markdown that shows exactly them, in a table too."""
    escaped = escape(text)
    return escaped if "\\|" in escaped else escaped.replace("|", "\\|")
