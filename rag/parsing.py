"""The grammar of prompt documents: text → a question, requests and listings, or the line that does
not fit and what was expected there.

The text is data: control characters become the pictures Unicode has for them (ESC is shown as ␛)
and lone surrogates U+FFFD, so that nothing in it can act on a terminal or fail to be encoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from index.catalog import ArxivLink, FileLink, Listing, Role
from index.errors import LinkError, PromptError
from index.links import file_inside, is_file_name, parse_github_link, parse_paper_link

FIELDS = ("Model", "Paper", "GitHub", "Summary")
HEADINGS: Mapping[Role, str] = {
    "recommended": "### Recommended AI Models:",
    "given": "### Works Asked About:",
    "related": "### Related Papers:",
}
MAX_SIZE = 1_000_000  # bytes, and characters: a prompt lists a few works

# re.ASCII keeps look-alikes (the long s, the Kelvin sign) from matching when case is ignored.
_CASELESS = re.ASCII | re.IGNORECASE
_MARKER = re.compile(
    r"(?:\*\*)?A user has asked the following question\s*:(?:\*\*)?(?P<rest>.*)", _CASELESS
)
_BASED_ON = re.compile(r"Based on the following\b", _CASELESS)
_USE_ONLY = re.compile(r"\W*Use\W+only\b", _CASELESS)
_NUMBERED = re.compile(r"\d{1,3}[.)]\s+(?P<request>\S.*)", _CASELESS)
_FIELD = re.compile(
    r"(?P<bold>\*\*)?(?P<name>model|title|paper|github|summary)\s*"
    r"(?(bold)(?::\s*\*\*|\*\*\s*:)|:)(?P<value>.*)",
    _CASELESS,
)
# Possessive (`*+`), since several runs of spaces may meet: else a long one takes quadratic time.
_SECTION = re.compile(
    r"(?:#{1,6}\s*)?(?:\*\*)?(?:(?P<recommended>recommended(?: ai)? models?)|"
    r"(?P<given>works asked about)|related papers?)\s*+"
    r"(?::\s*+(?:\*\*)?|\*\*\s*+:?)?\s*+(?:#*|none)",
    _CASELESS,
)
_HEADING = re.compile(r"#{1,6}\s+\S")
_ANSWER = re.compile(
    r"(?:#{1,6}\s*)?(?:\*\*)?answer(?:\*\*)?\s*:|#{1,6}\s*(?:\*\*)?answer(?:\*\*)?\s*$", _CASELESS
)
_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"} | {
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD),
}


class PromptDocument(NamedTuple):
    """What a document says. In `text` files of one's own are named by their content."""

    text: str
    question: str
    requests: tuple[str, ...]
    listings: tuple[Listing, ...]


def decode(data: bytes) -> str:
    """The text of a document's bytes: UTF-8, or UTF-16 with its byte-order mark. Raises
    PromptError where there are too many, or with the line of the first that does not fit."""
    check_size(len(data))
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        raise PromptError(
            f"byte 0x{data[error.start]:02x} is not {encoding.upper()}; expected a document "
            "saved as UTF-8",
            line=normalised(before).count("\n") + 1,
        ) from None


def read_document(text: str, folder: Path | None = None) -> PromptDocument:
    """What `text` says; it may name files inside `folder`. Raises PromptError."""
    check_size(len(text))
    raw = normalised(text).split("\n")
    lines = [line.strip() for line in raw]
    question, requests, body = _preamble(lines)
    blocks = _blocks(lines, body)
    listings = tuple(_listing(role, block, raw, folder) for role, block in blocks)
    if not listings:
        raise PromptError(
            "no work is listed; expected a block beginning 'Model: …' under "
            f"{' or '.join(map(repr, HEADINGS.values()))}",
            line=min(body + 1, len(lines)),
        )
    return PromptDocument("\n".join(raw), question, requests, listings)


def check_size(size: int) -> None:
    """Raise PromptError for more than MAX_SIZE bytes or characters."""
    if size > MAX_SIZE:
        raise PromptError(
            f"too large for a prompt document; expected at most {MAX_SIZE:,} bytes and characters"
        )


def normalised(text: str) -> str:
    """`text` without a byte-order mark, its lines ended by `\n`, control characters shown."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text.translate(_PICTURES)


def _preamble(lines: Sequence[str]) -> tuple[str, tuple[str, ...], int]:
    """The question, the numbered requests, and the index of the first section heading."""
    markers = ((i, m["rest"]) for i, line in enumerate(lines) if (m := _MARKER.fullmatch(line)))
    start, rest = next(markers, (None, ""))
    if start is None:
        raise PromptError(
            "no question found; expected a line 'A user has asked the following question:' "
            "and the question after it",
            line=1,
        )
    body = next((i for i in range(start + 1, len(lines)) if _role(lines[i])), len(lines))
    end = next((i for i in range(start + 1, body) if _BASED_ON.match(lines[i])), None)
    if end is None:
        end = next((i for i in range(start + 1, body) if _NUMBERED.fullmatch(lines[i])), body)
    question = _unquoted("\n".join([rest, *lines[start + 1 : end]]).strip(), start + 1)
    for number, line in enumerate(lines[end:body], end + 1):
        if _FIELD.fullmatch(line):
            raise _unexpected(line, number, f"{HEADINGS['recommended']!r} before the first block")
    return question, _requests(lines[end:body]), body


def _unquoted(text: str, line: int) -> str:
    """The question without the quotes around it. Where the first quote is closed before the
    end, it belongs to the question and stays."""
    if text[:1] in ('"', "“"):
        close = _closing_quote(text)
        if close is None:
            raise PromptError(
                f"the question opens with {text[0]} and is never closed; expected a closing "
                "quote at its end",
                line=line,
            )
        if close == len(text) - 1:
            text = text[1:-1].strip()
    if not text:
        raise PromptError(
            "the question is empty; expected it between quotes after 'A user has asked the "
            "following question:'",
            line=line,
        )
    return text


def _closing_quote(text: str) -> int | None:
    """Where the quote that `text` begins with is closed. Straight quotes do not show which is
    which, so the last one closes; curly ones nest; either may close what the other opened."""
    straight = text.rfind('"', 1)
    if text[0] == '"' and straight > 0:
        return straight
    depth = 1  # of curly quotes, the first counted as one whichever it is
    for i, char in enumerate(text[1:], 1):
        depth += (char == "“") - (char == "”")
        if depth == 0:
            return i
    if straight > 0:
        return straight
    return len(text) - 1 if text[0] == "“" and text.endswith("”") else None


def _requests(lines: Iterable[str]) -> tuple[str, ...]:
    """Without their numbers; a request ends at a blank line, and all of them end where the
    document says what to use."""
    requests: list[str] = []
    inside = False
    for line in takewhile(lambda line: not _USE_ONLY.match(line), lines):
        if match := _NUMBERED.fullmatch(line):
            requests.append(match["request"])
        elif line and inside:
            requests[-1] += " " + line
        inside = bool(match) or (inside and bool(line))
    return tuple(requests)


Block = Mapping[str, tuple[int, Sequence[str]]]
"""A work as the document has it: field → its line, and its text line by line."""


def _blocks(lines: Sequence[str], start: int) -> Iterator[tuple[Role, Block]]:
    """Every block from the first heading on, up to `Answer:`. It begins with a name, or without one
    with a link. A link after a blank line begins the next block, unless the block has a name and
    no such link yet."""
    role: Role = "recommended"
    block: dict[str, tuple[int, list[str]]] = {}
    last = ""  # the field that a line without a field's name belongs to
    answer = 0  # the line of `Answer:`
    for number, line in enumerate(lines[start:], start + 1):
        section, match = _role(line), _FIELD.fullmatch(line)
        name = match["name"].lower().replace("title", "model") if match else ""
        after_gap = not lines[number - 2]
        if answer or _ANSWER.match(line):
            answer = answer or number
            if section or name == "model":  # it would otherwise be lost in silence
                raise _unexpected(line, number, f"no works after 'Answer:' (line {answer})")
            continue
        if name == "model" and block and "model" not in block and not after_gap:
            raise _unexpected(line, number, "the name first, or a blank line before the next work")
        is_next = name in ("paper", "github") and after_gap
        is_next = is_next and (name in block or "model" not in block)
        if block and (section or name == "model" or is_next):
            yield role, block
            block = {}
        if section:
            role = section
        elif match:
            if name == "model" and or_none(match["value"].strip()) is None:
                raise _unexpected(line, number, "a name after 'Model:'")
            if name == "summary" and not block:
                raise _unexpected(line, number, "'Model: …' or a link as the first line of a block")
            if name in block:
                raise PromptError(
                    f"a second {name!r} field in one block (the first is in line "
                    f"{block[name][0]}); expected each field once, and 'Model: …' or a "
                    "blank line before the next work",
                    line=number,
                )
            block[name], last = (number, [match["value"]]), name
        elif block and last == "summary" and not _HEADING.match(line):
            block["summary"][1].append(line)
        elif line and (block or line.lower() != "none"):
            expected = "a field (" + ", ".join(FIELDS) + ")" if block else "'Model: …' or a link"
            raise _unexpected(line, number, f"{expected}, a section's heading or 'Answer:'")
    if block:
        yield role, block


def _listing(role: Role, block: Block, raw: list[str], folder: Path | None) -> Listing:
    """The work of a block. The line of `raw` that names a file names it by its content then."""
    values = {name: "\n".join(lines).strip() for name, (_, lines) in block.items()}
    lines = {name: line for name, (line, _) in block.items()}
    name, first = values.get("model", ""), min(lines.values())
    try:
        paper = _paper(values.get("paper", ""), lines.get("paper", 0), folder)
        github = parse_github_link(values.get("github", ""), lines.get("github", 0))
    except LinkError as error:
        where = f" (in the block of {name!r})" if name else ""
        raise LinkError(f"{error.message}{where}", line=error.line) from None
    if not (name or paper or github):
        raise PromptError("found a work without a name; expected 'Model: …' or a link", line=first)
    if isinstance(paper, FileLink) and paper.path:
        raw[lines["paper"] - 1] = f"Paper: {paper.written}"
    return Listing(name, role, paper, github, or_none(values.get("summary")), first)


def _paper(text: str, line: int, folder: Path | None) -> ArxivLink | FileLink | None:
    try:
        return parse_paper_link(text, line)
    except LinkError:
        if folder is None or not is_file_name(text):
            raise
        return file_inside(folder, text, line)


def _role(line: str) -> Role | None:
    """The role a section heading gives to the blocks under it; bare words are no heading."""
    if not (match := _SECTION.fullmatch(line)) or not any(mark in line for mark in "#:*"):
        return None
    return "recommended" if match["recommended"] else "given" if match["given"] else "related"


def or_none(value: str | None) -> str | None:
    """None for `None` and for nothing at all, in any case."""
    return None if value is None or value.lower() in ("", "none") else value


def _unexpected(line: str, number: int, expected: str) -> PromptError:
    shown = line if len(line) <= 80 else line[:80] + "…"
    return PromptError(f"found {shown!r}; expected {expected}", line=number)
