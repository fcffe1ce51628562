"""READMEs → Document. Markdown becomes HTML first, since READMEs mix the two; then one parser
takes the visible text out of the HTML. Knows nothing of GitHub."""

from __future__ import annotations

import re
import unicodedata
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple

from index.documents import Document, Section
from index.documents.repair import decoded, encodable
from index.errors import ExtractionError

MARKDOWN = "markdown-2"
RST = "rst-2"

ADORNMENT = re.compile(r"([=\-~^\"'`#*+.:_<>])\1{2,}\s*")
# Also the target of an anonymous link, which nobody sees either.
DIRECTIVE = re.compile(r"\s*(\.\.(\s|$)|__\s)")
ADMONITION = re.compile(
    r"\s*\.\. (note|warning|tip|important|caution|hint|attention)::\s*(.*)", re.I
)
BULLET = re.compile(r"\s*([*+-]|\d+\.|#\.)\s+")
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
# As browsers read them (HTML 13.2.5.43–52): one that is never closed hides all that follows.
COMMENT = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))", re.S)
ALERT = re.compile(r"^\s*\[!\w+\]\s*")
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)
UNQUOTABLE = re.compile(r"references?|bibliography|bibtex|(table of )?contents?|toc", re.I)
BIBTEX = re.compile(r"@(article|inproceedings|misc|book|techreport|software|phdthesis)\s*\{", re.I)


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
    return decoded(data).replace("\0", "")


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
        index += 1
        if DIRECTIVE.match(line):
            flush()
            if admonition := ADMONITION.match(line):
                paragraph += filter(None, [admonition[2]])
            else:
                index = _after_indented(lines, index, line)
            continue
        if ADORNMENT.fullmatch(line) and not paragraph:
            continue
        if line.strip() and ADORNMENT.fullmatch(following) and len(following.strip()) >= 3:
            flush()
            mark = following.strip()[0]
            if mark not in levels:
                levels.append(mark)
            level = min(6, levels.index(mark) + 1)
            out.append(f"<h{level}>{_inline(line.strip())}</h{level}>")
            index += 1
            continue
        bullet = BULLET.match(line)
        if not line.strip():
            flush()
        elif bullet and not (paragraph and bullet[1][0].isdigit()):
            flush()
            paragraph.append(line[bullet.end() :])
        else:
            paragraph.append(line.strip())
        if line.rstrip().endswith("::"):  # a literal block follows
            last = paragraph[-1].rstrip(":").rstrip()
            paragraph[-1] = last + ("" if line.strip() == "::" else ":")
            flush()
            index = _after_indented(lines, index, line)
    flush()
    return "\n".join(out)


def _after_indented(lines: list[str], index: int, above: str) -> int:
    """The first line from `index` on that is neither blank nor indented deeper than `above`."""

    def indent(line: str) -> int:
        return len(line) - len(line.lstrip())

    while index < len(lines) and (not lines[index].strip() or indent(lines[index]) > indent(above)):
        index += 1
    return index


def _inline(text: str) -> str:
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return escape(text)


class ReadmeParagraph(NamedTuple):
    """`level` is 0 for text, 1 to 6 for a heading; `table`: whether it stands in one."""

    text: str
    level: int = 0
    table: bool = False


class _VisibleText(HTMLParser):
    """Collects the paragraphs of an HTML text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.paragraphs: list[ReadmeParagraph] = []
        self.open: list[tuple[str, bool]] = []  # elements not yet ended: tag, hidden
        self.text = ""
        self.level = 0
        self.links = 0
        self.unlinked = False  # whether the paragraph says anything outside its links

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in CELLS and self.text.strip():
            self.text += " | "
        elif tag in BLOCKS - CELLS:
            self.flush()
            self.level = self.level if tag == "br" else HEADINGS.get(tag, 0)
        if tag in VOID:
            return
        self.links += tag == "a"
        attributes = {name: value or "" for name, value in attrs}
        hidden = (
            tag in UNSEEN
            or "hidden" in attributes
            or attributes.get("aria-hidden", "").lower() == "true"
            or bool(HIDING.search(attributes.get("style", "")))
        )
        self.open.append((tag, hidden or bool(self.open and self.open[-1][1])))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if tag in BLOCKS - CELLS:
            self.flush()
            self.level = 0
        for index in range(len(self.open) - 1, -1, -1):
            if self.open[index][0] == tag:
                del self.open[index:]
                break

    def handle_data(self, data: str) -> None:
        if not (self.open and self.open[-1][1]):
            self.text += data
            if all(tag != "a" for tag, _ in self.open) and re.search(r"[^\W\d_]", data):
                self.unlinked = True

    def flush(self) -> None:
        text = tidied(self.text)
        only_links = self.links > 1 and not self.unlinked
        self.text, self.links, self.unlinked = "", 0, False
        if text and not only_links:
            table = any(tag in CELLS or tag == "table" for tag, _ in self.open)
            self.paragraphs.append(ReadmeParagraph(text, self.level, table))


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


def _document(source_id: str, html: str, extractor: str) -> Document:
    parser = _VisibleText()
    parser.feed(COMMENT.sub("", html))
    parser.close()
    parser.flush()
    paragraphs = parser.paragraphs
    if not paragraphs:
        raise ExtractionError(source_id, "the README holds no text, only images, links or code")
    headings = sorted((p for p in paragraphs if p.level), key=lambda p: p.level != 1)
    title = headings[0].text if headings else ""
    text = ""
    starts: list[tuple[int, str, bool]] = []  # of sections: offset, heading, quotable
    trail: list[tuple[int, str]] = []  # the headings above, outermost first
    for paragraph in paragraphs:
        if level := paragraph.level:
            trail = [item for item in trail if item[0] < level] + [(level, paragraph.text)]
        heading = " › ".join(name for at, name in trail if name != title or at == trail[-1][0])
        own = trail[-1][1].strip(" :") if trail else ""
        quotable = not (
            paragraph.table or UNQUOTABLE.fullmatch(own) or BIBTEX.search(paragraph.text)
        )
        text += "\n\n" if text else ""
        if level or not starts or starts[-1][1:] != (heading, quotable):
            starts.append((len(text), heading, quotable))
        text += paragraph.text
    ends = [*(start for start, _, _ in starts[1:]), len(text)]
    sections = (Section(s[0], end, *s[1:]) for s, end in zip(starts, ends, strict=True))
    return Document(text, title, (), tuple(sections), extractor)
