"""The application: its routes, its errors as pages, and the guard before it."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from index.errors import AnswerError
from rag.views.web.guard import Guard, Hosts
from rag.views.web.jobs import QueueFullError
from rag.views.web.pages_of_site import ASSETS, asset, message_page
from rag.views.web.routes import LIMIT, asking, reading
from rag.views.web.site import Site

UNKNOWN = "There is no such page."


def create_app(site: Site, *, hosts: Hosts, token: str = "") -> Guard:
    """The guarded application over `site`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(asking(site))
    app.include_router(reading(site))

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404, UNKNOWN)
        return Response(asset(name), media_type=ASSETS[name], headers={"cache-control": "no-cache"})

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        said = UNKNOWN if error.status_code in (404, 405) else error.detail
        return _told(error.status_code, said)

    @app.exception_handler(QueueFullError)
    async def busy(request: Request, error: QueueFullError) -> Response:
        response = _told(503, f"The server is busy: {error}.")
        response.headers["retry-after"] = "30"
        return response

    @app.exception_handler(AnswerError)
    async def damaged(request: Request, error: AnswerError) -> Response:
        return _told(500, f"This answer cannot be read: {error}")

    @app.exception_handler(500)
    async def failed(request: Request, error: Exception) -> Response:
        return _told(500, "This should not have happened; the log of rag serve says more.")

    return Guard(app, hosts=hosts, token=token, limit=LIMIT, refuse=message_page)


def _told(status: int, message: str) -> Response:
    return HTMLResponse(message_page(status, message), status)
