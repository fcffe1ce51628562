"""An answer as Markdown, for files and terminals; and the wording that every form shares.

Whatever comes from a paper, a README or a prompt is escaped: none of it is ever live markup, and
no control character of theirs reaches a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rag.answer.model import Answer, Quote, Reference, SourceRecord, Statement
from rag.plaintext import escape, plain

_CHOSEN = "each chosen from the source and none typed"
_READ = {"full text": "full text", "readme": "README", "summary": "summary in the prompt"}
_BUT = {"full text": "paper", "readme": "README", "summary": "summary"}
ROLES = {"recommended": "recommended model", "related": "related paper"}


def to_markdown(answer: Answer) -> str:
    """The whole answer. What could not be read is said first, and how it was written last."""
    lines = [f"# {escape(answer.prompt.question)}", ""]
    lines += _warnings(answer)
    lines += ["## 1. What you were doing", ""]
    lines += _statements(answer, answer.task)
    lines += ["## 2. How it works: input → model → output", ""]
    for heading, statements in (
        ("What goes in", answer.workflow.input),
        ("What the model does", answer.workflow.model),
        ("What comes out", answer.workflow.output),
    ):
        lines += [f"### {heading}", "", *_statements(answer, statements)]
    lines += ["## 3. Papers and tools", ""]
    records = {source.id: source for source in answer.sources}
    for reference in answer.references:
        lines += _reference(answer, reference, records)
    lines += ["---", "", _colophon(answer), ""]
    return "\n".join(lines)


def work_of(answer: Answer, source_id: str) -> str:
    """The name under which the prompt lists this source."""
    names = (item.name for item in answer.references if source_id in item.sources)
    return next(names, source_id)


def place(quote: Quote) -> str:
    """Where in its source a quote stands: `full text, p. 3`."""
    if not quote.pages:
        return _READ[quote.source_type]
    first, last = quote.pages[0], quote.pages[-1]
    pages = f"p. {first}" if first == last else f"pp. {first}–{last}"
    return f"{_READ[quote.source_type]}, {pages}"


def what_was_read(reference: Reference, records: dict[str, SourceRecord]) -> str:
    """`read: README, summary; not read: paper (reason)`, one clause for each source."""
    own = [records[source_id] for source_id in reference.sources if source_id in records]
    read = ", ".join(_READ[record.source_type] for record in own if not record.reason)
    unread = [
        f"{_BUT[record.source_type]} ({plain(record.reason)})" for record in own if record.reason
    ]
    clauses = [f"read: {read}" if read else "", f"not read: {'; '.join(unread)}" if unread else ""]
    return "; ".join(filter(None, clauses)) or "nothing was given to read"


def what_could_not_be_read(answer: Answer) -> str:
    """`3 papers and 1 README`; "" where everything listed was read."""
    unread = [source for source in answer.sources if source.reason]
    counted = [
        _count(sum(source.source_type == source_type for source in unread), noun)
        for source_type, noun in (
            ("full text", "paper"),
            ("readme", "README"),
            ("summary", "summary"),
        )
    ]
    return " and ".join(filter(None, counted))


def is_its_quote(statement: Statement) -> bool:
    """Whether a statement is its one quote word for word: then it is shown once."""
    return len(statement.quotes) == 1 and plain(statement.quotes[0].text) == plain(statement.text)


def is_link(written: str) -> bool:
    """Whether a provided link may be live: http(s), and nothing in it that cannot be seen."""
    return plain(written) == written and bool(re.fullmatch(r"https?://[^\s<>]+", written))


def how_written(answer: Answer) -> str:
    """Who wrote the answer, why not somebody else, and how many quotes it has."""
    record = answer.writer
    name = f"{record.name} writer" + (f", {record.model}" if record.model else "")
    said = record.note.rstrip(".")
    note = f" {said[:1].upper()}{said[1:]}." if said else ""
    count = sum(1 for _ in answer.quotes())
    chosen = f"{_count(count, 'quote')}, {_CHOSEN}" if count else "Nothing could be quoted"
    return f"Written by the {name}.{note} {chosen}"


def _warnings(answer: Answer) -> list[str]:
    """A note where some of the listed works could not be read in full."""
    if not (named := what_could_not_be_read(answer)):
        return []
    return [
        f"> **Not everything could be read:** {named} could not be had; section 3 says why. "
        "What follows rests on the rest.",
        "",
    ]


def _count(number: int, noun: str) -> str:
    if not number:
        return ""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _statements(answer: Answer, statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        # Two spaces: the source of a sentence told word for word stands on the line below it.
        yield _said(statement) + ("  " if is_its_quote(statement) else "\n")
        yield from _quotes(answer, statement)


def _said(statement: Statement) -> str:
    """The statement, in quotation marks where it is its quote word for word: then the quote need
    not be shown again."""
    text = escape(statement.text)
    return f"“{text}”" if is_its_quote(statement) else text


def _quotes(answer: Answer, statement: Statement, indent: str = "") -> Iterator[str]:
    for quote in statement.quotes:
        name = escape(work_of(answer, quote.source_id))
        if is_its_quote(statement):
            yield f"{indent}— {name}, {place(quote)}"
            yield ""
            continue
        yield f"{indent}> “{escape(quote.text)}”  "
        yield f"{indent}> — {name}, {place(quote)}"
        yield ""


def _reference(
    answer: Answer, reference: Reference, records: dict[str, SourceRecord]
) -> Iterator[str]:
    yield f"- **{escape(reference.name)}** ({ROLES[reference.role]})"
    yield f"  - Paper: {_link(reference.paper)} · GitHub: {_link(reference.github)}"
    read = what_was_read(reference, records)
    yield f"  - {escape(read[:1].upper() + read[1:])}"
    yield f"  - {_said(reference.relevance)}" + (
        "  " if is_its_quote(reference.relevance) else "\n"
    )
    yield from _quotes(answer, reference.relevance, indent="    ")


def _link(written: str | None) -> str:
    if written is None:
        return "None"
    return f"<{written}>" if is_link(written) else escape(written)


def _colophon(answer: Answer) -> str:
    return (
        f"{escape(how_written(answer))}: `rag verify` proves it from the JSON form of this answer."
    )
