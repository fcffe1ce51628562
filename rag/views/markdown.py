"""An answer as Markdown, for files and terminals; and the wording that every form shares.

Text from papers, READMEs and prompts is escaped: it is never live markup, and none of its control
characters reaches a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from index.sources.store import SourceType
from rag.answer.model import Answer, Reference, SourceRecord, Statement
from rag.plaintext import escape, plain

ROLES = {"recommended": "recommended model", "related": "related paper"}
STAGES = (
    ("input", "What goes in"),
    ("model", "What the model does"),
    ("output", "What comes out"),
)
_READ: dict[SourceType, str] = {
    "full text": "full text",
    "readme": "README",
    "summary": "summary in the prompt",
}
_UNREAD: dict[SourceType, str] = {"full text": "paper", "readme": "README", "summary": "summary"}


def to_markdown(answer: Answer) -> str:
    """The whole answer: what could not be read comes first, and who wrote it last."""
    lines = [f"# {escape(answer.prompt.question)}", ""]
    if unread := what_could_not_be_read(answer):
        lines += [
            f"> **Not everything could be read.** Missing: {unread}; section 3 says why. "
            "What follows rests on the rest.",
            "",
        ]
    lines += ["## 1. What you were doing", "", *_statements(answer, answer.task)]
    lines += ["## 2. How it works: input → model → output", ""]
    for stage, heading in STAGES:
        statements = getattr(answer.workflow, stage)
        lines += [f"### {heading}", "", *_statements(answer, statements)]
    lines += ["## 3. Papers and tools", ""]
    records = {source.id: source for source in answer.sources}
    for reference in answer.references:
        lines += _reference(answer, reference, records)
    proof = "`rag verify` proves it from the JSON form of this answer."
    lines += ["---", "", f"{escape(how_written(answer))}: {proof}", ""]
    return "\n".join(lines)


def work_of(answer: Answer, source_id: str) -> str:
    """The name under which the prompt lists this source."""
    names = (item.name for item in answer.references if source_id in item.sources)
    return next(names, source_id)


def place(source_type: SourceType, pages: tuple[int, ...]) -> str:
    """Where a quote or passage stands in its source: `full text, pp. 3–4`."""
    if not pages:
        return _READ[source_type]
    first, last = pages[0], pages[-1]
    return f"{_READ[source_type]}, " + (f"p. {first}" if first == last else f"pp. {first}–{last}")


def what_was_read(reference: Reference, records: Mapping[str, SourceRecord]) -> str:
    """`Read: README, summary; not read: paper (reason)`, one clause for each source."""
    sources = [records[source_id] for source_id in reference.sources if source_id in records]
    read = ", ".join(_READ[source.source_type] for source in sources if not source.reason)
    unread = "; ".join(
        f"{_UNREAD[source.source_type]} ({plain(source.reason)})"
        for source in sources
        if source.reason
    )
    clauses = (f"read: {read}" if read else "", f"not read: {unread}" if unread else "")
    return _capitalized("; ".join(filter(None, clauses)) or "nothing was given to read")


def what_could_not_be_read(answer: Answer) -> str:
    """`3 papers and 1 README`; "" where everything listed was read."""
    unread = [source.source_type for source in answer.sources if source.reason]
    counts = (_count(unread.count(kind), noun) for kind, noun in _UNREAD.items())
    return " and ".join(filter(None, counts))


def is_verbatim(statement: Statement) -> bool:
    """Whether a statement is a quotation that stands for itself."""
    return not statement.text and len(statement.quotes) == 1


def is_link(text: str) -> bool:
    """Whether a link of the prompt may be live: http(s), without invisible characters."""
    return plain(text) == text and bool(re.fullmatch(r"https?://[^\s<>]+", text))


def how_written(answer: Answer) -> str:
    """Which writer wrote the answer, its note, and how many quotes there are."""
    writer = answer.writer
    name = f"{writer.name} writer" + (f", {writer.model}" if writer.model else "")
    note = f" {_capitalized(writer.note.rstrip('.'))}." if writer.note.rstrip(".") else ""
    quotes = _count(len(list(answer.quotes())), "quote")
    chosen = f"{quotes}, each chosen from the source and none typed" if quotes else ""
    return f"Written by the {name}.{note} {chosen or 'Nothing could be quoted'}"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(number: int, noun: str) -> str:
    if not number:
        return ""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _statements(answer: Answer, statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        yield from _statement(answer, statement)


def _statement(
    answer: Answer, statement: Statement, prefix: str = "", indent: str = ""
) -> Iterator[str]:
    """The statement and its quotes. One that is its quote stands in quotation marks, and only
    the place follows, after a hard line break (two spaces)."""
    verbatim = is_verbatim(statement)
    text = escape(statement.quotes[0].text if verbatim else statement.text)
    yield f"{prefix}“{text}”  " if verbatim else f"{prefix}{text}\n"
    for quote in statement.quotes:
        source = f"— {escape(work_of(answer, quote.source_id))}, " + place(
            quote.source_type, quote.pages
        )
        if verbatim:
            yield f"{indent}{source}\n"
        else:
            yield f"{indent}> “{escape(quote.text)}”  \n{indent}> {source}\n"


def _reference(
    answer: Answer, reference: Reference, records: Mapping[str, SourceRecord]
) -> Iterator[str]:
    yield f"- **{escape(reference.name)}** ({ROLES[reference.role]})"
    yield f"  - Paper: {_link(reference.paper)} · GitHub: {_link(reference.github)}"
    yield f"  - {escape(what_was_read(reference, records))}"
    yield from _statement(answer, reference.relevance, prefix="  - ", indent="    ")


def _link(link: str | None) -> str:
    if link is None:
        return "None"
    return f"<{link}>" if is_link(link) else escape(link)
