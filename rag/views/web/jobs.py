"""Work that takes seconds and is asked for by several at once: done one piece after the other in a
thread of its own, and once for all who wait for the same."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from index.errors import RagError
from rag.prompt import Prompt

LOG = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed", "given up"]

KEPT_TEXT = 100_000
"""Characters of a text being written that are kept for readers; the answer has all of it."""
KEPT_ENDED = 20
"""Jobs without an answer that are remembered, so that their prompts can be asked again."""


class GivenUp(BaseException):
    """Ends the work on a job from inside. No Exception: a writer that goes on without a model
    whatever its model raises must not go on after this."""


class QueueFullError(RagError):
    """As many wait as may wait."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How far one stage of the work is; `total` may be 0 where there was nothing to do."""

    name: str
    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader sees of a job at one moment. `text` is what was written from offset `start`
    to `end`; `ahead` counts the jobs before it, the running one included."""

    state: State
    ahead: int
    stages: tuple[Stage, ...]
    text: str
    start: int
    end: int
    reason: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "failed", "given up")


class Job:
    """One prompt on its way to an answer. Written by one thread, read by many."""

    def __init__(self, job_id: str, prompt: Prompt) -> None:
        self.id = job_id
        self.prompt = prompt
        self.state: State = "waiting"
        self.reason = ""
        self._stages: dict[str, Stage] = {}
        self._text = ""
        self._dropped = 0
        self._lock = threading.Lock()
        self._given_up = threading.Event()

    def notify(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.progress.Notify`. Raises GivenUp where nobody wants the answer any more."""
        self._go_on()
        with self._lock:
            self._stages[stage] = Stage(stage, done, total, what)

    def write(self, text: str) -> None:
        """Take text as it is written. Raises GivenUp as `notify` does."""
        self._go_on()
        with self._lock:
            self._text += text
            if (over := len(self._text) - KEPT_TEXT) > 0:
                self._text = self._text[over:]
                self._dropped += over

    def seen(self, since: int, ahead: int) -> Seen:
        """The job as it is now, with the text from offset `since` on; from the first that is
        kept where `since` is no offset of the text."""
        with self._lock:
            end = self._dropped + len(self._text)
            start = since if self._dropped <= since <= end else self._dropped
            text = self._text[start - self._dropped :]
            stages = tuple(self._stages.values())
            return Seen(self.state, ahead, stages, text, start, end, self.reason)

    def give_up(self) -> None:
        """Ask for an end; it comes when the work next tells of itself."""
        self._given_up.set()

    def end(self, state: State, reason: str = "") -> None:
        """Say how it ended, and let go of what was only there to be watched."""
        with self._lock:
            self.state, self.reason = state, reason
            self._dropped += len(self._text)
            self._text = ""
            self._stages = {}

    def _go_on(self) -> None:
        if self._given_up.is_set():
            raise GivenUp


class JobQueue:
    """Answers one job after the other, in the order they came, in a thread of its own: models
    are not made for two threads. `answer` returns when the job's answer is kept."""

    def __init__(self, answer: Callable[[Job], None], *, places: int) -> None:
        self._answer = answer
        self._places = places
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._ended: OrderedDict[str, Job] = OrderedDict()
        self._closed = False
        self._changed = threading.Condition()
        # A daemon: a model in the middle of a long step cannot be told to stop.
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Let `job` wait for its turn. Raises QueueFullError where too many wait already."""
        with self._changed:
            if self._closed or len(self._waiting) >= self._places:
                raise QueueFullError(
                    f"{len(self._waiting)} questions are waiting already; ask again when some of "
                    "them are answered"
                )
            self._waiting.append(job)
            self._changed.notify()

    def find(self, job_id: str) -> Job | None:
        """The job, if it waits, runs, or ended without an answer a short while ago."""
        with self._changed:
            at_hand = [self._running, *self._waiting]
            found = next((job for job in at_hand if job and job.id == job_id), None)
            return found or self._ended.get(job_id)

    def ahead(self, job: Job) -> int:
        """How many come before `job`; 0 for one that does not wait."""
        with self._changed:
            if job not in self._waiting:
                return 0
            return self._waiting.index(job) + (self._running is not None)

    def at_hand(self) -> tuple[Job, ...]:
        """The running job and those that wait, in the order of their turns."""
        with self._changed:
            return tuple(job for job in (self._running, *self._waiting) if job)

    def give_up(self, job_id: str) -> None:
        """End a job that waits or runs; one that has ended already stays as it is."""
        with self._changed:
            if self._running and self._running.id == job_id:
                self._running.give_up()
            for job in [job for job in self._waiting if job.id == job_id]:
                self._waiting.remove(job)
                self._remember(job, "given up")

    def close(self, seconds: float) -> bool:
        """Take no more, give up what is at hand, and wait so long for the thread to see it.
        Whether it did."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            if self._running:
                self._running.give_up()
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            state, reason = self._outcome(job)
            with self._changed:
                self._running = None
                if state == "done":
                    job.end(state)
                else:
                    self._remember(job, state, reason)
            del job  # the answered prompt need not stay while nobody asks

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._running = job = self._waiting.popleft()
            job.state = "running"
            return job

    def _outcome(self, job: Job) -> tuple[State, str]:
        try:
            self._answer(job)
        except GivenUp:
            return "given up", ""
        except (RagError, OSError) as error:
            return "failed", str(error)
        except MemoryError:
            return "failed", "there is not enough memory for this answer"
        except Exception as error:  # one bad answer must not end all that follow it
            LOG.exception("the answer %s failed", job.id)
            return "failed", f"something unforeseen: {type(error).__name__}: {error}"
        return "done", ""

    def _remember(self, job: Job, state: State, reason: str = "") -> None:
        job.end(state, reason)
        self._ended[job.id] = job
        while len(self._ended) > KEPT_ENDED:
            self._ended.popitem(last=False)


Result = TypeVar("Result")


class Shared(Generic[Result]):
    """`work(key)` for whoever awaits `of(key)`. At most `places` keys are in hand at once; the
    newest `kept` results are remembered. Used from one event loop."""

    def __init__(self, work: Callable[[str], Result], *, places: int, kept: int = 0) -> None:
        self._work = work
        self._places = places
        self._kept = kept
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._promised: dict[str, asyncio.Future[Result]] = {}
        self._in_hand: set[Future[Result]] = set()
        self._pool = ThreadPoolExecutor(max_workers=1)

    async def of(self, key: str) -> Result:
        """The result. Raises QueueFullError where too many are waiting, and what `work` raises."""
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        if key not in self._promised:
            self._promise(key)
        # Shielded: who leaves does not take it from the others.
        return await asyncio.shield(self._promised[key])

    def close(self) -> None:
        """Begin nothing more; whoever waits is refused."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for promised in self._promised.values():
            if not promised.done():
                promised.set_exception(QueueFullError("rag serve is being stopped"))
        self._promised.clear()
        self._places = 0

    @property
    def at_rest(self) -> bool:
        """Whether its thread has nothing in hand."""
        return not self._in_hand

    def _promise(self, key: str) -> None:
        if len(self._promised) >= self._places:
            raise QueueFullError("too much of this is being done already; try again in a moment")
        loop = asyncio.get_running_loop()
        self._promised[key] = loop.create_future()
        # Nobody may be left to hear of an exception.
        self._promised[key].add_done_callback(lambda it: it.cancelled() or it.exception())
        work = self._pool.submit(self._work, key)
        self._in_hand.add(work)

        def tell(work: Future[Result]) -> None:
            self._in_hand.discard(work)
            with contextlib.suppress(RuntimeError):  # the loop was closed before the work ended
                loop.call_soon_threadsafe(self._deliver, key, work)

        work.add_done_callback(tell)

    def _deliver(self, key: str, work: Future[Result]) -> None:
        promised = self._promised.pop(key, None)
        if promised is None or promised.done() or work.cancelled():
            return
        if error := work.exception():
            promised.set_exception(error)
            return
        promised.set_result(work.result())
        self._results[key] = work.result()
        while len(self._results) > self._kept:
            self._results.popitem(last=False)
