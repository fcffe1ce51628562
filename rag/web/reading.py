"""The routes of answers: watched while they come, read, downloaded, verified, listed."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from rag.render import to_markdown
from rag.verification import Verification
from rag.web.events import EventStream
from rag.web.guard import policy
from rag.web.jobs import QueueFullError, Seen
from rag.web.site import WATCHERS, Site
from rag.web.views import page, percent

LISTED = 50
"""Answers on one page of the list."""

_MEDIA_TYPES = {"html": "text/html", "json": "application/json", "md": "text/markdown"}


def reading(site: Site) -> APIRouter:
    """Answers go out here."""
    router = APIRouter(prefix="/answers")

    @router.get("")
    async def listed(before: str = "") -> Response:
        return HTMLResponse(await asyncio.to_thread(_list, site, before))

    @router.get("/{name}")
    async def answer(name: str) -> Response:
        # In this order: a job leaves the desk only when its answer is kept.
        job = site.desk.find(name)
        if site.store.holds(name):
            return await _answer(site, name)
        if job is None:
            raise HTTPException(404)
        seen = site.look(job)(0)
        return HTMLResponse(page("job.html", job=job, seen=seen, percent=percent(seen)))

    @router.get("/{name}/events")
    async def events(request: Request, name: str) -> Response:
        if site.watchers >= WATCHERS:
            raise QueueFullError("too many are watching answers come")
        job = site.desk.find(name)
        if job is None and not site.store.holds(name):
            raise HTTPException(404)
        since = request.headers.get("last-event-id", "")
        return EventStream(
            site.look(job) if job else _long_done,
            since=int(since[:9]) if since.isdecimal() else 0,
            site=site,
        )

    @router.post("/{name}/give-up")
    async def give_up(name: str) -> Response:
        job = site.desk.find(name)
        if job is not None:
            site.desk.give_up(job.id)
        elif not site.store.holds(name):
            raise HTTPException(404)
        return RedirectResponse(f"/answers/{name}", 303)

    @router.post("/{name}/verify")
    async def verify(name: str) -> Response:
        if not site.store.holds(name):
            raise HTTPException(404)
        return await _answer(site, name, await site.verified.of(name))

    @router.get("/{name}/answer.{form}")
    async def download(name: str, form: str) -> Response:
        if form not in _MEDIA_TYPES or not site.store.holds(name):
            raise HTTPException(404)
        # Only the file that shows pages of papers has to wait for them to be drawn.
        if form == "html":
            drawn = await site.drawn(name)
            written = await asyncio.to_thread(drawn.document)
        else:
            kept = await asyncio.to_thread(site.kept, name)
            written = to_markdown(kept) if form == "md" else kept.to_json() + "\n"
        return Response(
            written,
            media_type=_MEDIA_TYPES[form],
            headers={
                "content-disposition": f'attachment; filename="answer-{name}.{form}"',
                "content-security-policy": "sandbox; default-src 'none'",
            },
        )

    return router


async def _answer(site: Site, name: str, found: Verification | None = None) -> Response:
    drawn = await site.drawn(name)
    fragment = await asyncio.to_thread(drawn.fragment)
    shown = page("answer.html", name=name, answer=drawn.answer, fragment=fragment, found=found)
    return HTMLResponse(shown, headers={"content-security-policy": policy(fragment)})


def _list(site: Site, before: str) -> str:
    names = site.store.names()
    after = [name for name in names if name < before] if before else names
    shown = after[:LISTED]
    return page(
        "answers.html",
        jobs=[] if before else [(job, site.look(job)(0)) for job in site.desk.at_hand()],
        answers=[(name, site.glance(name)) for name in shown],
        more=shown[-1] if len(after) > LISTED else "",
        total=len(names),
    )


def _long_done(since: int) -> Seen:
    return Seen("done", 0, (), "", since, since, "")
