"""Work that takes seconds: a queue that answers prompts in their order, and calls whose result
is shared by all who ask for the same."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, TypeVar

from index.errors import RagError
from rag.prompt import Prompt

log = logging.getLogger(__name__)

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]

TEXT_LIMIT = 100_000
"""Characters of a text being written that are stored for readers; the answer has all of it."""
ENDED_LIMIT = 20
"""Jobs without an answer that are stored, so that their prompts can be asked again."""


class JobCancelled(BaseException):
    """Ends the work on a job from inside. No Exception: a writer that catches whatever its model
    raises and goes on without it must not go on after this."""


class QueueFullError(RagError):
    """No more may wait."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The progress of one stage of the work; `total` is 0 where there was nothing to do."""

    name: str
    done: int
    total: int
    what: str


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """A job at one moment. `text` is what was written from offset `start` to `end`; `ahead`
    counts the jobs before it, the running one included."""

    state: JobState
    ahead: int = 0
    stages: tuple[Stage, ...] = ()
    text: str = ""
    start: int = 0
    end: int = 0
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether the job does not change any more."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def percent(self) -> int | None:
        """Progress of the newest stage that has a total."""
        stage = next((stage for stage in reversed(self.stages) if stage.total), None)
        return None if stage is None else round(100 * min(1, stage.done / stage.total))


def reason_of(error: Exception, job_id: str) -> str:
    """What is said of an answer that an error ended; the log has what nobody foresaw."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for this answer"
    if isinstance(error, RagError | OSError):
        return str(error)
    log.error("the answer %s failed", job_id, exc_info=error)
    return f"something unforeseen: {type(error).__name__}: {error}"


class Job:
    """One prompt on its way to an answer by the `writer` that was chosen for it, "" for none.
    Written by one thread, read by many."""

    def __init__(self, job_id: str, prompt: Prompt, writer: str = "") -> None:
        self.id, self.prompt, self.writer = job_id, prompt, writer
        self.state: JobState = "waiting"
        self._reason = ""
        self._stages: dict[str, Stage] = {}
        self._text, self._dropped = "", 0
        self._lock = threading.Lock()
        self._cancelled = False

    def notify(self, stage: str, done: int, total: int, what: str) -> None:
        """See `index.build.Notify`. Raises JobCancelled after `cancel`."""
        with self._working():
            self._stages[stage] = Stage(stage, done, total, what)

    def write(self, text: str) -> None:
        """Append text as it is written. Raises JobCancelled after `cancel`."""
        with self._working():
            self._text += text
            self._drop(len(self._text) - TEXT_LIMIT)

    def snapshot(self, since: int, ahead: int = 0) -> JobSnapshot:
        """The job now, with the text from offset `since` on; with all stored text where `since`
        is no offset of it."""
        with self._lock:
            end = self._dropped + len(self._text)
            start = since if self._dropped <= since <= end else self._dropped
            text = self._text[start - self._dropped :]
            stages = tuple(self._stages.values())
            return JobSnapshot(self.state, ahead, stages, text, start, end, self._reason)

    def cancel(self) -> None:
        """Let the next `notify` or `write` raise."""
        self._cancelled = True

    def end(self, state: JobState, reason: str = "") -> None:
        """Set the last state, and drop what was stored for readers."""
        with self._lock:
            self.state, self._reason = state, reason
            self._drop(len(self._text))
            self._stages = {}

    def _drop(self, count: int) -> None:
        if count > 0:
            self._text = self._text[count:]
            self._dropped += count

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self._cancelled:
            raise JobCancelled
        with self._lock:
            yield


class JobQueue:
    """Answers jobs in the order they came, `at_once` of them at a time, each in a thread: models
    on this machine are not made for two. `answer` returns when the job's answer is stored; at most
    `places` jobs wait. `counts` are jobs by their last state, `seconds` the time that those took
    which are done, `refused` how many found no place."""

    def __init__(self, answer: Callable[[Job], None], *, places: int, at_once: int = 1) -> None:
        self._answer, self._places = answer, places
        # By id, in the order of their turns, the running ones first.
        self._active: dict[str, Job] = {}
        self._ended: OrderedDict[str, Job] = OrderedDict()
        self._changed = threading.Condition()
        self._pool = ThreadPoolExecutor(max_workers=at_once)
        self.counts: Counter[JobState] = Counter()
        self.seconds, self.refused = 0.0, 0

    def put(self, job: Job) -> None:
        """Append `job`. Raises QueueFullError."""
        with self._changed:
            waiting = sum(it.state == "waiting" for it in self._active.values())
            if waiting >= self._places:
                self.refused += 1
                raise QueueFullError(
                    f"{waiting} questions are waiting already; ask again when some of them are "
                    "answered"
                )
            self._active[job.id] = job
            self._pool.submit(self._run, job)

    def find(self, job_id: str) -> Job | None:
        """The job, if it waits, runs, or ended without an answer a short while ago."""
        with self._changed:
            return self._active.get(job_id) or self._ended.get(job_id)

    def ahead(self, job: Job) -> int:
        """How many come before `job`; 0 for one that does not wait."""
        with self._changed:
            return [*self._active, job.id].index(job.id) if job.state == "waiting" else 0

    def active(self) -> list[Job]:
        """The running jobs and those that wait, in the order of their turns."""
        with self._changed:
            return list(self._active.values())

    def ended(self) -> list[Job]:
        """Jobs that ended without an answer, the newest first."""
        with self._changed:
            return list(reversed(self._ended.values()))

    def cancel(self, job_id: str) -> None:
        """End a job that waits or runs; one that has ended already stays as it is."""
        with self._changed:
            if job := self._active.get(job_id):
                job.cancel()
                if job.state == "waiting":
                    self._end(job, "cancelled")

    def close(self, seconds: float) -> bool:
        """Take no more, cancel what is active, and wait so long for the running jobs to end.
        Whether they did."""
        with self._changed:
            self._places = 0
            for job_id in tuple(self._active):
                self.cancel(job_id)
            self._pool.shutdown(wait=False, cancel_futures=True)
            return self._changed.wait_for(lambda: not self._active, seconds)

    def _run(self, job: Job) -> None:
        with self._changed:
            if job.state != "waiting":
                return
            job.state = "running"
        state: JobState = "failed"
        reason, began = "", time.monotonic()
        try:
            self._answer(job)
            state = "done"
        except JobCancelled:
            state = "cancelled"
        except Exception as error:  # one bad answer must not end all that follow it
            reason = reason_of(error, job.id)
        with self._changed:
            self.seconds += (took := time.monotonic() - began) * (state == "done")
            self._end(job, state, reason, took)

    def _end(self, job: Job, state: JobState, reason: str = "", seconds: float = 0.0) -> None:
        job.end(state, reason)
        self.counts[state] += 1
        about = {"answer": job.id, "state": state, "seconds": round(seconds, 3), "reason": reason}
        log.info("the question %s is %s", job.id, state, extra={"about": about})
        del self._active[job.id]
        if state != "done":
            self._ended[job.id] = job
            if len(self._ended) > ENDED_LIMIT:
                self._ended.popitem(last=False)
        self._changed.notify_all()


SharedResult = TypeVar("SharedResult")


class SingleFlight(Generic[SharedResult]):
    """`work(key)` in a thread, once for all who await the same key at the same time. At most
    `places` keys are in flight; the newest `cached` results are kept, and `known` until then. For
    one event loop."""

    def __init__(self, work: Callable[[str], SharedResult], *, places: int, cached: int = 0):
        self._work, self._places, self._cached = work, places, cached
        self.known: OrderedDict[str, SharedResult] = OrderedDict()
        self._in_flight: dict[str, asyncio.Future[SharedResult]] = {}
        self._submitted: set[Future[SharedResult]] = set()
        self._pool = ThreadPoolExecutor(max_workers=1)

    async def get(self, key: str, *, again: bool = False) -> SharedResult:
        """The result; a new one where it is to be had `again`. Raises QueueFullError, and what
        `work` raises."""
        if key in self.known and not again:
            self.known.move_to_end(key)
            return self.known[key]
        if key not in self._in_flight:
            if len(self._in_flight) >= self._places:
                raise QueueFullError(
                    "too much of this is being done already; try again in a moment"
                )
            work = self._pool.submit(self._work, key)
            self._submitted.add(work)
            work.add_done_callback(self._submitted.discard)
            self._in_flight[key] = asyncio.wrap_future(work)
            self._in_flight[key].add_done_callback(partial(self._finish, key))
        future = self._in_flight[key]
        try:
            # Shielded: a client that leaves does not cancel the work of the others.
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.cancelled():
                raise QueueFullError("rag serve is being stopped") from None
            raise

    def close(self) -> None:
        """Begin nothing more; whoever waits gets a QueueFullError."""
        self._places = 0
        self._pool.shutdown(wait=False, cancel_futures=True)
        for future in tuple(self._in_flight.values()):
            future.cancel()

    @property
    def idle(self) -> bool:
        """Whether nothing is submitted or runs."""
        return not self._submitted

    def _finish(self, key: str, future: asyncio.Future[SharedResult]) -> None:
        del self._in_flight[key]
        if not future.cancelled() and future.exception() is None:
            self.known[key] = future.result()
            self.known.move_to_end(key)
            if len(self.known) > self._cached:
                self.known.popitem(last=False)
