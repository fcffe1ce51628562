"""Answers of any system in the form in which they are judged: statements with their citations.

Premises are the sources' own words, read again from their bytes: a quote that does not stand in
its source is no evidence. Answers of external systems come as JSON lines (`cited-answer/1`,
documented in `docs/evaluation.md`), for which only statements and citations are known.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import ConfigDict, with_config

from index.build import Notify, silent
from index.documents.document import Document
from index.errors import AnswerError, PromptError, RagError
from index.passages import Passage, sentence_spans, split
from rag.answer import Answer, Quote, read_answers_in
from rag.answer.compose import FIXED, NO_RELEVANCE
from rag.answer.verify import DocumentOf, Verification, verify
from rag.evaluation.datasets import read_json_lines
from rag.prompt import Prompt, parse_prompt, works_of
from rag.retrieval.scoring import Lexicon, order
from rag.support import premise

FORMAT: Final = "cited-answer/1"


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


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer of this project, its prompt (None where its text is none), and its verification.
    `documents` are the sources it says were read, by id; None where one cannot be read again, or
    where its text is not the recorded one."""

    answer: Answer
    prompt: Prompt | None
    documents: Mapping[str, Document | None]
    verification: Verification


def evaluated_answers(
    answers: Mapping[str, Answer], document_of: DocumentOf, *, notify: Notify = silent
) -> tuple[list[EvaluatedAnswer], list[CheckedAnswer]]:
    """Answers of this project by name, as what is judged, and as what was checked."""
    checked = []
    for done, (name, answer) in enumerate(answers.items()):
        notify("read sources again", done, len(answers), name)
        checked.append(_checked(answer, document_of))
    documents = {d.sha256: d for item in checked for d in item.documents.values() if d}
    passages = {sha256: split(document) for sha256, document in documents.items()}
    named = zip(answers, checked, strict=True)
    return [_evaluated(name, item, passages) for name, item in named], checked


def _checked(answer: Answer, document_of: DocumentOf) -> CheckedAnswer:
    try:
        prompt = parse_prompt(answer.prompt.text)
    except PromptError:
        prompt = None
    documents: dict[str, Document | None] = {}
    for record in answer.sources:
        if not record.reason:
            documents[record.id] = None
            with suppress(RagError):
                document = document_of(record)
                if document.sha256 == record.document_sha256:
                    documents[record.id] = document
    return CheckedAnswer(answer, prompt, documents, verify(answer, document_of))


Passages = Mapping[str, Sequence[Passage]]
"""The passages of each document, by its hash."""


def _evaluated(name: str, checked: CheckedAnswer, passages: Passages) -> EvaluatedAnswer:
    works = works_of(checked.prompt.listings if checked.prompt else ())
    premises = dict.fromkeys(
        premise(works[source_id], passage.text)
        for source_id, document in checked.documents.items()
        if document is not None and source_id in works
        for passage in passages[document.sha256]
    )
    claims = []
    for part, statement in checked.answer.statements():
        citations = [_citation(quote, works, checked, passages) for quote in statement.quotes]
        silent = not statement.quotes or statement.text == NO_RELEVANCE
        fixed = statement.text in FIXED and silent
        claims.append(Claim(part, statement.text, tuple(citations), fixed))
    complete = None not in checked.documents.values()
    question = checked.answer.prompt.question
    return EvaluatedAnswer(name, question, tuple(claims), tuple(premises), complete)


def _citation(
    quote: Quote, works: Mapping[str, str], checked: CheckedAnswer, passages: Passages
) -> Citation:
    document = checked.documents.get(quote.source_id)
    if document is None and quote.source_id in works and quote.source_id in checked.documents:
        return Citation("", "", "not read")
    if document is None or quote.source_id not in works or not stands(quote, document):
        return Citation("", "", "does not stand")
    around = [
        passage.text
        for passage in passages[document.sha256]
        if passage.start < quote.end and quote.start < passage.end
    ]
    return Citation(quote.text, "\n".join(around) or quote.text, work=works[quote.source_id])


def stands(quote: Quote, document: Document) -> bool:
    """Whether the quote is the slice of the document that it claims to be."""
    inside = 0 <= quote.start < quote.end <= len(document.text)
    return inside and document.text[quote.start : quote.end] == quote.text


_FORM = ConfigDict(extra="forbid")


@with_config(_FORM)
@dataclass(frozen=True, slots=True)
class CitedPassage:
    """`quote` is what was cited of the passage, "" where the passage as a whole was."""

    passage: str
    quote: str = ""


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
        """As what is judged. A quote that is no part of its passage does not stand."""
        claims = []
        passages = dict.fromkeys(self.passages)
        for number, statement in enumerate(self.statements):
            citations = []
            for cited in statement.citations:
                passages[cited.passage] = None
                quote = cited.quote or cited.passage
                true = quote.strip() and quote in cited.passage
                citations.append(
                    Citation(quote, cited.passage) if true else Citation("", "", "does not stand")
                )
            claims.append(Claim(f"statements[{number}]", statement.text, tuple(citations)))
        return EvaluatedAnswer(name, self.question, tuple(claims), tuple(passages))


def read_external(path: Path) -> list[EvaluatedAnswer]:
    """The answers in a file of JSON lines. Raises DatasetError, naming the line."""
    lines = read_json_lines(path, ExternalAnswer, f"an answer of the form {FORMAT}")
    return [answer.evaluated(f"{path.name}:{where.rpartition(':')[2]}") for where, answer in lines]


_MARKER = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\]")
_LISTED = re.compile(r"^\[(\d{1,3})\][ \t]+(?=\S)", re.MULTILINE)


def from_marked_text(question: str, text: str) -> ExternalAnswer:
    """An answer in prose with markers ([1], [2, 3], [4-6]) behind what they support, followed by
    the passages, each begun by its number at the beginning of a line. Every sentence becomes a
    statement. Raises AnswerError for a marker without a passage."""
    starts = list(_LISTED.finditer(text))
    ends = [match.start() for match in starts[1:]] + [len(text)]
    passages: dict[int, str] = {}
    for match, end in zip(starts, ends, strict=False):
        passage = text[match.end() : end].strip()
        if passages.setdefault(int(match[1]), passage) != passage:
            raise AnswerError(f"the passage [{match[1]}] is given twice, with different words")
    statements = []
    body = text[: starts[0].start()] if starts else text
    for start, end in sentence_spans(body):
        sentence = body[start:end]
        numbers = [n for match in _MARKER.finditer(sentence) for n in _numbers(match[1])]
        if missing := [number for number in numbers if number not in passages]:
            raise AnswerError(
                f"{sentence[:60]!r} cites [{missing[0]}], and no line begins with [{missing[0]}]"
            )
        words = " ".join(_MARKER.sub("", sentence).split())
        if re.search(r"\w", words):
            cited = tuple(CitedPassage(passages[number]) for number in dict.fromkeys(numbers))
            statements.append(ExternalStatement(words, cited))
    return ExternalAnswer(FORMAT, question, tuple(statements), tuple(passages.values()))


def _numbers(marker: str) -> Iterator[int]:
    for part in re.split(r"\s*[,;]\s*", marker):
        first, *last = re.split(r"\s*[–-]\s*", part)
        yield from range(int(first), int(last[0] if last else first) + 1)


def read_answers(paths: Sequence[Path]) -> tuple[dict[str, Answer], list[EvaluatedAnswer]]:
    """The answers of this project by name, and those of external systems (`.jsonl`), in these
    files and folders: a writer's answers are in its folder's `answers/`."""
    files: list[Path] = []
    for path in paths:
        folder = path / "answers" if (path / "answers").is_dir() else path
        inside = sorted((*folder.glob("*.json"), *folder.glob("*.jsonl")))
        files += inside if path.is_dir() else [path]
    own: dict[str, Answer] = {}
    external: list[EvaluatedAnswer] = []
    stems = [path.stem for path in files]
    for path in files:
        if path.suffix == ".jsonl" and not _is_own(path):
            external += read_external(path)
            continue
        name = path.stem if stems.count(path.stem) == 1 else str(path)
        answers = read_answers_in(path)
        own |= {f"{name}:{number}": answer for number, answer in enumerate(answers, 1)}
        if len(answers) == 1:
            own[name] = own.pop(f"{name}:1")
    if not (own or external):
        raise AnswerError(f"no answer is in {', '.join(map(str, paths))}; expected answer files")
    return own, external


def _is_own(path: Path) -> bool:
    """Whether JSON Lines are answers of this project, as `rag ask` writes them."""
    with suppress(OSError), path.open("rb") as file:
        return b'"grounded-answer/' in file.read(60)
    return False
