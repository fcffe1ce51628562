"""A writer put to the test: its answers to prompts, and to questions with foreign works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from index.build import Notify, silent
from rag.answer.model import Answer
from rag.evaluation.abstention import cross
from rag.evaluation.report import MismatchedAnswers
from rag.pipeline import Pipeline
from rag.prompt import Prompt

__all__ = ["Trial", "try_writer"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one writer answered, by the names of the prompts; `crossed` to other prompts' works."""

    answers: Mapping[str, Answer]
    crossed: Mapping[str, Answer]
    unscored: tuple[str, ...]

    def foreign(self) -> MismatchedAnswers:
        """What the measures of abstention are taken from."""
        return MismatchedAnswers(tuple(self.crossed.values()), self.unscored)


def try_writer(
    pipeline: Pipeline, prompts: Mapping[str, Prompt], *, notify: Notify = silent
) -> Trial:
    """Answer each prompt, and each question with the works of another prompt."""
    names = list(prompts)
    asked = list(prompts.values())
    pairs = cross(asked)
    total = len(asked) + sum(1 for item in pairs if item.prompt)
    answers: dict[str, Answer] = {}
    crossed: dict[str, Answer] = {}
    for done, (name, prompt) in enumerate(prompts.items()):
        notify("answers", done, total, name)
        answers[name] = pipeline.ask(prompt)
    for item in pairs:
        if item.prompt is not None:
            notify("answers", len(answers) + len(crossed), total, f"{names[item.question]} crossed")
            crossed[names[item.question]] = pipeline.ask(item.prompt)
    unscored = tuple(asked[item.question].question for item in pairs if item.prompt is None)
    return Trial(answers, crossed, unscored)
