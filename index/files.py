"""Files of JSON lines that are only ever appended to, by several processes at once.

A line is one entry. Whatever a kill or a full disk may leave, every whole line counts and no torn
one does.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from index.errors import SegmentError

_SEAL = 65  # "\n" and 64 hex digits

ABANDONED = 3600.0
"""Seconds after which a half-written file belongs to nobody who still writes."""


def parts_of(folder: Path) -> Path:
    """Where files for `folder` are written before they are renamed into it: a folder of its own,
    so that to find what was left half written nobody has to list all that is whole."""
    return folder / ".parts"


def write_atomically(path: Path, data: bytes, *, parts: Path | None = None) -> None:
    """Make `path` hold exactly `data`, or, if killed at any moment, leave what was there. It is
    written in the folder `parts` first, which must be on the same disk; else beside `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = parts or path.parent
    beside.mkdir(exist_ok=True)
    part = beside / f".{secrets.token_hex(8)}.part"
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_checksummed(path: Path, content: bytes) -> None:
    """Write `content` with its checksum, atomically."""
    data = content + b"\n" + hashlib.sha256(content).hexdigest().encode()
    write_atomically(path, data, parts=parts_of(path.parent))


def read_checksummed(path: Path) -> bytes:
    """The content of a sealed file. Raises SegmentError where it is not what was sealed."""
    data = path.read_bytes()
    content = data[:-_SEAL]
    if data[-_SEAL:] != b"\n" + hashlib.sha256(content).hexdigest().encode():
        raise SegmentError(
            f"{path} is damaged: its checksum does not match. Run `rag index` to rebuild it."
        )
    return content


def sweep(folder: Path) -> None:
    """Remove what a killed writer left half written for `folder`; an hour old, so that nobody's
    work in hand is touched."""
    for part in parts_of(folder).glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


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
