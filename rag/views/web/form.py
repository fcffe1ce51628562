"""A prompt as a form has it: a question and works, field by field, with an error beside each field
that cannot be read. Nothing that was typed is lost or changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from index.catalog import Role
from index.errors import PromptError
from index.links import parse_github_link, parse_paper_link
from rag.prompt import Prompt

MAX_WORKS = 50
FIELDS = ("name", "role", "paper", "github", "summary")

_SAMPLE = {"model": "A work", "paper": "https://arxiv.org/abs/2401.00001"}


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
    def blank(self) -> bool:
        """Whether nothing was typed."""
        return not (self.name.strip() or self.readable)

    @property
    def readable(self) -> bool:
        """Whether there is a link or a summary."""
        return any(text.strip() for text in (self.paper, self.github, self.summary))

    @property
    def listed_as(self) -> Role:
        """The heading of the prompt document that the work stands under."""
        return "related" if self.role == "related" else "recommended"

    @property
    def mapping(self) -> dict[str, str | None]:
        """The work as `Prompt.build` takes it."""
        return {
            "model": " ".join(self.name.split()),
            "paper": self.paper.strip(),
            "github": self.github.strip(),
            "summary": self.summary,
        }


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
        works = tuple(
            WorkFields(
                item.name,
                item.role,
                item.paper.written if item.paper else "",
                item.github.written if item.github else "",
                item.summary or "",
            )
            for item in prompt.listings[:MAX_WORKS]
        )
        return cls(prompt.question, works)

    def with_work(self) -> PromptForm:
        """The same with room for one more work."""
        return replace(self, works=(*self.works, WorkFields(role=self.works[-1].role))[:MAX_WORKS])

    def without_work(self, number: int) -> PromptForm:
        """The same without the work of this number, counted from 0."""
        works = self.works[:number] + self.works[number + 1 :]
        return replace(self, works=works or (WorkFields(),))

    def read(self) -> Prompt | PromptForm:
        """The prompt, or the form with an error beside every field that is to blame."""
        works = tuple(
            work if work.blank else replace(work, errors=_work_errors(work)) for work in self.works
        )
        errors = {}
        if not self.question.strip():
            errors["question"] = "The question is missing."
        elif problem := _problem(lambda: Prompt.build(self.question, recommended=[_SAMPLE])):
            errors["question"] = problem
        if not any(work.readable for work in works):
            errors["works"] = "There is nothing to read. List a work with a link or a summary."
        if not errors and not any(work.errors for work in works):
            try:
                return _build(self.question, [work for work in works if not work.blank])
            except PromptError as error:
                errors["works"] = str(error)
        return replace(self, works=works, errors=errors)


def _build(question: str, works: Sequence[WorkFields]) -> Prompt:
    return Prompt.build(
        question,
        recommended=[work.mapping for work in works if work.listed_as == "recommended"],
        related=[work.mapping for work in works if work.listed_as == "related"],
    )


def _work_errors(work: WorkFields) -> dict[str, str]:
    """What is wrong with each field of a work on its own."""
    errors = {
        "name": "" if work.name.strip() else "The name is missing.",
        "paper": _problem(lambda: parse_paper_link(work.paper.strip())),
        "github": _problem(lambda: parse_github_link(work.github.strip())),
    }
    if not any(errors.values()):
        # What is left can only be a text that a document would read as something else.
        errors["name"] = _problem(lambda: _build("A question?", [replace(work, summary="")]))
    if not any(errors.values()):
        errors["summary"] = _problem(lambda: _build("A question?", [work]))
    return {name: problem for name, problem in errors.items() if problem}


def _problem(attempt: Callable[[], object]) -> str:
    """The PromptError of `attempt` as a sentence; "" where it succeeds."""
    try:
        attempt()
    except PromptError as error:
        return error.message[:1].upper() + error.message[1:] + "."
    return ""
