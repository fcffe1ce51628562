"""The checker on labelled claims and on perturbed sentences."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from index.errors import DatasetError
from rag.evaluation.perturbation import (
    PERTURBED,
    UNCHANGED,
    PerturbedClaim,
    perturbation_set,
    usable,
)
from rag.evaluation.support import (
    LabelledClaim,
    calibration_error,
    evaluate_labels,
    evaluate_perturbations,
    read_labelled_claims,
    reliability_of,
    render_json,
    render_markdown,
)
from rag.support import Finding, Pair, Support, SupportChecker, sentences
from rag.support.builtin import BuiltinChecker
from tests.parts import SHARED

LABELS = SHARED / "eval/support/attributionbench_dev.jsonl"
PAPERS = SHARED / "eval/retrieval/qasper/documents.jsonl"


@dataclass
class Scripted(SupportChecker):
    """A checker that looks its answers up by the statement."""

    answers: dict[str, Support]
    name: str = "scripted"
    threshold: float = 0.5

    def check_all(self, pairs: Iterable[Pair]) -> list[Support]:
        return [self.answers[statement] for statement, _ in pairs]


def test_unscored_claims_are_counted_apart_and_are_neither_right_nor_wrong() -> None:
    claims = [
        LabelledClaim("a cat", ("a cat",), True, "1", "q1", "x"),
        LabelledClaim("a dog", ("a cat",), False, "2", "q2", "y"),
        LabelledClaim("a cow", ("a cow",), True, "3", "q3", "y"),
    ]
    checker = Scripted(
        {"a cat": Support(0.9), "a dog": Support(0.2), "a cow": Support(None, reason="too long")}
    )
    report = evaluate_labels(checker, claims, data="three", resamples=50)
    assert (report.total, report.scored, report.clusters) == (3, 2, 2)
    assert report.auroc.value == report.balanced_accuracy.value == 1.0
    assert [(part.data, part.auroc.value) for part in report.parts] == [("x", None), ("y", None)]
    assert "| three | scripted | 3 (2) | 2 | 0.50 | 1.000" in render_markdown([report])
    assert json.loads(render_json([report]))["labels"][0]["parts"][1]["auroc"]["value"] is None
    nothing = evaluate_labels(checker, [], data="none")
    assert (nothing.auroc.value, nothing.supported_share) == (None, None)


def test_calibration_by_hand() -> None:
    labels = np.array([True, False, True, True])
    bins = reliability_of(labels, np.array([0.1, 0.12, 0.9, 1.0]))
    assert [(each.claims, each.supported) for each in bins] == [(2, 0.5), (2, 1.0)]
    assert calibration_error(bins) == pytest.approx((2 * (0.5 - 0.11) + 2 * 0.05) / 4)
    assert calibration_error(()) is None


@pytest.mark.parametrize(("good", "bad"), [('["y"]', '"y"'), ("true", '"yes"'), ('"x"', "1")])
def test_a_bad_line_is_named(tmp_path: Path, good: str, bad: str) -> None:
    line = '{"claim": "x", "evidence": ["y"], "supported": true}'
    path = tmp_path / "labels.jsonl"
    path.write_text(f"{line}\n\n{line.replace(good, bad)}\n")
    with pytest.raises(DatasetError, match=r"labels\.jsonl:3: .*expected a labelled claim"):
        read_labelled_claims(path)


def test_labels_may_be_packed_and_of_one_split(tmp_path: Path) -> None:
    claims = [{"claim": f"{at}", "evidence": ["y"], "supported": True} for at in range(3)]
    claims[0]["split"], claims[1]["split"] = "train", "dev"
    path = tmp_path / "labels.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, claims)).encode()))
    assert [claim.claim for claim in read_labelled_claims(path)] == ["0", "1", "2"]
    assert [claim.claim for claim in read_labelled_claims(path, "dev")] == ["1", "2"]
    path.write_bytes(path.read_bytes()[:-9])
    for unreadable in (path, tmp_path / "missing.jsonl"):
        with pytest.raises(DatasetError, match="cannot be read"):
            read_labelled_claims(unreadable)


WORKS = {
    "one": [
        "We train the model for 30 days on 8 machines, which costs 5.5 million dollars in all.",
        "The error of BERT is lower than that of RoBERTa and falls by 12.5% in the third run.",
        "However, we do not use labels because they are not needed for training in Berlin.",
        "The mean difference was -0.75 between both of the groups that were seen by Smith.",
    ],
    "two": [
        "Patients are treated with a new antibody that is more effective than Tamiflu alone.",
        "It was found that 45% of them, or 1200 people, were in better health after 6 months.",
    ],
}


def test_every_kind_is_made_and_only_perturbed_statements_change_what_is_said() -> None:
    cases = perturbation_set(WORKS, per_kind=4)
    assert {case.kind for case in cases} == {*PERTURBED, *UNCHANGED}
    for case in cases:
        assert (case.statement in case.evidence) == (case.kind == "verbatim")
        assert all(piece in WORKS[case.work] for piece in case.evidence)
    assert cases == perturbation_set(WORKS, per_kind=4)
    assert cases != perturbation_set(WORKS, per_kind=4, seed=1)
    alone = {case.kind for case in perturbation_set({"one": WORKS["one"]}, per_kind=4)}
    assert alone == {*PERTURBED, *UNCHANGED} - {"another work"}
    assert perturbation_set({}, per_kind=4) == ()


def test_debris_is_no_sentence() -> None:
    assert usable(WORKS["one"][0])
    assert not usable("Short.")
    assert not usable("a sentence that begins small but is otherwise as long as any other one.")
    assert not usable("Its x_i + y_i = 3 · 4 {0.1, 0.2, 0.3} 5 6 7 8 9 10 11 12 13 14 15 16 17 18.")


def test_the_report_counts_by_rule_by_probability_and_either() -> None:
    cases = [PerturbedClaim("number", "w", statement, ("e",)) for statement in "abc"]
    cases.append(PerturbedClaim("verbatim", "v", "d", ("d",)))
    found = (Finding(0, 1, "number", "3", "4"),)
    checker = Scripted(
        {"a": Support(0.9, found), "b": Support(0.1, found), "c": Support(0.2), "d": Support(None)}
    )
    steps: list[tuple[int, int]] = []
    report = evaluate_perturbations(
        checker, cases * 30, notify=lambda stage, *step: steps.append(step[:2])
    )
    number, verbatim = report.rows
    assert (number.total, verbatim.total, report.works) == (90, 30, 2)
    assert (number.by_finding, number.by_probability, number.by_either) == (60, 60, 90)
    assert (verbatim.by_finding, verbatim.by_probability, verbatim.by_either) == (0, 0, 0)
    assert "| verbatim | false alarms | 30 | 0 (0.0 %)" in render_markdown([], report)
    assert steps == [(0, 120), (64, 120)]


@pytest.mark.skipif(not PAPERS.exists(), reason="needs ../shared/eval/retrieval")
def test_perturbations_of_real_papers_are_found_and_paraphrases_left_alone() -> None:
    works = {
        row["id"]: [" ".join(sentence.split()) for sentence in sentences([row["text"]])]
        for row in map(json.loads, PAPERS.read_text(encoding="utf-8").splitlines())
    }
    report = evaluate_perturbations(BuiltinChecker(), perturbation_set(works, per_kind=40))
    rates = {row.kind: row.by_either / row.total for row in report.rows}
    floors = {**dict.fromkeys(PERTURBED, 0.95), "number": 0.98, "percentage": 0.98, "name": 0.9}
    assert {kind: rates[kind] for kind in floors if rates[kind] < floors[kind]} == {}
    assert {kind: rates[kind] for kind in UNCHANGED if rates[kind] > 0.02} == {}


@pytest.mark.skipif(not LABELS.exists(), reason="needs ../shared/eval/support")
def test_on_real_labels_it_is_better_than_word_overlap() -> None:
    claims = read_labelled_claims(LABELS)[::6]
    report = evaluate_labels(BuiltinChecker(), claims, data="attributionbench", resamples=0)
    assert report.scored == report.total
    assert (report.auroc.value or 0) > max(0.72, report.overlap.value or 1)
