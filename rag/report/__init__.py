"""How far answers can be trusted: six lines, each with its denominator and its interval."""

from rag.report.abstention import cross
from rag.report.outcomes import Change, Measure, Outcome, change, estimate
from rag.report.ppi import Corrected, corrected_mean
from rag.report.report import CrossedAnswers, Problem, Report, evaluate

__all__ = [
    "Change",
    "Corrected",
    "CrossedAnswers",
    "Measure",
    "Outcome",
    "Problem",
    "Report",
    "change",
    "corrected_mean",
    "cross",
    "estimate",
    "evaluate",
]
