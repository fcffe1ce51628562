"""The result: statements, quotes and references as frozen values, and their JSON form.

The form is documented in `docs/answer-format.md`; `FORMAT` changes when it does.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from index.catalog import Role
from index.errors import AnswerError
from index.sources import SourceType
from rag.writers import WriterRecord

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = "grounded-answer/3"
_SHORT = {"missing": "is missing", "unexpected_keyword_argument": "is not known"}


@dataclass(frozen=True, slots=True)
class Quote:
    """A slice of a source's document. `pages` are 1-based, () where the source has none."""

    source_id: str
    source_type: SourceType
    start: int
    end: int
    text: str
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """The writer's own words, and the quotes that support them. `text` is "" where a quotation
    speaks for itself: then there is exactly one quote."""

    text: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """One listed work in section 3. `paper` and `github` are the links exactly as provided, None
    where there is none. The quote of `relevance` shows how the work is `relevant`, or what it is;
    `mentions` are sentences in which other listed works name it."""

    name: str
    role: Role
    paper: str | None
    github: str | None
    sources: tuple[str, ...]
    relevant: bool
    relevance: Statement
    mentions: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What became of one listed source: the hashes name its bytes and its text; where it could
    not be read they are "" and `reason` says why."""

    id: str
    source_type: SourceType
    sha256: str
    extractor: str
    document_sha256: str
    version: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """Section 2: what goes in, what the models do with it, what comes out."""

    input: tuple[Statement, ...]
    model: tuple[Statement, ...]
    output: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """The prompt as it was asked, with its text, so that the answer can be checked alone."""

    question: str
    sha256: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Equal answers have equal JSON."""

    prompt: PromptRecord
    writer: WriterRecord
    task: tuple[Statement, ...]
    workflow: Workflow
    references: tuple[Reference, ...]
    sources: tuple[SourceRecord, ...]

    @property
    def parts(self) -> dict[str, tuple[Statement, ...]]:
        """The statements of task and workflow, by the names of the parts."""
        stages = {
            f"workflow.{stage}": getattr(self.workflow, stage) for stage in Workflow.__slots__
        }
        return {"task": self.task, **stages}

    def statements(self) -> Iterator[tuple[str, Statement]]:
        """Every statement with the part it stands in, in reading order."""
        for part, statements in self.parts.items():
            for statement in statements:
                yield part, statement
        for number, reference in enumerate(self.references):
            yield f"references[{number}]", reference.relevance
            for mention in reference.mentions:
                yield f"references[{number}].mentions", mention

    def quotes(self) -> Iterator[tuple[str, Quote]]:
        """Every quote with the part it stands in, in reading order."""
        for part, statement in self.statements():
            for quote in statement.quotes:
                yield part, quote

    def to_json(self, *, indent: int | None = 2) -> str:
        """The documented form: indented or one line, UTF-8, keys in reading order."""
        sections = Sections(self.task, self.workflow, self.references)
        file = AnswerFile(FORMAT, self.prompt, self.writer, sections, self.sources)
        return json.dumps(asdict(file), ensure_ascii=False, indent=indent)

    @classmethod
    def from_json(cls, data: str) -> Answer:
        """The inverse of `to_json`. Raises AnswerError, naming what is not as documented."""
        try:
            value = json.loads(data, parse_constant=_refuse, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            why = "nested too deeply" if isinstance(error, RecursionError) else error
            raise AnswerError(
                f"not JSON: {why}; expected an answer file, as `rag ask --format json` writes it"
            ) from None
        version = value.get("format") if isinstance(value, dict) else value
        if version in ("grounded-answer/1", "grounded-answer/2"):
            raise AnswerError(
                f"the answer has the format {version!r} of an older version, and this one reads "
                f"{FORMAT!r}: ask the prompt again with `rag ask`"
            )
        if version != FORMAT:
            raise AnswerError(
                f"expected an answer file of format {FORMAT!r}, found {ascii(version)[:60]}"
            )
        try:
            file = _answer_file(value)
        except ValueError as error:
            raise AnswerError(f"does not have the form of {FORMAT}: {error}") from None
        parts = file.sections
        return cls(
            file.prompt, file.writer, parts.task, parts.workflow, parts.references, file.sources
        )


@dataclass(frozen=True, slots=True)
class Sections:
    """The three sections of an answer file."""

    task: tuple[Statement, ...]
    workflow: Workflow
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """The object of an answer's JSON."""

    format: str
    prompt: PromptRecord
    writer: WriterRecord
    sections: Sections
    sources: tuple[SourceRecord, ...]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!a} is given twice")
    return dict(pairs)


@cache
def _form() -> TypeAdapter[tuple[AnswerFile]]:
    from pydantic import ConfigDict, TypeAdapter

    # A plain dataclass takes these rules from the type that contains it, hence the tuple.
    rules = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return TypeAdapter(tuple[AnswerFile], config=rules)


def _answer_file(value: Any) -> AnswerFile:
    """`value`, read strictly, so that True is no 1 and "1" is no 1. Raises ValueError with one
    sentence that names the first part that does not fit."""
    from pydantic import ValidationError

    try:
        (file,) = _form().validate_json(json.dumps([value]))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"][1:])
        where = ascii("".join(steps).lstrip("."))[1:-1] or "the whole"
        if first["type"] in _SHORT:
            raise ValueError(f"{where} {_SHORT[first['type']]}") from None
        shown = ascii(first["input"])[:60]
        raise ValueError(f"{where} is not as it should be: {first['msg']}; found {shown}") from None
    # Writers need not set every field of a record; a file has every one.
    for field in fields(WriterRecord):
        if field.name not in value["writer"]:
            raise ValueError(f"writer.{field.name} is missing")
    return file


def answers_of(text: str) -> list[Answer]:
    """The answers in a text: one, or as JSON Lines several. Raises AnswerError."""
    lines = text.strip().split("\n")
    if len(lines) == 1 or not lines[0].rstrip().endswith("}"):
        return [Answer.from_json(text)]
    answers = []
    for number, line in enumerate(lines, 1):
        try:
            answers.append(Answer.from_json(line))
        except AnswerError as error:
            raise AnswerError(f"line {number}: {error}") from None
    return answers


def read_answer(path: str | Path) -> Answer:
    """The one answer in a file. Raises AnswerError where there is none."""
    answers = read_answers_in(path)
    if len(answers) > 1:
        raise AnswerError(f"{path}: expected one answer, found {len(answers)}")
    return answers[0]


def read_answers_in(path: str | Path) -> list[Answer]:
    """The answers in a file, see `answers_of`. Raises AnswerError where there is none."""
    try:
        return answers_of(Path(path).read_text(encoding="utf-8"))
    except AnswerError as error:
        raise AnswerError(f"{path}: {error}") from None
    except OSError as error:
        raise AnswerError(
            f"{path}: cannot be read ({error.strerror or error}); expected an answer file (JSON)"
        ) from None
    except UnicodeDecodeError as error:
        raise AnswerError(f"{path}: cannot be read ({error}); expected JSON in UTF-8") from None
