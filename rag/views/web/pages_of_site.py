"""The pages as HTML. Everything that comes from outside is escaped by the templates: none of them
turns that off but for the answer itself, which `rag.page` has escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rag.plaintext import plain, visible
from rag.views.web.jobs import Seen
from rag.views.web.site import moment_of

SHORT = 90
"""Characters of a question in a title."""

ASSETS: Mapping[str, str] = {
    "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


@cache
def asset(name: str) -> bytes:
    """A file of ours that is the same for everybody; KeyError where there is none."""
    if name not in ASSETS:
        raise KeyError(name)
    return (files("rag.views.web") / "static" / name).read_bytes()


def page(template: str, **values: object) -> str:
    """The page that `template` makes of `values`."""
    return _templates().get_template(template).render(**values)


def message_page(status: int, message: str) -> bytes:
    """A page that says what went wrong."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Something went wrong"
    return page("message.html", title=title, message=message).encode()


def percent(seen: Seen) -> int | None:
    """How far the stage is that was last heard of; None where that cannot be said."""
    stage = next((stage for stage in reversed(seen.stages) if stage.total), None)
    return None if stage is None else round(100 * min(1, stage.done / stage.total))


def excerpt(text: str, line: int, around: int = 2) -> Sequence[tuple[int, str]]:
    """The numbered lines about `line`, 1-based; () where no line is to blame."""
    if not line:
        return ()
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = max(1, line - around)
    return [(first + i, it[:200]) for i, it in enumerate(lines[first - 1 : line + around])]


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= SHORT else text[: SHORT - 1].rstrip() + "…"


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader("rag.views.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "plain": plain,
        "visible": visible,
        "short": _short,
        "moment": moment_of,
    }
    made.filters.update(filters)
    return made
