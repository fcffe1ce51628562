"""When to try again, how long to wait before, and when to give up.

Knows nothing of connections: the decisions are taken from what went wrong and how often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import tenacity


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
class Patience:
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
        """Whether a host asks for a longer wait than we have patience for."""
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
