"""A server on 127.0.0.1 that answers like arXiv and GitHub, and misbehaves as it is told.

No connection of a test leaves this machine: the clients are the real ones, only the hosts and the
pauses differ.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"
HTML = b"<!DOCTYPE html>\n<html><title>Access denied</title></html>"


@dataclass(frozen=True)
class Reply:
    """One answer. `cut` ends the connection after so many bytes of the body; `pause` lies before
    the first byte of the answer, `drip` between the single bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    pause: float = 0.0
    drip: float = 0.0


@dataclass(frozen=True)
class Request:
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    at: float
    connection: int


Answer = Reply | Callable[[Request], Reply]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is what many tests are about; anything else is a fault of ours.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Server:
    """Answers each path with what was told of it, in turn; the last answer stands for ever.
    Whatever was not told is 404. `requests` are all that came."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[str, list[Answer]] = {}
        self._server = _Listener(("127.0.0.1", 0), _handler_for(self))
        # Without a poll of its own, every test would wait half a second for the end.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def tell(self, path: str, *answers: Answer) -> None:
        self._answers[path] = list(answers)

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        answers = self._answers.get(request.path, [Reply(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return answer if isinstance(answer, Reply) else answer(request)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler_for(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(parts.path, query, headers, time.monotonic(), self.client_address[1])
            self._send(server.answer(request))

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def _send(self, reply: Reply) -> None:
            time.sleep(reply.pause)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if reply.drip:
                for byte in reply.body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip)
            else:
                self.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def entry(arxiv_id: str, *, title: str = "A title", comment: str = "", pdf: bool = True) -> str:
    """An entry of arXiv's Atom feed; `arxiv_id` with its version."""
    link = (
        f'<link href="https://arxiv.org/pdf/{arxiv_id}" rel="related" '
        'type="application/pdf" title="pdf"/>'
    )
    return (
        f"<entry><id>http://arxiv.org/abs/{arxiv_id}</id><title>{escape(title)}</title>"
        "<updated>2024-04-22T00:00:00Z</updated><published>2024-04-21T00:00:00Z</published>"
        "<summary>An abstract.</summary><author><name>A. Author</name></author>"
        + (f"<arxiv:comment>{escape(comment)}</arxiv:comment>" if comment else "")
        + f'<link href="https://arxiv.org/abs/{arxiv_id}" rel="alternate" type="text/html"/>'
        + (link if pdf else "")
        + '<arxiv:primary_category term="cs.CV"/><category term="cs.CV"/></entry>'
    )


def feed(*entries: str, total: int | None = None) -> Reply:
    """A page of arXiv's feed. `total` is what it says it has in all."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:arxiv="http://arxiv.org/schemas/atom" '
        'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">'
        "<title>arXiv Query</title><id>http://arxiv.org/api/query</id>"
        f"<opensearch:totalResults>{len(entries) if total is None else total}"
        "</opensearch:totalResults>" + "".join(entries) + "</feed>"
    )
    return Reply(body=body.encode(), headers={"Content-Type": "application/atom+xml"})


def error_entry(message: str) -> str:
    """How arXiv reports an error: an entry without dates, beside status 400."""
    return (
        f"<entry><id>http://arxiv.org/api/errors#{message.replace(' ', '_')}</id>"
        f"<title>Error</title><summary>{message}</summary></entry>"
    )


def readme(
    data: bytes, *, name: str = "README.md", repository: str = "owner/name", **headers: str
) -> Reply:
    """What GitHub's README endpoint answers; `x_ratelimit_remaining` and the like as headers."""
    record: dict[str, Any] = {
        "name": name,
        "path": name,
        "encoding": "base64",
        "content": base64.encodebytes(data).decode(),
        "html_url": f"https://github.com/{repository}/blob/main/{name}",
    }
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(body=json.dumps(record).encode(), headers=sent)


def commits(sha: str) -> Reply:
    """What GitHub's commit endpoint answers."""
    return Reply(body=json.dumps([{"sha": sha}]).encode())
