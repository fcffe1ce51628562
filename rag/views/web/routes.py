"""The pages: questions are asked at /, /form and /document; answers are watched, read, downloaded,
verified and listed under /answers. All text from elsewhere is escaped by the templates, but for
the answer itself, which `rag.views.html` has escaped."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from functools import cache
from http import HTTPStatus
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from python_multipart.multipart import parse_options_header
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from index.errors import AnswerError, LinkError, PromptError, RagError
from index.sources import PDF_LIMIT
from rag.parsing import MAX_SIZE, decode
from rag.plaintext import plain, visible
from rag.prompt import Prompt, parse_prompt
from rag.views.html import style_source, to_fragment, to_html
from rag.views.markdown import to_markdown
from rag.views.web.form import FIELDS, MAX_WORKS, LinksForm, PromptForm
from rag.views.web.guard import policy
from rag.views.web.jobs import Job, JobSnapshot, QueueFullError
from rag.views.web.site import GRACE, WATCHERS, Site, moment_of, new_id

LIMIT = MAX_SIZE + MAX_SIZE // 4
"""Bytes of a request: a prompt document, and what a form adds to it."""
UPLOAD_LIMIT = 2 * PDF_LIMIT
"""Bytes of a request that may hold files of one's own."""
MAX_FILES = 20
LISTED = 50
"""Answers on one page of the list."""
TITLE = 90
"""Characters of a question in a title."""
POLL = 0.2
"""Seconds between two looks at a job."""
SEND_TIMEOUT = 20.0
"""Seconds a client may take to receive one event."""

_DOWNLOADS = {"html": "text/html", "json": "application/json", "md": "text/markdown"}


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("rag.views.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"plain": plain, "visible": visible, "short": _short, "moment": moment_of}
    environment.filters |= filters
    return environment


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= TITLE else text[: TITLE - 1].rstrip() + "…"


def _page(template: str, **values: object) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(template).render(**values))


def message_page(status: int, message: str) -> str:
    """The HTML of a page that says what went wrong."""
    template = _templates().get_template("message.html")
    return template.render(title=HTTPStatus(status).phrase, message=message)


def ask_routes(site: Site) -> APIRouter:
    """The pages that put prompts into the queue."""
    router = APIRouter()
    _add_document_routes(site, router)
    _add_form_routes(site, router)

    def links_page(typed: LinksForm, of: str, sent: FormData | None = None) -> Response:
        examples = {name: prompt.question for name, prompt in examples_of_page().items()}
        return _ask_page(site, "links.html", sent, form=typed, of=of, examples=examples)

    @router.get("/")
    async def empty_links(of: str = "") -> Response:
        earlier = await asyncio.to_thread(_earlier_prompt, site, of)
        if earlier is None:
            return links_page(LinksForm(), "")
        question = earlier.question if of in examples_of_page() else ""
        kept = frozenset(range(len(earlier.listings)))
        return links_page(LinksForm(question, earlier=earlier, kept=kept), of)

    @router.post("/")
    async def ask_links(request: Request) -> Response:
        async with _form(request, files=MAX_FILES) as form:
            links, of, refused = _text(form, "links").rstrip(), _text(form, "of"), []
            for upload in form.getlist("files"):
                if isinstance(upload, UploadFile) and upload.filename:
                    data = await upload.read()
                    try:
                        link = await asyncio.to_thread(site.upload, upload.filename, data)
                        links = f"{links}\n{link.written}".lstrip("\n")
                    except LinkError as error:
                        refused.append(f"{error}.")
            earlier = await asyncio.to_thread(_earlier_prompt, site, of)
            kept = frozenset(int(it[:9]) for it in map(str, form.getlist("kept")) if it.isdecimal())
            errors = {"files": " ".join(refused)}
            typed = LinksForm(_text(form, "question"), links, earlier, kept, errors)
            prompt = await asyncio.to_thread(typed.read)
            if isinstance(prompt, LinksForm):
                return links_page(prompt, of if earlier else "", form)
            return _ask(site, prompt, form)

    return router


def _add_document_routes(site: Site, router: APIRouter) -> None:
    @router.get("/document")
    async def empty_document(again: str = "") -> Response:
        prompt = await asyncio.to_thread(_earlier_prompt, site, again)
        return _document_page(site, prompt.text if prompt else "")

    @router.post("/document")
    async def ask_document(request: Request) -> Response:
        async with _form(request) as form:
            text, upload = _text(form, "text"), form.get("file")
            try:
                if isinstance(upload, UploadFile) and upload.filename:
                    text = decode(await upload.read())
                if not text.strip():
                    raise PromptError(
                        "there is no prompt document here: paste one, or choose a file"
                    )
                return _ask(site, await asyncio.to_thread(parse_prompt, text), form)
            except PromptError as error:
                return _document_page(site, text, form, error)


def _add_form_routes(site: Site, router: APIRouter) -> None:
    def form_page(
        typed: PromptForm, sent: FormData | None = None, *, focus: int | None = None
    ) -> Response:
        full = len(typed.works) >= MAX_WORKS
        return _ask_page(site, "form.html", sent, form=typed, focus=focus, full=full)

    @router.get("/form")
    async def empty_form(again: str = "") -> Response:
        prompt = await asyncio.to_thread(_earlier_prompt, site, again)
        return form_page(PromptForm.of_prompt(prompt) if prompt else PromptForm())

    @router.post("/form")
    async def ask_form(request: Request) -> Response:
        async with _form(request) as form:
            columns = [[str(value) for value in form.getlist(name)] for name in FIELDS]
            typed = PromptForm.of(_text(form, "question"), columns)
            action, _, number = _text(form, "action").partition(":")
        if action == "add":
            return form_page(typed.with_work(), form, focus=len(typed.works))
        if action == "remove" and number.isdecimal():
            return form_page(typed.without_work(int(number[:9])), form)
        prompt = await asyncio.to_thread(typed.read)
        if isinstance(prompt, PromptForm):
            return form_page(prompt, form)
        if action == "look":
            return _document_page(site, prompt.text, form)
        return _ask(site, prompt, form)


def _ask(site: Site, prompt: Prompt, form: FormData) -> Response:
    job = Job(new_id(), prompt, _text(form, "writer"))
    site.job_queue.put(job)
    return RedirectResponse(f"/answers/{job.id}", 303)


def _ask_page(site: Site, template: str, sent: FormData | None, **values: object) -> Response:
    writer = _text(sent, "writer") if sent else ""
    active = site.job_queue.active()
    return _page(template, jobs=active, writers=tuple(site.writers), writer=writer, **values)


def _document_page(
    site: Site, text: str, sent: FormData | None = None, error: PromptError | None = None
) -> Response:
    """The form for a prompt document; with an error, the numbered lines around its line."""
    lines: list[tuple[int, str]] = []
    if error and error.line:
        every = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        first = max(1, error.line - 2)
        lines = [(first + i, it[:200]) for i, it in enumerate(every[first - 1 : error.line + 2])]
    return _ask_page(site, "document.html", sent, text=text, error=error, lines=lines)


@cache
def examples_of_page() -> dict[str, Prompt]:
    """The prompts that the page offers to try, by name."""
    folder = files("rag.views.web") / "examples"
    texts = {it.name.removesuffix(".txt"): it.read_text("utf-8") for it in folder.iterdir()}
    return {name: parse_prompt(texts[name]) for name in sorted(texts)}


def _earlier_prompt(site: Site, name: str) -> Prompt | None:
    """The prompt of an example, a job or an answer, to be asked again."""
    if prompt := examples_of_page().get(name):
        return prompt
    if job := site.job_queue.find(name):
        return job.prompt
    try:
        return parse_prompt(site.store.load(name).prompt.text)
    except RagError:
        return None


@contextlib.asynccontextmanager
async def _form(request: Request, *, files: int = 1) -> AsyncIterator[FormData]:
    # Browsers send a form in the charset of its page. Any other charset is a codec of Python's by
    # its name: some give text that cannot be encoded, some raise whatever they like.
    _, options = parse_options_header(request.headers.get("content-type"))
    if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise HTTPException(415, "A form can be read in UTF-8 only.")
    limits = {"max_files": files, "max_fields": 5 * MAX_WORKS + 5, "max_part_size": LIMIT // files}
    async with request.form(**limits) as form:
        yield form


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def answer_routes(site: Site) -> APIRouter:
    """The pages of answers, and of jobs that become answers under the same address."""
    router = APIRouter(prefix="/answers")

    def require_answer(name: str) -> None:
        if not site.store.path(name):
            raise HTTPException(404)

    async def answer_page(name: str) -> Response:
        rendered = await site.rendered(name)
        verification, moment = site.verification(name) or (None, None)
        # Escaped by rag.views.html.
        fragment = Markup(await asyncio.to_thread(rendered.render, to_fragment))
        page = _page(
            "answer.html",
            name=name,
            answer=rendered.answer,
            fragment=fragment,
            verification=verification,
            verified_at=moment,
        )
        page.headers["content-security-policy"] = policy(style_source())
        return page

    @router.get("")
    async def index(before: str = "") -> Response:
        return await asyncio.to_thread(_list_page, site, before)

    @router.get("/{name}")
    async def answer_or_job(name: str) -> Response:
        # In this order: a job leaves the queue only when its answer is stored.
        job = site.job_queue.find(name)
        if job is None or site.store.path(name):
            require_answer(name)
            return await answer_page(name)
        return _page("job.html", job=job, snapshot=job.snapshot(0, site.job_queue.ahead(job)))

    @router.get("/{name}/events")
    async def events(request: Request, name: str) -> Response:
        if site.watchers >= WATCHERS:
            raise QueueFullError("too many clients are watching answers")
        job = site.job_queue.find(name)
        if job is None:
            require_answer(name)
        last = request.headers.get("last-event-id", "")
        offset = int(last[:9]) if last.isdecimal() else 0
        # The grace period lets the stream end by itself when the server does.
        return _EventStream(
            _events(site, job, offset), send_timeout=SEND_TIMEOUT, shutdown_grace_period=GRACE
        )

    @router.post("/{name}/cancel")
    async def cancel(name: str) -> Response:
        if site.job_queue.find(name):
            site.job_queue.cancel(name)
        else:
            require_answer(name)
        return RedirectResponse(f"/answers/{name}", 303)

    @router.post("/{name}/verify")
    async def verify(name: str) -> Response:
        require_answer(name)
        await site.verify(name)
        return RedirectResponse(f"/answers/{name}#verification", 303)

    @router.get("/{name}/verify")
    async def verified(name: str) -> Response:
        require_answer(name)
        return RedirectResponse(f"/answers/{name}", 303)

    @router.get("/{name}/answer.{form}")
    async def download(name: str, form: str) -> Response:
        if form not in _DOWNLOADS:
            raise HTTPException(404)
        require_answer(name)
        if form == "json":
            content = (await asyncio.to_thread(site.store.load, name)).to_json() + "\n"
        else:
            shown = await site.rendered(name)
            content = (
                await asyncio.to_thread(shown.render, to_html)
                if form == "html"
                else to_markdown(shown.answer, support_warnings=shown.support_warnings)
            )
        headers = {
            "content-disposition": f'attachment; filename="answer-{name}.{form}"',
            "content-security-policy": "sandbox; default-src 'none'",
        }
        return Response(content, media_type=_DOWNLOADS[form], headers=headers)

    return router


def _list_page(site: Site, before: str) -> Response:
    names = [name for name in site.store.names() if not before or name < before]
    queue = site.job_queue
    jobs = [] if before else [(job, job.snapshot(0, queue.ahead(job))) for job in queue.active()]
    answers = []
    for name in names[:LISTED]:
        try:
            answer = site.store.load(name)
            answers.append((name, answer.prompt.question, f"{answer.writer.name} writer"))
        except AnswerError as error:
            answers.append((name, "An answer that cannot be read", str(error)))
    more = names[LISTED - 1] if len(names) > LISTED else ""
    failed = [] if before else [(job, job.snapshot(0)) for job in queue.ended()]
    return _page("answers.html", jobs=jobs, failed=failed, answers=answers, more=more)


class _EventStream(EventSourceResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server ends the connection of a client that receives nothing.
        with contextlib.suppress(SendTimeoutError):
            await super().__call__(scope, receive, send)


async def _events(site: Site, job: Job | None, offset: int) -> AsyncIterator[ServerSentEvent]:
    """Snapshots of a job whenever it has changed, with the text written since the one before,
    until the job or the server ends. An event's id is the offset from which to go on."""
    site.watchers += 1
    try:
        previous: object = None
        while not site.closing:
            snapshot = JobSnapshot("done", start=offset, end=offset)
            if job:
                snapshot = job.snapshot(offset, site.job_queue.ahead(job))
            progress = snapshot.state, snapshot.ahead, snapshot.stages
            if snapshot.text or progress != previous:
                data = asdict(snapshot) | {"text": visible(snapshot.text)}
                for stage in data["stages"]:
                    stage["what"] = plain(stage["what"])
                event = "end" if snapshot.ended else None
                yield ServerSentEvent(json.dumps(data), id=str(snapshot.end), event=event)
                previous, offset = progress, snapshot.end
            if snapshot.ended:
                return
            await asyncio.sleep(POLL)
    finally:
        site.watchers -= 1
