"""Files on disk that survive a kill: replaced atomically, checksummed, or only appended to."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import math
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import TypeVar

from index.errors import SegmentError

Entry = TypeVar("Entry")

log = logging.getLogger(__name__)

ABANDONED = 3600.0
"""Age in seconds from which an unfinished file is taken for one that a killed process left."""
_CHECKSUM = 65  # "\n" and 64 hex digits


def parts_of(folder: Path) -> Path:
    """Where files for `folder` are written before they are renamed into it: a folder of its own,
    so that unfinished files are found without listing all finished ones."""
    return folder / ".parts"


def write_output(path: Path, data: bytes) -> None:
    """Write a file that a user named, atomically where there is none yet, or a regular file of
    the user's own, whose permissions stay. A symbolic link is followed. What is anything else (a
    device, a pipe, a file of somebody else or with several names) is written into as it is."""
    with contextlib.suppress(FileNotFoundError):
        before = path.stat()
        own = before.st_uid == os.geteuid() and before.st_nlink == 1
        # What is reached through these folders may be open already, as standard output is.
        is_open = any(map(path.absolute().is_relative_to, ("/dev", "/proc")))
        if not stat.S_ISREG(before.st_mode) or not own or is_open:
            with path.open("wb") as file:
                file.write(data)
            return
    write_atomically(Path(os.path.realpath(path)), data)


def write_atomically(path: Path, data: bytes, *, parts: Path | None = None) -> None:
    """Make `path` hold exactly `data`, or, if killed at any moment, leave what was there. It is
    written in the folder `parts` first, which must be on the same disk; else beside `path`. A
    file that is replaced gives its permissions to the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = parts or path.parent
    folder.mkdir(exist_ok=True)
    part = folder / f".{secrets.token_hex(8)}.part"
    try:
        mode = None
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(path.stat().st_mode)
        # Never readable to more people than the file is to be, not even while it is written.
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode or 0o666)
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sweep(*folders: Path) -> None:
    """Remove the unfinished files of killed processes. Younger ones than `ABANDONED` stay: another
    process may be writing them."""
    for part in chain.from_iterable(parts_of(folder).glob(".*.part") for folder in folders):
        with contextlib.suppress(FileNotFoundError):  # another process removed it first
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[float]:
    """One process after the other, by a lock on this file that ends with its process. Gives the
    seconds since the one before has done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield math.inf if is_new else max(0.0, time.time() - path.stat().st_mtime)
        os.utime(path)


def write_checksummed(path: Path, content: bytes) -> None:
    """Write `content` followed by its SHA-256, atomically."""
    data = content + b"\n" + hashlib.sha256(content).hexdigest().encode()
    write_atomically(path, data, parts=parts_of(path.parent))


def read_checksummed(path: Path) -> bytes:
    """The content of a checksummed file. Raises SegmentError where any byte was changed, added or
    lost."""
    data = path.read_bytes()
    content = data[:-_CHECKSUM]
    if data[-_CHECKSUM:] != b"\n" + hashlib.sha256(content).hexdigest().encode():
        raise SegmentError(
            f"{path} is damaged: its checksum does not match. Run `rag index` to rebuild it."
        )
    return content


def append(path: Path, entry: str) -> None:
    """Append one line by one unbuffered write, which O_APPEND keeps whole among processes.

    No lock is needed: where two processes end the same torn line, or mistake a line being written
    for a torn one, an empty line is the only effect.
    """
    line = entry.encode() + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        if end and os.pread(descriptor, 1, end - 1) != b"\n":
            line = b"\n" + line
        if os.write(descriptor, line) != len(line):
            raise OSError(f"{path}: the entry could not be written whole: disk full?")
    finally:
        os.close(descriptor)


def read(path: Path, parse: Callable[[bytes], Entry]) -> list[Entry]:
    """The entries of a file of lines, oldest first; [] where there is no file. A line that `parse`
    refuses by a ValueError is skipped with a warning. The last line may be torn, or be in the
    middle of being written: it counts if it can be parsed."""
    try:
        *lines, tail = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    entries: list[Entry] = []
    for line in filter(bytes.strip, lines):
        try:
            entries.append(parse(line))
        except ValueError:
            log.warning("%s: skipped a line that is no entry: %.80r", path, line)
    if tail:
        with contextlib.suppress(ValueError):
            entries.append(parse(tail))
    return entries
