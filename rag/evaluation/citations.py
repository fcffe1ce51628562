"""Lines 2 and 3: whether statements follow from what they cite, and from anything listed. Only
statements in a writer's own words are judged: a quotation that stands for itself follows from
itself, and would be recalled for nothing.

Recall and precision are ALCE's (Gao et al. 2023, arXiv 2305.14627, section 4). A statement is
recalled when its citations, together, support it; one without citations is not (no length
threshold). A citation is precise when its statement is recalled and it is not irrelevant; it is
irrelevant when it does not support the statement alone and the others do without it.

Answers of external systems come as JSON lines (`cited-answer/1`, documented in
`docs/evaluation.md`), for which only statements and citations are known.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, with_config

from index.build import Notify, silent
from index.errors import AnswerError
from index.passages import sentence_spans
from rag.evaluation import read_json_lines
from rag.evaluation.statistics import Declared, Measure, Score, measures_of
from rag.retrieval.scoring import Lexicon, order
from rag.support import Support, SupportChecker, premise

FORMAT: Final = "cited-answer/1"
BEST = 6
"""Passages of all listed works that a statement is held against: about 3,000 characters."""

DECLARED: tuple[Declared, ...] = (
    ("recall_quote", 2, "citation recall, from the quote alone", "higher",
     "of statements in own words; without a quote: 0"),
    ("precision_quote", 2, "citation precision, from the quote alone", "higher",
     "of all quotes of those statements"),
    ("recall_passage", 2, "citation recall, from the passage around it", "higher",
     "of statements in own words; without a quote: 0"),
    ("precision_passage", 2, "citation precision, from the passage around it", "higher",
     "of all quotes of those statements"),
    ("recall_gap", 2, "recall: quote minus passage", "",
     "above 0: supported by the quote, not by the text it was taken from"),
    ("unsupported", 3, "unsupported statements", "lower",
     "of statements in own words, held against every listed work"),
    ("answers_unsupported", 3, "answers with an unsupported statement", "lower",
     "of the answers with at least one statement"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Citation:
    """The cited words and the passage around them, as the source has them; both "" unless the
    quote stands in a source that could be read again. `work` is the work's name in the prompt."""

    text: str
    passage: str
    state: Literal["stands", "does not stand", "not read"] = "stands"
    work: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of an answer. `fixed` marks the fixed sentences, which claim nothing; where
    `text` is "" it is a quotation that stands for itself, and there is nothing to support."""

    part: str
    text: str
    citations: tuple[Citation, ...]
    fixed: bool = False


@dataclass(frozen=True)
class EvaluatedAnswer:
    """One answer, ready to be judged. `name` is how a reader finds it, `prompt` the question;
    `passages` are those of all listed works, and not `complete` where one of them could not be
    read again, so that nothing can be said to be missing from them."""

    name: str
    prompt: str
    claims: tuple[Claim, ...]
    passages: tuple[str, ...]
    complete: bool = True

    @property
    def statements(self) -> tuple[Claim, ...]:
        """The claims in a writer's own words."""
        return tuple(claim for claim in self.claims if claim.text and not claim.fixed)

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self.passages)

    def best(self, statement: str, count: int) -> tuple[str, ...]:
        """At most `count` passages with most of the statement's words (BM25), best first."""
        scores = self._lexicon.scores(statement)
        return tuple(self.passages[row] for row in order(scores)[:count] if scores[row] > 0)

    def key(self, claim: Claim) -> str:
        """What a label is given to: a hash of question, part, statement and citations."""
        cited = [f"{item.state}\0{item.text}" for item in claim.citations]
        content = "\0".join((self.prompt, claim.part, claim.text, *cited))
        # The letter keeps a spreadsheet from reading a hash such as 12e45 as a number.
        return "s" + hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:15]


_FORM = ConfigDict(extra="forbid")


@with_config(_FORM)
@dataclass(frozen=True, slots=True)
class CitedPassage:
    """`quote` is what was cited of the passage, "" where the passage as a whole was."""

    passage: str
    quote: str = ""

    def evaluated(self) -> Citation:
        """As what is judged. A quote that is no part of its passage does not stand."""
        quote = self.quote or self.passage
        stands = quote.strip() and quote in self.passage
        return Citation(quote, self.passage) if stands else Citation("", "", "does not stand")


@with_config(_FORM)
@dataclass(frozen=True, slots=True)
class ExternalStatement:
    """A statement of an external system and the passages it cites."""

    text: str
    citations: tuple[CitedPassage, ...] = ()


@with_config(_FORM)
@dataclass(frozen=True, slots=True)
class ExternalAnswer:
    """One line of the form. `passages` is everything that the system was given to read."""

    format: Literal["cited-answer/1"]
    question: str
    statements: tuple[ExternalStatement, ...]
    passages: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line, without its end."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def evaluated(self, name: str) -> EvaluatedAnswer:
        """As what is judged, under this name."""
        cited = (item.passage for one in self.statements for item in one.citations)
        claims = (
            Claim(f"statements[{n}]", one.text, tuple(item.evaluated() for item in one.citations))
            for n, one in enumerate(self.statements)
        )
        passages = dict.fromkeys((*self.passages, *cited))
        return EvaluatedAnswer(name, self.question, tuple(claims), tuple(passages))


def read_external(path: Path) -> list[EvaluatedAnswer]:
    """The answers in a file of JSON lines. Raises DatasetError, naming the line."""
    lines = read_json_lines(path, ExternalAnswer, f"an answer of the form {FORMAT}")
    return [answer.evaluated(f"{path.name}:{where.rpartition(':')[2]}") for where, answer in lines]


_MARKER = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\]")
_RANGE = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")
_LISTED = re.compile(r"^\[(\d{1,3})\][ \t]+(?=\S)", re.MULTILINE)


def from_marked_text(question: str, text: str) -> ExternalAnswer:
    """An answer in prose with markers ([1], [2, 3], [4-6]) behind what they support, followed by
    the passages, each begun by its number at the beginning of a line. Every sentence becomes a
    statement. Raises AnswerError for a marker without a passage."""
    body, *listed = _LISTED.split(text)
    passages: dict[int, str] = {}
    for number, passage in zip(map(int, listed[::2]), map(str.strip, listed[1::2]), strict=True):
        if passages.setdefault(number, passage) != passage:
            raise AnswerError(f"the passage [{number}] is given twice, with different words")
    statements = []
    for start, end in sentence_spans(body):
        sentence = body[start:end]
        numbers = [
            number
            for marker in _MARKER.finditer(sentence)
            for first, last in _RANGE.findall(marker[1])
            for number in range(int(first), int(last or first) + 1)
        ]
        if missing := [number for number in numbers if number not in passages]:
            raise AnswerError(
                f"{sentence[:60]!r} cites [{missing[0]}], and no line begins with [{missing[0]}]"
            )
        words = " ".join(_MARKER.sub("", sentence).split())
        if re.search(r"\w", words):
            cited = tuple(CitedPassage(passages[number]) for number in dict.fromkeys(numbers))
            statements.append(ExternalStatement(words, cited))
    return ExternalAnswer(FORMAT, question, tuple(statements), tuple(passages.values()))


Truth = bool | None
"""None is what could not be scored."""
Supports = Callable[[tuple[str, ...]], Truth]
"""Premises → whether they, together, support the statement in question."""


def _without(texts: tuple[str, ...], at: int) -> tuple[str, ...]:
    return texts[:at] + texts[at + 1 :]


def premise_sets(citations: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every set of citations that recall and precision ask about: all, each, all but each."""
    alone = [(citation,) for citation in citations]
    others = [_without(citations, at) for at in range(len(citations))]
    return [each for each in dict.fromkeys([citations, *alone, *others]) if each]


def recall_and_precisions(
    citations: tuple[str, ...], supports: Supports
) -> tuple[Truth, list[Truth]]:
    """Whether all citations together support the statement, and whether each is precise."""
    recalled = supports(citations) if citations else False
    if not recalled:
        return recalled, [recalled] * len(citations)
    precise: list[Truth] = []
    for at, citation in enumerate(citations):
        alone = supports((citation,))
        others = supports(_without(citations, at)) if len(citations) > 1 else False
        unknown = alone is None or others is None
        precise.append(True if alone or others is False else None if unknown else False)
    return True, precise


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker says of one statement: of its quotes alone, of the passages around them,
    and (`supported`) of those and the best passages of all listed works. `wrong` are the
    checker's findings in words."""

    key: str
    answer: str
    prompt: str
    part: str
    text: str
    citations: int
    quote_recall: Truth
    quote_precisions: tuple[Truth, ...]
    passage_recall: Truth
    passage_precisions: tuple[Truth, ...]
    supported: Truth
    wrong: tuple[str, ...] = ()


_AT_ONCE = 128
"""Pairs that the checker is asked together: many, which is faster for a model."""


def judge_claims(
    checker: SupportChecker, answers: Sequence[EvaluatedAnswer], *, notify: Notify = silent
) -> list[Verdict]:
    """A verdict for every statement in a writer's own words, in the answers' order. The checker is
    asked nothing twice."""
    tasks = []
    for answer in answers:
        for claim in answer.statements:
            true = [item for item in claim.citations if item.state == "stands"]
            quotes = tuple(premise(item.work, item.text) for item in true)
            passages = tuple(premise(item.work, item.passage) for item in true)
            tasks.append((answer, claim, quotes, passages, answer.best(claim.text, BEST)))
    pairs = list(
        dict.fromkeys(
            (claim.text, texts)
            for _, claim, quotes, passages, best in tasks
            for texts in (*premise_sets(quotes), *premise_sets(passages), best)
            if texts
        )
    )
    support: dict[tuple[str, tuple[str, ...]], Support] = {}
    for start in range(0, len(pairs), _AT_ONCE):
        notify("check statements", start, len(pairs), f"{len(tasks)} statements")
        part = pairs[start : start + _AT_ONCE]
        support |= dict(zip(part, checker.check_all(part), strict=True))
    verdicts = []
    for answer, claim, quotes, passages, best in tasks:

        def supports(texts: tuple[str, ...], statement: str = claim.text) -> Truth:
            return support[statement, texts].holds(checker.threshold)

        opinions = [supports(texts) for texts in (quotes, passages, best) if texts]
        unknown = None in opinions or not answer.complete
        shown = quotes or best
        verdicts.append(
            Verdict(
                *(answer.key(claim), answer.name, answer.prompt, claim.part, claim.text),
                len(claim.citations),
                *_of_claim(claim, quotes, supports),
                *_of_claim(claim, passages, supports),
                supported=True if any(opinions) else None if unknown else False,
                wrong=tuple(map(str, support[claim.text, shown].findings)) if shown else (),
            )
        )
    return verdicts


def _of_claim(
    claim: Claim, texts: tuple[str, ...], supports: Supports
) -> tuple[Truth, tuple[Truth, ...]]:
    """Recall and precisions of all citations, where `texts` are those that stand in a source."""
    if any(item.state == "not read" for item in claim.citations):
        return None, (None,) * len(claim.citations)
    recall, precisions = recall_and_precisions(texts, supports)
    precise = iter(precisions)
    return recall, tuple(
        next(precise) if item.state == "stands" else False for item in claim.citations
    )


def verdict_measures(verdicts: Sequence[Verdict]) -> list[Measure]:
    """Lines 2 and 3."""
    return measures_of(DECLARED, _scores(verdicts))


def _scores(verdicts: Sequence[Verdict]) -> Iterator[Score]:
    by_answer: dict[tuple[str, str], list[Truth]] = {}
    for item in verdicts:
        prompt, quote, passage = item.prompt, item.quote_recall, item.passage_recall
        by_answer.setdefault((prompt, item.answer), []).append(item.supported)
        yield "recall_quote", prompt, quote
        yield "recall_passage", prompt, passage
        yield "recall_gap", prompt, None if quote is None or passage is None else quote - passage
        yield "unsupported", prompt, None if item.supported is None else not item.supported
        for precise in item.quote_precisions:
            yield "precision_quote", prompt, precise
        for precise in item.passage_precisions:
            yield "precision_passage", prompt, precise
    for (prompt, _), values in by_answer.items():
        unsupported = True if False in values else None if None in values else False
        yield "answers_unsupported", prompt, unsupported
