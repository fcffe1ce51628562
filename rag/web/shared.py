"""Work that takes seconds and is asked for by several at once: done one piece after the other in a
thread of its own, and once for all who wait for the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from rag.web.jobs import QueueFullError

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
