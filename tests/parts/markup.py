"""HTML as a browser would read it, near enough: elements, and the words between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}


@dataclass
class Markup(HTMLParser):
    """Elements with their attributes, in order, all text outside styles, and what is typed in
    the fields, by their ids."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("input", "textarea") and values.get("id"):
            self.fields[str(values["id"])] = values.get("value") or ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open[-1:] == ["textarea"]:
            # A browser drops the line break after the tag.
            self.fields[[*self.fields][-1]] += data.removeprefix("\n")

    def attributes(self, tag: str, name: str) -> list[str]:
        values = (attributes.get(name) for each, attributes in self.elements if each == tag)
        return [value for value in values if value is not None]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The elements and the names of their attributes. A link may have any number of places
        where a line may break."""
        return [(tag, tuple(names)) for tag, names in self.elements if tag != "wbr"]


def parsed(html: str) -> Markup:
    """The page, in which every element is closed."""
    page = Markup()
    page.feed(html)
    page.close()
    assert not page.open
    return page
