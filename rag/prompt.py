"""Prompt documents: read into a Prompt, or refused with the line and what was expected.

The text is data: control characters become the pictures Unicode has for them (ESC is shown as ␛)
and lone surrogates U+FFFD, so that nothing in it can act on a terminal or fail to be encoded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from index.catalog import Catalog, Listing, Role
from index.errors import LinkError, PromptError
from index.links import parse_github_link, parse_paper_link

REQUESTS = (
    "What task the user is trying to perform.",
    "How the model(s) would work in a CNAPS AI-like workflow (input → model → output).",
    "List relevant papers and tools (with GitHub or ArXiv links) that support your answer.",
)
FIELDS = ("Model", "Paper", "GitHub", "Summary")
HEADINGS: Mapping[Role, str] = {
    "recommended": "### Recommended AI Models:",
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
    r"(?P<bold>\*\*)?(?P<name>model|paper|github|summary)\s*"
    r"(?(bold)(?::\s*\*\*|\*\*\s*:)|:)(?P<value>.*)",
    _CASELESS,
)
# Possessive (`*+`), since several runs of spaces may meet: else a long one takes quadratic time.
_SECTION = re.compile(
    r"(?:#{1,6}\s*)?(?:\*\*)?(?:(?P<recommended>recommended(?: ai)? models?)|related papers?)\s*+"
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

Work = Listing | Mapping[str, str | None]
"""A work as Python has it: a listing, or a mapping with the document's field names as keys."""
Fields = tuple[str, Role, str | None, str | None, str | None]
"""What a block says, however it is laid out: name, role, the links as written, summary."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question and the works that may answer it. `listings` stand in document order and
    `requests` without their numbers; `text` is the whole document, without a byte-order mark,
    its lines ended by `\\n`; `path` is where it was read, and no part of what it is."""

    question: str
    requests: tuple[str, ...]
    listings: tuple[Listing, ...]
    text: str
    path: str = field(default="", compare=False)

    @classmethod
    def build(
        cls,
        question: str,
        *,
        recommended: Iterable[Work] = (),
        related: Iterable[Work] = (),
        requests: Iterable[str] = REQUESTS,
    ) -> Prompt:
        """A prompt from Python objects: listings, or mappings with the keys `model`, `paper`,
        `github` and `summary`. The canonical document is written and read again, so whatever a
        document could not say (a summary with a line `Model: …`, a bad link) is refused alike."""
        if not isinstance(question, str):
            raise PromptError(f"expected the question as text; found {question!a:.60}")
        blocks = [_block(work, "recommended") for work in recommended]
        blocks += [_block(work, "related") for work in related]
        blocks = list(dict.fromkeys(blocks))
        question, numbered = _tidy(question), tuple(" ".join(_tidy(r).split()) for r in requests)
        prompt = parse_prompt(_document(question, numbered, blocks))
        read = prompt.question, prompt.requests, list(map(_block_of, prompt.listings))
        if read != (question, numbered, blocks):
            raise PromptError(
                "a text given here reads as something else in a prompt document; expected a "
                "question, requests and summaries without lines that look like a field "
                f"({', '.join(FIELDS)}), a heading or 'Answer:', and names on one line"
            )
        return prompt

    @property
    def sha256(self) -> str:
        """Hash of `text` in UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def recommended(self) -> tuple[Listing, ...]:
        """The recommended models, in document order."""
        return tuple(item for item in self.listings if item.role == "recommended")

    @property
    def related(self) -> tuple[Listing, ...]:
        """The related papers, in document order."""
        return tuple(item for item in self.listings if item.role == "related")

    @property
    def catalog(self) -> Catalog:
        """The works that may be read for this prompt."""
        return Catalog.of(self.listings)


def works_of(listings: Iterable[Listing]) -> dict[str, str]:
    """What the prompt calls the work of each source; two listings may share one."""
    names: dict[str, dict[str, None]] = {}
    for listing in listings:
        for source_id in listing.source_ids:
            names.setdefault(source_id, {})[listing.name] = None
    return {source_id: ", ".join(own) for source_id, own in names.items()}


def read_prompt(path: str | Path) -> Prompt:
    """Read a document in UTF-8, or in UTF-16 with its byte-order mark. Raises PromptError."""
    where = str(path)
    try:
        with Path(path).open("rb") as file:
            text = decode(file.read(MAX_SIZE + 1))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PromptError(
            f"cannot be read ({reason}); expected a prompt document", path=where
        ) from error
    except PromptError as error:
        raise error.at(where) from None
    return parse_prompt(text, where)


def decode(data: bytes) -> str:
    """The text of a document's bytes: UTF-8, or UTF-16 with its byte-order mark. Raises
    PromptError where there are too many, or with the line of the first that does not fit."""
    _check_size(len(data))
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        raise PromptError(
            f"byte 0x{data[error.start]:02x} is not {encoding.upper()}; expected a document "
            "saved as UTF-8",
            line=_normalised(before).count("\n") + 1,
        ) from None


def parse_prompt(text: str, path: str = "") -> Prompt:
    """Read a document; `path` is only for messages and for `Prompt.path`. Blocks that say the
    same are one listing, those that only share a name are several. Raises PromptError."""
    try:
        _check_size(len(text))
        text = _normalised(text)
        lines = [line.strip() for line in text.split("\n")]
        question, requests, body = _preamble(lines)
        listings: dict[Fields, Listing] = {}
        for listing in _listings(lines, body):
            listings.setdefault(_block_of(listing), listing)
        if not listings:
            raise PromptError(
                "no work is listed; expected a block beginning 'Model: …' under "
                f"{' or '.join(map(repr, HEADINGS.values()))}",
                line=min(body + 1, len(lines)),
            )
    except PromptError as error:
        raise error.at(path) from None
    return Prompt(question, requests, tuple(listings.values()), text, path)


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise PromptError(
            f"too large for a prompt document; expected at most {MAX_SIZE:,} bytes and characters"
        )


def _normalised(text: str) -> str:
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


def _listings(lines: Sequence[str], start: int) -> Iterator[Listing]:
    """A listing for each block from the first heading on, up to `Answer:`."""
    role: Role = "recommended"
    block: dict[str, tuple[int, list[str]]] = {}  # field → its line, and its text line by line
    last = ""  # the field that a line without a field's name belongs to
    answer = 0  # the line of `Answer:`
    for number, line in enumerate(lines[start:], start + 1):
        section, match = _role(line), _FIELD.fullmatch(line)
        name = match["name"].lower() if match else ""
        if answer or _ANSWER.match(line):
            answer = answer or number
            if section or name == "model":  # it would otherwise be lost in silence
                raise _unexpected(line, number, f"no works after 'Answer:' (line {answer})")
            continue
        if block and (section or name == "model"):
            yield _listing(role, block)
            block = {}
        if section:
            role = section
        elif match:
            if name == "model" and or_none(match["value"].strip()) is None:
                raise _unexpected(line, number, "a name after 'Model:'")
            if name != "model" and not block:
                raise _unexpected(line, number, "'Model: …' as the first line of a block")
            if name in block:
                raise PromptError(
                    f"a second {name!r} field in one block (the first is in line "
                    f"{block[name][0]}); expected each field once, and 'Model: …' first in every "
                    "block",
                    line=number,
                )
            block[name], last = (number, [match["value"]]), name
        elif block and last == "summary" and not _HEADING.match(line):
            block["summary"][1].append(line)
        elif line and (block or line.lower() != "none"):
            expected = "a field (" + ", ".join(FIELDS) + ")" if block else "'Model: …'"
            raise _unexpected(line, number, f"{expected}, a section's heading or 'Answer:'")
    if block:
        yield _listing(role, block)


def _listing(role: Role, block: Mapping[str, tuple[int, Sequence[str]]]) -> Listing:
    values = {name: "\n".join(lines).strip() for name, (_, lines) in block.items()}
    lines = {name: line for name, (line, _) in block.items()}
    try:
        paper = parse_paper_link(values.get("paper", ""), lines.get("paper", 0))
        github = parse_github_link(values.get("github", ""), lines.get("github", 0))
    except LinkError as error:
        where = f"(in the block of {values['model']!r})"
        raise LinkError(f"{error.message} {where}", line=error.line) from None
    summary = or_none(values.get("summary"))
    return Listing(values["model"], role, paper, github, summary, lines["model"])


def _role(line: str) -> Role | None:
    """The role a section heading gives to the blocks under it; bare words are no heading."""
    if not (match := _SECTION.fullmatch(line)) or not any(mark in line for mark in "#:*"):
        return None
    return "recommended" if match["recommended"] else "related"


def or_none(value: str | None) -> str | None:
    """None for `None` and for nothing at all, in any case."""
    return None if value is None or value.lower() in ("", "none") else value


def _unexpected(line: str, number: int, expected: str) -> PromptError:
    shown = line if len(line) <= 80 else line[:80] + "…"
    return PromptError(f"found {shown!r}; expected {expected}", line=number)


def render_prompt(prompt: Prompt) -> str:
    """The canonical document: parsing it gives the same question, requests and listings."""
    return _document(prompt.question, prompt.requests, map(_block_of, prompt.listings))


def _document(question: str, requests: Sequence[str], blocks: Iterable[Fields]) -> str:
    """With one heading for each run of works of one role, so that the order is kept."""
    parts = [
        "You are an AI scientist.",
        f'A user has asked the following question:\n"{question}"',
        "Based on the following recommended models, explain:",
        *(["\n".join(f"{i}. {text}" for i, text in enumerate(requests, 1))] if requests else []),
        "Use **only the provided models and papers**. Do not refer to outside sources.",
    ]
    current = ""
    for name, role, paper, github, summary in blocks:
        fields = [f"Model: {name}", f"Paper: {paper or None}"]
        fields += [f"GitHub: {github}"] if github else []
        fields += [f"Summary: {summary}"] if summary else []
        parts.append("\n".join(fields if role == current else [HEADINGS[role], *fields]))
        current = role
    return "\n\n".join(parts) + "\n\n\nAnswer:\n"


def _block_of(item: Listing) -> Fields:
    paper = item.paper.written if item.paper else None
    github = item.github.written if item.github else None
    return item.name, item.role, paper, github, item.summary


def _block(work: Work, role: Role) -> Fields:
    """What the block of `work` will say once it is read back."""
    if isinstance(work, Listing):
        name, _, *rest = _block_of(work)
    else:
        if not isinstance(work, Mapping) or not all(
            isinstance(text, str | None) for pair in work.items() for text in pair
        ):
            raise PromptError(
                f"expected works as mappings from {', '.join(FIELDS)} to text; found {work!a:.60}"
            )
        values = {key.lower(): value for key, value in work.items()}
        if unknown := values.keys() - {key.lower() for key in FIELDS}:
            raise PromptError(
                f"a work has the unknown keys {sorted(unknown)}; expected {', '.join(FIELDS)}"
            )
        name, rest = values.get("model") or "", [values.get(key.lower()) for key in FIELDS[1:]]
    paper, github, summary = (or_none(_tidy(value or "")) for value in rest)
    return _tidy(name), role, paper, github, summary


def _tidy(text: str) -> str:
    """`text` as it would be read from a document."""
    return "\n".join(line.strip() for line in _normalised(text).split("\n")).strip()
