"""Line 6: how far a checker can be trusted, on labelled claims and on perturbed sentences; and its
opinion of an answer's statements (line 3), corrected by people's.

What a checker could not score is counted apart; it is neither right nor wrong. The threshold is
the checker's own, fixed on the data it was fitted on, never on the data it is measured on.

People write their labels on a sheet (CSV): `supported` is "yes", "no" or empty. The checker's
verdict is not on it: a label that knows it is worth little.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from index.build import Notify, silent
from index.documents import Document
from index.errors import DatasetError
from index.passages import split
from rag.evaluation import read_json_lines, statistics
from rag.evaluation.citations import Claim, EvaluatedAnswer, Verdict
from rag.evaluation.perturbation import PERTURBED, PerturbedClaim, perturbation_set
from rag.evaluation.statistics import CorrectedShare, Estimate, Labels, Values, markdown_table
from rag.retrieval.scoring import terms
from rag.support import Support, SupportChecker


@dataclass(frozen=True, slots=True)
class LabelledClaim:
    """A claim with its evidence, and whether people found it supported by it. Claims about one
    `question` are not independent; `source` is the data set it comes from, `split` its part."""

    claim: str
    evidence: tuple[str, ...]
    supported: bool
    id: str | int | None = None
    question: str | None = None
    source: str | None = None
    split: str | None = None


def read_labelled_claims(path: Path, part: str = "") -> list[LabelledClaim]:
    """The labelled claims of a file, those of another split than `part` left out if it is given.
    Raises DatasetError."""
    form = (
        'a labelled claim, an object with "claim" (text), "evidence" (list of texts) and '
        '"supported" (true or false)'
    )
    claims = [claim for _, claim in read_json_lines(path, LabelledClaim, form)]
    return [claim for claim in claims if not part or claim.split in (part, None)]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Of the claims with a probability in one tenth of [0, 1], how many there are, their mean
    probability, and the share that people found supported."""

    claims: int
    probability: float
    supported: float


@dataclass(frozen=True, slots=True)
class SupportReport:
    """One checker on one set. `scored` of the `total` claims entered the measures; `overlap` is
    the AUROC of plain word overlap on the same claims, the floor. `precision` and `recall` are
    of what is called supported; `calibration_error` is the mean distance of probability and
    supported share over the bins of `reliability`. `parts` are by source."""

    data: str
    checker: str
    total: int
    scored: int
    clusters: int
    supported_share: float | None
    threshold: float
    auroc: Estimate
    balanced_accuracy: Estimate
    f1: Estimate
    precision: float | None
    recall: float | None
    overlap: Estimate
    calibration_error: float | None
    reliability: tuple[ReliabilityBin, ...]
    parts: tuple[SupportReport, ...] = ()


@dataclass(frozen=True, slots=True)
class PerturbationCounts:
    """Of `total` claims of a kind, how many had a finding, fell below the threshold, or either:
    detections where `perturbed`, false alarms otherwise."""

    kind: str
    perturbed: bool
    total: int
    by_finding: int
    by_probability: int
    by_either: int


@dataclass(frozen=True, slots=True)
class PerturbationReport:
    """One checker on perturbed and unchanged sentences of `works` works."""

    checker: str
    works: int
    threshold: float
    rows: tuple[PerturbationCounts, ...]


BINS = 10


def word_overlap(claim: str, evidence: Sequence[str]) -> float:
    """The share of a claim's content words that the evidence has: the floor of every checker."""
    said = set(terms(claim))
    known = {term for piece in evidence for term in terms(piece)}
    return len(said & known) / len(said) if said else 0.0


def evaluate_files(
    checker: SupportChecker, files: Sequence[Path], part: str = ""
) -> list[SupportReport]:
    """Measure a checker on the claims of each file, those of another split left out. Raises
    DatasetError."""
    return [
        evaluate_labels(checker, read_labelled_claims(path, part), data=path.name.split(".")[0])
        for path in files
    ]


def evaluate_labels(
    checker: SupportChecker, claims: Sequence[LabelledClaim], *, data: str, resamples: int = 1000
) -> SupportReport:
    """Measure a checker on labelled claims; one part for each source where there are several."""
    answers = checker.check_all([(claim.claim, claim.evidence) for claim in claims])
    answered = list(zip(claims, answers, strict=True))
    sources = sorted({claim.source or "" for claim in claims})
    parts = tuple(
        _report(checker, [a for a in answered if (a[0].source or "") == source], source, resamples)
        for source in (sources if len(sources) > 1 else ())
    )
    return replace(_report(checker, answered, data, resamples), parts=parts)


def _report(
    checker: SupportChecker,
    answered: Sequence[tuple[LabelledClaim, Support]],
    data: str,
    resamples: int,
) -> SupportReport:
    scored = [(claim, a.probability) for claim, a in answered if a.probability is not None]
    labels = np.array([claim.supported for claim, _ in scored], dtype=bool)
    scores = np.array([probability for _, probability in scored], dtype=float)
    overlaps = np.array([word_overlap(claim.claim, claim.evidence) for claim, _ in scored])
    clusters = [claim.question or str(claim.id or at) for at, (claim, _) in enumerate(scored)]
    threshold = checker.threshold
    reliability = reliability_of(labels, scores)
    right = int((labels & (scores >= threshold)).sum())

    def estimate(
        measure: Callable[[Labels, Values], float | None], values: Values = scores
    ) -> Estimate:
        return statistics.bootstrap(
            lambda rows: measure(labels[rows], values[rows]), clusters, resamples=resamples
        )

    return SupportReport(
        data=data,
        checker=checker.name,
        total=len(answered),
        scored=len(scored),
        clusters=len(set(clusters)),
        supported_share=float(labels.mean()) if len(labels) else None,
        threshold=threshold,
        auroc=estimate(statistics.auroc),
        balanced_accuracy=estimate(lambda y, s: statistics.balanced_accuracy(y, s, threshold)),
        f1=estimate(lambda y, s: statistics.f1(y, s, threshold)),
        precision=right / called if (called := int((scores >= threshold).sum())) else None,
        recall=right / positives if (positives := int(labels.sum())) else None,
        overlap=estimate(statistics.auroc, overlaps),
        calibration_error=calibration_error(reliability),
        reliability=reliability,
    )


def reliability_of(labels: Labels, scores: Values) -> tuple[ReliabilityBin, ...]:
    """The bins that have claims, from the lowest probability to the highest."""
    tenths = np.minimum((scores * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(int(own.sum()), float(scores[own].mean()), float(labels[own].mean()))
        for tenth in range(BINS)
        if (own := tenths == tenth).any()
    )


def calibration_error(reliability: Sequence[ReliabilityBin]) -> float | None:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599); None without claims."""
    total = sum(each.claims for each in reliability)
    errors = (each.claims * abs(each.probability - each.supported) for each in reliability)
    return sum(errors) / total if total else None


def evaluate_perturbations(
    checker: SupportChecker, claims: Sequence[PerturbedClaim], *, notify: Notify = silent
) -> PerturbationReport:
    """Count, kind by kind, what the checker objects to."""
    answers: list[Support] = []
    step = 64  # as many as the built-in checker encodes together
    for start in range(0, len(claims), step):
        notify("try the checker", start, len(claims), "perturbed sentences")
        part = claims[start : start + step]
        answers += checker.check_all([(claim.statement, claim.evidence) for claim in part])
    objections: dict[str, list[tuple[bool, bool]]] = {}
    for claim, answer in zip(claims, answers, strict=True):
        low = answer.probability is not None and answer.probability < checker.threshold
        objections.setdefault(claim.kind, []).append((bool(answer.findings), low))
    rows = []
    for kind, own in objections.items():
        flagged, below = (sum(column) for column in zip(*own, strict=True))
        counts = (len(own), flagged, below, sum(map(any, own)))
        rows.append(PerturbationCounts(kind, kind in PERTURBED, *counts))
    works = len({claim.work for claim in claims})
    return PerturbationReport(checker.name, works, checker.threshold, tuple(rows))


def try_on_documents(
    checker: SupportChecker, documents: Mapping[str, Document], per_kind: int, notify: Notify
) -> PerturbationReport | None:
    """The checker on sentences of these documents (by source id), as they are and perturbed; None
    where there are no such sentences."""
    works = {
        source_id: [
            " ".join(document.text[start:end].split())
            for passage in split(document)
            for start, end in passage.sentences
        ]
        for source_id, document in (documents.items() if per_kind else ())
    }
    claims = perturbation_set(works, per_kind=per_kind)
    return evaluate_perturbations(checker, claims, notify=notify) if claims else None


def render_markdown(
    reports: Sequence[SupportReport], perturbations: PerturbationReport | None = None
) -> str:
    """Tables for a person, every figure with its denominator."""
    lines: list[str] = []
    if reports:
        header = ("data", "checker", "claims (scored)", "clusters", "supported", "AUROC",
                  "word overlap", "balanced accuracy", "F1", "precision", "recall",
                  "calibration error", "threshold")  # fmt: skip
        rows = []
        for whole in reports:
            rows.append(_row(whole, whole.data))
            rows += [_row(part, f"— {part.data or 'no source'}") for part in whole.parts]
        lines += markdown_table(header, rows)
    if perturbations is not None:
        about = f"Perturbed and unchanged sentences of {perturbations.works} works"
        judged = f"{perturbations.checker}, threshold {perturbations.threshold:.2f}"
        lines += ["", f"{about}, {judged}:", ""]
        rows = []
        for row in perturbations.rows:
            counts = (row.by_finding, row.by_probability, row.by_either)
            shares = [f"{count} ({100 * count / row.total:.1f} %)" for count in counts]
            meaning = "detected" if row.perturbed else "false alarms"
            rows.append([row.kind, meaning, str(row.total), *shares])
        columns = ("kind", "", "cases", "by rule", "by probability", "either")
        lines += markdown_table(columns, rows)
    return "\n".join(lines) + "\n"


def _row(report: SupportReport, data: str) -> list[str]:
    share = "—" if report.supported_share is None else f"{report.supported_share:.2f}"
    counts = [f"{report.total} ({report.scored})", str(report.clusters), share]
    figures = (report.auroc, report.overlap, report.balanced_accuracy, report.f1)
    plain = (report.precision, report.recall, report.calibration_error, report.threshold)
    others = ("—" if each is None else f"{each:.2f}" for each in plain)
    return [data, report.checker, *counts, *map(str, figures), *others]


def render_json(reports: Sequence[SupportReport]) -> str:
    """The same figures for a program; what is not defined is null."""
    return json.dumps({"labels": [asdict(report) for report in reports]}, indent=2) + "\n"


COLUMNS = ("id", "question", "statement", "quotes", "passages", "supported")
_WORDS = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}


def draw(
    answers: Sequence[EvaluatedAnswer], size: int, *, seed: int = 0
) -> list[tuple[EvaluatedAnswer, Claim]]:
    """At most `size` statements, each as likely as any other; none twice."""
    claims = {
        answer.key(claim): (answer, claim) for answer in answers for claim in answer.statements
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
    scored = {item.key: not item.supported for item in verdicts if item.supported is not None}
    return statistics.corrected_share(scored, {key: not label for key, label in labels.items()})
