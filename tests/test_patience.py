"""When to try again, and how long to wait before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import example, given
from hypothesis import strategies as st

from index.sources.http import RetryPolicy, retry_after

NOW = datetime(2025, 11, 21, 8, 0, tzinfo=UTC)


def test_arxiv_is_asked_every_three_seconds_at_most() -> None:
    assert RetryPolicy().interval["export.arxiv.org"] >= 3.0


@given(st.integers(0, 10**8))
def test_retry_after_reads_seconds(seconds: int) -> None:
    assert retry_after(f" {seconds} ", NOW) == seconds


@given(st.integers(-(10**6), 10**6))
def test_retry_after_reads_dates_and_a_past_one_is_no_wait(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == max(0, seconds)


@given(st.text() | st.none())
@example("Mon, 20 Nov 1995 19:12:08 +9999999999999999999999")
@example("Mon, 20 Nov 1995 19:12:08 -0000")
def test_retry_after_never_fails(text: str | None) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or wait >= 0
