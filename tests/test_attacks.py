"""The short form of `make hostile`: each attack a few times, and not one fault."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.attacks import Tally, table
from tests.attacks.entries import ENTRIES, target_in


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if entry.short])
def test_what_is_tried_holds(name: str, tmp_path: Path) -> None:
    tally = Tally()
    ENTRIES[name].attack(target_in(tmp_path), ENTRIES[name].short, random.Random(1), tally)
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
