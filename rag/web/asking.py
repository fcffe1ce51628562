"""The routes that take a prompt: as a document, pasted or uploaded, or as a form."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from index.errors import PromptError, RagError
from rag.prompt import MAX_SIZE, Prompt, decode, parse_prompt
from rag.web.form import FIELDS, MAX_WORKS, PromptForm
from rag.web.site import Site
from rag.web.views import excerpt, page

LIMIT = MAX_SIZE + MAX_SIZE // 4
"""Bytes of a request: a prompt document, and what a form says around it."""


def asking(site: Site) -> APIRouter:
    """Prompts come in here, and leave for the desk."""
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
    job = site.desk.find(name)
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
