"""Prompt documents: read into a Prompt, or refused with the line and what was expected.

The text is data: control characters become the pictures Unicode has for them (ESC is shown as ␛)
and lone surrogates U+FFFD, so that nothing in it can act on a terminal or fail to be encoded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from index.catalog import Catalog, Listing, Role
from index.errors import PromptError
from rag.prompt_format import (
    FIELDS,
    REQUESTS,
    Fields,
    fields_of,
    or_none,
    read_parts,
    write_document,
)

# A prompt lists a few works; a megabyte is a mistake, not a prompt. In bytes and in characters.
MAX_SIZE = 1_000_000

_PICTURES = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"}
_PICTURES |= {0x7F: 0x2421}
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)

# A work as Python has it: a listing, or a mapping with the document's field names as keys.
Work = Listing | Mapping[str, str | None]


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
        given = [_as_fields(work, "recommended") for work in recommended]
        given += [_as_fields(work, "related") for work in related]
        given = list(dict.fromkeys(given))
        asked, wanted = _tidy(question), tuple(" ".join(_tidy(r).split()) for r in requests)
        prompt = parse_prompt(write_document(asked, wanted, given))
        read = [fields_of(listing) for listing in prompt.listings]
        if (prompt.question, prompt.requests, read) != (asked, wanted, given):
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


def read_prompt(path: str | Path) -> Prompt:
    """Read a document in UTF-8, or in UTF-16 with its byte-order mark."""
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


def parse_prompt(text: str, path: str = "") -> Prompt:
    """Read a document; `path` is only for messages and for `Prompt.path`. Raises PromptError."""
    try:
        _check_size(len(text))
        text = _normalised(text)
        parts = read_parts(text)
    except PromptError as error:
        raise error.at(path) from None
    return Prompt(parts.question, parts.requests, parts.listings, text, path)


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


def render_prompt(prompt: Prompt) -> str:
    """The canonical document: parsing it gives the same question, requests and listings."""
    return write_document(prompt.question, prompt.requests, map(fields_of, prompt.listings))


def _as_fields(work: Work, role: Role) -> Fields:
    """What the block of `work` will say once it is read back."""
    if isinstance(work, Listing):
        name, _, *rest = fields_of(work)
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


def _normalised(text: str) -> str:
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text.translate(_PICTURES)


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise PromptError(
            f"too large for a prompt document; expected at most {MAX_SIZE:,} bytes and characters"
        )
