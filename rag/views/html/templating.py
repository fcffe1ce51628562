"""The templates filled in. What comes from a paper, a README or a prompt passes `_shown` and
Jinja's escaping, all of it: nothing but the stylesheet and base64 is put in as it is.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from rag.answer.model import Answer
from rag.plaintext import plain
from rag.views.highlight import NO_PICTURES, PageImage, Pictures
from rag.views.html.view import view_of
from rag.views.warnings import SupportWarning

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_ALLOWED = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src "


def to_html(
    answer: Answer,
    pictures: Pictures = NO_PICTURES,
    *,
    support_warnings: Sequence[SupportWarning] = (),
) -> str:
    """A whole document that asks nothing of anybody: it has no script, and its policy lets it
    load nothing but what it holds."""
    return _filled("document.html", answer, pictures, support_warnings)


def to_fragment(
    answer: Answer,
    pictures: Pictures = NO_PICTURES,
    *,
    support_warnings: Sequence[SupportWarning] = (),
) -> str:
    """The same content for a page of somebody else, a notebook above all: every rule of its
    style holds inside it alone, and its ids begin with a hash of what it shows."""
    return _filled("fragment.html", answer, pictures, support_warnings)


def _filled(
    template: str, answer: Answer, pictures: Pictures, support_warnings: Sequence[SupportWarning]
) -> str:
    from markupsafe import Markup

    view = view_of(answer, pictures, support_warnings)
    style = _style()
    digest = hashlib.sha256(style.encode()).digest()
    return (
        _environment()
        .get_template(template)
        .render(
            answer=view,
            key=_key(answer, view.pages, pictures, support_warnings),
            pages={(page.source_id, page.page): n for n, page in enumerate(view.pages, start=1)},
            style=Markup(style),
            policy=_ALLOWED + f"'sha256-{b64encode(digest).decode()}'",
        )
    )


def _key(
    answer: Answer,
    pages: Sequence[PageImage],
    pictures: Pictures,
    support_warnings: Sequence[SupportWarning],
) -> str:
    """Different for what looks different. An answer that is shown twice may have its ids twice:
    they name the same things."""
    # In whatever order they were found: that is no part of what is shown.
    highlights = sorted(pictures.highlights.items(), key=repr)
    said = repr((answer.to_json(), highlights, support_warnings))
    digest = hashlib.sha256(said.encode("utf-8", "replace"))
    for page in pages:
        digest.update(page.data)
    return f"a{digest.hexdigest()[:10]}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rag.views.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = _data_uri
    environment.filters["breakable"] = _breakable
    return environment


def _shown(value: object) -> object:
    """Text without what cannot be seen; it is escaped after that."""
    from markupsafe import Markup

    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _data_uri(image: PageImage) -> Markup:
    from markupsafe import Markup

    return Markup("data:{};base64,{}").format(
        plain(image.media_type), b64encode(image.data).decode()
    )


def _breakable(link: str) -> Markup:
    """A link to be read, which may go on in the next line after a slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in plain(link).split("/"))


@cache
def _style() -> str:
    return (files("rag.views.html") / "templates" / "style.css").read_text(encoding="utf-8").strip()
