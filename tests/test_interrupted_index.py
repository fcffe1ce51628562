"""`rag index`, killed at any moment and run again, leaves the index of an undisturbed run."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.interrupted import SOURCES, Runs, interruptible, kept, lost


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Iterator[Runs]:
    with interruptible(tmp_path_factory.mktemp("papers"), encoder_folder) as runs:
        yield runs


@pytest.fixture(scope="module")
def undisturbed(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a run that was not interrupted."""
    data_dir = tmp_path_factory.mktemp("undisturbed")
    assert runs.run(data_dir) == 0
    assert len(list(data_dir.glob("index/*.segment"))) == SOURCES
    return data_dir


def test_killed_at_ten_random_moments_and_run_again_it_is_the_same(
    runs: Runs, undisturbed: Path, tmp_path: Path
) -> None:
    whole = kept(undisturbed)
    moment = random.Random(0)
    interrupted = 0
    for number in range(10):
        data_dir = tmp_path / str(number)
        killed = runs.run(data_dir, files=moment.randrange(len(whole)), delay=moment.random() / 50)
        assert killed in {0, -signal.SIGKILL}
        assert not lost(data_dir, whole), "a killed run leaves whole files or none"
        interrupted += kept(data_dir) != whole
        assert runs.run(data_dir) == 0
        assert kept(data_dir) == whole
    assert interrupted >= 5


def test_killed_again_and_again_it_comes_to_its_end(
    runs: Runs, undisturbed: Path, tmp_path: Path
) -> None:
    whole = kept(undisturbed)
    grown = [0]
    for part in (0.5, 0.7, 0.9):
        assert runs.run(tmp_path, files=int(part * len(whole))) in {0, -signal.SIGKILL}
        grown.append(len(kept(tmp_path)))
    assert grown == sorted(grown)
    assert runs.run(tmp_path) == 0
    assert kept(tmp_path) == whole
