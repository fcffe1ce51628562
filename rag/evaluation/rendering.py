"""A report for a person (Markdown) and for a program (JSON). Pure text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index.errors import DatasetError
from rag.answer.serialization import parse, read
from rag.evaluation.classification import Estimate
from rag.evaluation.outcomes import Measure
from rag.evaluation.ppi import Corrected
from rag.evaluation.report import Report
from rag.evaluation.support import render_json, render_markdown
from rag.plaintext import escape

__all__ = [
    "FORMAT",
    "LINES",
    "cell",
    "interval",
    "read_measures",
    "share",
    "to_json",
    "to_markdown",
]

FORMAT = "grounding-report/1"

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


def to_markdown(report: Report) -> str:
    """The six lines with denominators and intervals, then what is wrong by name."""
    lines = [
        f"# {cell(report.name)}",
        "",
        f"{report.answers} answers to {report.prompts} questions, {report.statements} statements; "
        f"{report.fixed} fixed sentences that claim nothing are left out of lines 2 and 3. "
        f"Checker of support: {cell(report.checker)}, threshold {report.threshold:.2f}. "
        "Intervals: 95 %, bootstrap over questions; none with fewer than two. What could not be "
        "scored enters no share.",
        "",
    ]
    if report.prompts == 1:
        lines += ["Only one question: there are no intervals.", ""]
    elif 1 < report.prompts < 10:
        lines += [f"Only {report.prompts} questions: the intervals are rough, and too narrow.", ""]
    lines += [f"> {cell(note)}\n" for note in report.notes]
    lines += [
        "| | figure | 95 % interval | counted | could not be scored | better | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, title in LINES.items():
        rows = [item for item in report.measures if item.line == number]
        lines.append(f"| **{number}. {title}** | | | | | | |")
        lines += [_row(item) for item in rows]
        if number == 3 and report.corrected is not None:
            lines.append(_corrected(report.corrected))
        if not rows and number != 6:
            lines.append("| not measured here | — | — | — | — | | |")
        if number == 6:
            labelled = "below" if report.validity else "no labelled file was given"
            changed = "below" if report.spoilage else "not tried"
            lines.append(f"| on people's labels: {labelled} | | | | | | |")
            lines.append(f"| on spoiled sentences: {changed} | | | | | | |")
    if report.validity or report.spoilage:
        tables = render_markdown(report.validity, report.spoilage).strip()
        lines += ["", "## The checker itself", "", tables]
    lines += ["", "## Wrong by name", ""]
    lines += [f"- line {one.line}: {cell(str(one))}" for one in report.problems[:_SHOWN]]
    if not report.problems:
        lines.append("Nothing.")
    if len(report.problems) > _SHOWN:
        lines.append(f"- and {len(report.problems) - _SHOWN} more, in the JSON")
    return "\n".join(lines) + "\n"


def _row(item: Measure) -> str:
    found = item.estimate()
    # A mean of differences has no numerator that says anything.
    counted = f"{item.numerator:g} of {item.denominator}" if item.denominator else "0 of 0"
    if item.key == "recall_gap":
        counted = f"over {item.denominator}"
    return (
        f"| {item.label} | {share(found.value, signed=item.key == 'recall_gap')} "
        f"| {interval(found)} | {counted} | {item.unscored} | {item.better or '—'} | {item.note} |"
    )


def _corrected(found: Corrected) -> str:
    note = f"{found.labelled} labelled and {found.others} other statements"
    if found.ignored:
        note += f"; {found.ignored} labels belong to no statement here"
    shown = Estimate(found.value, found.low, found.high)
    return (
        f"| unsupported statements, corrected by labels (PPI) | {share(found.value)} "
        f"| {interval(shown)} | {note} | | lower | normal interval, statements as independent |"
    )


def share(value: float | None, *, signed: bool = False) -> str:
    """In per cent, or a dash where there is nothing."""
    if value is None:
        return "—"
    return f"{100 * value:+.1f} %" if signed else f"{100 * value:.1f} %"


def interval(found: Estimate) -> str:
    """The two ends in per cent, or a dash."""
    if found.low is None or found.high is None:
        return "—"
    return f"{100 * found.low:.1f} – {100 * found.high:.1f} %"


def cell(text: str) -> str:
    """Words of a file as Markdown that shows exactly them, in a table too."""
    escaped = escape(text)
    return escaped if "\\|" in escaped else escaped.replace("|", "\\|")


def to_json(report: Report) -> str:
    """Everything, with each outcome by question, so that two reports can be compared later."""
    lines = [
        {
            "line": number,
            "title": title,
            "measures": [_plain(item) for item in report.measures if item.line == number],
        }
        for number, title in LINES.items()
    ]
    raw = {
        "format": FORMAT,
        "name": report.name,
        "checker": report.checker,
        "threshold": report.threshold,
        "answers": report.answers,
        "prompts": report.prompts,
        "statements": report.statements,
        "fixed": report.fixed,
        "lines": lines,
        "corrected": None if report.corrected is None else asdict(report.corrected),
        "validity": json.loads(render_json(report.validity, report.spoilage)),
        "problems": [asdict(one) for one in report.problems],
        "verdicts": [asdict(one) for one in report.verdicts],
        "notes": list(report.notes),
    }
    return json.dumps(raw, ensure_ascii=False, indent=2) + "\n"


def _plain(item: Measure) -> dict[str, Any]:
    return {
        **asdict(item.estimate()),
        "numerator": item.numerator,
        "denominator": item.denominator,
        "unscored": item.unscored,
        **asdict(item),
    }


def read_measures(path: Path) -> tuple[str, str, Sequence[Measure]]:
    """Name, checker and measures of a report's JSON. Raises DatasetError."""
    try:
        raw = parse(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError(f"expected a report of format {FORMAT!r}")
        measures = [
            read(Measure, {key: item[key] for key in Measure.__slots__})
            for line in raw["lines"]
            for item in line["measures"]
        ]
        return str(raw["name"]), str(raw["checker"]), measures
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path}: not a report ({error}); `rag evaluate answers --output` writes one"
        ) from error
