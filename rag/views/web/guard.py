"""Which requests reach the application, and what a browser may do with the responses.

A page on 127.0.0.1 is within reach of every site the user visits: by a form or a script that posts
to it, and by a host name that is made to resolve to 127.0.0.1 (DNS rebinding). So a request must
name an allowed host, and one that changes something must come from a page of this server.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "rag_token"
OPEN_PATHS = "/static/"
"""Files that need no token: they are the same for everybody, and the refusal's page uses them."""
HEALTH = "/healthz"
"""Needs no token: it says only that the server is there."""
DRAINED = 32
"""So many times the limit is read before a request is refused as too large: a browser that is cut
off while it sends shows its own error and not the page."""

_ADDRESS = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.IGNORECASE)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Other sites get no referrer. Not "no-referrer": with it, browsers send `Origin: null` with
    # our own forms, and over plain HTTP from another machine nothing else tells them from others'.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def policy(style_source: str) -> str:
    """The content security policy that also allows styles from one more source."""
    return _POLICY.replace("style-src 'self'", f"style-src 'self' {style_source}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to `host`."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _own_names(host: str, allowed: Iterable[str]) -> list[str]:
    """The names that requests to a server bound to `host` may name, IPv6 addresses in brackets. A
    "*" is not expanded: a name that contains one matches nothing."""
    here = socket.gethostname()
    own = ("127.0.0.1", "::1") if is_loopback(host) else (here, f"{here}.local")
    names = (host, "localhost", *(name for name in allowed if "*" not in name), *own)
    return [f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names]


def _names_address(header: str) -> bool:
    """Whether a Host header names an IP address, with or without a port, and nothing else."""
    with contextlib.suppress(ValueError):
        match = _ADDRESS.fullmatch(header)
        return bool(match and ipaddress.ip_address(match[1] or match[2]))
    return False


class Guard:
    """The outermost ASGI application of a server bound to `host`, to which `allowed` names lead,
    too. With token "" no token is asked for; `limit` is the size of a request's body in bytes,
    `render(status, message)` the page that says why one is refused."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        allowed: Iterable[str],
        token: str,
        limit: int,
        render: Callable[[int, str], str],
    ) -> None:
        self._app = RequestBodyLimitMiddleware(app, limit)
        names = _own_names(host, allowed)
        self._trusted = TrustedHostMiddleware(self._authorise, names, www_redirect=False)
        # DNS rebinding cannot make a browser send an IP address in place of a name.
        self._any_address, self._token = not is_loopback(host), token
        self._limit, self._render = limit, render
        # What the two middlewares refuse with one line of plain text.
        self._reasons = {
            400: "This name does not lead here. Open the address that rag serve printed, or start "
            "it with --allow-host and the name you use.",
            413: f"This is too large: at most {limit:,} bytes can be sent at once.",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI. Only HTTP is served."""
        if scope["type"] != "http":
            return
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        replaced = False

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        async def guarded(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                status, headers = message["status"], MutableHeaders(scope=message)
                if status == 413:
                    size, more = 0, True
                    while more and size < self._limit * DRAINED:
                        part = await receive()
                        size += len(part.get("body", b""))
                        more = part.get("more_body", False)
                if status in self._reasons and headers["content-type"].startswith("text/plain"):
                    replaced = True
                    page = self._refusal(status, self._reasons[status])
                    await page(scope, receive, with_headers)
            if not replaced:
                await with_headers(message)

        if self._any_address and _names_address(Headers(scope=scope).get("host", "")):
            await self._authorise(scope, receive, guarded)
        else:
            await self._trusted(scope, receive, guarded)

    async def _authorise(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._next(Request(scope))(scope, receive, send)

    def _next(self, request: Request) -> ASGIApp:
        """Passes on what comes from a page of this server and from whoever has the token."""
        if request.method not in ("GET", "HEAD") and not _same_origin(request.headers):
            return self._refusal(
                403,
                "This was sent from a page of another site, so nothing was done. Go back to this "
                "site's own page and send it from there.",
            )
        if not self._token:
            return self._app
        path, token = request.scope["path"], request.query_params.get("token", "")
        if request.method == "GET" and _equal(token, self._token):
            return self._enter(path, request.scope["query_string"].decode("latin-1"))
        if path.startswith(OPEN_PATHS) or path == HEALTH:
            return self._app
        # Programs have no cookies; a page of another site cannot send this header.
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if any(_equal(shown, self._token) for shown in (request.cookies.get(COOKIE, ""), bearer)):
            return self._app
        return self._refusal(
            401,
            "This page is for those who have its address with the token in it: it was printed "
            "where rag serve was started. Open that address once.",
        )

    def _enter(self, path: str, query: str) -> RedirectResponse:
        """The cookie, and the same address without the token."""
        rest = [(name, value) for name, value in parse_qsl(query, True) if name != "token"]
        # A path may begin with two slashes, which a browser would take for a host.
        url = "/" + quote(path.lstrip("/\\")) + (f"?{urlencode(rest)}" if rest else "")
        response = RedirectResponse(url, 303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response

    def _refusal(self, status: int, reason: str) -> HTMLResponse:
        return HTMLResponse(self._render(status, reason), status)


def _without_body(send: Send) -> Send:
    """Sends the start of a response, and that it has no body. Whoever sends one, if without end,
    is told next that nobody receives it."""

    async def send_start(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_start


def _same_origin(headers: Headers) -> bool:
    """Whether a request comes from a page of this server, or from no page at all. Every browser
    sends one of the two headers (Sec-Fetch-Site to this machine and over HTTPS only); what sends
    neither is no browser, and has no user's rights to abuse."""
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.lower() == f"http://{headers.get('host', '').lower()}"


def _equal(value: str, token: str) -> bool:
    return hmac.compare_digest(value.encode("utf-8", "replace"), token.encode())
