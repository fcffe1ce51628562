"""Answers of other systems: JSON lines, and plain text with [n] markers made into them.

The form is documented in `docs/evaluation.md`; `FORMAT` changes when it does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.errors import AnswerError
from index.passages import sentence_spans
from rag.answer.serialization import parse, read
from rag.evaluation.evaluated import Citation, Claim, ClosedSet, EvaluatedAnswer

__all__ = ["FORMAT", "ExternalAnswer", "ExternalStatement", "from_marked_text", "read_external"]

FORMAT = "cited-answer/1"

_MARKER = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\]")
_LISTED = re.compile(r"^\[(\d{1,3})\][ \t]+(?=\S)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """`quote` is what was cited of the passage, "" where the passage as a whole was."""

    passage: str
    quote: str


@dataclass(frozen=True, slots=True)
class ExternalStatement:
    """A statement and what it cites; nothing cited is ()."""

    text: str
    citations: tuple[CitedPassage, ...]


@dataclass(frozen=True, slots=True)
class ExternalAnswer:
    """One line of the form. `passages` is everything that the system was given to read."""

    question: str
    statements: tuple[ExternalStatement, ...]
    passages: tuple[str, ...]

    def to_json(self) -> str:
        """One line, without its end."""
        raw: dict[str, Any] = {
            "format": FORMAT,
            "question": self.question,
            "statements": [
                {
                    "text": statement.text,
                    "citations": [
                        {
                            "passage": cited.passage,
                            **({"quote": cited.quote} if cited.quote else {}),
                        }
                        for cited in statement.citations
                    ],
                }
                for statement in self.statements
            ],
            "passages": list(self.passages),
        }
        return json.dumps(raw, ensure_ascii=False)

    def subject(self, name: str) -> EvaluatedAnswer:
        """As what is judged. A quote that is no part of its passage stands nowhere."""
        claims = tuple(
            Claim(
                f"statements[{number}]", statement.text, tuple(map(_citation, statement.citations))
            )
            for number, statement in enumerate(self.statements)
        )
        cited = [item.passage for one in self.statements for item in one.citations]
        return EvaluatedAnswer(name, self.question, claims, ClosedSet((*self.passages, *cited)))


def _citation(cited: CitedPassage) -> Citation:
    quote = cited.quote or cited.passage
    if not quote.strip() or quote not in cited.passage:
        return Citation("", "", "does not stand")
    return Citation(quote, cited.passage)


def read_external(path: Path) -> list[EvaluatedAnswer]:
    """Every answer of a file of JSON lines. Raises AnswerError, naming the line."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"{path} cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            answer = _answer(parse(line))
        except ValueError as error:
            raise AnswerError(f"{path}:{number}: not a line of {FORMAT}: {error}") from None
        found.append(answer.subject(f"{path.name}:{number}"))
    return found


def _answer(raw: Any) -> ExternalAnswer:
    """The line with what may be left out put in."""
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError(f'expected an object with "format": "{FORMAT}"')
    filled: dict[str, Any] = {"passages": [], **raw}
    del filled["format"]
    statements = filled.get("statements")
    for statement in statements if isinstance(statements, list) else ():
        if isinstance(statement, dict):
            statement.setdefault("citations", [])
            for cited in statement["citations"] if _is_list(statement["citations"]) else ():
                if isinstance(cited, dict):
                    cited.setdefault("quote", "")
    return read(ExternalAnswer, filled)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def from_marked_text(question: str, text: str) -> ExternalAnswer:
    """An answer in prose with markers ([1], [2, 3], [4-6]) behind what they support, followed by
    the passages, each begun by its number at the beginning of a line. Every sentence becomes a
    statement. Raises AnswerError for a marker without a passage."""
    starts = list(_LISTED.finditer(text))
    body = text[: starts[0].start()] if starts else text
    passages: dict[int, str] = {}
    for match, following in zip(starts, [*starts[1:], None], strict=True):
        stop = following.start() if following else len(text)
        passage = text[match.end() : stop].strip()
        if passages.setdefault(int(match[1]), passage) != passage:
            raise AnswerError(f"the passage [{match[1]}] is given twice, with different words")
    statements = []
    for start, end in sentence_spans(body):
        sentence = body[start:end]
        numbers = [n for match in _MARKER.finditer(sentence) for n in _numbers(match[1])]
        if missing := [number for number in numbers if number not in passages]:
            raise AnswerError(
                f"{sentence[:60]!r} cites [{missing[0]}], and no line begins with [{missing[0]}]"
            )
        words = " ".join(_MARKER.sub("", sentence).split())
        if not re.search(r"\w", words):
            continue
        cited = tuple(CitedPassage(passages[number], "") for number in dict.fromkeys(numbers))
        statements.append(ExternalStatement(words, cited))
    return ExternalAnswer(question, tuple(statements), tuple(passages.values()))


def _numbers(marker: str) -> Iterable[int]:
    for part in re.split(r"\s*[,;]\s*", marker):
        first, _, last = re.sub(r"\s*[–-]\s*", "-", part).partition("-")
        yield from range(int(first), int(last or first) + 1)
