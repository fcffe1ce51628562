"""The server: bound, told to its user, and ended by SIGTERM or Ctrl-C without leaving anything half
done."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

from index.errors import RagError
from rag.views.web.guard import Hosts, is_loopback
from rag.views.web.site import GRACE, Site

try:
    import python_multipart  # noqa: F401 (Starlette needs it, and finds out when a form comes)
    import uvicorn

    from rag.views.web.app import create_app
except ImportError as error:
    raise RagError(
        f"rag serve needs the extra `serve` ({error.name} is missing): "
        "pip install 'grounded-rag[serve]'"
    ) from error

CONNECTIONS = 1000
"""Open at once; whoever comes after them is told to come back."""


class Server(uvicorn.Server):
    """Closes the site before it waits for connections: open event streams would not end by
    themselves. A signal is what ends it as it should end, so none is raised again."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site
        self.rests = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the site, then the connections."""
        self.rests = await self._site.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let both signals end the server for as long as it runs."""
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, what in before.items():
                signal.signal(number, what)


def serve(
    site: Site,
    *,
    host: str,
    bound: socket.socket,
    allowed: Sequence[str] = (),
    always_token: bool = False,
    announce: Callable[[str], None],
) -> bool:
    """Serve `site` on a socket `bound` to `host` until a signal comes. `announce` is told the
    address, with the token in it where there is one. Whether all work has come to rest; where
    not, some thread is still in the middle of something that cannot be told to stop."""
    token = "" if is_loopback(host) and not always_token else secrets.token_urlsafe(32)
    config = uvicorn.Config(
        create_app(site, hosts=Hosts.of(host, allowed), token=token),
        loop="asyncio",
        http="h11",
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
    announce(_address(host, bound.getsockname()[1], token))
    server.run(sockets=[bound])
    return server.rests


def bind(host: str, port: int) -> socket.socket:
    """A socket there, which listens to nobody yet. Raises RagError where it cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise RagError(
            f"{host} port {port} cannot be bound ({error.strerror or error}); name another by "
            "--host or --port, or port 0 for any that is free"
        ) from error
    return bound


def _address(host: str, port: int, token: str) -> str:
    """Where a browser finds it. No browser goes to 0.0.0.0: there, the name of this machine."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
