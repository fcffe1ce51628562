"""The routes of answers: watched while they come, read, downloaded, verified, listed."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from index.errors import PromptError, RagError
from rag.answer.verify import Verification
from rag.plaintext import plain, visible
from rag.prompt import MAX_SIZE, Prompt, decode, parse_prompt
from rag.views.markdown import to_markdown
from rag.views.web.form import FIELDS, MAX_WORKS, PromptForm
from rag.views.web.guard import policy
from rag.views.web.jobs import QueueFullError, Seen
from rag.views.web.pages_of_site import excerpt, page, percent
from rag.views.web.site import WATCHERS, Site

PAUSE = 0.2
"""Seconds between two looks at the log."""
RETRY_POLICY = 20.0
"""Seconds a reader may take to receive one event."""
HEARTBEAT = 75
"""Looks without news after which a comment is sent, to see whether the reader is still there."""


class EventStream(Response):
    """`look(offset)` is what there is to see of a job, with the text written since `offset`."""

    media_type = "text/event-stream"

    def __init__(self, look: Callable[[int], Seen], *, since: int, site: Site) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._look = look
        self._since = since
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the job ends, the reader leaves, or the server does."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        gone = asyncio.ensure_future(_disconnected(receive))
        self._site.watchers += 1
        try:
            await _send(send, start)
            await self._follow(send, gone)
            await _send(send, {"type": "http.response.body", "body": b""})
        except TimeoutError:
            return  # the server ends the connection of a response that was not finished
        finally:
            self._site.watchers -= 1
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _follow(self, send: Send, gone: asyncio.Future[None]) -> None:
        shown: object = None
        silent = 0
        while not gone.done() and not self._site.closing:
            seen = self._look(self._since)
            state = seen.state, seen.ahead, seen.stages
            if seen.text or state != shown:
                await _send(send, _part(_event(seen)))
                shown, self._since, silent = state, seen.end, 0
            elif (silent := silent + 1) >= HEARTBEAT:
                await _send(send, _part(b":\n\n"))
                silent = 0
            if seen.ended:
                return
            await asyncio.wait([gone], timeout=PAUSE)


def _event(seen: Seen) -> bytes:
    """One event; its id is the offset from which a reader that comes back goes on."""
    data = {
        "state": seen.state,
        "ahead": seen.ahead,
        "stages": [
            {
                "name": stage.name,
                "done": stage.done,
                "total": stage.total,
                "what": plain(stage.what),
            }
            for stage in seen.stages
        ],
        "text": visible(seen.text),
        "start": seen.start,
        "end": seen.end,
    }
    name = "event: end\n" if seen.ended else ""
    return f"{name}id: {seen.end}\ndata: {json.dumps(data)}\n\n".encode()


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def _send(send: Send, message: Message) -> None:
    async with asyncio.timeout(RETRY_POLICY):
        await send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


LIMIT = MAX_SIZE + MAX_SIZE // 4
"""Bytes of a request: a prompt document, and what a form says around it."""


def asking(site: Site) -> APIRouter:
    """Prompts come in here, and leave for the job_queue."""
    router = APIRouter()

    @router.get("/")
    async def document(again: str = "") -> Response:
        prompt = await asyncio.to_thread(_earlier, site, again)
        return HTMLResponse(_document_page(prompt.text if prompt else ""))

    @router.post("/")
    async def ask_document(request: Request) -> Response:
        form = await _form(request)
        text, upload = _text(form, "text"), form.get("file")
        try:
            if isinstance(upload, UploadFile) and upload.filename:
                text = decode(await upload.read())
            if not text.strip():
                raise PromptError("there is no prompt document here: paste one, or choose a file")
            prompt = await asyncio.to_thread(parse_prompt, text)
        except PromptError as error:
            return HTMLResponse(_document_page(text, error))
        finally:
            await form.close()
        return _sent(site, prompt)

    @router.get("/form")
    async def empty_form(again: str = "") -> Response:
        prompt = await asyncio.to_thread(_earlier, site, again)
        return _form_page(PromptForm.of_prompt(prompt) if prompt else PromptForm())

    @router.post("/form")
    async def ask_form(request: Request) -> Response:
        form = await _form(request)
        columns = [[str(value) for value in form.getlist(name)] for name in FIELDS]
        typed = PromptForm.of(_text(form, "question"), columns)
        action, _, number = _text(form, "action").partition(":")
        await form.close()
        if action == "add":
            return _form_page(typed.with_work(), focus=len(typed.works))
        if action == "remove" and number.isdecimal():
            return _form_page(typed.without_work(int(number[:9])))
        read = await asyncio.to_thread(typed.read)
        if isinstance(read, PromptForm):
            return _form_page(read)
        if action == "look":
            return HTMLResponse(_document_page(read.text))
        return _sent(site, read)

    return router


def _sent(site: Site, prompt: Prompt) -> Response:
    """To the page of the answer, which is on its way."""
    return RedirectResponse(f"/answers/{site.ask(prompt)}", 303)


def _earlier(site: Site, name: str) -> Prompt | None:
    """The prompt of an answer, or of a job that has none, to be asked again."""
    job = site.job_queue.find(name)
    if job is not None:
        return job.prompt
    try:
        answer = site.store.load(name)
        return parse_prompt(answer.prompt.text) if answer else None
    except RagError:
        return None


def _document_page(text: str, error: PromptError | None = None) -> str:
    return page(
        "document.html",
        text=text,
        error=error,
        lines=excerpt(text, error.line) if error else (),
    )


def _form_page(form: PromptForm, *, focus: int | None = None) -> Response:
    shown = page("form.html", form=form, focus=focus, full=len(form.works) >= MAX_WORKS)
    return HTMLResponse(shown)


async def _form(request: Request) -> FormData:
    # Browsers send a form as its page is written. Any other charset is a codec of Python's by
    # its name: some give text that cannot be encoded, some raise whatever they like.
    _, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise HTTPException(415, "A form can be read in UTF-8 only.")
    return await request.form(max_files=1, max_fields=5 * MAX_WORKS + 5, max_part_size=LIMIT)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


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
        # In this order: a job leaves the job_queue only when its answer is kept.
        job = site.job_queue.find(name)
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
        job = site.job_queue.find(name)
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
        job = site.job_queue.find(name)
        if job is not None:
            site.job_queue.give_up(job.id)
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
        jobs=[] if before else [(job, site.look(job)(0)) for job in site.job_queue.at_hand()],
        answers=[(name, site.glance(name)) for name in shown],
        more=shown[-1] if len(after) > LISTED else "",
        total=len(names),
    )


def _long_done(since: int) -> Seen:
    return Seen("done", 0, (), "", since, since, "")
