"""From answers to a report: the six lines, and everything that is wrong by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from index.errors import PromptError
from rag.answer.model import Answer
from rag.answer.verify import DocumentOf, verify
from rag.evaluation.abstention import abstention
from rag.evaluation.citations import Judge
from rag.evaluation.evaluated import Documents, EvaluatedAnswer, evaluated_answer
from rag.evaluation.fidelity import Checked, coverage, fidelity, missing_works
from rag.evaluation.judging import Verdict, citation_measures, judge_claims, unsupported_measures
from rag.evaluation.outcomes import Measure
from rag.evaluation.ppi import Corrected, corrected_mean
from rag.evaluation.spoilage import spoilage
from rag.evaluation.support import PerturbationReport, SupportReport
from rag.prompt import parse_prompt
from rag.support import SupportChecker

__all__ = ["MismatchedAnswers", "Problem", "Report", "evaluate", "evaluated_answers"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in one answer: where, and what."""

    answer: str
    line: int
    part: str
    message: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.answer}, {self.part}: {self.message}"


@dataclass(frozen=True, slots=True)
class MismatchedAnswers:
    """Answers to questions that were put to another prompt's works, and the questions for which
    there were no such works."""

    answers: tuple[Answer, ...]
    unscored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """One system on a set of answers. `fixed` statements claim nothing and enter no measure of
    lines 2 and 3; `validity` and `corrected` are there where labels were given, `spoilage` where
    the checker was tried on changed sentences of the works."""

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
    spoilage: PerturbationReport | None = None
    corrected: Corrected | None = None
    notes: tuple[str, ...] = field(default=())

    def measure(self, key: str) -> Measure | None:
        """The measure of this key, None where it was not taken."""
        return next((item for item in self.measures if item.key == key), None)


def evaluated_answers(
    answers: Mapping[str, Answer], document_of: DocumentOf
) -> tuple[list[EvaluatedAnswer], list[Checked]]:
    """Answers of this project by name: as what is judged, and with all that was checked."""
    documents = Documents(document_of)
    subjects, checked = [], []
    for name, answer in answers.items():
        try:
            prompt = parse_prompt(answer.prompt.text)
        except PromptError:
            prompt = None
        listings = prompt.listings if prompt else ()
        subjects.append(evaluated_answer(answer, name, listings, documents))
        checked.append((answer, prompt, documents.read(answer), verify(answer, document_of)))
    return subjects, checked


def evaluate(
    name: str,
    checker: SupportChecker,
    *,
    answers: Mapping[str, Answer],
    document_of: DocumentOf,
    others: Sequence[EvaluatedAnswer] = (),
    crossed: MismatchedAnswers | None = None,
    labels: Mapping[str, bool] | None = None,
    validity: Sequence[SupportReport] = (),
    spoiled_per_kind: int = 0,
    notes: Sequence[str] = (),
) -> Report:
    """The report on `answers` (by name) of this project and on those of `others`, of which only
    statements and citations are known. `labels` say whether a statement is supported by the
    listed works, by its key; with `spoiled_per_kind` the checker is tried on that many sentences
    of the works for each kind of change."""
    ours, checked = evaluated_answers(answers, document_of)
    subjects = [*ours, *others]
    verdicts = judge_claims(Judge(checker), subjects)
    claims = sum(len(subject.claims) for subject in subjects)
    lines = fidelity(checked) if checked else []
    lines += citation_measures(verdicts) + unsupported_measures(verdicts)
    if checked:
        lines += coverage(checked)
        tested = crossed or MismatchedAnswers(())
        refused, *answered = abstention(list(answers.values()), tested.answers, tested.unscored)
        lines += [refused, *(answered if crossed else [])]
    return Report(
        name=name,
        checker=checker.name,
        threshold=checker.threshold,
        answers=len(subjects),
        prompts=len({subject.prompt for subject in subjects}),
        statements=len(verdicts),
        fixed=claims - len(verdicts),
        measures=tuple(lines),
        verdicts=tuple(verdicts),
        problems=tuple(_problems(answers, checked, verdicts)),
        validity=tuple(validity),
        spoilage=spoilage(checker, checked, per_kind=spoiled_per_kind),
        corrected=None if labels is None else correct(verdicts, labels),
        notes=tuple(notes),
    )


def correct(verdicts: Sequence[Verdict], labels: Mapping[str, bool]) -> Corrected:
    """The share of unsupported statements, corrected by labels. What the checker could not score
    has no prediction and is left out, with its label."""
    scored = {item.key: 1.0 - item.supported for item in verdicts if item.supported is not None}
    known = [key for key in scored if key in labels]
    return corrected_mean(
        [float(not labels[key]) for key in known],
        [scored[key] for key in known],
        [value for key, value in scored.items() if key not in labels],
        ignored=len(labels.keys() - scored.keys()),
    )


def _problems(
    answers: Mapping[str, Answer], checked: Sequence[Checked], verdicts: Sequence[Verdict]
) -> list[Problem]:
    """What verification found, then works that are missing, then what is wrong in statements."""
    found = []
    for name, (answer, prompt, _, verification) in zip(answers, checked, strict=True):
        found += [Problem(name, 1, one.part, one.message) for one in verification.failures]
        if prompt is not None:
            found += [
                Problem(name, 4, "references", f"{work!r} is listed and nothing is said of it")
                for work in missing_works(answer, prompt)
            ]
    for item in verdicts:
        shown = repr(item.text[:80])
        found += [Problem(item.answer, 2, item.part, f"{one} ({shown})") for one in item.wrong]
        if item.supported == 0:
            found.append(Problem(item.answer, 3, item.part, f"no listed work supports {shown}"))
        elif item.quote_recall == 0 and not item.wrong:
            why = "its quotes do not support" if item.citations else "no quote stands behind"
            found.append(Problem(item.answer, 2, item.part, f"{why} {shown}"))
    return found
