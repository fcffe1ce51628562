"""The server: the guarded application, with what other programs ask of it, bound to a socket, and
ended by SIGTERM or Ctrl-C without leaving anything half done."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Callable, Iterable, Iterator

from index.errors import AnswerError, RagError
from rag.views.web.jobs import JobState, QueueFullError
from rag.views.web.site import GRACE, Site

try:
    import h11
    import python_multipart  # noqa: F401 (Starlette imports it only when a form comes)
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.responses import HTMLResponse, PlainTextResponse, Response
    from starlette.exceptions import HTTPException
    from starlette.middleware.body_limit import RequestBodyLimitMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.staticfiles import StaticFiles
    from starlette.types import Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from rag.views.web.guard import HEALTH, OPEN_PATHS, Guard, is_loopback
    from rag.views.web.routes import (
        LIMIT,
        UPLOAD_LIMIT,
        answer_routes,
        ask_routes,
        message_page,
    )
except ImportError as error:
    raise RagError(
        f"rag serve needs the extra `serve` ({error.name} is missing): "
        "pip install 'grounded-rag[serve]'"
    ) from error

CONNECTIONS = 1000
"""Open at once; more are refused with 503."""
REQUEST_TIMEOUT = 30.0
"""Seconds within which a request has to arrive, from its connection or its first byte to its last
byte: 0.4 Mbit/s are enough for the largest prompt document, 1 Mbit/s for a paper of 3 MB."""

READ_TIMEOUT = 120_000
"""Milliseconds for which a client may read nothing of what is sent to it."""
FORMAT = "text/plain; version=0.0.4"
"""Prometheus's (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
ENDED: tuple[JobState, ...] = ("done", "failed", "cancelled")


def create_app(site: Site, *, host: str, allowed: Iterable[str] = (), token: str = "") -> Guard:
    """The guarded application over `site`: its routes, and its errors as pages. See Guard."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount(OPEN_PATHS, StaticFiles(packages=[("rag.views.web", "static")]))
    app.include_router(ask_routes(site))
    app.include_router(answer_routes(site))

    @app.get(HEALTH)
    async def health() -> Response:
        return PlainTextResponse("stopping\n", 503) if site.closing else PlainTextResponse("ok\n")

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(_figures(site), media_type=FORMAT)

    def page(status: int, message: str, **headers: str) -> Response:
        return HTMLResponse(message_page(status, message), status, headers)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        unknown = error.status_code in (404, 405)
        return page(error.status_code, "There is no such page." if unknown else error.detail)

    @app.exception_handler(QueueFullError)
    async def busy(request: Request, error: QueueFullError) -> Response:
        return page(503, f"The server is busy: {error}.", **{"retry-after": "30"})

    @app.exception_handler(AnswerError)
    async def damaged(request: Request, error: AnswerError) -> Response:
        return page(500, f"This answer cannot be read: {error}")

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        return page(400, "The request ended before it was complete.")  # Nobody reads it.

    @app.exception_handler(500)
    async def failed(request: Request, error: Exception) -> Response:
        return page(500, "This should not have happened; the log of rag serve says more.")

    uploads = RequestBodyLimitMiddleware(app, UPLOAD_LIMIT)

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        # Within the guard's own limit, this one takes its place.
        await (uploads if scope["path"] == "/" else app)(scope, receive, send)

    return Guard(limited, host=host, allowed=allowed, token=token, limit=LIMIT, render=message_page)


def _figures(site: Site) -> str:
    """What was done since the server started, and what is on its way."""
    queue = site.job_queue
    states = [job.state for job in queue.active()]
    ended: dict[str, float] = {f'{{state="{state}"}}': queue.counts[state] for state in ENDED}
    families: tuple[tuple[str, str, dict[str, float]], ...] = (
        ("questions_total", "counter", ended),
        ("questions_refused_total", "counter", {"": queue.refused}),
        ("questions_running", "gauge", {"": states.count("running")}),
        ("questions_waiting", "gauge", {"": states.count("waiting")}),
        ("answer_seconds", "summary", {"_sum": queue.seconds, "_count": queue.counts["done"]}),
        ("watchers", "gauge", {"": site.watchers}),
    )
    lines = []
    for name, kind, samples in families:
        lines.append(f"# TYPE rag_{name} {kind}")
        lines += [f"rag_{name}{suffix} {value}" for suffix, value in samples.items()]
    return "\n".join(lines) + "\n"


class Connection(H11Protocol):
    """Ends where a request does not arrive whole in time: uvicorn waits for ever, and a thousand
    half-open connections would keep everybody else out."""

    timeout = REQUEST_TIMEOUT
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait on, from the first byte of a request until its last one came."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):
            if self._timer is None:
                self._wait()
        else:
            self._stop()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.timeout, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """Closes the site before it waits for connections: open event streams would not end by
    themselves. A signal ends it normally and is not raised again."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site
        self.work_ended = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the site, then the connections."""
        self.work_ended = await self._site.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End the server by SIGINT and SIGTERM."""
        with contextlib.ExitStack() as restored:
            for number in (signal.SIGINT, signal.SIGTERM):
                previous = signal.signal(number, self.handle_exit)
                restored.callback(signal.signal, number, previous)
            yield


def serve(
    site: Site,
    *,
    host: str,
    bound: socket.socket,
    allowed: Iterable[str] = (),
    always_token: bool = False,
    announce: Callable[[str], None],
) -> bool:
    """Serve `site` on a socket `bound` to `host` until a signal comes. `announce` gets the
    address, with the token in it where there is one. Whether all work ended; where not, a thread
    is in the middle of something that cannot be told to stop."""
    token = "" if is_loopback(host) and not always_token else secrets.token_urlsafe(32)
    config = uvicorn.Config(
        create_app(site, host=host, allowed=allowed, token=token),
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(GRACE),
    )
    server = Server(config, site)
    # No browser goes to 0.0.0.0: there, the name of this machine.
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    query = f"?token={token}" if token else ""
    announce(f"http://{name}:{bound.getsockname()[1]}/{query}")
    server.run(sockets=[bound])
    return server.work_ended


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet. Raises RagError."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = addresses[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Connections inherit it, on Linux.
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READ_TIMEOUT)
        bound.bind(address)
    except (OSError, ValueError) as error:  # A ValueError: a name that none can be.
        reason = getattr(error, "strerror", None) or error
        raise RagError(
            f"{host} port {port} cannot be bound ({reason}); name another by --host or --port, or "
            "port 0 for any that is free"
        ) from error
    return bound
