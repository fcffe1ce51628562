"""READMEs → Document. Markdown becomes HTML first, since READMEs mix the two; then one reader takes
out of the HTML what a reader would see as text. Knows nothing of GitHub."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

from index.documents.document import Document, Section
from index.documents.repair import encodable
from index.errors import ExtractionError

ADORNMENT = re.compile(r"([=\-~^\"'`#*+.:_<>])\1{2,}\s*")
DIRECTIVE = re.compile(r"\s*\.\.(\s|$)")
ADMONITION = re.compile(
    r"\s*\.\. (note|warning|tip|important|caution|hint|attention)::\s*(.*)", re.I
)
INLINE = (
    (re.compile(r":[\w:+-]+:`([^`<]*?)\s*(?:<[^`]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]*?)\s*<[^`>]*>`__?"), r"\1"),
    (re.compile(r"``([^`]+)``"), r"\1"),
    (re.compile(r"`([^`]+)`_{0,2}"), r"\1"),
    (re.compile(r"\|[\w .-]+\|_{0,2}"), ""),
    (re.compile(r"\*\*([^*]+)\*\*"), r"\1"),
    (re.compile(r"(?<!\w)\*([^*\s][^*]*)\*(?!\w)"), r"\1"),
    (re.compile(r"\b(\w+)__?(?=[\s.,;:)]|$)"), r"\1"),
)


def html_of_rst(source: str) -> str:
    """Headings and paragraphs; directives, comments, targets and literal blocks are left out."""
    levels: list[str] = []
    out: list[str] = []
    paragraph: list[str] = []
    lines = source.expandtabs(4).split("\n")
    index = 0

    def flush() -> None:
        if paragraph:
            out.append(f"<p>{_inline(' '.join(paragraph))}</p>")
            paragraph.clear()

    while index < len(lines):
        line = lines[index]
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if DIRECTIVE.match(line):
            flush()
            kept = ADMONITION.match(line)
            if kept:
                paragraph += [kept[2]] if kept[2] else []
                index += 1
                continue
            index = _after_indented(lines, index + 1, _indent(line))
            continue
        if ADORNMENT.fullmatch(line) and not paragraph:
            index += 1
            continue
        if line.strip() and ADORNMENT.fullmatch(following) and len(following.strip()) >= 3:
            flush()
            mark = following.strip()[0]
            if mark not in levels:
                levels.append(mark)
            level = min(6, levels.index(mark) + 1)
            out.append(f"<h{level}>{_inline(line.strip())}</h{level}>")
            index += 2
            continue
        if not line.strip():
            flush()
        elif not paragraph and re.match(r"\s*([*+-]|\d+\.|#\.)\s+", line):
            paragraph.append(re.sub(r"^\s*([*+-]|\d+\.|#\.)\s+", "", line))
        elif re.match(r"\s*([*+-]|#\.)\s+", line):
            flush()
            paragraph.append(re.sub(r"^\s*([*+-]|#\.)\s+", "", line))
        else:
            paragraph.append(line.strip())
        literal = line.rstrip().endswith("::")
        index += 1
        if literal:
            paragraph[-1] = paragraph[-1].rstrip(":").rstrip() + (
                "" if line.strip() == "::" else ":"
            )
            flush()
            index = _after_indented(lines, index, _indent(line))
    flush()
    return "\n".join(out)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _after_indented(lines: list[str], index: int, indent: int) -> int:
    while index < len(lines) and (not lines[index].strip() or _indent(lines[index]) > indent):
        index += 1
    return index


def _inline(text: str) -> str:
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return escape(text)


MARKDOWN = "markdown-1"
RST = "rst-1"

HEADINGS = {f"h{level}": level for level in range(1, 7)}
BLOCKS = {
    *HEADINGS, "address", "article", "aside", "blockquote", "body", "br", "caption", "center",
    "dd", "details", "div", "dl", "dt", "figcaption", "figure", "footer", "header", "hr", "html",
    "li", "main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "ul",
}  # fmt: skip
CELLS = {"td", "th"}
UNSEEN = {
    "script", "style", "pre", "template", "noscript", "iframe", "svg", "video", "audio", "object",
    "head", "title", "math", "select", "textarea", "button",
}  # fmt: skip
VOID = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
}  # fmt: skip
HIDING = re.compile(
    r"(display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(?![.\d]))", re.I
)
SHORTCODE = re.compile(r"(?<![\w:]):[a-z][a-z0-9_+-]*:(?![\w:])")
BARE_URL = re.compile(r"<?https?://\S+>?")
ALERT = re.compile(r"^\s*\[!\w+\]\s*")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)
BIBLIOGRAPHY = re.compile(r"(references?|bibliography|bibtex)", re.I)
BIBTEX = re.compile(r"@(article|inproceedings|misc|book|techreport|software|phdthesis)\s*\{", re.I)
TOC = re.compile(r"(table of )?contents?|toc", re.I)


@dataclass(frozen=True, slots=True)
class Piece:
    """One paragraph; `level` 0 for text, 1 to 6 for a heading, `table` for what stands in one."""

    text: str
    level: int = 0
    table: bool = False


@dataclass(slots=True)
class Open:
    """An element that has not ended yet."""

    tag: str
    hidden: bool


@dataclass
class Pieces(HTMLParser):
    """Collects the paragraphs of an HTML text."""

    found: list[Piece] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    text: str = ""
    level: int = 0
    links: int = 0
    unlinked: bool = False  # whether the paragraph says anything outside its links

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element, hidden if it or one around it is."""
        if tag in CELLS and self.text.strip():
            self.text += " | "
        elif tag in BLOCKS - CELLS:
            self.flush()
            self.level = self.level if tag == "br" else HEADINGS.get(tag, 0)
        if tag in VOID:
            return
        self.links += tag == "a"
        given = {name: value or "" for name, value in attrs}
        hidden = (
            tag in UNSEEN
            or "hidden" in given
            or given.get("aria-hidden", "").lower() == "true"
            or bool(HIDING.search(given.get("style", "")))
        )
        around = self.open[-1].hidden if self.open else False
        self.open.append(Open(tag, hidden or around))

    def handle_endtag(self, tag: str) -> None:
        """End the innermost open element of this name, and what was left open inside it."""
        if tag in BLOCKS - CELLS:
            self.flush()
            self.level = 0
        for index in range(len(self.open) - 1, -1, -1):
            if self.open[index].tag == tag:
                del self.open[index:]
                break

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<br/>` and the like."""
        if tag in BLOCKS:
            self.flush()

    def handle_data(self, data: str) -> None:
        """Text, where it can be seen."""
        if not (self.open and self.open[-1].hidden):
            self.text += data
            if not any(item.tag == "a" for item in self.open) and re.search(r"[^\W\d_]", data):
                self.unlinked = True

    def flush(self) -> None:
        """End the paragraph."""
        text = tidied(self.text)
        only_links = self.links > 1 and not self.unlinked
        self.text, self.links, self.unlinked = "", 0, False
        if text and not only_links:
            table = any(item.tag in CELLS or item.tag == "table" for item in self.open)
            self.found.append(Piece(text, self.level, table))


def tidied(text: str) -> str:
    """One line, without emoji and shortcodes; "" where it is nothing but addresses."""
    text = ALERT.sub("", SHORTCODE.sub("", encodable(text)))
    if not re.search(r"\w", BARE_URL.sub("", text)):
        return ""
    text = "".join(" " if _is_decoration(char) else char for char in text)
    text = " ".join(text.split())
    text = re.sub(r"\s+([,.;:!?)\]])(?=\s|$)", r"\1", text)
    text = re.sub(r"(?<!\w)(\(\s*\)|\[\s*\])", "", text).strip(" |·•-–—")
    return text if re.search(r"\w", text) else ""


def _is_decoration(char: str) -> bool:
    if char in "\u200d\ufe0e\ufe0f\u20e3" or 0x1F000 <= ord(char) <= 0x1FAFF:
        return True
    return unicodedata.category(char) in ("So", "Cc", "Cf", "Co", "Cn") and char not in "°©®™"


def extract_markdown(source_id: str, data: bytes) -> Document:
    """CommonMark with tables, and the HTML inside it."""
    from markdown_it import MarkdownIt

    source = FRONT_MATTER.sub("", _decoded(data))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(source)
    return _document(source_id, html, MARKDOWN)


def extract_rst(source_id: str, data: bytes) -> Document:
    """reStructuredText as far as READMEs use it, read as the Markdown it resembles."""
    return _document(source_id, html_of_rst(_decoded(data)), RST)


def _decoded(data: bytes) -> str:
    text = data.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _document(source_id: str, html: str, extractor: str) -> Document:
    reader = Pieces()
    reader.feed(html)
    reader.close()
    reader.flush()
    pieces = reader.found
    if not pieces:
        raise ExtractionError(source_id, "the README holds no text, only images, links or code")
    title = next((p.text for p in pieces if p.level == 1), "") or next(
        (p.text for p in pieces if p.level), ""
    )
    return _composed(pieces, title, extractor)


def _composed(pieces: list[Piece], title: str, extractor: str) -> Document:
    text = ""
    sections: list[Section] = []
    trail: list[tuple[int, str]] = []
    for piece in pieces:
        if piece.level:
            trail = [item for item in trail if item[0] < piece.level] + [(piece.level, piece.text)]
        heading = " › ".join(
            name for level, name in trail if name != title or level == trail[-1][0]
        )
        own = trail[-1][1] if trail else ""
        quotable = not (
            piece.table
            or BIBLIOGRAPHY.fullmatch(own.strip(" :"))
            or TOC.fullmatch(own.strip(" :"))
            or BIBTEX.search(piece.text)
        )
        if text:
            text += "\n\n"
        start = len(text)
        text += piece.text
        if sections:
            last = sections[-1]
            same = not piece.level and (last.heading, last.quotable) == (heading, quotable)
            if same:
                sections.pop()
                start = last.start
            else:
                sections[-1] = Section(last.start, start, last.heading, last.quotable)
        sections.append(Section(start, len(text), heading, quotable))
    return Document(text, title, (), tuple(sections), extractor)
