"""The short form of `make hostile`: each attack a few times, and not one fault."""

from __future__ import annotations

import random

import pytest

from tests.attacks import Tally, Target, table
from tests.attacks.entries import ENTRIES, target_in


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return target_in(tmp_path_factory.mktemp("target"))


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.short])
def test_what_is_tried_holds(target: Target, name: str) -> None:
    tally = Tally()
    ENTRIES[name].attack(target, ENTRIES[name].short, random.Random(1), tally)
    assert tally.outcomes.total() >= ENTRIES[name].short
    assert tally.faults == []


def test_the_table_counts_outcomes_and_names_faults() -> None:
    tally = Tally()
    tally.add("held")
    tally.add("held")
    tally.fault("it fell")
    shown = table({"a thing": tally})
    assert "| a thing | 3 | 2 held, 1 FAULT |" in shown
    assert "- a thing: 'it fell'" in shown
