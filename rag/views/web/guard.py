"""Who may speak to the page, and what a browser may do with what it gets.

A page on 127.0.0.1 is within reach of every site the user visits: by a form or a script that posts
to it, and by a host name that is made to resolve to 127.0.0.1 (DNS rebinding). So a request must
name a host that is ours, and one that changes something must come from a page of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Refuse = Callable[[int, str], bytes]
"""`refuse(status, message)`: the page that says why."""

COOKIE = "rag_token"
OPEN_PATHS = "/static/"
"""What is the same for everybody, and looked at by those who are still to be let in."""
DRAINED = 32
"""So many times the limit is read and thrown away before a refusal: a browser that is cut off in
the middle of sending shows its own error in place of ours."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # No other site is told anything. Not "no-referrer": with it, browsers send `Origin: null` with
    # our own forms, and over plain HTTP from another machine nothing else tells them from others'.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def policy(shown: str) -> str:
    """The policy for a page that brings one stylesheet of its own, the first in `shown`: it is
    named by its hash, so that no other style gets in with it."""
    style = shown.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _POLICY.replace("style-src 'self'", f"style-src 'self' 'sha256-{digest}'")


_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Hosts:
    """The host names the page answers to. With `any_address` any IP address is one of them: an
    address in place of a name is what DNS rebinding cannot make a browser send."""

    names: frozenset[str]
    any_address: bool = False

    @classmethod
    def of(cls, bound: str, extra: Iterable[str] = ()) -> Hosts:
        """For a server bound to `bound`, and whatever names its user says lead to it."""
        names = {bound.lower(), *(name.lower() for name in extra)}
        if is_loopback(bound):
            return cls(frozenset({*names, "127.0.0.1", "localhost", "::1"}))
        here = socket.gethostname().lower()
        return cls(frozenset({*names, here, f"{here}.local", "localhost"}), any_address=True)

    def hold(self, header: str) -> bool:
        """Whether a Host header names one of these; the port is not looked at."""
        name = host_of(header)
        return name in self.names or (self.any_address and _is_address(name))


def host_of(header: str) -> str:
    """The host in a Host header, in lower case and without its port, an IPv6 address without its
    brackets; "" where it is no such header."""
    match = _HOST.fullmatch(header.lower())
    return (match["address"] or match["name"]) if match else ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to `host`."""
    return host.lower() == "localhost" or (
        _is_address(host) and ipaddress.ip_address(host).is_loopback
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Guard:
    """Stands before the application. `token` "" lets everybody in whom the host check lets in."""

    def __init__(
        self, app: ASGIApp, *, hosts: Hosts, token: str, limit: int, refuse: Refuse
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token
        self._limit = limit
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Only HTTP is spoken here."""
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *(
                        (name.encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.encode() not in own
                    ),
                ]
            await send(message)

        headers = _headers(scope)
        if refused := self._refusal(scope, headers):
            await self._answer(with_headers, *refused)
        elif entered := self._entered(scope):
            await _respond(with_headers, 303, b"", entered)
        elif not self._is_let_in(scope, headers):
            await self._answer(
                with_headers,
                401,
                "This page is for those who have its address with the token in it: it was "
                "printed where rag serve was started. Open that address once.",
            )
        elif _length(headers) > self._limit:
            await _drain(receive, self._limit * DRAINED)
            await self._answer(with_headers, 413, self._too_large())
        else:
            await self._app(scope, self._limited(receive), with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Why a request may not be answered, whoever sends it."""
        if not self._hosts.hold(headers.get("host", "")):
            return 421, (
                "This name does not lead here. Open the address that rag serve printed, or start "
                "it with --allow-host and the name you use."
            )
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "Only GET, HEAD and POST are understood here."
        if scope["method"] == "POST" and not _same_origin(headers):
            return 403, (
                "This was sent from a page of another site, so nothing was done. Go back to this "
                "site's own page and send it from there."
            )
        return None

    def _entered(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Where a visitor with the right token in the address is sent, with the cookie: the same
        address without it. [] for everybody else."""
        if not self._token or scope["method"] != "GET":
            return []
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if not given or not _equal(given[0], self._token):
            return []
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # A path may begin with two slashes, which a browser would take for a host.
        path = "/" + quote(scope["path"].lstrip("/\\")) + ("?" + rest if rest else "")
        cookie = f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict"
        return [(b"location", path.encode()), (b"set-cookie", cookie.encode())]

    def _is_let_in(self, scope: Scope, headers: dict[str, str]) -> bool:
        if not self._token or scope["path"].startswith(OPEN_PATHS):
            return True
        # By hand: other servers on this host leave cookies that a strict parser stumbles over.
        pairs = (pair.strip().partition("=") for pair in headers.get("cookie", "").split(";"))
        return any(name == COOKIE and _equal(value, self._token) for name, _, value in pairs)

    def _limited(self, receive: Receive) -> Receive:
        """`receive`, which refuses once more than the limit has come."""
        come = 0

        async def counting() -> Message:
            nonlocal come
            message = await receive()
            come += len(message.get("body", b""))
            if come > self._limit:
                await _drain(receive, self._limit * DRAINED)
                raise HTTPException(413, self._too_large())
            return message

        return counting

    def _too_large(self) -> str:
        return f"This is too large: at most {self._limit:,} bytes can be sent at once."

    async def _answer(self, send: Send, status: int, message: str) -> None:
        page = self._refuse(status, message)
        await _respond(send, status, page, [(b"content-type", b"text/html; charset=utf-8")])


def _same_origin(headers: dict[str, str]) -> bool:
    """Whether a request comes from a page of ours, or from no page at all. Every browser tells
    one or the other (Sec-Fetch-Site is sent to this machine and over HTTPS only); who tells
    neither is no browser, and has no user's rights to abuse."""
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.lower() == f"http://{headers.get('host', '').lower()}"


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _length(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


async def _drain(receive: Receive, most: int) -> None:
    """Read what a client still sends, up to `most` bytes."""
    come = 0
    while come < most:
        message = await receive()
        come += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


async def _respond(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
