"""Which requests reach the served page: hosts, other sites, tokens, sizes; and its headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message
from uvicorn.server import ServerState

from rag.parsing import MAX_SIZE
from rag.views.web.guard import COOKIE, Guard, is_loopback
from rag.views.web.routes import LIMIT
from rag.views.web.server import Connection, create_app
from rag.views.web.site import Site
from tests.parts.sites import LOCAL, send, tiny_site
from tests.parts.works import PROMPTS

TOKEN = "a-token-of-the-test"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, small_mirror: Path) -> Site:
    return tiny_site(tmp_path_factory.mktemp("guarded"), small_mirror)


@pytest.fixture(scope="module")
def app(site: Site) -> Guard:
    """Bound to this machine, without a token."""
    return create_app(site, host="127.0.0.1")


@pytest.fixture(scope="module")
def open_app(site: Site) -> Guard:
    """Bound to every address, with a token."""
    return create_app(site, host="0.0.0.0", allowed=["lab.example", "*"], token=TOKEN)


def get(app: Guard, path: str, **headers: str) -> httpx.Response:
    return send(app, "GET", path, headers=headers)


def post(app: Guard, path: str, headers: Mapping[str, str]) -> httpx.Response:
    files = {"text": (None, PROMPTS["move"].text)}
    return send(app, "POST", path, headers=headers, files=files)


OWN = ("127.0.0.1", "127.0.0.1:8765", "localhost:1", "LOCALHOST", "[::1]:8765", "[::1]")
FOREIGN = (
    *("evil.example", "evil.example:8765", "", "0.0.0.0", "*", "192.168.0.7", "[::1"),
    *("127.0.0.1.evil.example", "localhost.evil.example", "[::1].evil.example:80:80"),
    "127.0.0.1:8765@evil.example",
)


@pytest.mark.parametrize("host", [*OWN, *FOREIGN])
def test_only_own_names_of_this_machine_are_answered(app: Guard, host: str) -> None:
    response = get(app, "/", Host=host)
    assert response.status_code == (200 if host in OWN else 400)
    assert host in OWN or "--allow-host" in response.text
    assert response.headers["content-security-policy"].startswith("default-src 'none'; ")


def test_bound_to_all_addresses_addresses_and_allowed_names_are_answered(open_app: Guard) -> None:
    for host in ("192.168.0.7:8765", "[fe80::1]:8765", "lab.example", "localhost"):
        assert get(open_app, "/static/style.css", Host=host).status_code == 200
    names = ("evil.example", "127.0.0.1.evil.example", "127.0.0.1@evil.example", "[::1", "*")
    for host in (*names, "127.0.0.1/evil.example", "127.0.0.1?x", "999.1.1.1", "[::1]x"):
        assert get(open_app, "/static/style.css", Host=host).status_code == 400


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_host_header_is_answered_or_refused(app: Guard, header: str) -> None:
    host = header.lower().rpartition(":")[0] if header.count(":") == 1 else header.lower()
    own = host in ("127.0.0.1", "localhost", "[::1]")
    response = send(app, "GET", "/static/style.css", headers={"host": header.encode()})
    assert response.status_code in ((200, 400) if own else (400,))


def test_loopback_is_this_machine_alone() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "192.168.0.7", "localhost.example"]))


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": LOCAL},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8765"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/form", "/answers/x/verify", "/answers/x/cancel"])
def test_a_post_from_another_site_does_nothing(
    app: Guard, site: Site, path: str, headers: dict[str, str]
) -> None:
    before = site.store.names()
    assert post(app, path, headers).status_code == 403
    assert (site.store.names(), site.job_queue.active()) == (before, [])


def test_a_post_from_an_own_page_or_from_no_page_is_taken(app: Guard) -> None:
    sites = ({"Sec-Fetch-Site": site} for site in ("same-origin", "none"))
    for headers in ({}, {"Origin": LOCAL}, *sites):
        assert post(app, "/document", headers).status_code == 303


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(app: Guard, method: str) -> None:
    assert send(app, method, "/").status_code == 405
    crossed = send(app, method, "/", headers={"Origin": "http://evil.example"})
    assert crossed.status_code == 403


@pytest.mark.parametrize("path", ["/", "/form", "/answers/x", "/static/style.css", "/nothing"])
def test_every_response_has_the_headers_that_restrict_a_browser(app: Guard, path: str) -> None:
    headers = get(app, path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    names = ("x-content-type-options", "referrer-policy", "x-frame-options")
    assert [headers[name] for name in names] == ["nosniff", "same-origin", "DENY"]


@pytest.mark.parametrize("path", ["/", "/form", "/answers/x/events", "/metrics", "/nothing"])
def test_without_the_token_nothing_is_shown(open_app: Guard, path: str) -> None:
    assert get(open_app, path).status_code == 401
    assert post(open_app, path, {"Origin": LOCAL}).status_code == 401


@pytest.mark.parametrize("value", ["", "x", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "é", "\x00"])
def test_a_wrong_token_is_refused(open_app: Guard, value: str) -> None:
    refused = send(open_app, "GET", "/", params={"token": value})
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers
    if value.isascii() and value.isprintable():
        assert get(open_app, "/", Cookie=f"{COOKIE}={value}").status_code == 401


def test_the_token_becomes_a_cookie_and_leaves_the_address(open_app: Guard) -> None:
    entered = get(open_app, f"/answers?before=a%20b&token={TOKEN}")
    assert entered.status_code == 303
    assert entered.headers["location"] == "/answers?before=a+b"
    cookie = SimpleCookie(entered.headers["set-cookie"])[COOKIE]
    assert cookie.value == TOKEN
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    beside = f'odd="a;b{{}}; {COOKIE}={TOKEN}; other=1'
    assert get(open_app, "/", Cookie=beside).status_code == 200
    assert post(open_app, "/document", {"Cookie": beside, "Origin": LOCAL}).status_code == 303


def test_health_is_open_and_programs_show_the_token_in_a_header(
    open_app: Guard, tmp_path: Path, small_mirror: Path
) -> None:
    assert get(open_app, "/healthz").text == "ok\n"
    for shown, status in ((f"Bearer {TOKEN}", 200), ("Bearer ", 401), ("Bearer x", 401)):
        assert get(open_app, "/metrics", Authorization=shown).status_code == status
    closing = tiny_site(tmp_path, small_mirror)
    closing.closing = True
    assert get(create_app(closing, host="127.0.0.1"), "/healthz").status_code == 503


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "///evil.example/x"])
def test_the_redirect_after_the_token_never_leads_to_another_site(
    open_app: Guard, path: str
) -> None:
    entered = send(open_app, "GET", f"{LOCAL}{path}?token={TOKEN}")
    assert httpx.URL(LOCAL).join(entered.headers["location"]).host == "127.0.0.1"


@pytest.mark.parametrize("path", ["/", "/answers", "/static/style.css", "/nothing", "/?token=x"])
def test_head_is_get_without_the_body(app: Guard, path: str) -> None:
    shown, head = send(app, "GET", path), send(app, "HEAD", path)
    assert (head.status_code, head.content) == (shown.status_code, b"")
    assert head.headers["content-type"] == shown.headers["content-type"]
    assert head.headers["content-security-policy"].startswith("default-src 'none'; ")


def test_an_upload_that_is_broken_off_is_no_error_of_the_server(
    app: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    body: Iterator[Message] = iter(
        [
            {"type": "http.request", "body": b"--b\r\nContent-Disp", "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[Message] = []

    async def receive() -> Message:
        return next(body)

    async def keep(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"multipart/form-data; boundary=b")]
    asked = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(app(asked, receive, keep))
    assert sent[0]["status"] == 400
    assert caplog.text == ""


def test_connections_that_send_no_whole_request_are_ended(app: Guard) -> None:
    class Quick(Connection):
        timeout = 0.3

    async def seconds_open(sent: bytes, drip: bytes) -> float:
        config = uvicorn.Config(app, http=Quick, ws="none", lifespan="off", log_config=None)
        state, loop = ServerState(), asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Quick(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*listener.sockets[0].getsockname())
        end, began = asyncio.ensure_future(reader.read()), loop.time()
        writer.write(sent)
        while not end.done() and loop.time() < began + 5:
            writer.write(drip)
            await asyncio.sleep(0.05)
        await asyncio.gather(end, return_exceptions=True)  # It may be reset.
        writer.close()
        listener.close()
        return loop.time() - began

    for sent, drip in (
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: 127", b""),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\n", b"x"),
    ):
        assert 0.2 < asyncio.run(seconds_open(sent, drip)) < 4


def test_a_request_that_is_too_large_is_refused_with_or_without_its_length(app: Guard) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
        for _ in range(LIMIT // 1000 + 2):
            yield b"x" * 1000

    headers = {"content-type": "multipart/form-data; boundary=b"}
    for content in (b"x" * (LIMIT + 1), pieces()):
        refused = send(app, "POST", "/document", headers=headers, content=content)
        assert refused.status_code == 413
        assert "too large" in refused.text.lower()
        assert refused.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("filename", [None, "prompt.txt"])
def test_the_largest_document_is_read_and_a_larger_one_is_refused_with_a_sentence(
    app: Guard, filename: str | None
) -> None:
    text = PROMPTS["move"].text
    for size, status in ((MAX_SIZE, 303), (MAX_SIZE + 1, 200)):
        # A file has bytes, and what is pasted has characters.
        filled = text + "x" * (size - (len(text.encode()) if filename else len(text)))
        field = "file" if filename else "text"
        asked = send(app, "POST", "/document", files={field: (filename, filled.encode())})
        assert asked.status_code == status
        assert status == 303 or "too large for a prompt document" in asked.text
