"""How far answers can be trusted: six lines, each with its denominator and its interval."""

from rag.evaluation.abstention import cross
from rag.evaluation.outcomes import Change, ItemScore, Measure, change, estimate
from rag.evaluation.ppi import Corrected, corrected_mean
from rag.evaluation.report import MismatchedAnswers, Problem, Report, evaluate

__all__ = [
    "Change",
    "Corrected",
    "ItemScore",
    "Measure",
    "MismatchedAnswers",
    "Problem",
    "Report",
    "change",
    "corrected_mean",
    "cross",
    "estimate",
    "evaluate",
]
