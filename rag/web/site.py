"""What the page is made over: the pipeline, opened once, the desk where prompts wait for it, the
kept answers, and the drawing and proving of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import cache

from index.errors import AnswerError
from rag.answer import Answer
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.rereading import Rereading
from rag.support import SupportChecker
from rag.verification import Verification, verify
from rag.web.drawing import Drawn, draw
from rag.web.jobs import Desk, Job, Seen
from rag.web.shared import Shared
from rag.web.store import AnswerStore, new_id

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
        self.store = AnswerStore(pipeline.settings.home / "answers")
        self.desk = Desk(self._answer, places=places)
        self._drawn = Shared(self._draw, places=places, kept=4)
        self.verified = Shared(self._verify, places=places)
        self.closing = False
        self.watchers = 0

    def ask(self, prompt: Prompt) -> str:
        """Let `prompt` wait for its turn; the name of its answer. Raises QueueFullError."""
        job = Job(new_id(), prompt)
        self.desk.put(job)
        return job.id

    def look(self, job: Job) -> Callable[[int], Seen]:
        """What a reader sees of `job`, from an offset of its text on."""
        return lambda since: job.seen(since, self.desk.ahead(job))

    async def close(self) -> bool:
        """Begin nothing more, and wait a little for what is in hand. Whether it came to an end."""
        self.closing = True
        self._drawn.close()
        self.verified.close()
        until = time.monotonic() + GRACE
        rests = await asyncio.to_thread(self.desk.close, GRACE)
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
        # A rereading of its own: what is proved is what is kept now, and nothing stays in memory.
        answer = self.kept(answer_id)
        return verify(answer, Rereading(self._pipeline.settings).ahead(answer.sources))
