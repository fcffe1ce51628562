"""The client against a server that misbehaves: it waits when asked, tries again when that helps,
gives up in the end, and goes nowhere else."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.sources.fetch import Endpoints
from index.sources.http import (
    BusyError,
    Http,
    HttpError,
    Response,
    RetryPolicy,
    origin_of,
    retry_after,
)
from tests.parts.servers import HTML, PDF, Reply, Server

LIMIT = 10_000
OK = Reply(body=PDF)
BUSY = Reply(503)
BOMB = gzip.compress(gzip.compress(bytes(1_000_000)))
NOW = datetime(2025, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def client(server: Server, *more: str, pauses: list[float] | None = None, **policy: Any) -> Http:
    """The real client with short pauses, which may ask `server` alone. With `pauses` it does not
    wait but writes them down."""
    quick: dict[str, Any] = {"backoff": 0.01, "connect": 2.0, "read": 2.0, "interval": {}} | policy
    sleep = time.sleep if pauses is None else pauses.append
    return Http({server.url, *more}, retry_policy=RetryPolicy(**quick), sleep=sleep)


def get(http: Http, server: Server, path: str = "/paper") -> Response:
    return http.get(server.url + path, site="arXiv", limit=LIMIT)


def test_answers_up_to_the_limit_come_whole_over_one_connection(server: Server) -> None:
    body = b"x" * LIMIT
    server.tell("/paper", Reply(body=body, headers={"X-Note": "hello"}))
    with client(server) as http:
        for _ in range(3):
            response = get(http, server)
            assert (response.status, response.content) == (200, body)
            assert response.url == server.url + "/paper"
            assert response.headers["x-note"] == "hello"
    assert len({request.connection for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        *((Reply(status, HTML), 1) for status in (400, 401, 403, 404, 410, 500)),
        *((Reply(status), 3) for status in (429, 502, 503, 504)),
        (Reply(body=PDF, cut=10), 3),
    ],
)
def test_a_host_is_asked_again_where_waiting_may_help(
    server: Server, answer: Reply, requests: int
) -> None:
    server.tell("/paper", answer, answer, OK)
    with client(server) as http:
        response = get(http, server)
    expected = (200, PDF) if requests == 3 else (answer.status, b"")
    assert (response.status, response.content) == expected
    assert len(server.requests) == requests


def test_pauses_double_between_tries(server: Server) -> None:
    server.tell("/paper", BUSY)
    pauses: list[float] = []
    with (
        client(server, pauses=pauses, backoff=1.0, longest_backoff=6.0) as http,
        pytest.raises(BusyError, match=r"^arXiv asked to wait; gave up after 5 tries$"),
    ):
        get(http, server)
    assert len(server.requests) == 5
    least = [1.0, 2.0, 4.0, 6.0]
    assert all(low <= pause <= low + 1 for low, pause in zip(least, pauses, strict=True))
    assert pauses[-1] <= 6.0


def test_a_pause_that_a_host_wants_is_kept_a_long_one_by_not_asking_again(server: Server) -> None:
    server.tell("/paper", Reply(429, headers={"Retry-After": "7"}), OK)
    server.tell("/later", Reply(429, headers={"Retry-After": "3600"}))
    pauses: list[float] = []
    with client(server, pauses=pauses) as http:
        assert get(http, server).content == PDF
        for path in ("/later", "/paper"):
            with pytest.raises(BusyError, match="asked to wait 60 minutes; try again then"):
                get(http, server, path)
    assert pauses == [7]
    assert server.paths == ["/paper", "/paper", "/later"]


@given(st.integers(-(10**6), 10**6), st.text())
@example(0, "Mon, 20 Nov 1995 19:12:08 +9999999999999999999999")
@example(0, "Mon, 20 Nov 1995 19:12:08 -0000")
def test_retry_after_reads_seconds_and_dates_and_nothing_else(seconds: int, text: str) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after(date, NOW) == max(0, seconds)
    assert retry_after(f" {abs(seconds)} ", NOW) == abs(seconds)
    assert retry_after(text, NOW) >= 0


def test_a_host_that_turned_two_requests_in_a_row_away_is_not_asked_again(server: Server) -> None:
    server.tell("/busy", BUSY)
    server.tell("/paper", OK)
    with client(server, tries=1) as http:
        for path in ("/busy", "/paper", "/busy", "/busy", "/paper", "/busy"):
            with contextlib.suppress(BusyError):
                assert get(http, server, path).content == PDF
    assert server.paths == ["/busy", "/paper", "/busy", "/busy"]


@pytest.mark.parametrize(
    ("answer", "policy", "error", "requests"),
    [
        (
            Reply(body=PDF, pause=0.4),
            {"read": 0.05, "tries": 2},
            r"^arXiv did not answer in time; gave up after 2 tries$",
            2,
        ),
        (Reply(body=PDF, cut=10), {}, r"^arXiv cut the connection; gave up after 5 tries$", 5),
        (Reply(body=PDF * 20, drip=0.02), {"total": 0.2}, r"too slowly: gave up after 0\.2 s", 1),
        (Reply(body=b"x" * (LIMIT + 1)), {}, r"sent more than 0\.01 MB", 1),
        (Reply(302, headers={"Location": "/paper"}), {}, "redirected more than 5 times", 6),
        (Reply(body=BOMB, headers={"Content-Encoding": "gzip, gzip"}), {}, "compressed", 1),
    ],
)
def test_an_answer_that_does_not_come_whole_or_ends_nowhere_is_given_up(
    server: Server, answer: Reply, policy: dict[str, Any], error: str, requests: int
) -> None:
    server.tell("/paper", answer)
    start = time.monotonic()
    with client(server, **policy) as http, pytest.raises(HttpError, match=error):
        get(http, server)
    assert time.monotonic() - start < 60
    assert len(server.requests) == requests


def endless(first: bytes, again: bytes) -> str:
    """The address of a server that says one thing and then another for ever."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listener, listener.accept()[0] as connection, contextlib.suppress(OSError):
            connection.recv(10_000)
            connection.sendall(first)
            while True:
                connection.sendall(again)
                time.sleep(0.01)

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
)
def test_hints_headers_and_bytes_without_end_are_given_up(first: bytes, again: bytes) -> None:
    url = endless(first, again)
    with (
        Http([url], retry_policy=RetryPolicy(total=0.5)) as http,
        pytest.raises(HttpError, match=r"too slowly: gave up after 0\.5 s"),
    ):
        http.get(f"{url}/paper", site="arXiv", limit=LIMIT)


def test_redirects_are_followed_among_allowed_hosts_and_headers_stay_with_the_first(
    server: Server,
) -> None:
    with Server() as other:
        server.tell("/paper", Reply(301, headers={"Location": "/moved"}))
        server.tell("/moved", Reply(302, headers={"Location": other.url + "/here"}))
        other.tell("/here", OK)
        with client(server, other.url) as http:
            secret = {"authorization": "x"}
            response = http.get(server.url + "/paper", site="GitHub", limit=LIMIT, headers=secret)
        assert (response.content, response.url) == (PDF, other.url + "/here")
        assert [request.headers.get("authorization") for request in server.requests] == ["x", "x"]
        assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize(
    ("status", "location"),
    [
        *((status, "http://127.0.0.1:{port}/here") for status in (301, 302, 303, 307, 308)),
        (302, "http://allowed@elsewhere.invalid/"),
        (302, "//elsewhere.invalid/"),
        (302, "ftp://127.0.0.1/"),
        (302, "file:///etc/passwd"),
        (302, "http://127.0.0.1.elsewhere.invalid/"),
    ],
)
def test_no_spelling_of_an_address_leads_elsewhere(
    server: Server, status: int, location: str
) -> None:
    with Server() as other:
        address = location.format(port=other.url.rpartition(":")[2])
        server.tell("/paper", Reply(status, headers={"Location": address}))
        refused = "arXiv redirected to .*, which is not an allowed host"
        with client(server) as http, pytest.raises(HttpError, match=refused):
            get(http, server)
        assert other.requests == []


def test_only_the_allowed_hosts_can_be_asked_and_arxiv_every_three_seconds(server: Server) -> None:
    production = Endpoints().origins
    hosts = {"export.arxiv.org", "api.github.com", "raw.githubusercontent.com"}
    assert production == {f"https://{host}" for host in hosts}
    with Http(production) as http, pytest.raises(HttpError, match="is not an allowed host"):
        get(http, server)
    assert server.requests == []
    assert RetryPolicy().interval["export.arxiv.org"] >= 3.0
    # An origin is scheme, host and port.
    assert origin_of("HTTPS://Export.arXiv.org:443/pdf/1?x=1#y") == "https://export.arxiv.org"
    assert origin_of("http://127.0.0.1:8000/") == "http://127.0.0.1:8000"


def test_a_host_that_cannot_be_reached_is_tried_twice_in_all() -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        pauses: list[float] = []
        with Http({url}, retry_policy=RetryPolicy(interval={}), sleep=pauses.append) as http:
            for _ in range(3):
                with pytest.raises(HttpError, match=r"^arXiv cannot be reached: .*online"):
                    http.get(url, site="arXiv", limit=LIMIT)
        assert len(pauses) == 1


def test_requests_to_one_host_keep_their_distance(server: Server) -> None:
    server.tell("/paper", Reply(302, headers={"Location": "/moved"}), BUSY, OK)
    server.tell("/moved", OK)
    with client(server, interval={"127.0.0.1": 0.15}) as http:
        get(http, server)
        get(http, server)
    times = [request.at for request in server.requests]
    assert len(times) == 4
    assert all(later - earlier >= 0.15 for earlier, later in pairwise(times))
