"""How far a checker can be trusted: on statements that people labelled, and on spoiled ones.

What a checker could not score is counted apart; it is neither right nor wrong. The threshold is
the checker's own, fixed on the data it was fitted on, never on the data it is measured on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import RagError
from rag.evaluation.classification import Estimate, auroc, balanced_accuracy, bootstrap, f1
from rag.evaluation.perturbation import Case
from rag.support.checker import Support, SupportChecker
from rag.support.text import content_stems

__all__ = [
    "KindRow",
    "Labelled",
    "PerturbationReport",
    "SupportReport",
    "evaluate_labels",
    "evaluate_perturbations",
    "read_labelled",
    "render_json",
    "render_markdown",
    "word_overlap",
]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A claim with its evidence, and whether people found it supported by it."""

    id: str
    claim: str
    evidence: tuple[str, ...]
    supported: bool
    question: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class SupportReport:
    """One checker on one set. `scored` of the `total` claims entered the measures; `overlap` is
    the AUROC of plain word overlap on the same claims, the floor."""

    data: str
    checker: str
    total: int
    scored: int
    clusters: int
    supported_share: float
    threshold: float
    auroc: Estimate
    balanced_accuracy: Estimate
    f1: Estimate
    overlap: Estimate
    parts: tuple[SupportReport, ...] = ()


@dataclass(frozen=True, slots=True)
class KindRow:
    """Of `total` cases of a kind, how many drew a finding, fell below the threshold, or either.

    For spoiled kinds these are detections, for untouched ones false alarms.
    """

    kind: str
    spoiled: bool
    total: int
    by_finding: int
    by_probability: int
    by_either: int


@dataclass(frozen=True, slots=True)
class PerturbationReport:
    """One checker on spoiled and untouched sentences of `works` works."""

    checker: str
    works: int
    threshold: float
    rows: tuple[KindRow, ...]


def read_labelled(path: Path) -> tuple[Labelled, ...]:
    """Reads JSON lines with `claim`, `evidence` (a list), `supported`, and perhaps `id`,
    `question`, `source`."""
    read = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RagError(f"{path}: the labelled claims cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            read.append(_labelled(json.loads(line), number))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RagError(
                f"{path}:{number}: not a labelled claim ({error!r}); each line is a JSON object "
                'with "claim" (text), "evidence" (list of texts) and "supported" (true or false)'
            ) from error
    return tuple(read)


def _labelled(raw: dict[str, Any], number: int) -> Labelled:
    claim, evidence, supported = raw["claim"], raw["evidence"], raw["supported"]
    if not isinstance(claim, str) or not isinstance(supported, bool):
        raise ValueError('"claim" must be text and "supported" true or false')
    if not isinstance(evidence, list) or not all(isinstance(piece, str) for piece in evidence):
        raise ValueError('"evidence" must be a list of texts')
    return Labelled(
        str(raw.get("id", number)), claim, tuple(evidence), supported,
        str(raw.get("question") or ""), str(raw.get("source") or ""),
    )  # fmt: skip


def word_overlap(claim: str, evidence: Sequence[str]) -> float:
    """The share of a claim's content words that the evidence has: the floor of every checker."""
    wanted = content_stems(claim)
    known = {stem for piece in evidence for stem in content_stems(piece)}
    return len(wanted & known) / len(wanted) if wanted else 0.0


def evaluate_labels(
    checker: SupportChecker, claims: Sequence[Labelled], *, data: str, resamples: int = 1000
) -> SupportReport:
    """Measures a checker on labelled claims; one part for each source where there are several."""
    answers = checker.check_all([(claim.claim, claim.evidence) for claim in claims])
    report = _report(checker, claims, answers, data, resamples)
    sources = sorted({claim.source for claim in claims})
    if len(sources) < 2:
        return report
    parts = []
    for source in sources:
        kept = [at for at, claim in enumerate(claims) if claim.source == source]
        parts.append(
            _report(
                checker,
                [claims[at] for at in kept],
                [answers[at] for at in kept],
                source,
                resamples,
            )
        )
    return SupportReport(**{**_shallow(report), "parts": tuple(parts)})


def _shallow(report: SupportReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in SupportReport.__slots__}


def _report(
    checker: SupportChecker, claims: Sequence[Labelled], answers: Sequence[Support], data: str,
    resamples: int,
) -> SupportReport:  # fmt: skip
    scored = [
        (claim, answer.probability)
        for claim, answer in zip(claims, answers, strict=True)
        if answer.probability is not None
    ]
    labels = np.array([claim.supported for claim, _ in scored], dtype=bool)
    scores = np.array([probability for _, probability in scored], dtype=float)
    floor = np.array([word_overlap(claim.claim, claim.evidence) for claim, _ in scored])
    clusters = [claim.question or claim.id for claim, _ in scored]
    at = checker.threshold

    def estimate(measure: Any, values: Any) -> Estimate:
        return bootstrap(measure, labels, values, clusters, resamples=resamples)

    return SupportReport(
        data=data,
        checker=checker.name,
        total=len(claims),
        scored=len(scored),
        clusters=len(set(clusters)),
        supported_share=float(labels.mean()) if len(labels) else float("nan"),
        threshold=at,
        auroc=estimate(auroc, scores),
        balanced_accuracy=estimate(balanced_accuracy(at), scores),
        f1=estimate(f1(at), scores),
        overlap=estimate(auroc, floor),
    )


def evaluate_perturbations(checker: SupportChecker, cases: Sequence[Case]) -> PerturbationReport:
    """Counts, kind by kind, what the checker objects to."""
    answers = checker.check_all([(case.statement, case.evidence) for case in cases])
    rows = []
    for kind in dict.fromkeys(case.kind for case in cases):
        pairs = [
            (case, answer) for case, answer in zip(cases, answers, strict=True) if case.kind == kind
        ]
        found = [bool(answer.findings) for _, answer in pairs]
        low = [
            answer.probability is not None and answer.probability < checker.threshold
            for _, answer in pairs
        ]
        either = [one or other for one, other in zip(found, low, strict=True)]
        rows.append(
            KindRow(kind, pairs[0][0].spoiled, len(pairs), sum(found), sum(low), sum(either))
        )
    works = len({case.work for case in cases})
    return PerturbationReport(checker.name, works, checker.threshold, tuple(rows))


def render_markdown(
    reports: Sequence[SupportReport], perturbations: PerturbationReport | None = None
) -> str:
    """Tables for a person, every figure with its denominator."""
    lines: list[str] = []
    if reports:
        lines += [
            "| data | checker | claims (scored) | clusters | supported | AUROC | word overlap "
            "| balanced accuracy | F1 | threshold |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for report in reports:
            lines.append(_line(report, report.data))
            lines += [_line(part, f"— {part.data or 'no source'}") for part in report.parts]
    if perturbations is not None:
        lines += ["", _heading(perturbations), ""]
        lines += ["| kind | | cases | by rule | by probability | either |",
                  "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
        lines += [_kind_line(row) for row in perturbations.rows]
    return "\n".join(lines) + "\n"


def _line(report: SupportReport, data: str) -> str:
    return (
        f"| {data} | {report.checker} | {report.total} ({report.scored}) | {report.clusters} "
        f"| {report.supported_share:.2f} | {report.auroc} | {report.overlap} "
        f"| {report.balanced_accuracy} | {report.f1} | {report.threshold:.2f} |"
    )


def _heading(report: PerturbationReport) -> str:
    return (
        f"Spoiled and untouched sentences of {report.works} works, {report.checker}, "
        f"threshold {report.threshold:.2f}:"
    )


def _kind_line(row: KindRow) -> str:
    def share(count: int) -> str:
        return f"{count} ({100 * count / row.total:.1f} %)"

    means = "detected" if row.spoiled else "false alarms"
    return (
        f"| {row.kind} | {means} | {row.total} | {share(row.by_finding)} "
        f"| {share(row.by_probability)} | {share(row.by_either)} |"
    )


def render_json(
    reports: Sequence[SupportReport], perturbations: PerturbationReport | None = None
) -> str:
    """The same figures for a program; what is not defined is null."""
    data: Mapping[str, Any] = {
        "labels": [_plain(asdict(report)) for report in reports],
        "perturbations": None if perturbations is None else asdict(perturbations),
    }
    return json.dumps(data, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    """NaN is no JSON: it becomes null."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124
