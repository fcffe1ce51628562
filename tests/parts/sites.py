"""A site with tiny parts, and its application without a network."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from index.settings import Settings
from rag.pipeline import Pipeline
from rag.support.builtin import BuiltinChecker
from rag.views.web.answering import PipelineAnswering
from rag.views.web.guard import Guard
from rag.views.web.server import create_app
from rag.views.web.site import Site
from tests.parts.tiny_encoders import WordEncoder
from tests.parts.works import PlainWriter

LOCAL = "http://127.0.0.1:8765"


def tiny_site(data_dir: Path, mirror: Path) -> Site:
    """Over works of the mirror, with an encoder and writers that need no model."""
    settings = Settings(data_dir, mirror, offline=True)
    pipeline = Pipeline(settings, WordEncoder(), PlainWriter())
    answering = PipelineAnswering(pipeline, {"<another>": lambda: PlainWriter("another")})
    return Site(settings, answering, BuiltinChecker)


def send(app: Guard, method: str, path: str, **request: Any) -> httpx.Response:
    """The response of the application, by httpx's own parameters."""

    async def response() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            return await client.request(method, path, **request)

    return asyncio.run(response())


class SitePages:
    """The pages of a site for this machine."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.app = create_app(site, host="127.0.0.1")

    def get(self, path: str) -> httpx.Response:
        return send(self.app, "GET", path)

    def post(self, path: str, *fields: tuple[str, Any]) -> httpx.Response:
        """`fields` as a browser sends them; a pair of a file's name and bytes is a file."""
        parts = [
            (name, value if isinstance(value, tuple) else (None, value)) for name, value in fields
        ]
        return send(self.app, "POST", path, files=parts)

    def form(self, question: str, *rows: dict[str, str], action: str = "ask") -> httpx.Response:
        pairs = [pair for row in rows for pair in row.items()]
        return self.post("/form", ("question", question), ("action", action), *pairs)

    def answered(self, text: str) -> str:
        """Asks a prompt document; the name of its answer, when it is stored."""
        return self.wait(self.post("/document", ("text", text)))

    def wait(self, asked: httpx.Response) -> str:
        """The name of the answer that a redirect leads to, when it is stored."""
        name = asked.headers["location"].rpartition("/")[2]
        for _ in range(2_000):
            if self.site.store.path(name):
                return name
            time.sleep(0.02)
        raise TimeoutError(name)

    def rest(self) -> None:
        """Waits until no job is active."""
        for _ in range(400):
            if not self.site.job_queue.active():
                return
            time.sleep(0.02)
