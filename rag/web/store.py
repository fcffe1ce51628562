"""Answers as files, one each, named by when they were asked for."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from index.sealed import parts_of, sweep, write_atomically
from rag.answer import Answer, read_answer

_ID = re.compile(r"(\d{8}T\d{9})Z-[0-9a-f]{10}", re.ASCII)


def new_id() -> str:
    """A name nobody else has: the moment in UTC, to the millisecond, and some chance. Names sort
    by time."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{secrets.token_hex(5)}"


def moment_of(answer_id: str) -> datetime:
    """When the answer of this name was asked for."""
    return datetime.strptime(answer_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _is_id(name: str) -> bool:
    """Whether `new_id` could have made this name: the form of a moment is not yet a moment."""
    if not _ID.fullmatch(name):
        return False
    try:
        moment_of(name)
    except ValueError:
        return False
    return True


class AnswerStore:
    """The answers in one folder. A name that `new_id` could not have made names nothing, so that
    no path can be smuggled in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if folder.is_dir():
            sweep(folder)

    def save(self, answer_id: str, answer: Answer) -> None:
        """Keep `answer`, whole or not at all."""
        path = self._path(answer_id)
        if path is None:
            raise ValueError(f"{answer_id!r} is no name of an answer")
        data = answer.to_json().encode() + b"\n"
        # Where `sweep` finds what a kill leaves of it.
        write_atomically(path, data, parts=parts_of(self._folder))

    def load(self, answer_id: str) -> Answer | None:
        """The answer, or None where there is none. Raises AnswerError where it is damaged."""
        path = self._path(answer_id)
        return read_answer(path) if path and path.is_file() else None

    def holds(self, answer_id: str) -> bool:
        """Whether there is an answer of this name."""
        path = self._path(answer_id)
        return path is not None and path.is_file()

    def stamp(self, answer_id: str) -> int:
        """Another number after the file of an answer was changed; 0 where there is none."""
        path = self._path(answer_id)
        return path.stat().st_mtime_ns if path and path.is_file() else 0

    def names(self) -> list[str]:
        """The names of all answers, the newest first."""
        if not self._folder.is_dir():
            return []
        files = (path for path in self._folder.iterdir() if path.suffix == ".json")
        return sorted((path.stem for path in files if _is_id(path.stem)), reverse=True)

    def _path(self, answer_id: str) -> Path | None:
        return self._folder / f"{answer_id}.json" if _is_id(answer_id) else None
