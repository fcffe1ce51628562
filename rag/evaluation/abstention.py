"""Line 5: whether an answer says nothing where there is nothing to say, and only there.

The test set is made of the prompts themselves: the question of one is put to the works of
another. That they do not bear on it is taken for granted; works of one field may bear a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.answer.model import Answer
from rag.evaluation.outcomes import ItemScore, Measure
from rag.prompt import Prompt
from rag.writers.base import NOT_SAID

__all__ = ["Mismatched", "abstention", "cross"]


@dataclass(frozen=True, slots=True)
class Mismatched:
    """The question of prompt `question` with the works of prompt `works`; `prompt` None where no
    other prompt lists works that it does not list itself."""

    question: int
    works: int | None
    prompt: Prompt | None


def cross(prompts: Sequence[Prompt]) -> list[Mismatched]:
    """For each prompt the next one, in order and around, that shares no source with it."""
    found = []
    for at, prompt in enumerate(prompts):
        own = set(prompt.catalog.source_ids)
        order = [(at + step) % len(prompts) for step in range(1, len(prompts))]
        other = next(
            (number for number in order if not own & set(prompts[number].catalog.source_ids)), None
        )
        made = None
        if other is not None:
            made = Prompt.build(
                prompt.question,
                recommended=prompts[other].recommended,
                related=prompts[other].related,
                requests=prompt.requests,
            )
        found.append(Mismatched(at, other, made))
    return found


def abstention(
    own: Sequence[Answer], crossed: Sequence[Answer], unscored: Sequence[str] = ()
) -> list[Measure]:
    """False refusals among `own` answers, false answers among `crossed` ones; `unscored` are
    questions for which there were no foreign works."""
    refused, answered, parts = [], [], []
    for answer in own:
        read = any(not source.reason for source in answer.sources)
        refused += [
            ItemScore(answer.prompt.question, float(not says) if read else None)
            for says in _says(answer)
        ]
    for answer in crossed:
        said = _says(answer)
        answered.append(ItemScore(answer.prompt.question, float(any(said))))
        parts += [ItemScore(answer.prompt.question, float(says)) for says in said]
    answered += [ItemScore(question, None) for question in unscored]
    return [
        Measure("false_refusals", 5, "false refusals", "lower", tuple(refused),
                "of the four parts (task, input, model, output) of answers with their own works"),
        Measure("false_answers", 5, "false answers", "lower", tuple(answered),
                "of the questions put to another prompt's works: any part answered"),
        Measure("false_parts", 5, "parts answered falsely", "lower", tuple(parts),
                "of the four parts of those answers"),
    ]  # fmt: skip


def _says(answer: Answer) -> list[bool]:
    """For each part whether it says more than that nothing is said."""
    flow = answer.workflow
    return [
        any(statement.text != NOT_SAID for statement in part)
        for part in (answer.task, flow.input, flow.model, flow.output)
    ]
