"""A polite HTTP client: few hosts, one connection, pauses between requests, bounded waits.

Knows nothing of arXiv, GitHub or sources: whoever asks names the hosts and the site.
"""

from __future__ import annotations

import logging
import math
import re
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Self

import httpx
import tenacity

from index.errors import RagError


class TryAgainError(Exception):
    """A failure that may pass. `wait` is what the host asked for, None where it did not say."""

    def __init__(
        self, complaint: str, *, tries: float = math.inf, wait: float | None = None
    ) -> None:
        self.complaint = complaint
        self.tries = tries
        self.wait = wait
        super().__init__(complaint)


class NotNowError(TryAgainError):
    """429, 5xx or no answer in time: there is a host, and it declines."""


class UnreachableError(TryAgainError):
    """No connection could be made."""


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds a Retry-After header asks for, given as seconds or as an HTTP date; None
    where there is none or it cannot be read (RFC 9110, 10.2.3)."""
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long we wait, in seconds, and how often we try.

    `connect` and `read` bound one step, `total` the body of one answer. `backoff` is the first
    pause after a failure; it doubles. `longest_wait` is the longest Retry-After that is sat out:
    a host that asks for more is not asked again before its time. `interval` is the least pause
    between the end of a request and the next one to the same host, by host name.
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

    def enough(self, state: tenacity.RetryCallState) -> bool:
        """Whether to give up: after so many tries, or at once where too long a wait is asked."""
        error = _failure_of(state)
        return self.is_too_long(error.wait) or state.attempt_number >= min(self.tries, error.tries)

    def is_too_long(self, wait: float | None) -> bool:
        """Whether a host asks for a longer wait than we have retry_policy for."""
        return wait is not None and wait > self.longest_wait

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Twice as long as last time and a random bit more, so that many clients do not come
        back at the same moment; and no less than the host asked for."""
        first = self.backoff
        backoff = tenacity.wait_exponential_jitter(
            multiplier=first, jitter=first, max=self.longest_backoff
        )
        return max(backoff(state), _failure_of(state).wait or 0.0)


def _failure_of(state: tenacity.RetryCallState) -> TryAgainError:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TryAgainError) else TryAgainError("no answer")


log = logging.getLogger(__name__)

_BUSY = frozenset({429, 502, 503, 504})
_REDIRECT = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5


class HttpError(RagError):
    """No answer came. The message says who did what, in words for the person who waits."""


class BusyError(HttpError):
    """The host does not serve us now: it asked to wait, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Response:
    """A final answer. `url` is where the redirects led; `headers` has lower-case names; `content`
    is whole, and empty unless `status` is 200."""

    status: int
    url: str
    headers: Mapping[str, str]
    content: bytes = b""


def origin_of(url: httpx.URL | str) -> str:
    """Scheme, host and port: what the allow-list holds and what a token may be shown to."""
    url = httpx.URL(url)
    usual = {"https": 443, "http": 80}.get(url.scheme)
    port = "" if url.port in (None, usual) else f":{url.port}"
    return f"{url.scheme}://{url.host}{port}"


@cache
def _certificates() -> ssl.SSLContext:
    """Reading them takes longer than a request: once is enough."""
    return httpx.create_ssl_context()


def _never(_response: Response) -> bool:
    return False


class Http:
    """Only the origins in `allowed` (such as `https://export.arxiv.org`) are ever contacted,
    redirects included.

    A host that cannot be reached, or that has turned two requests in a row away, is not asked
    again by this client: a machine without internet access must not wait for every single work.
    """

    def __init__(
        self,
        allowed: Collection[str],
        *,
        retry_policy: RetryPolicy | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.allowed = frozenset(origin_of(url) for url in allowed)
        self.retry_policy = retry_policy or RetryPolicy()
        self._sleep = sleep
        self._asked: dict[str, float] = {}
        self._turned_away: dict[str, int] = {}
        self._shut: dict[str, tuple[float, HttpError]] = {}
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        self._client = httpx.Client(
            follow_redirects=False,
            limits=limits,
            verify=_certificates(),
            timeout=httpx.Timeout(self.retry_policy.read, connect=self.retry_policy.connect),
            # Bytes are kept as they come, and their length is checked: no compression.
            headers={"user-agent": "grounded-rag/0.1", "accept-encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def get(
        self,
        url: str,
        *,
        site: str,
        limit: int,
        headers: Mapping[str, str] | None = None,
        final: Callable[[Response], bool] = _never,
    ) -> Response:
        """The answer, whatever its status, once no trying again would change it.

        `site` names the host in messages; `limit` is in bytes. `final` says of an answer that
        asks to wait (429, 502, 503, 504) that waiting is no use. `headers` go to the origin of
        `url` alone. Raises HttpError where no whole answer came.
        """
        origin = origin_of(url)
        retrying = tenacity.Retrying(
            stop=self.retry_policy.enough,
            wait=self.retry_policy.pause,
            sleep=self._sleep,
            retry=tenacity.retry_if_exception_type(TryAgainError),
            before_sleep=lambda state: log.info(
                "%s; trying again in %.1f s",
                state.outcome and state.outcome.exception(),
                state.upcoming_sleep,
            ),
            reraise=True,
        )
        try:
            response = retrying(self._follow, httpx.URL(url), site, limit, headers or {}, final)
        except TryAgainError as error:
            raise self._give_up(origin, error, retrying.statistics["attempt_number"]) from error
        self._turned_away.pop(origin, None)
        return response

    def _follow(
        self,
        url: httpx.URL,
        site: str,
        limit: int,
        headers: Mapping[str, str],
        final: Callable[[Response], bool],
    ) -> Response:
        """One try: from `url` along its redirects to an answer."""
        first = origin_of(url)
        for _ in range(_MOST_HOPS + 1):
            origin = origin_of(url)
            if origin not in self.allowed:
                how = "redirected to" if origin != first else "is to be read from"
                raise HttpError(f"{site} {how} {url.host or url}, which is not an allowed host")
            self._check_open(origin)
            shown = headers if origin == first else {}
            response = self._ask(url, site, limit, shown, final)
            where = response.headers.get("location")
            if response.status not in _REDIRECT or not where:
                return response
            try:
                url = url.join(where)
            except (httpx.InvalidURL, ValueError) as error:
                raise HttpError(f"{site} redirected to something that is no address") from error
        raise HttpError(f"{site} redirected more than {_MOST_HOPS} times")

    def _ask(
        self,
        url: httpx.URL,
        site: str,
        limit: int,
        headers: Mapping[str, str],
        final: Callable[[Response], bool],
    ) -> Response:
        """One request to one allowed host, after the pause it wants."""
        due = self._asked.get(url.host, -math.inf) + self.retry_policy.interval.get(url.host, 0.0)
        if (pause := due - time.monotonic()) > 0:
            self._sleep(pause)
        log.debug("asking %s", url)
        try:
            with self._client.stream("GET", url, headers=headers) as answer:
                response = Response(answer.status_code, str(url), dict(answer.headers))
                if response.status in _BUSY and not final(response):
                    wait = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
                    raise NotNowError(f"{site} asked to wait", wait=wait)
                if response.status != 200:
                    return response
                content = self._read(answer, site, limit)
                return Response(200, str(url), response.headers, content)
        except httpx.ConnectTimeout as error:
            raise UnreachableError(f"{site} cannot be reached: no answer", tries=1) from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            why = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
            raise UnreachableError(f"{site} cannot be reached: {why}", tries=2) from error
        except httpx.TimeoutException as error:
            raise NotNowError(f"{site} did not answer in time") from error
        except httpx.RequestError as error:
            raise TryAgainError(f"{site} cut the connection") from error
        finally:
            self._asked[url.host] = time.monotonic()

    def _read(self, answer: httpx.Response, site: str, limit: int) -> bytes:
        """The body, within `limit` bytes and the total time. A body shorter than its
        Content-Length is a cut connection: httpx raises."""
        deadline = time.monotonic() + self.retry_policy.total
        too_large = HttpError(f"{site} sent more than {limit / 1_000_000:g} MB: not kept")
        if int(answer.headers.get("content-length", 0)) > limit:
            raise too_large
        content = bytearray()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > limit:
                raise too_large
            if time.monotonic() > deadline:
                # A host this slow would be so again: the next run tries, not this one.
                raise HttpError(
                    f"{site} sent too slowly: gave up after {self.retry_policy.total:g} s"
                )
        return bytes(content)

    def _give_up(self, origin: str, error: TryAgainError, tries: int) -> HttpError:
        """The error to raise, and whether this host is left alone from now on."""
        after = f"; gave up after {tries} tries" if tries > 1 else ""
        until = math.inf
        if isinstance(error, UnreachableError):
            reason = HttpError(f"{error.complaint} (is this machine online?)")
        elif isinstance(error, NotNowError):
            reason = BusyError(error.complaint + after)
            if self.retry_policy.is_too_long(error.wait):
                wait = error.wait or 0.0
                minutes = math.ceil(wait / 60)
                reason = BusyError(f"{error.complaint} {minutes} minutes; try again then")
                until = time.monotonic() + wait
            else:
                self._turned_away[origin] = self._turned_away.get(origin, 0) + 1
                if self._turned_away[origin] < 2:
                    return reason
        else:
            return HttpError(error.complaint + after)
        self._shut[origin] = (until, reason)
        return reason

    def _check_open(self, origin: str) -> None:
        until, reason = self._shut.get(origin, (-math.inf, HttpError("")))
        if time.monotonic() < until:
            raise type(reason)(str(reason))
