"""Bytes on disk, kept once under their hash, and a ledger of every attempt to get them.

Knows nothing of networks: fetching is `index.fetch`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from index.errors import SourceError

log = logging.getLogger(__name__)

Tier = Literal["full text", "readme", "summary"]

_TIERS: dict[str, Tier] = {"arxiv": "full text", "github": "readme", "summary": "summary"}


def tier_of(source_id: str) -> Tier:
    """The tier of a source, which its id tells. Raises ValueError for what is no source id."""
    try:
        return _TIERS[source_id.split(":", 1)[0]]
    except KeyError:
        raise ValueError(f"not a source id: {source_id!r}") from None


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes that were fetched, and where they came from. `version` is the arXiv version
    (`v4`) or the commit, None where the origin does not say."""

    id: str
    tier: Tier
    media_type: str
    sha256: str
    size: int
    origin: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ledger entry. `reason` is "" exactly when the bytes came; `when` is ISO 8601 in UTC."""

    source_id: str
    when: str
    origin: str
    reason: str = ""
    source: Source | None = None

    def to_json(self) -> str:
        """One line of ASCII without its line end, so that a cut anywhere is found as a cut."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> Attempt:
        """The inverse of `to_json`. Raises ValueError for anything else."""
        try:
            raw: dict[str, Any] = json.loads(line)
            if raw["source"] is not None:
                raw["source"] = Source(**raw["source"])
            attempt = cls(**raw)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a ledger entry: {error}") from error
        source = attempt.source
        # A hash is a file name: one that is none must not lead out of the folder.
        if (
            not isinstance(attempt.source_id, str)
            or bool(attempt.reason) is (source is not None)
            or (source and not re.fullmatch("[0-9a-f]{64}", str(source.sha256)))
        ):
            raise ValueError("not a ledger entry: the fields do not fit together")
        return attempt


def read_ledger(data: bytes) -> tuple[list[Attempt], int]:
    """The entries in `data`, and how many of its bytes they take up.

    What follows the last line end is a torn line, or one that another process is writing this
    moment: it is left for the next reading, unless it is whole already.
    """
    *lines, tail = data.split(b"\n")
    entries: list[Attempt] = []
    for line in lines:
        # A torn line is mended by ending it, which can leave an empty one.
        if not line.strip():
            continue
        try:
            entries.append(Attempt.from_json(line))
        except ValueError:
            log.warning("ledger: skipped a line that is no entry: %.80r", line)
    try:
        entries.append(Attempt.from_json(tail))
    except ValueError:
        return entries, len(data) - len(tail)
    return entries, len(data)


class SourceStore:
    """`folder` holds `<sha256>` files and `ledger.jsonl`, which is only ever appended to.

    Several processes may use one folder at once: bytes are written beside and renamed into
    place, an entry is a single appending write, and what others append is seen at the next call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ledger = folder / "ledger.jsonl"
        self._attempts: dict[str, list[Attempt]] = {}
        self._read_to = 0
        self._swept = False

    def put(
        self,
        source_id: str,
        data: bytes,
        *,
        tier: Tier,
        media_type: str,
        origin: str,
        version: str | None = None,
    ) -> Source:
        """Keep `data` (atomically, once per hash) and write the ledger entry. Putting what is
        already the newest entry writes nothing, except bytes that were lost or changed."""
        sha256 = hashlib.sha256(data).hexdigest()
        source = Source(source_id, tier, media_type, sha256, len(data), origin, version)
        self._keep(sha256, data)
        attempts = self.attempts(source_id)
        if not attempts or attempts[-1].source != source:
            self._append(Attempt(source_id, _now(), origin, source=source))
        return source

    def fail(self, source_id: str, origin: str, reason: str) -> Attempt:
        """Write down that the bytes did not come, and why."""
        if not reason:
            raise ValueError("a failure has a reason")
        attempt = Attempt(source_id, _now(), origin, reason)
        self._append(attempt)
        return attempt

    def get(self, source_id: str) -> Source | None:
        """The newest source under this id whose bytes are still here and intact in size."""
        for attempt in reversed(self.attempts(source_id)):
            source = attempt.source
            if source is not None and _size(self.folder / source.sha256) == source.size:
                return source
        return None

    def find(self, source_id: str, sha256: str) -> Source | None:
        """The source under this id that has this hash, newest or not."""
        for attempt in reversed(self.attempts(source_id)):
            if attempt.source is not None and attempt.source.sha256 == sha256:
                return attempt.source
        return None

    def read(self, source: Source) -> bytes:
        """The bytes, checked against their hash. Raises SourceError where they were changed."""
        path = self.folder / source.sha256
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(
                source.id, f"its kept bytes cannot be read ({error}); fetch it again"
            ) from error
        if hashlib.sha256(data).hexdigest() != source.sha256:
            raise SourceError(
                source.id, f"its kept bytes were changed on disk; delete {path} and fetch it again"
            )
        return data

    def failure(self, source_id: str) -> Attempt | None:
        """The newest attempt, where it failed."""
        attempts = self.attempts(source_id)
        return attempts[-1] if attempts and attempts[-1].reason else None

    def attempts(self, source_id: str) -> tuple[Attempt, ...]:
        """Every attempt for this id, oldest first."""
        self._catch_up()
        return tuple(self._attempts.get(source_id, ()))

    def _catch_up(self) -> None:
        """Read what was appended since the last reading, by whichever process."""
        size = _size(self._ledger) or 0
        if size == self._read_to:
            return
        if size < self._read_to:  # somebody deleted the ledger, or put back an older one
            self._attempts.clear()
            self._read_to = 0
        with self._ledger.open("rb") as file:
            file.seek(self._read_to)
            entries, length = read_ledger(file.read())
        self._read_to += length
        for attempt in entries:
            self._attempts.setdefault(attempt.source_id, []).append(attempt)

    def _append(self, attempt: Attempt) -> None:
        """Append one line by one unbuffered write, which O_APPEND keeps whole among processes.

        No lock is needed: where two processes mend the same torn line at once, or mistake a
        line being written for a torn one, an empty line is all that comes of it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        line = attempt.to_json().encode() + b"\n"
        descriptor = os.open(self._ledger, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end:
                os.lseek(descriptor, end - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":
                    line = b"\n" + line
            if os.write(descriptor, line) != len(line):
                raise OSError(f"{self._ledger}: the entry could not be written whole: disk full?")
        finally:
            os.close(descriptor)

    def _keep(self, sha256: str, data: bytes) -> None:
        """Write the bytes unless they are there, unchanged."""
        path = self.folder / sha256
        if _size(path) == len(data) and path.read_bytes() == data:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        part = self.folder / f"{sha256}.{secrets.token_hex(4)}.part"
        try:
            part.write_bytes(data)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _sweep(self) -> None:
        """Remove what killed processes left half written; an hour old, so that nobody's work in
        hand is touched."""
        if self._swept:
            return
        self._swept = True
        for part in self.folder.glob("*.part"):
            try:
                if time.time() - part.stat().st_mtime > 3600:
                    part.unlink()
            except FileNotFoundError:  # another process swept it first
                continue


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
