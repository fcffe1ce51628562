"""`rag index`, killed at any moment and run again, leaves the index of an undisturbed run."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from tests.parts.interrupted import SOURCES, interruptible, kept, lost


def test_killed_at_random_moments_and_run_again_it_is_the_same(
    encoder_folder: Path, tmp_path: Path
) -> None:
    moment = random.Random(0)
    with interruptible(tmp_path / "papers", encoder_folder) as runs:
        assert runs.run(tmp_path / "undisturbed") == 0
        whole = kept(tmp_path / "undisturbed")
        assert len([name for name in whole if name.endswith(".segment")]) == SOURCES
        interrupted = 0
        for number in range(4):
            data_dir = tmp_path / str(number)
            for _ in range(2):
                before = kept(data_dir).keys() & whole.keys()
                files = moment.randrange(min(len(before), len(whole) - 1), len(whole))
                killed = runs.run(data_dir, files=files, delay=moment.random() / 50)
                assert killed in {0, -signal.SIGKILL}
                assert not lost(data_dir, whole), "a killed run leaves whole files or none"
                assert before <= kept(data_dir).keys(), "what was there stays"
                interrupted += kept(data_dir) != whole
            assert runs.run(data_dir) == 0
            assert kept(data_dir) == whole
        assert interrupted >= 4
