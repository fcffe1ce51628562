"""The real client against a server that answers like GitHub."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from index.catalog import GithubLink
from index.errors import FetchError
from index.sources.github import GithubApi, token_from_environment
from index.sources.http import Http, RetryPolicy
from tests.parts.servers import HTML, Reply, Request, Server, commits, readme

LINK = GithubLink("https://github.com/Owner/Name", "Owner", "Name")
README = "/repos/Owner/Name/readme"
COMMITS = "/repos/Owner/Name/commits"
RAW = "/Owner/Name/HEAD/README.rst"
SHA = "0123456789abcdef0123456789abcdef01234567"
TEXT = b"# Name\n\nIt explains itself.\n"
LIMIT = Reply(403, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1760000000"})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        server.tell(COMMITS, commits(SHA))
        yield server


@pytest.fixture
def raw() -> Iterator[Server]:
    with Server() as server:
        server.tell(RAW, Reply(body=TEXT))
        yield server


@pytest.fixture
def api(server: Server, raw: Server) -> Iterator[GithubApi]:
    retry_policy = RetryPolicy(backoff=0.01, read=2.0, tries=2, interval={})
    with Http({server.url, raw.url}, retry_policy=retry_policy) as http:
        yield GithubApi(http, api=server.url, raw=raw.url, token="a-secret")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("readme.MARKDOWN", "text/markdown"),
        ("README.rst", "text/x-rst"),
        ("README.org", "text/org"),
        ("README", "text/plain"),
    ],
)
def test_a_readme_comes_whatever_its_name_with_the_commit_it_is_of(
    server: Server, api: GithubApi, name: str, media_type: str
) -> None:
    server.tell(README, readme(TEXT, name=name, repository="Owner/Name"))
    download = api.readme(LINK)
    assert (download.data, download.media_type, download.version) == (TEXT, media_type, SHA)
    assert download.origin == f"https://github.com/Owner/Name/blob/main/{name}"
    assert server.requests[-1].query == {"path": name, "per_page": "1"}


def test_a_renamed_repository_is_followed_and_its_commit_too(
    server: Server, api: GithubApi
) -> None:
    moved = "/repositories/42"
    server.tell(README, Reply(301, headers={"Location": f"{server.url}{moved}/readme"}))
    server.tell(f"{moved}/readme", readme(TEXT, repository="new/name"))
    server.tell(f"{moved}/commits", commits(SHA))
    download = api.readme(LINK)
    assert (download.data, download.version) == (TEXT, SHA)
    assert download.origin.startswith("https://github.com/new/name/")
    assert server.paths == [README, f"{moved}/readme", f"{moved}/commits"]


@pytest.mark.parametrize(
    ("limit", "asked"),
    [
        # An answer that names the limit is final; one that only asks to wait gets a second try.
        (LIMIT, 1),
        (Reply(429, headers={"X-RateLimit-Remaining": "0"}), 1),
        (Reply(429, headers={"X-RateLimit-Remaining": "30", "Retry-After": "60"}), 1),
        (Reply(403, headers={"Retry-After": "60"}), 1),
        (Reply(429), 2),
        (Reply(503), 2),
    ],
)
def test_when_the_limit_is_reached_the_raw_host_is_read_and_the_api_left_alone(
    server: Server, raw: Server, api: GithubApi, limit: Reply, asked: int
) -> None:
    server.tell(README, limit)
    for _ in range(2):
        download = api.readme(LINK)
        assert (download.data, download.media_type, download.version) == (TEXT, "text/x-rst", None)
        assert download.origin == raw.url + RAW
    assert len(server.requests) == asked
    # An unusual name is not called missing.
    raw.tell(RAW, Reply(404))
    with pytest.raises(FetchError, match="limit of requests is reached, and no README was found"):
        api.readme(LINK)


@pytest.mark.parametrize(
    ("left", "answer"),
    [
        *(
            ("21", answer)
            for answer in (Reply(500), Reply(503), Reply(body=b"[]"), Reply(body=HTML))
        ),
        ("20", commits(SHA)),  # The last requests are kept for READMEs.
    ],
)
def test_a_readme_is_worth_having_without_its_commit(
    server: Server, api: GithubApi, left: str, answer: Reply
) -> None:
    server.tell(README, readme(TEXT, x_ratelimit_remaining=left))
    server.tell(COMMITS, answer)
    download = api.readme(LINK)
    assert (download.data, download.version) == (TEXT, None)
    assert (COMMITS in server.paths) is (left == "21")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply(404), "GitHub has no such repository, or it has no README"),
        (readme(b"  \n"), "the file is empty"),
        (readme(HTML), "not plain text: it is an HTML page"),
        (readme(b"PK\x03\x04\0\0"), "not plain text: it has zero bytes"),
        (Reply(body=HTML), "GitHub's answer cannot be read"),
        (Reply(body=b"[" * 100_000), "GitHub's answer cannot be read"),
        (Reply(body=b'{"name": "README.md"}'), "GitHub's answer cannot be read"),
        (Reply(451), "GitHub does not send its README (status 451)"),
        (Reply(body=b"{}", cut=1), "GitHub cut the connection; gave up after 2 tries"),
        (
            Reply(301, headers={"Location": "https://elsewhere.invalid/"}),
            "GitHub redirected to elsewhere.invalid, which is not an allowed host",
        ),
    ],
)
def test_what_is_no_readme_is_refused_with_the_reason(
    server: Server, raw: Server, api: GithubApi, answer: Reply, expected: str
) -> None:
    server.tell(README, answer)
    with pytest.raises(FetchError) as error:
        api.readme(LINK)
    assert (error.value.source_id, error.value.reason) == ("github:owner/name", expected)
    assert raw.requests == []


def test_the_token_is_shown_to_the_api_alone_and_never_logged(
    server: Server, raw: Server, api: GithubApi, caplog: pytest.LogCaptureFixture
) -> None:
    # A README of more than a megabyte is named, not sent; it and what is beyond the limit is raw.
    named = {"name": "R", "path": "R", "encoding": "none", "download_url": raw.url + RAW}
    server.tell(README, readme(TEXT), Reply(body=json.dumps(named).encode()), LIMIT)
    with caplog.at_level(logging.DEBUG):
        assert [api.readme(LINK).data for _ in range(3)] == [TEXT] * 3
    shown = [request.headers.get("authorization") for request in server.requests]
    assert set(shown) == {"Bearer a-secret"}
    assert ["authorization" in request.headers for request in raw.requests] == [False] * 5
    assert "a-secret" not in caplog.text


def test_a_token_that_is_not_accepted_is_put_aside(
    server: Server, api: GithubApi, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(request: Request) -> Reply:
        return Reply(401) if "authorization" in request.headers else readme(TEXT)

    server.tell(README, answer)
    assert api.readme(LINK).data == TEXT
    assert "does not accept the token" in caplog.text
    assert "a-secret" not in caplog.text


def test_the_token_comes_from_the_environment() -> None:
    assert token_from_environment({"GITHUB_TOKEN": " one\n", "GH_TOKEN": "two"}) == "one"
    assert token_from_environment({"GITHUB_TOKEN": "", "GH_TOKEN": "two"}) == "two"
    assert token_from_environment({"GITHUB_TOKEN": "zweié"}) is None
    assert token_from_environment({}) is None
