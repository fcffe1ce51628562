"""Files that are whole or absent: written beside and renamed into place, sealed by a checksum.

A sealed file is its content followed by `\\n` and the SHA-256 of the content in hex. It exists
under its name only when it is complete, and a changed byte anywhere is noticed on reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path

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


def seal(path: Path, content: bytes) -> None:
    """Write `content` with its checksum, atomically."""
    data = content + b"\n" + hashlib.sha256(content).hexdigest().encode()
    write_atomically(path, data, parts=parts_of(path.parent))


def unseal(path: Path) -> bytes:
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
