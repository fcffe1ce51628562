"""Who may speak to the page: host names, other sites, tokens, sizes, and what a browser is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.settings import Settings
from rag.pipeline import Pipeline
from rag.prompt import MAX_SIZE
from rag.support.builtin import open_checker
from rag.views.web.app import create_app
from rag.views.web.guard import COOKIE, Guard, Hosts, host_of, is_loopback
from rag.views.web.routes import LIMIT
from rag.views.web.site import Site
from tests.parts.tiny_encoders import WordEncoder
from tests.parts.works import PROMPTS, PlainWriter

DATA_DIR = "http://127.0.0.1:8765"
TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, small_mirror: Path) -> Site:
    settings = Settings(tmp_path_factory.mktemp("data_dir"), small_mirror, offline=True)
    return Site(
        Pipeline(settings, WordEncoder(), PlainWriter()),
        lambda: open_checker(token_states=False),
    )


@pytest.fixture(scope="module")
def app(site: Site) -> Guard:
    """Bound to this machine, without a token."""
    return create_app(site, hosts=Hosts.of("127.0.0.1"))


@pytest.fixture(scope="module")
def open_app(site: Site) -> Guard:
    """Bound to every address, with a token."""
    return create_app(site, hosts=Hosts.of("0.0.0.0", ["lab.example"]), token=TOKEN)


def get(app: Guard, path: str, base: str = DATA_DIR, **headers: str) -> httpx.Response:
    return send(app, "GET", path, base, headers)


def post(app: Guard, path: str, base: str = DATA_DIR, **headers: str) -> httpx.Response:
    files = {"text": (None, PROMPTS["move"].text)}
    return send(app, "POST", path, base, headers, files=files)


def send(
    app: Guard, method: str, path: str, base: str, headers: Mapping[str, str], **more: object
) -> httpx.Response:
    async def sent() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named, **more)  # type: ignore[arg-type]

    return asyncio.run(sent())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1", "LOCALHOST", "[::1]:8765", "[::1]"]
)
def test_this_machine_is_known_by_its_own_names(app: Guard, host: str) -> None:
    assert get(app, "/", Host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.0.7",
        "0.0.0.0",
        "",
        "[::1].evil.example:80:80",
        "127.0.0.1:8765@evil.example",
    ],
)
def test_another_name_that_leads_here_is_refused(app: Guard, host: str) -> None:
    refused = get(app, "/", Host=host)
    assert refused.status_code == 421
    assert PROMPTS["move"].question not in refused.text


def test_bound_to_all_addresses_it_answers_to_addresses_and_to_the_names_it_was_given(
    open_app: Guard,
) -> None:
    for host in ("192.168.0.7:8765", "[fe80::1]:8765", "lab.example", "localhost"):
        assert get(open_app, "/static/style.css", Host=host).status_code == 200
    assert get(open_app, "/static/style.css", Host="evil.example").status_code == 421


@given(st.text(max_size=40))
def test_any_host_header_is_held_or_refused_and_breaks_nothing(header: str) -> None:
    assert Hosts.of("127.0.0.1").hold(header) == (
        host_of(header) in {"127.0.0.1", "localhost", "::1"}
    )


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("localhost.example", False),
    ],
)
def test_only_loopback_is_this_machine_alone(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Origin": DATA_DIR},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8765"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/form", "/answers/x/verify", "/answers/x/give-up"])
def test_what_another_site_sends_does_nothing(
    app: Guard, site: Site, path: str, headers: dict[str, str]
) -> None:
    before = site.store.names()
    assert post(app, path, **headers).status_code == 403
    assert (site.store.names(), site.job_queue.at_hand()) == (before, ())


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}, {"Origin": DATA_DIR}],
)
def test_what_our_own_page_sends_is_taken(app: Guard, headers: dict[str, str]) -> None:
    assert post(app, "/", **headers).status_code == 303


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(app: Guard, method: str) -> None:
    assert send(app, method, "/", DATA_DIR, {}).status_code == 405


@pytest.mark.parametrize(
    "path", ["/", "/form", "/answers", "/answers/x", "/static/style.css", "/nothing"]
)
def test_every_response_tells_the_browser_what_it_may_do(app: Guard, path: str) -> None:
    headers = get(app, path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-frame-options"] == "DENY"


class TestAToken:
    """Asked for wherever others can reach the page."""

    @pytest.mark.parametrize("path", ["/", "/form", "/answers", "/answers/x/events", "/nothing"])
    def test_without_it_nothing_is_shown(self, open_app: Guard, path: str) -> None:
        assert get(open_app, path).status_code == 401
        assert post(open_app, path, Origin=DATA_DIR).status_code == 401

    @pytest.mark.parametrize(
        "given", ["", "x", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "é", "\x00"]
    )
    def test_a_wrong_one_lets_nobody_in(self, open_app: Guard, given: str) -> None:
        tried = send(open_app, "GET", "/", DATA_DIR, {}, params={"token": given})
        assert tried.status_code == 401
        assert "set-cookie" not in tried.headers
        if given.isascii() and given.isprintable():
            assert get(open_app, "/", Cookie=f"{COOKIE}={given}").status_code == 401

    def test_the_right_one_becomes_a_cookie_and_leaves_the_address(self, open_app: Guard) -> None:
        entered = get(open_app, f"/answers?before=a%20b&token={TOKEN}")
        assert entered.status_code == 303
        assert entered.headers["location"] == "/answers?before=a+b"
        cookie = SimpleCookie(entered.headers["set-cookie"])[COOKIE]
        assert cookie.value == TOKEN
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")

    @pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "///evil.example/x"])
    def test_the_address_it_leaves_is_never_another_site(self, open_app: Guard, path: str) -> None:
        async def entered() -> str:
            scope = {
                "type": "http",
                "method": "GET",
                "path": path,
                "query_string": f"token={TOKEN}".encode(),
                "headers": [(b"host", b"127.0.0.1")],
            }
            told: list[dict[str, object]] = []

            async def keep(message: object) -> None:
                told.append(dict(message))  # type: ignore[call-overload]

            await open_app(scope, None, keep)  # type: ignore[arg-type]
            headers = dict(told[0]["headers"])  # type: ignore[call-overload]
            return str(headers[b"location"].decode())

        location = asyncio.run(entered())
        assert httpx.URL(f"{DATA_DIR}/").join(location).host == "127.0.0.1"

    def test_the_cookie_lets_in_beside_whatever_others_left(self, open_app: Guard) -> None:
        cookie = f'odd="a;b{{}}; {COOKIE}={TOKEN}; other=1'
        assert get(open_app, "/", Cookie=cookie).status_code == 200
        assert post(open_app, "/", Cookie=cookie, Origin=DATA_DIR).status_code == 303


class TestSizes:
    """A prompt document has a largest size, and so has a request."""

    def test_a_request_that_says_it_is_too_large_is_refused(self, app: Guard) -> None:
        assert send(app, "POST", "/", DATA_DIR, {}, content=b"x" * (LIMIT + 1)).status_code == 413

    def test_one_that_does_not_say_so_is_refused_too(self, app: Guard) -> None:
        async def pieces() -> object:
            yield b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
            for _ in range(LIMIT // 1000 + 2):
                yield b"x" * 1000

        headers = {"Content_Type": "multipart/form-data; boundary=b"}
        assert send(app, "POST", "/", DATA_DIR, headers, content=pieces()).status_code == 413

    @pytest.mark.parametrize("field", ["text", "file"])
    def test_the_largest_document_is_read_and_a_larger_one_is_refused_by_name(
        self, app: Guard, field: str
    ) -> None:
        text = PROMPTS["move"].text
        for size, status in ((MAX_SIZE, 303), (MAX_SIZE + 1, 200)):
            # A file has bytes, and what is pasted has characters.
            name = "prompt.txt" if field == "file" else None
            filled = text + "x" * (size - (len(text.encode()) if name else len(text)))
            sent = send(app, "POST", "/", DATA_DIR, {}, files={field: (name, filled.encode())})
            assert sent.status_code == status
            assert status == 303 or "too large for a prompt document" in sent.text
