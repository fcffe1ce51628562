"""`make hostile`: the long form, as a table in Markdown. `python -m tests.attacks kills=10` tries
only what is named, as often; `seed=1` is another chance than 0. A signal ends it with the table of
what was tried until then."""

from __future__ import annotations

import contextlib
import logging
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.attacks import Tally, table
from tests.attacks.entries import ENTRIES, target_in


def main(chosen: list[str]) -> int:
    """The number of faults."""
    logging.disable()
    counts = {name: entry.long for name, entry in ENTRIES.items()}
    named = dict(each.partition("=")[::2] for each in chosen)
    seed = int(named.pop("seed", 0))
    if named:
        counts = {name: int(named[name] or counts[name]) for name in named}
    tallies = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        for name, count in counts.items():
            target = target_in(Path(folder) / name.replace(" ", "-"))
            tallies[name] = Tally()
            ENTRIES[name].attack(target, count, random.Random(seed), tallies[name])
            sys.stderr.write(f"{name}: {dict(tallies[name].outcomes)}\n")
    sys.stdout.write(table(tallies) + "\n")
    return sum(len(tally.faults) for tally in tallies.values())


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
