"""The prompt document as people write it: read into its parts, and written from them.

    A user has asked the following question:
    "…"
    Based on the following recommended models, explain:
    1. …
    ### Recommended AI Models:
    Model: … / Paper: … / GitHub: … / Summary: …      one block per work
    ### Related Papers:
    Model: … / Paper: … / GitHub: … / Summary: …
    Answer:

Fields stand on lines of their own, in any order after `Model:`. A summary goes on over lines and
blank lines until the next field, heading or `Answer:`; what follows `Answer:` is no part of the
prompt. Whatever does not fit is refused with its line: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from index.catalog import Listing, Role
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


# What a block says, whatever its line and layout: name, role, the links as written, summary.
Fields = tuple[str, Role, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a document says: its question, its requests without their numbers, its listings."""

    question: str
    requests: tuple[str, ...]
    listings: tuple[Listing, ...]


def read_parts(text: str) -> Parts:
    """Read a normalised document. Blocks that say the same are one listing; blocks that share
    a name and differ in anything else are kept apart, as the document has them."""
    lines = [line.strip() for line in text.split("\n")]
    question, requests, body = _preamble(lines)
    distinct: dict[Fields, Listing] = {}
    for block in _blocks(lines, body):
        listing = block.listing()
        distinct.setdefault(fields_of(listing), listing)
    if not distinct:
        raise PromptError(
            "no work is listed; expected a block beginning 'Model: …' under "
            f"{' or '.join(map(repr, HEADINGS.values()))}",
            line=min(body + 1, len(lines)),
        )
    return Parts(question, requests, tuple(distinct.values()))


def fields_of(item: Listing) -> Fields:
    """What the block of `item` says."""
    paper = item.paper.written if item.paper else None
    github = item.github.written if item.github else None
    return item.name, item.role, paper, github, item.summary


def write_document(question: str, requests: Sequence[str], works: Iterable[Fields]) -> str:
    """The canonical document, with one heading per run of works of one role, so that the order
    of the works is kept."""
    parts = [
        "You are an AI scientist.",
        f'A user has asked the following question:\n"{question}"',
        "Based on the following recommended models, explain:",
        *(["\n".join(f"{i}. {text}" for i, text in enumerate(requests, 1))] if requests else []),
        "Use **only the provided models and papers**. Do not refer to outside sources.",
    ]
    role: Role | None = None
    for name, its_role, paper, github, summary in works:
        fields = [f"Model: {name}", f"Paper: {paper or None}"]
        fields += [f"GitHub: {github}"] if github else []
        fields += [f"Summary: {summary}"] if summary else []
        heading = [] if its_role == role else [HEADINGS[its_role]]
        role = its_role
        parts.append("\n".join(heading + fields))
    return "\n\n".join(parts) + "\n\n\nAnswer:\n"


# --- the text before the listings -----------------------------------------------------------


def _preamble(lines: Sequence[str]) -> tuple[str, tuple[str, ...], int]:
    """The question, the numbered requests, and the index of the first section heading."""
    found = ((i, m["rest"]) for i, line in enumerate(lines) if (m := _MARKER.fullmatch(line)))
    start, rest = next(found, (None, ""))
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
    inside = text
    if text[:1] in ('"', "“"):
        close = _closing_quote(text)
        if close is None:
            raise PromptError(
                f"the question opens with {text[0]} and is never closed; expected a closing "
                "quote at its end",
                line=line,
            )
        if close == len(text) - 1:
            inside = text[1:-1].strip()
    if not inside:
        raise PromptError(
            "the question is empty; expected it between quotes after 'A user has asked the "
            "following question:'",
            line=line,
        )
    return inside


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
    """The numbered requests without their numbers; a request ends at a blank line, and all of
    them where the document says what to use."""
    requests: list[str] = []
    inside = False
    for line in takewhile(lambda line: not _USE_ONLY.match(line), lines):
        if match := _NUMBERED.fullmatch(line):
            requests.append(match["request"])
        elif line and inside:
            requests[-1] += " " + line
        inside = bool(match) or (inside and bool(line))
    return tuple(requests)


# --- the listings ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Block:
    """A block as it is being read: the line of each field and its text, line by line."""

    role: Role
    line: int
    fields: dict[str, tuple[int, list[str]]]

    def add(self, name: str, value: str, line: int) -> None:
        if name in self.fields:
            first = self.fields[name][0]
            raise PromptError(
                f"a second {name!r} field in one block (the first is in line {first}); expected "
                "each field once, and 'Model: …' first in every block",
                line=line,
            )
        self.fields[name] = (line, [value])

    def listing(self) -> Listing:
        values = {name: "\n".join(lines).strip() for name, (_, lines) in self.fields.items()}
        lines = {name: line for name, (line, _) in self.fields.items()}
        name = values["model"]
        try:
            paper = parse_paper_link(values.get("paper", ""), lines.get("paper", 0))
            github = parse_github_link(values.get("github", ""), lines.get("github", 0))
        except LinkError as error:
            raise LinkError(
                f"{error.message} (in the block of {name!r})", line=error.line
            ) from None
        return Listing(name, self.role, paper, github, or_none(values.get("summary")), self.line)


def _blocks(lines: Sequence[str], start: int) -> Iterator[_Block]:
    """The blocks from the first heading on, up to `Answer:`."""
    role: Role | None = None
    block: _Block | None = None
    last = ""  # the field that a line without a field's name belongs to
    for number, line in enumerate(lines[start:], start + 1):
        found = _FIELD.fullmatch(line)
        section = _role(line)
        if _ANSWER.match(line):
            _nothing_listed(lines, number)
            break
        if section or (found and found["name"].lower() == "model"):
            if block:
                yield block
            block, last = None, ""
        if section:
            role = section
        elif found and role:
            last, value = found["name"].lower(), found["value"].strip()
            if last == "model":
                if or_none(value) is None:
                    raise _unexpected(line, number, "a name after 'Model:'")
                block = _Block(role, number, {})
            if block is None:
                raise _unexpected(line, number, "'Model: …' as the first line of a block")
            block.add(last, value, number)
        elif block and last == "summary" and not _HEADING.match(line):
            block.fields[last][1].append(line)
        elif line and not (block is None and line.lower() == "none"):
            expected = "'Model: …'" if block is None else "a field (" + ", ".join(FIELDS) + ")"
            raise _unexpected(line, number, f"{expected}, a section's heading or 'Answer:'")
    if block:
        yield block


def _nothing_listed(lines: Sequence[str], answer: int) -> None:
    """Refuse works listed after `Answer:`, which would otherwise be lost in silence."""
    for number, line in enumerate(lines[answer:], answer + 1):
        found = _FIELD.fullmatch(line)
        if _role(line) or (found and found["name"].lower() == "model"):
            raise _unexpected(line, number, f"no works after 'Answer:' (line {answer})")


def _role(line: str) -> Role | None:
    """The role a section heading gives to the blocks under it; bare words are no heading."""
    match = _SECTION.fullmatch(line)
    if match is None or not any(mark in line for mark in "#:*"):
        return None
    return "recommended" if match["recommended"] else "related"


def or_none(value: str | None) -> str | None:
    """None for `None` and for nothing at all, in any case."""
    return None if value is None or value.lower() in ("", "none") else value


def _unexpected(line: str, number: int, expected: str) -> PromptError:
    shown = line if len(line) <= 80 else line[:80] + "…"
    return PromptError(f"found {shown!r}; expected {expected}", line=number)
