"""Citation recall and precision after ALCE (Gao et al. 2023, arXiv 2305.14627, section 4).

A statement is recalled when its citations, together, support it; one without citations is not
(no length threshold). A citation is precise when its statement is recalled and it is not
irrelevant; it is irrelevant when it does not support the statement alone and the others do
without it. None is what could not be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rag.support import Pair, Support, SupportChecker

__all__ = ["Judge", "Supports", "precisions", "premises", "recall"]

Supports = Callable[[str, Sequence[str]], bool | None]
"""(statement, premises together) → whether they support it."""


def premises(citations: Sequence[str]) -> list[tuple[str, ...]]:
    """Every set of citations that recall and precision ask about."""
    whole = tuple(citations)
    alone = [(citation,) for citation in whole]
    without = [whole[:at] + whole[at + 1 :] for at in range(len(whole))]
    return [asked for asked in dict.fromkeys([whole, *alone, *without]) if asked]


def recall(statement: str, citations: Sequence[str], supports: Supports) -> bool | None:
    """Whether all citations together support the statement."""
    return supports(statement, tuple(citations)) if citations else False


def precisions(
    statement: str, citations: Sequence[str], supports: Supports
) -> tuple[bool | None, ...]:
    """For each citation whether it is precise."""
    whole = recall(statement, citations, supports)
    if not whole:
        return (whole,) * len(citations)
    return tuple(
        _relevant(statement, tuple(citations), at, supports) for at in range(len(citations))
    )


def _relevant(
    statement: str, citations: tuple[str, ...], at: int, supports: Supports
) -> bool | None:
    alone = supports(statement, (citations[at],))
    if alone:
        return True
    rest = citations[:at] + citations[at + 1 :]
    without = supports(statement, rest) if rest else False
    if without is False:
        return True
    return None if alone is None or without is None else False


class Judge:
    """A checker that is asked everything once. Whoever knows what will be asked says so first,
    for a model answers many at once faster."""

    def __init__(self, checker: SupportChecker) -> None:
        self.checker = checker
        self._known: dict[tuple[str, tuple[str, ...]], Support] = {}

    def prepare(self, pairs: Iterable[Pair]) -> None:
        """Ask everything that has not been asked yet."""
        asked = dict.fromkeys((statement, tuple(evidence)) for statement, evidence in pairs)
        missing = [pair for pair in asked if pair not in self._known]
        if missing:
            answers = self.checker.check_all(missing)
            self._known.update(zip(missing, answers, strict=True))

    def support(self, statement: str, evidence: Sequence[str]) -> Support:
        """What the checker says."""
        self.prepare([(statement, evidence)])
        return self._known[statement, tuple(evidence)]

    def __call__(self, statement: str, evidence: Sequence[str]) -> bool | None:
        """Whether the evidence supports the statement, at the checker's own threshold."""
        return self.support(statement, evidence).holds(self.checker.threshold)
