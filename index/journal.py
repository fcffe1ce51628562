"""Files of JSON lines that are only ever appended to, by several processes at once.

A line is one entry. Whatever a kill or a full disk may leave, every whole line counts and no torn
one does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

Entry = TypeVar("Entry")


def append(path: Path, entry: str) -> None:
    """Append one line by one unbuffered write, which O_APPEND keeps whole among processes.

    No lock is needed: where two processes mend the same torn line at once, or mistake a line being
    written for a torn one, an empty line is all that comes of it.
    """
    line = entry.encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end:
            os.lseek(descriptor, end - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                line = b"\n" + line
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{path}: the entry could not be written whole: disk full?")
    finally:
        os.close(descriptor)


def read(path: Path, parse: Callable[[bytes], Entry]) -> list[Entry]:
    """The entries of a file, oldest first; none where there is no file. A line that `parse`
    refuses by a ValueError is skipped with a warning. What follows the last line end is a torn
    line, or one that another process is writing this moment: it counts if it is whole already."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    *lines, tail = data.split(b"\n")
    entries: list[Entry] = []
    for line in lines:
        # A torn line is mended by ending it, which can leave an empty one.
        if not line.strip():
            continue
        try:
            entries.append(parse(line))
        except ValueError:
            log.warning("%s: skipped a line that is no entry: %.80r", path, line)
    if tail:
        try:
            entries.append(parse(tail))
        except ValueError:
            log.info("%s: the last line is not whole", path)
    return entries
