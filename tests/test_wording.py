"""Which sentences can stand before a reader, and the tasks they name."""

from __future__ import annotations

import pytest

from rag.selection.candidates import readable, standalone_score
from rag.selection.wording import tasks_meant, tasks_named, without_connective


def test_a_connective_is_removed() -> None:
    assert without_connective("Moreover, lamps read.") == "Lamps read."


@pytest.mark.parametrize(
    "sentence",
    [
        "where x is the number of lamps that are lit in the evening.",
        "The number of lamps = 4 in every room of the whole house.",
        "Run the script to light all of the lamps in the house.",
        "This work was supported in part by the lamp makers of the town.",
        "Too short.",
        "No full stop at the end of this sentence about many lamps",
    ],
)
def test_not_readable(sentence: str) -> None:
    assert not readable(sentence)


def test_standalone_score_falls_with_each_reference() -> None:
    alone = "The lamp reads every page of the book that lies before it."
    leaning = "It reads every page of the book that lies before the lamp."
    pointing = "The lamp reads every page of the book, as shown in Figure 2."
    assert readable(alone)
    assert standalone_score(alone) > standalone_score(pointing) > standalone_score(leaning)


def test_tasks_named_and_tasks_meant() -> None:
    question = "I rubbed a lamp post out of my picture. Where do the bricks come from?"
    assert [task.name for task in tasks_meant(question)] == ["image inpainting"]
    assert [task.name for task in tasks_named("Image inpainting fills holes.")] == [
        "image inpainting"
    ]
    assert not tasks_named("The lamp post is old.")
