"""reStructuredText → HTML, as far as READMEs use it: headings, links, roles; directives go."""

from __future__ import annotations

import re
from html import escape

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
