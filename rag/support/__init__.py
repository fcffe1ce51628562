"""How far a statement follows from its evidence: a probability, and what is wrong by name."""

from rag.support.builtin import BuiltinChecker
from rag.support.checker import Finding, Pair, Support, SupportChecker
from rag.support.findings import findings

__all__ = ["BuiltinChecker", "Finding", "Pair", "Support", "SupportChecker", "findings"]
