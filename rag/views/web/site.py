"""What the page is made over: the pipeline, opened once, the job_queue where prompts wait for it, the
kept answers, and the drawing and proving of them."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from markupsafe import Markup

from index.errors import AnswerError
from index.files import parts_of, sweep, write_atomically
from index.settings import Settings
from rag.answer.model import Answer, read_answer
from rag.answer.reextraction import Reextraction
from rag.answer.verify import Verification, verify
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.support import SupportChecker
from rag.views.highlight import Pictures, pictures_of
from rag.views.html import to_fragment, to_html
from rag.views.warnings import SupportWarning, find_support_warnings
from rag.views.web.jobs import Job, JobQueue, Seen, Shared

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


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an answer is shown with."""

    answer: Answer
    pictures: Pictures
    support_warnings: tuple[SupportWarning, ...]

    def fragment(self) -> Markup:
        """The answer as a part of a page: escaped where it was made."""
        return Markup(
            to_fragment(self.answer, self.pictures, support_warnings=self.support_warnings)
        )

    def document(self) -> str:
        """The answer as a file that needs no other."""
        return to_html(self.answer, self.pictures, support_warnings=self.support_warnings)


def draw(answer: Answer, settings: Settings, checker: SupportChecker) -> Drawn:
    """Draw the pages and look for support_warnings, which takes seconds."""
    return Drawn(answer, pictures_of(answer, settings), find_support_warnings(answer, checker))


PLACES = 100
"""Prompts that may wait, unless the user says otherwise."""
WATCHERS = 200
"""Open event streams; whoever comes after them looks again by itself."""
GRACE = 3.0
"""Seconds that work in hand is given to come to an end."""


class Site:
    """Everything the routes speak to. `close` ends it."""

    def __init__(
        self,
        pipeline: Pipeline,
        open_checker: Callable[[], SupportChecker],
        *,
        places: int = PLACES,
    ) -> None:
        self._pipeline = pipeline
        # Opened when the first answer is drawn, and then kept.
        self._checker = cache(open_checker)
        self.store = AnswerStore(pipeline.settings.data_dir / "answers")
        self.job_queue = JobQueue(self._answer, places=places)
        self._drawn = Shared(self._draw, places=places, kept=4)
        self.verified = Shared(self._verify, places=places)
        self.closing = False
        self.watchers = 0

    def ask(self, prompt: Prompt) -> str:
        """Let `prompt` wait for its turn; the name of its answer. Raises QueueFullError."""
        job = Job(new_id(), prompt)
        self.job_queue.put(job)
        return job.id

    def look(self, job: Job) -> Callable[[int], Seen]:
        """What a reader sees of `job`, from an offset of its text on."""
        return lambda since: job.seen(since, self.job_queue.ahead(job))

    async def close(self) -> bool:
        """Begin nothing more, and wait a little for what is in hand. Whether it came to an end."""
        self.closing = True
        self._drawn.close()
        self.verified.close()
        until = time.monotonic() + GRACE
        rests = await asyncio.to_thread(self.job_queue.close, GRACE)
        while time.monotonic() < until and not (self._drawn.at_rest and self.verified.at_rest):
            await asyncio.sleep(0.05)
        return rests and self._drawn.at_rest and self.verified.at_rest

    def kept(self, answer_id: str) -> Answer:
        """The answer of this name. Raises AnswerError where there is none that can be read."""
        answer = self.store.load(answer_id)
        if answer is None:
            raise AnswerError(f"{answer_id} is not kept any more")
        return answer

    async def drawn(self, answer_id: str) -> Drawn:
        """The answer as it is shown. Raises QueueFullError, and AnswerError as `kept` does."""
        # Drawn anew when its file changes.
        return await self._drawn.of(f"{answer_id} {self.store.stamp(answer_id)}")

    def glance(self, answer_id: str) -> tuple[str, str]:
        """The question of an answer and the name of its writer; ("", why) where it is damaged."""
        try:
            answer = self.kept(answer_id)
        except AnswerError as error:
            return "", str(error)
        return answer.prompt.question, answer.writer.name

    def _answer(self, job: Job) -> None:
        answer = self._pipeline.ask(job.prompt, notify=job.notify, stream=job.write)
        self.store.save(job.id, answer)

    def _draw(self, key: str) -> Drawn:
        return draw(self.kept(key.partition(" ")[0]), self._pipeline.settings, self._checker())

    def _verify(self, answer_id: str) -> Verification:
        # A reextraction of its own: what is proved is what is kept now, and nothing stays in memory.
        answer = self.kept(answer_id)
        return verify(answer, Reextraction(self._pipeline.settings).ahead(answer.sources))
