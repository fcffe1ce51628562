"""A polite HTTP client: few hosts, one connection, pauses between requests, bounded waits.

Knows nothing of arXiv, GitHub or sources: the caller names the hosts and the site.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, Literal, Protocol, Self

import httpx

from index.errors import RagError

log = logging.getLogger(__name__)

_BUSY = frozenset({429, 502, 503, 504})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5


class HttpError(RagError):
    """No answer came. The message names the site and what it did, in words for the user."""


class BusyError(HttpError):
    """The host does not serve us now: it asked to wait, or did not answer in time."""


class _RetryableError(Exception):
    """A failure that may pass. `wait` is the pause in seconds that the host asked for; `tries`
    bounds the number of requests."""

    def __init__(
        self,
        message: str,
        kind: Literal["busy", "unreachable", "cut"],
        *,
        tries: float = math.inf,
        wait: float = 0.0,
    ) -> None:
        self.kind = kind
        self.tries = tries
        self.wait = wait
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait, in seconds, and how often to try.

    `connect` and `read` bound one step, `total` one answer. `backoff` is the first
    pause after a failure; it doubles, up to `longest_backoff`. `longest_wait` is the longest
    Retry-After that is waited for: a host that asks for more is not asked again before its time.
    `interval` is the least pause between requests to the same host, by host name.
    """

    connect: float = 5.0
    read: float = 30.0
    total: float = 300.0
    tries: int = 5
    backoff: float = 1.0
    longest_backoff: float = 60.0
    longest_wait: float = 120.0
    # https://info.arxiv.org/help/api/tou.html: one request every three seconds.
    interval: Mapping[str, float] = field(
        default_factory=lambda: {"export.arxiv.org": 3.0, "arxiv.org": 3.0}
    )


@dataclass(frozen=True, slots=True)
class Response:
    """A final answer. `url` is where the redirects led; `headers` has lower-case names; `content`
    is whole, and empty unless `status` is 200."""

    status: int
    url: str
    headers: Mapping[str, str]
    content: bytes = b""


def retry_after(value: str, now: datetime) -> float:
    """The seconds a Retry-After header asks for, given as seconds or as an HTTP date; 0 where it
    cannot be read (RFC 9110, 10.2.3)."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def _is_quota(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a host that counts requests, as GitHub does, declines because of how much was asked:
    waiting for minutes is no use."""
    left = headers.get("x-ratelimit-remaining", "")
    return status == 429 and (left == "0" or (left != "" and "retry-after" in headers))


def origin_of(url: httpx.URL | str) -> str:
    """Scheme, host and port: what the allow-list holds and what a token may be shown to."""
    url = httpx.URL(url)
    usual = {"https": 443, "http": 80}.get(url.scheme)
    port = "" if url.port in (None, usual) else f":{url.port}"
    return f"{url.scheme}://{url.host}{port}"


class TooSlowError(httpx.ReadTimeout):
    """An answer was not whole in time."""


class BoundedClient(httpx.Client):
    """Gives up an answer that is not whole after `seconds`, or larger than `limit` bytes: httpx
    bounds single steps alone, and a server may send hints, headers or bytes without end. What comes
    compressed is refused: it may be a million times as large. One thread must not send over a
    connection that another one opened."""

    def __init__(self, *, seconds: float, limit: float = math.inf, **options: Any) -> None:
        super().__init__(**options)
        # Bytes are kept as they come, and their length is checked.
        self.headers["accept-encoding"] = "identity"
        self._seconds, self._limit = seconds, limit
        self._opened = threading.local()

    def send(
        self, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> httpx.Response:
        """See httpx.Client. Raises also TooSlowError, DecodingError for what comes compressed, and
        ReadError for what is too large."""
        opened = vars(self._opened)

        def trace(event: str, details: Mapping[str, Any]) -> None:
            if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
                opened["socket"] = details["return_value"].get_extra_info("socket")

        def cut() -> None:
            with contextlib.suppress(KeyError, OSError):
                socket.socket.shutdown(opened["socket"], socket.SHUT_RDWR)

        request.extensions = {**request.extensions, "trace": trace}
        timer = threading.Timer(self._seconds, cut)
        timer.daemon = True
        deadline = time.monotonic() + self._seconds
        timer.start()
        with contextlib.ExitStack() as failed:
            failed.callback(timer.cancel)
            with _until(deadline):
                response = super().send(request, stream=True, **options)
            failed.callback(response.close)
            response.stream = _BoundedStream(response.stream, timer, deadline, self._limit)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise httpx.DecodingError("the answer is compressed, which was not asked for")
            if not stream:
                response.read()
            failed.pop_all()
        return response


@contextlib.contextmanager
def _until(deadline: float) -> Iterator[None]:
    """Raises TooSlowError after the deadline, at which the connection is cut: that may raise
    anything else, or look like the end of an answer."""
    error = None
    try:
        yield
    except httpx.TransportError as transport_error:
        error = transport_error
    if time.monotonic() >= deadline:
        raise TooSlowError("no whole answer came in time") from error
    if error:
        raise error


@dataclass(frozen=True, slots=True)
class _BoundedStream(httpx.SyncByteStream):
    stream: Any
    timer: threading.Timer
    deadline: float
    limit: float

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        with _until(self.deadline):
            for chunk in self.stream:
                if (size := size + len(chunk)) > self.limit:
                    raise httpx.ReadError(f"the answer is larger than {self.limit:,} bytes")
                yield chunk

    def close(self) -> None:
        self.timer.cancel()
        self.stream.close()


# Loading the certificates takes longer than a request.
_certificates = cache(httpx.create_ssl_context)


class HttpClient(Protocol):
    """`Http`, or what speaks through one."""

    def get(
        self, url: str, *, site: str, limit: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        """See `Http.get`."""


class Http:
    """Only the origins in `allowed` (such as `https://export.arxiv.org`) are ever contacted,
    redirects included.

    A host that cannot be reached, or that has turned two requests in a row away, is not asked
    again by this client: a machine without internet access must not wait for every single work.
    `idle` are the seconds since another client asked.
    """

    def __init__(
        self,
        allowed: Collection[str],
        *,
        retry_policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
        idle: float = math.inf,
    ) -> None:
        self.allowed = frozenset(map(origin_of, allowed))
        self.retry_policy = retry_policy or RetryPolicy()
        self._sleep = sleep
        self._others_asked = time.monotonic() - idle
        self._asked: dict[str, float] = {}  # host: end of the last request
        self._turned_away: dict[str, int] = {}  # origin: requests in a row
        self._closed: dict[str, tuple[float, HttpError]] = {}  # origin: until when, and why
        self._client = BoundedClient(
            seconds=self.retry_policy.total,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            verify=_certificates(),
            timeout=httpx.Timeout(self.retry_policy.read, connect=self.retry_policy.connect),
            headers={"user-agent": "grounded-rag/0.1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self, url: str, *, site: str, limit: int, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The answer, whatever its status, once no trying again would change it.

        `site` names the host in messages; `limit` is in bytes. `headers` go to the origin of
        `url` alone. Raises HttpError where no whole answer came.
        """
        origin, policy = origin_of(url), self.retry_policy
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._follow(httpx.URL(url), site, limit, headers or {})
            except _RetryableError as error:
                if error.wait > policy.longest_wait or attempt >= min(policy.tries, error.tries):
                    raise self._give_up(origin, error, attempt) from error
                # The random part keeps many clients from coming back at the same moment.
                backoff = policy.backoff * (2 ** (attempt - 1) + random.random())
                pause = max(min(backoff, policy.longest_backoff), error.wait)
                log.info("%s; trying again in %.1f s", error, pause)
                self._sleep(pause)
            else:
                self._turned_away.pop(origin, None)
                return response

    def _follow(
        self, url: httpx.URL, site: str, limit: int, headers: Mapping[str, str]
    ) -> Response:
        """One try: from `url` along its redirects to an answer."""
        first = origin_of(url)
        for _ in range(_MAX_REDIRECTS + 1):
            origin = origin_of(url)
            if origin not in self.allowed:
                how = "redirected to" if origin != first else "is to be read from"
                raise HttpError(f"{site} {how} {url.host or url}, which is not an allowed host")
            until, reason = self._closed.get(origin, (-math.inf, HttpError()))
            if time.monotonic() < until:
                raise type(reason)(str(reason))
            response = self._ask(url, site, limit, headers if origin == first else {})
            location = response.headers.get("location")
            if response.status not in _REDIRECT or not location:
                return response
            try:
                url = url.join(location)
            except (httpx.InvalidURL, ValueError) as error:
                raise HttpError(f"{site} redirected to something that is no address") from error
        raise HttpError(f"{site} redirected more than {_MAX_REDIRECTS} times")

    def _ask(self, url: httpx.URL, site: str, limit: int, headers: Mapping[str, str]) -> Response:
        """One request to one allowed host, after the pause it wants."""
        asked = self._asked.get(url.host, self._others_asked)
        due = asked + self.retry_policy.interval.get(url.host, 0.0)
        if (pause := due - time.monotonic()) > 0:
            self._sleep(pause)
        log.debug("asking %s", url)
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                status, received = answer.status_code, dict(answer.headers)
                if status in _BUSY and not _is_quota(status, received):
                    wait = retry_after(received.get("retry-after", ""), datetime.now(UTC))
                    raise _RetryableError(f"{site} asked to wait", "busy", wait=wait)
                content = self._read(answer, site, limit) if status == 200 else b""
                return Response(status, str(url), received, content)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            timeout = isinstance(error, httpx.ConnectTimeout)
            why = "no answer" if timeout else re.sub(r"^\[Errno -?\d+\] ", "", str(error))
            message = f"{site} cannot be reached: {why}"
            raise _RetryableError(message, "unreachable", tries=1 if timeout else 2) from error
        except TooSlowError as error:
            # No further try: a host this slow would be so again.
            message = f"{site} sent too slowly: gave up after {self.retry_policy.total:g} s"
            raise HttpError(message) from error
        except httpx.DecodingError as error:
            raise HttpError(f"{site} is not read: {error}") from error
        except httpx.TimeoutException as error:
            raise _RetryableError(f"{site} did not answer in time", "busy") from error
        except httpx.RequestError as error:
            raise _RetryableError(f"{site} cut the connection", "cut") from error
        finally:
            self._asked[url.host] = time.monotonic()

    def _read(self, answer: httpx.Response, site: str, limit: int) -> bytes:
        """The body, within `limit` bytes. A body shorter than its Content-Length is a cut
        connection: httpx raises."""
        announced = int(answer.headers.get("content-length", 0))
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if max(announced, len(content)) > limit:
                raise HttpError(f"{site} sent more than {limit / 1_000_000:g} MB: not stored")
        return bytes(content)

    def _give_up(self, origin: str, error: _RetryableError, tries: int) -> HttpError:
        """The error to raise; also closes the origin, where it is not to be asked again."""
        message = f"{error}; gave up after {tries} tries" if tries > 1 else str(error)
        if error.kind == "cut":
            return HttpError(message)
        until = math.inf
        if error.kind == "unreachable":
            reason = HttpError(f"{error} (is this machine online?)")
        elif error.wait > self.retry_policy.longest_wait:
            reason = BusyError(f"{error} {math.ceil(error.wait / 60)} minutes; try again then")
            until = time.monotonic() + error.wait
        else:
            reason = BusyError(message)
            self._turned_away[origin] = self._turned_away.get(origin, 0) + 1
            if self._turned_away[origin] < 2:
                return reason
        self._closed[origin] = (until, reason)
        return reason
