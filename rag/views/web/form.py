"""A prompt as forms have it: a question and links, or works field by field, with an error beside
each field that cannot be read. Nothing that was typed is lost or changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from index.catalog import FileLink, Role
from index.errors import LinkError, PromptError
from index.links import is_file_name, parse_github_link, parse_paper_link
from rag.parsing import HEADINGS
from rag.prompt import Prompt, Work, works_at

MAX_WORKS = 50
FIELDS = ("name", "role", "paper", "github", "summary")


@dataclass(frozen=True, slots=True)
class LinksForm:
    """A question and what may answer it: `links`, one on each line, and those works of an
    `earlier` prompt whose numbers, counted from 0, are `kept`. `errors` maps "question", "links"
    and "files" to what is wrong there."""

    question: str = ""
    links: str = ""
    earlier: Prompt | None = None
    kept: frozenset[int] = frozenset()
    errors: dict[str, str] = field(default_factory=dict)

    def read(self) -> Prompt | LinksForm:
        """The prompt, or the form with an error beside every field that is to blame."""
        lines = [line for line in self.links.splitlines() if line.strip()]
        earlier = self.earlier.listings if self.earlier else ()
        works = [item for number, item in enumerate(earlier) if number in self.kept]
        errors = self.errors | {"question": _question_problem(self.question)}
        try:
            works += works_at(lines[:MAX_WORKS], _no_files)
        except LinkError as error:
            errors["links"] = _sentence(error)
        if not works and not any(errors.values()):
            errors["links"] = "There is nothing to read. Give a link, or choose a file."
        if len(works) > MAX_WORKS or len(lines) > MAX_WORKS:
            errors["links"] = f"These are too many works: at most {MAX_WORKS} can be read at once."
        if not any(errors.values()):
            try:
                return _of_works(self.question, [(work.role, work) for work in works])
            except PromptError as error:
                errors["links"] = _sentence(error)
        return replace(self, errors={name: it for name, it in errors.items() if it})


def _no_files(link: str) -> list[FileLink]:
    """The page reads no file by its name: that would be one of the server's."""
    if is_file_name(link) or "/" not in link:
        raise LinkError(
            f"found {link[:100]!r}; expected the address or id of a paper on arXiv (2404.13784) or "
            "of a repository on GitHub (OWNER/NAME); files are chosen below"
        )
    return []


@dataclass(frozen=True, slots=True)
class WorkFields:
    """One work as typed. `errors` maps the name of a field to what is wrong with it."""

    name: str = ""
    role: str = "recommended"
    paper: str = ""
    github: str = ""
    summary: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def readable(self) -> bool:
        """Whether there is a link or a summary."""
        return bool((self.paper + self.github + self.summary).strip())

    @property
    def listed_as(self) -> Role:
        """The heading of the prompt document that the work stands under."""
        return next((role for role in HEADINGS if role == self.role), "recommended")

    def check(self) -> dict[str, str]:
        """What is wrong with each field of the work on its own."""
        errors = {
            "name": ""
            if (self.name + self.paper + self.github).strip()
            else "A work without a link needs a name.",
            "paper": _problem(parse_paper_link, self.paper.strip()),
            "github": _problem(parse_github_link, self.github.strip()),
        }
        if not any(errors.values()):
            # What is left can only be a text that a document would read as something else.
            errors["name"] = _problem(_build, "A question?", [replace(self, summary="")])
        if not any(errors.values()):
            errors["summary"] = _problem(_build, "A question?", [self])
        return {name: problem for name, problem in errors.items() if problem}


@dataclass(frozen=True, slots=True)
class PromptForm:
    """The whole form as typed. `errors` maps "question" and "works" to what is wrong there."""

    question: str = ""
    works: tuple[WorkFields, ...] = (WorkFields(),)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, question: str, columns: Sequence[Sequence[str]]) -> PromptForm:
        """From the fields of a request; `columns` holds every value of each of FIELDS. Columns of
        unequal length come from no form of this server: what is left over is dropped."""
        rows = list(zip(*columns, strict=False))[:MAX_WORKS]
        return cls(question, tuple(WorkFields(*row) for row in rows) or (WorkFields(),))

    @classmethod
    def of_prompt(cls, prompt: Prompt) -> PromptForm:
        """The form that `prompt` would have been typed into."""
        works = (
            WorkFields(
                item.name,
                item.role,
                item.paper.written if item.paper else "",
                item.github.written if item.github else "",
                item.summary or "",
            )
            for item in prompt.listings[:MAX_WORKS]
        )
        return cls(prompt.question, tuple(works))

    def with_work(self) -> PromptForm:
        """The same with room for one more work."""
        return replace(self, works=(*self.works, WorkFields(role=self.works[-1].role))[:MAX_WORKS])

    def without_work(self, number: int) -> PromptForm:
        """The same without the work of this number, counted from 0."""
        works = self.works[:number] + self.works[number + 1 :]
        return replace(self, works=works or (WorkFields(),))

    def read(self) -> Prompt | PromptForm:
        """The prompt, or the form with an error beside every field that is to blame."""
        typed = [work for work in self.works if work.name.strip() or work.readable]
        works = tuple(replace(it, errors=it.check()) if it in typed else it for it in self.works)
        errors = {"question": _question_problem(self.question), "works": ""}
        if not any(work.readable for work in works):
            errors["works"] = "There is nothing to read. List a work with a link or a summary."
        if not any(errors.values()) and not any(work.errors for work in works):
            try:
                return _build(self.question, typed)
            except PromptError as error:
                errors["works"] = str(error)
        return replace(self, works=works, errors={name: it for name, it in errors.items() if it})


def _build(question: str, works: Sequence[WorkFields]) -> Prompt:
    fields = (
        {
            "model": " ".join(work.name.split()),
            "paper": work.paper.strip(),
            "github": work.github.strip(),
            "summary": work.summary,
        }
        for work in works
    )
    return _of_works(question, list(zip((work.listed_as for work in works), fields, strict=True)))


def _of_works(question: str, works: Sequence[tuple[Role, Work]]) -> Prompt:
    recommended, given, related = (
        [work for listed_as, work in works if listed_as == role] for role in HEADINGS
    )
    return Prompt.build(question, recommended=recommended, given=given, related=related)


def _question_problem(question: str) -> str:
    if not question.strip():
        return "The question is missing."
    return _problem(_build, question, [WorkFields("A work", summary="It works.")])


def _problem(attempt: Callable[..., object], *arguments: Any) -> str:
    """The PromptError of a call as a sentence; "" where it succeeds."""
    try:
        attempt(*arguments)
    except PromptError as error:
        return _sentence(error)
    return ""


def _sentence(error: PromptError) -> str:
    return error.message[:1].upper() + error.message[1:] + "."
