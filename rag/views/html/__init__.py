"""An answer as HTML: a whole document that needs nothing else, or a fragment for a notebook.

All text from papers, READMEs and prompts passes `_finalize` and Jinja's escaping; only the
stylesheet and base64 are inserted as they are.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from itertools import count
from typing import TYPE_CHECKING

from rag.answer.model import Answer
from rag.plaintext import plain
from rag.views.highlight import NO_PICTURES, PageImage, Pictures
from rag.views.html.view import views_of
from rag.views.markdown import (
    ROLES,
    STAGES,
    how_written,
    is_link,
    place,
    what_could_not_be_read,
    what_was_read,
)
from rag.views.warnings import SupportWarning

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_POLICY = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src "


def to_html(
    answer: Answer,
    pictures: Pictures = NO_PICTURES,
    *,
    support_warnings: Sequence[SupportWarning] = (),
) -> str:
    """A whole document without scripts, whose policy lets it load nothing from outside."""
    return _render("document.html", answer, pictures, support_warnings)


def to_fragment(
    answer: Answer,
    pictures: Pictures = NO_PICTURES,
    *,
    support_warnings: Sequence[SupportWarning] = (),
) -> str:
    """The same content for another page, above all a notebook: its style applies inside it alone,
    and its ids begin with a hash of its content."""
    return _render("fragment.html", answer, pictures, support_warnings)


def _render(
    template: str, answer: Answer, pictures: Pictures, support_warnings: Sequence[SupportWarning]
) -> str:
    from markupsafe import Markup

    views = views_of(answer, pictures, support_warnings)
    quotes = [
        quote for statements in views.values() for each in statements for quote in each.quotes
    ]
    shown = dict.fromkeys((crop.source_id, crop.page) for quote in quotes for crop in quote.crops)
    pages = [pictures.pages[key] for key in shown]
    style = _style()
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            answer=answer,
            views=views,
            quotes=len(quotes),
            unread=what_could_not_be_read(answer),
            warnings=sum(bool(each.warning) for item in views.values() for each in item),
            records={source.id: source for source in answer.sources},
            pages=pages,
            page_numbers={key: number for number, key in enumerate(shown, start=1)},
            next_number=count(1).__next__,
            key=_key(answer, pages, pictures, support_warnings),
            style=Markup(style),
            policy=f"{_POLICY}'sha256-{digest}'",
        )
    )


def _key(
    answer: Answer,
    pages: Sequence[PageImage],
    pictures: Pictures,
    support_warnings: Sequence[SupportWarning],
) -> str:
    """A prefix for ids: equal for equal content, so that two fragments in one notebook never refer
    to each other's pages."""
    highlights = sorted(pictures.highlights.items(), key=repr)
    content = repr((answer.to_json(), highlights, support_warnings))
    digest = hashlib.sha256(content.encode("utf-8", "replace"))
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
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": _data_uri, "breakable": _breakable}
    environment.tests["live"] = is_link
    environment.globals |= {
        "STAGES": STAGES,
        "ROLES": ROLES,
        "place": place,
        "how_written": how_written,
        "what_was_read": what_was_read,
    }
    return environment


def _finalize(value: object) -> object:
    """Text without control characters; Jinja escapes it afterwards."""
    from markupsafe import Markup

    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _data_uri(image: PageImage) -> Markup:
    from markupsafe import Markup

    data = b64encode(image.data).decode()
    return Markup("data:{};base64,{}").format(plain(image.media_type), data)


def _breakable(link: str) -> Markup:
    """The text of a link, which may wrap after a slash."""
    from markupsafe import Markup, escape

    return Markup("/<wbr>").join(escape(part) for part in plain(link).split("/"))


@cache
def _style() -> str:
    return (files("rag.views.html") / "templates" / "style.css").read_text(encoding="utf-8").strip()
