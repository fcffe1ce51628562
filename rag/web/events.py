"""The progress of a job as Server-Sent Events: what is new, five times a second at most.

Each reader is sent the difference to what it has, read from the one log of the job. Nothing is
put aside for a reader that is slow: it gets fewer and larger events, and one that takes nothing
for a while is let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rag.render import plain, visible
from rag.web.jobs import Seen
from rag.web.site import Site

PAUSE = 0.2
"""Seconds between two looks at the log."""
PATIENCE = 20.0
"""Seconds a reader may take to receive one event."""
HEARTBEAT = 75
"""Looks without news after which a comment is sent, to see whether the reader is still there."""


class EventStream(Response):
    """`look(offset)` is what there is to see of a job, with the text written since `offset`."""

    media_type = "text/event-stream"

    def __init__(self, look: Callable[[int], Seen], *, since: int, site: Site) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._look = look
        self._since = since
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the job ends, the reader leaves, or the server does."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        gone = asyncio.ensure_future(_disconnected(receive))
        self._site.watchers += 1
        try:
            await _send(send, start)
            await self._follow(send, gone)
            await _send(send, {"type": "http.response.body", "body": b""})
        except TimeoutError:
            return  # the server ends the connection of a response that was not finished
        finally:
            self._site.watchers -= 1
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _follow(self, send: Send, gone: asyncio.Future[None]) -> None:
        shown: object = None
        silent = 0
        while not gone.done() and not self._site.closing:
            seen = self._look(self._since)
            state = seen.state, seen.ahead, seen.stages
            if seen.text or state != shown:
                await _send(send, _part(_event(seen)))
                shown, self._since, silent = state, seen.end, 0
            elif (silent := silent + 1) >= HEARTBEAT:
                await _send(send, _part(b":\n\n"))
                silent = 0
            if seen.ended:
                return
            await asyncio.wait([gone], timeout=PAUSE)


def _event(seen: Seen) -> bytes:
    """One event; its id is the offset from which a reader that comes back goes on."""
    data = {
        "state": seen.state,
        "ahead": seen.ahead,
        "stages": [
            {
                "name": stage.name,
                "done": stage.done,
                "total": stage.total,
                "what": plain(stage.what),
            }
            for stage in seen.stages
        ],
        "text": visible(seen.text),
        "start": seen.start,
        "end": seen.end,
    }
    name = "event: end\n" if seen.ended else ""
    return f"{name}id: {seen.end}\ndata: {json.dumps(data)}\n\n".encode()


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(PATIENCE):
        await send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
