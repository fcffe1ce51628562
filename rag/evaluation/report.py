"""The report on one system's answers, seven lines and everything that is wrong by name; and systems
side by side on the same questions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from index.build import Notify, silent
from index.errors import DatasetError
from index.files import write_output
from rag.answer import Answer
from rag.answer.verify import DocumentOf
from rag.evaluation import first_error
from rag.evaluation.answers import (
    CheckedAnswer,
    MismatchedAnswers,
    coverages,
    evaluated_answers,
    exact_measures,
)
from rag.evaluation.citations import EvaluatedAnswer, Verdict, judge_claims, verdict_measures
from rag.evaluation.relevance import GradedPrompt, relevance_measures, told_in
from rag.evaluation.statistics import (
    Better,
    CorrectedShare,
    Estimate,
    Measure,
    PairedDifference,
    markdown_table,
    plot_estimates,
)
from rag.evaluation.support import (
    PerturbationReport,
    SupportReport,
    correct,
    render_markdown,
    try_on_documents,
)
from rag.plaintext import escape
from rag.support import SupportChecker

FORMAT: Final = "grounding-report/2"

LINES = {
    1: "Quote fidelity",
    2: "Citation recall and precision",
    3: "Unsupported statements",
    4: "Coverage",
    5: "Abstention",
    6: "The checker's own validity",
    7: "Relevance of what is told",
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
    """One system on a set of answers. `statements` are in a writer's own words; `fixed` ones claim
    nothing, and `quotations` follow from themselves: neither enters a measure of lines 2 and 3.
    `corrected` needs labels of statements, `validity` labelled claims; `perturbations` is the
    checker on changed sentences of the listed works."""

    format: Literal["grounding-report/2"]
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
    quotations: int = 0

    def measure(self, key: str) -> Measure | None:
        """The measure of this key, None where it was not taken."""
        return next((item for item in self.measures if item.key == key), None)

    def to_json(self) -> str:
        """Every field, and the estimate of each measure; the inverse of `read_report`."""
        raw: dict[str, Any] = asdict(self)
        for item, one in zip(raw["measures"], self.measures, strict=True):
            counts = zip(("numerator", "denominator", "unscored"), one.counts(), strict=True)
            item.update({**asdict(one.estimate()), **dict(counts)})
        return json.dumps(raw, ensure_ascii=False, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The lines with denominators and intervals, then what is wrong by name."""
        few = ""
        if self.prompts == 1:
            few = "Only one question: there are no intervals."
        elif 1 < self.prompts < 10:
            few = f"Only {self.prompts} questions: the intervals are rough, and too narrow."
        lines = [
            f"# {escape(self.name)}",
            "",
            f"{self.answers} answers to {self.prompts} questions, {self.statements} statements in "
            f"the writer's own words. {self.quotations} quotations that stand for themselves and "
            f"{self.fixed} fixed sentences that claim nothing are left out of lines 2 and 3. "
            f"Support checker: {escape(self.checker)}, threshold {self.threshold:.2f}. "
            "Intervals: 95 %, bootstrap over questions; none with fewer than two. What could not "
            "be scored enters no share.",
            "",
            *((few, "") if few else ()),
        ]
        rows: list[Sequence[str]] = []
        for number, title in LINES.items():
            rows += [[f"**{number}. {title}**"], *self._rows(number)]
        header = ("", "figure", "95 % interval", "counted", "could not be scored", "better", "")
        lines += markdown_table(header, rows)
        if self.validity or self.perturbations:
            tables = render_markdown(self.validity, self.perturbations).strip()
            lines += ["", f"## {LINES[6]}", "", tables]
        lines += ["", "## What is wrong", ""]
        lines += [
            f"- line {one.line}, {escape(one.answer)}, {escape(one.part)}: {escape(one.message)}"
            for one in self.problems[:_SHOWN]
        ] or ["Nothing."]
        if (more := len(self.problems) - _SHOWN) > 0:
            lines.append(f"- and {more} more, in the JSON")
        return "\n".join(lines) + "\n"

    def _rows(self, line: int) -> list[list[str]]:
        if line == 6:
            labelled = "below" if self.validity else "no labelled file was given"
            changed = "below" if self.perturbations else "not tried"
            return [[f"on people's labels: {labelled}"], [f"on perturbed sentences: {changed}"]]
        rows = []
        for item in (item for item in self.measures if item.line == line):
            total, scored, unscored = item.counts()
            # A gap is a mean of differences: its numerator says nothing.
            gap = item.key == "recall_gap"
            counted = f"over {scored}" if gap else f"{total:g} of {scored}"
            shown = figure(item.estimate(), signed=gap)
            rows.append([item.label, *shown, counted, str(unscored), item.better or "—", item.note])
        if line == 3 and (share := self.corrected):
            note = f"{share.labelled} labelled and {share.others} other statements"
            if share.ignored:
                note += f"; {share.ignored} labels belong to no statement here"
            label = "unsupported statements, corrected by labels (PPI)"
            how = "normal interval, statements as independent"
            rows.append([label, *figure(share.estimate), note, "", "lower", how])
        return rows or [["not measured here", *"————"]]


def figure(estimate: Estimate, *, signed: bool = False) -> tuple[str, str]:
    """The value and the interval in per cent."""
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value, signed=signed), "—"
    ends = f"{100 * estimate.low:.1f} – {100 * estimate.high:.1f} %"
    return percent(estimate.value, signed=signed), ends


def percent(value: float | None, *, signed: bool = False) -> str:
    """A share in per cent, or a dash where there is none."""
    return "—" if value is None else f"{100 * value:{'+' if signed else ''}.1f} %"


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
    graded: Sequence[GradedPrompt] = (),
    notify: Notify = silent,
) -> Report:
    """The report on `answers` (by name) of this project and on those of external systems, of which
    only statements and citations are known. It is named after the writer where no `name` is given.
    `labels` say whether a statement is supported by the listed works, by its key; the checker is
    tried on `perturbed_per_kind` sentences of the works for each kind of change. Answers to
    `graded` prompts get line 7."""
    own, checked = evaluated_answers(answers, document_of, notify=notify)
    evaluated = [*own, *external]
    claims = [claim for answer in evaluated for claim in answer.claims]
    verdicts = judge_claims(checker, evaluated, notify=notify)
    measures = verdict_measures(verdicts)
    if checked:
        measures += exact_measures(checked, mismatched)
    if graded:
        of_question = {prompt.evidence.prompt.question: prompt for prompt in graded}
        measures += relevance_measures(
            (prompt, told_in(answer, prompt))
            for answer in answers.values()
            if (prompt := of_question.get(answer.prompt.question))
        )
    made = [answer.writer for answer in answers.values()]
    written_by = {" ".join(filter(None, (writer.name, writer.model))) for writer in made}
    documents = {
        source_id: document
        for item in checked
        for source_id, document in item.documents.items()
        if document
    }
    return Report(
        format=FORMAT,
        name=name or (written_by.pop() if len(written_by) == 1 and not external else "answers"),
        checker=checker.name,
        threshold=checker.threshold,
        answers=len(evaluated),
        prompts=len({answer.prompt for answer in evaluated}),
        statements=len(verdicts),
        fixed=sum(claim.fixed for claim in claims),
        quotations=sum(not claim.text for claim in claims),
        measures=tuple(sorted(measures, key=lambda item: item.line)),
        verdicts=tuple(verdicts),
        problems=tuple(_problems(answers, checked, verdicts)),
        validity=tuple(validity),
        perturbations=try_on_documents(checker, documents, perturbed_per_kind, notify),
        corrected=None if labels is None else correct(verdicts, labels),
    )


def _problems(
    answers: Mapping[str, Answer], checked: Sequence[CheckedAnswer], verdicts: Sequence[Verdict]
) -> Iterator[Problem]:
    """What verification found, then works that are missing, then what is wrong in statements."""
    for name, item in zip(answers, checked, strict=True):
        for failure in item.verification.failures:
            yield Problem(name, 1, failure.part, failure.message)
        for work, coverage in coverages(item):
            if coverage == "missing":
                message = f"{work!r} is listed and nothing is said of it"
                yield Problem(name, 4, "references", message)
    for one in verdicts:
        shown = repr(one.text[:80])
        for finding in one.wrong:
            yield Problem(one.answer, 2, one.part, f"{finding} ({shown})")
        if one.supported is False:
            yield Problem(one.answer, 3, one.part, f"no listed work supports {shown}")
        elif one.quote_recall is False and not one.wrong:
            why = "its quotes do not support" if one.citations else "no quote stands behind"
            yield Problem(one.answer, 2, one.part, f"{why} {shown}")


def read_report(path: Path) -> Report:
    """The report in a JSON file. Raises DatasetError."""
    try:
        return TypeAdapter(Report).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = first_error(error) if isinstance(error, ValidationError) else error
        advice = "`rag evaluate answers --output` writes one"
        raise DatasetError(f"{path}: not a report ({why}); {advice}") from None


def write_report(report: Report, folder: Path) -> bool:
    """Write the report as Markdown, JSON and a plot; False where it could not be drawn."""
    write_output(folder / "report.md", report.to_markdown().encode())
    write_output(folder / "report.json", report.to_json().encode())
    title = f"{report.name}: {report.answers} answers, {report.statements} statements"
    return plot_reports([report], folder / "report.png", title=title)


@dataclass(frozen=True, slots=True)
class ComparedMeasure:
    """One measure of two systems; `difference` is first minus second, question by question."""

    key: str
    line: int
    label: str
    better: Better
    first: float | None
    second: float | None
    difference: PairedDifference

    def cells(self) -> list[str]:
        """The row of a table."""
        change = self.difference
        ends = p = "—"
        if change.low is not None and change.high is not None:
            ends = f"{100 * change.low:+.1f} – {100 * change.high:+.1f}"
        if change.p is not None:
            p = f"{change.p:.3f}"
        shares = [percent(self.first), percent(self.second), percent(change.mean, signed=True)]
        return [escape(self.label), *shares, ends, p, str(change.clusters), self.better or "—"]


@dataclass(frozen=True, slots=True)
class ReportComparison:
    """The first system beside the second, for each measure that both have."""

    first: str
    second: str
    checkers: tuple[str, str]
    rows: tuple[ComparedMeasure, ...]

    def to_markdown(self) -> str:
        """A row for each measure."""
        first, second, *checkers = map(escape, (self.first, self.second, *self.checkers))
        lines = [f"## {first} against {second}", ""]
        if self.checkers[0] != self.checkers[1]:
            judged = f"Judged by two checkers ({'; '.join(checkers)})"
            lines += [f"{judged}: lines 2 and 3 cannot be compared.", ""]
        rows: list[Sequence[str]] = []
        for number, title in LINES.items():
            own = [row.cells() for row in self.rows if row.line == number]
            rows += [[f"**{number}. {title}**"], *own] if own else []
        header = ("", first, second, "difference, by question", "95 % interval", "p", "questions",
                  "better")  # fmt: skip
        lines += markdown_table(header, rows)
        lines += [
            "",
            "The difference is the mean over the questions that both scored, each counting once; "
            "p is of a sign-flip test over questions, not corrected for the number of rows. With n "
            "questions it cannot fall below 2 in 2^n.",
        ]
        return "\n".join(lines) + "\n"


def compare(first: Report, second: Report) -> ReportComparison:
    """Every measure that both have."""
    rows = [
        ComparedMeasure(
            *(item.key, item.line, item.label, item.better),
            *(item.estimate().value, other.estimate().value),
            item.minus(other),
        )
        for item in first.measures
        if (other := second.measure(item.key)) is not None
    ]
    return ReportComparison(first.name, second.name, (first.checker, second.checker), tuple(rows))


def write_comparisons(
    reports: Sequence[Report], comparisons: Sequence[ReportComparison], folder: Path
) -> bool:
    """Write the comparisons of these reports as Markdown, as one JSON list and as a plot; False
    where it could not be drawn."""
    page = "\n".join(each.to_markdown() for each in comparisons)
    data = json.dumps([asdict(each) for each in comparisons], ensure_ascii=False, indent=2)
    write_output(folder / "comparison.md", page.encode())
    write_output(folder / "comparison.json", f"{data}\n".encode())
    return plot_reports(reports, folder / "comparison.png", title="Side by side")


def plot_reports(reports: Sequence[Report], path: Path, *, title: str) -> bool:
    """Draw every share with its interval, a panel for each line. An arrow at a label points to
    where better is. False where matplotlib is not installed."""
    arrows = {"higher": " →", "lower": " ←", "": ""}
    panels: dict[str, dict[str, list[tuple[Estimate, str]]]] = {}
    items = {item.key: item for report in reports for item in report.measures}
    # A difference is no share: it has no place on an axis from 0 to 1.
    items.pop("recall_gap", None)
    for key, item in sorted(items.items(), key=lambda pair: pair[1].line):
        measures = [report.measure(key) for report in reports]
        panel = panels.setdefault(f"{item.line}. {LINES[item.line]}", {})
        panel[item.label + arrows[item.better]] = [
            (each.estimate(), f" ({each.counts()[1]})") if each else (Estimate(None), "")
            for each in measures
        ]
    axis = "share; bars: 95 % interval over questions; in brackets: how many"
    return plot_estimates(panels, [report.name for report in reports], path, title, axis)
