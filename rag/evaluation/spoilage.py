"""Line 6 where nobody labelled anything: the checker on spoiled sentences of the works in hand."""

from __future__ import annotations

from collections.abc import Sequence

from index.passages import split
from rag.evaluation.fidelity import Checked
from rag.evaluation.perturbation import perturbation_set
from rag.evaluation.support import PerturbationReport, evaluate_perturbations
from rag.support import SupportChecker

__all__ = ["spoilage"]


def spoilage(
    checker: SupportChecker, checked: Sequence[Checked], *, per_kind: int
) -> PerturbationReport | None:
    """What the checker says of sentences of the works that were read, as they stand and with one
    thing changed; None where there are no such sentences."""
    documents = {
        source_id: document
        for _, _, read, _ in checked
        for source_id, document in read.items()
        if document is not None
    }
    works = {
        source_id: [
            " ".join(document.text[start:end].split())
            for passage in split(document)
            for start, end in passage.sentences
        ]
        for source_id, document in sorted(documents.items())
    }
    cases = perturbation_set(works, per_kind=per_kind) if per_kind else ()
    return evaluate_perturbations(checker, cases) if cases else None
