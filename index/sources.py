"""Bytes on disk, kept once under their hash, and a ledger of every attempt to get them.

Knows nothing of networks: fetching is `index.fetch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Tier = Literal["full text", "readme", "summary"]


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


class SourceStore:
    """`folder` holds `<sha256>` files and `ledger.jsonl`, which is only ever appended to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

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
        already the newest entry writes nothing."""
        raise NotImplementedError

    def fail(self, source_id: str, origin: str, reason: str) -> Attempt:
        """Write down that the bytes did not come, and why."""
        raise NotImplementedError

    def get(self, source_id: str) -> Source | None:
        """The newest source under this id whose bytes are still here and intact in size."""
        raise NotImplementedError

    def find(self, source_id: str, sha256: str) -> Source | None:
        """The source under this id that has this hash, newest or not."""
        raise NotImplementedError

    def read(self, source: Source) -> bytes:
        """The bytes, checked against their hash. Raises SourceError where they were changed."""
        raise NotImplementedError

    def failure(self, source_id: str) -> Attempt | None:
        """The newest attempt, where it failed."""
        raise NotImplementedError
