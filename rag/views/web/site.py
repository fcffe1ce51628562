"""What the routes are made over: who answers, the queue before it, the stored answers, and the
rendering and verifying of them."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from index.catalog import FileLink
from index.errors import AnswerError
from index.files import parts_of, sweep, write_atomically
from index.links import store_file
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import Answer, read_answer
from rag.answer.verify import Reextraction, Verification, verify
from rag.support import SupportChecker
from rag.views.highlight import Pictures, pictures_of
from rag.views.markdown import SupportWarning, find_support_warnings
from rag.views.web.answering import Answering
from rag.views.web.jobs import Job, JobQueue, SingleFlight

PLACES = 100
"""Prompts that may wait, unless the user says otherwise."""
VERIFICATIONS = 100
"""Answers of which it is known that they were verified."""
WATCHERS = 200
"""Open event streams; a page that gets none is loaded again by its script."""
GRACE = 3.0
"""Seconds that running work has to end when the server ends."""

_ID = re.compile(r"(\d{8}T\d{9})Z-[0-9a-f]{10}", re.ASCII)


def new_id() -> str:
    """A unique name: the moment in UTC, to the millisecond, and a random part. Sorts by time."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03}Z-{secrets.token_hex(5)}"


def moment_of(answer_id: str) -> datetime:
    """When the answer of this name was asked for. Raises ValueError."""
    return datetime.strptime(answer_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _is_id(name: str) -> bool:
    with contextlib.suppress(ValueError):  # digits that are no moment
        return bool(_ID.fullmatch(name) and moment_of(name))
    return False


class AnswerStore:
    """The answers in one folder. A name that `new_id` could not have made names nothing, so that
    no path can be smuggled in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.is_dir():
            sweep(folder)

    def save(self, answer_id: str, answer: Answer) -> None:
        """Store `answer` atomically, where `sweep` finds what a kill leaves of it."""
        if not _is_id(answer_id):
            raise ValueError(f"{answer_id!r} is no name of an answer")
        path = self.folder / f"{answer_id}.json"
        write_atomically(path, answer.to_json().encode() + b"\n", parts=parts_of(self.folder))

    def path(self, answer_id: str) -> Path | None:
        """The file of an answer, or None where there is none."""
        path = self.folder / f"{answer_id}.json"
        return path if _is_id(answer_id) and path.is_file() else None

    def load(self, answer_id: str) -> Answer:
        """Raises AnswerError where there is none of this name, or a damaged one."""
        path = self.path(answer_id)
        if path is None:
            raise AnswerError(f"{answer_id} is not stored any more")
        return read_answer(path)

    def names(self) -> list[str]:
        """The names of all answers, the newest first."""
        files = self.folder.glob("*.json")
        return sorted((path.stem for path in files if _is_id(path.stem)), reverse=True)


@dataclass(frozen=True, slots=True)
class RenderedAnswer:
    """An answer with all that it is shown with."""

    answer: Answer
    pictures: Pictures
    support_warnings: tuple[SupportWarning, ...]

    def render(self, view: Callable[..., str]) -> str:
        """By `to_html`, as a file that needs no other, or `to_fragment`, as a part of a page."""
        return view(self.answer, self.pictures, support_warnings=self.support_warnings)


class Site:
    """The state behind the routes. `close` ends it."""

    def __init__(
        self,
        settings: Settings,
        answering: Answering,
        open_checker: Callable[[], SupportChecker],
        *,
        places: int = PLACES,
    ) -> None:
        self._settings = settings
        self._answering = answering
        self.writers = answering.writers
        # Opened when the first answer is rendered.
        self._checker = cache(open_checker)
        self.store = AnswerStore(settings.data_dir / "answers")
        self.job_queue = JobQueue(self._answer, places=places, at_once=answering.at_once)
        self._rendered = SingleFlight(self._render, places=places, cached=4)
        self._verified = SingleFlight(self._verify, places=places, cached=VERIFICATIONS)
        self.closing = False
        self.watchers = 0

    async def close(self) -> bool:
        """Begin nothing more, and wait a little for what runs. Whether it all ended."""
        self.closing = True
        self._rendered.close()
        self._verified.close()
        deadline = time.monotonic() + GRACE
        ended = await asyncio.to_thread(self.job_queue.close, GRACE)
        while not (idle := self._rendered.idle and self._verified.idle):
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(0.05)
        return ended and idle

    async def rendered(self, answer_id: str) -> RenderedAnswer:
        """Raises QueueFullError, and AnswerError as `store.load` does."""
        return await self._rendered.get(self._key(answer_id))

    async def verify(self, answer_id: str) -> None:
        """Verify the answer now. Raises as `rendered` does."""
        await self._verified.get(self._key(answer_id), again=True)

    def verification(self, answer_id: str) -> tuple[Verification, datetime] | None:
        """How the answer was last verified, and when, if that is known still."""
        return self._verified.known.get(self._key(answer_id))

    def upload(self, name: str, data: bytes) -> FileLink:
        """Store a file of a visitor's own. Raises LinkError."""
        return store_file(SourceStore(self._settings.sources), name, data)

    def _key(self, answer_id: str) -> str:
        """Another one when the answer's file changes."""
        path = self.store.path(answer_id)
        return f"{answer_id} {path.stat().st_mtime_ns if path else 0}"

    def _answer(self, job: Job) -> None:
        self.store.save(job.id, self._answering.answer(job))

    def _render(self, key: str) -> RenderedAnswer:
        answer = self.store.load(key.partition(" ")[0])
        pictures = pictures_of(answer, self._settings)
        return RenderedAnswer(answer, pictures, find_support_warnings(answer, self._checker))

    def _verify(self, key: str) -> tuple[Verification, datetime]:
        answer = self.store.load(key.partition(" ")[0])
        # A new re-extraction: the sources are read as they are now, and none stays in memory.
        document_of = Reextraction(self._settings).ahead(answer.sources)
        return verify(answer, document_of), datetime.now(UTC)
