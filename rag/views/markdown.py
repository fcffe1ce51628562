"""An answer as Markdown, for files and terminals; and what every form shares: the wording, and
the warnings of statements that say more than their quotes.

Text from papers, READMEs and prompts is escaped: it is never live markup, and none of its control
characters reaches a terminal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from index.catalog import FileLink, Role
from index.errors import LinkError
from index.links import parse_paper_link
from index.sources import SourceType
from rag.answer import Answer, Quote, Reference, SourceRecord, Statement
from rag.answer.compose import FIXED, NO_RELEVANCE, OTHER_LANGUAGE
from rag.plaintext import escape, plain
from rag.support import Support, SupportChecker, premise

ROLES: dict[Role, str] = {
    "recommended": "recommended model",
    "given": "",
    "related": "related paper",
}
STAGES = (
    ("input", "You gave it"),
    ("model", "Inside"),
    ("output", "What comes out"),
)
_READ: dict[SourceType, str] = {
    "full text": "full text",
    "readme": "README",
    "summary": "summary in the prompt",
}
SPEAKERS: dict[SourceType, str] = {
    "full text": "The paper",
    "readme": "The README of",
    "summary": "The summary of",
}
"""Who says what a mention quotes: this, and the name of the work."""
WHAT_IT_IS = "What it is:"
"""Before the quote of a work that does not answer the question."""
IN_ENGLISH = (
    "Question and works have hardly a word in common. Are they in different languages? Only "
    "English is understood: ask in English, of works in English."
)
_UNREAD: dict[SourceType, str] = {"full text": "paper", "readme": "README", "summary": "summary"}
MAX_FINDINGS = 3
"""Findings that one support warning names."""


@dataclass(frozen=True, slots=True)
class SupportWarning:
    """A statement, the part it stands in (as `Answer.statements` names it), and why it is weakly
    supported. The checker can be wrong, so the quotes stand beside every warning."""

    part: str
    statement: str
    why: str


def find_support_warnings(
    answer: Answer, checker_of: Callable[[], SupportChecker]
) -> tuple[SupportWarning, ...]:
    """A warning for every statement that its quotes together do not support at the checker's own
    threshold, in reading order. Statements that could not be scored, fixed sentences and quotations
    have none; where there is nothing else, no checker is opened."""
    claims = [
        (part, one)
        for part, one in answer.statements()
        if one.text and one.quotes and one.text not in FIXED
    ]
    if not claims:
        return ()
    pairs = [
        (one.text, [premise(work_of(answer, quote.source_id), quote.text) for quote in one.quotes])
        for _, one in claims
    ]
    checker = checker_of()
    return tuple(
        SupportWarning(part, one.text, _why(support))
        for (part, one), support in zip(claims, checker.check_all(pairs), strict=True)
        if support.holds(checker.threshold) is False
    )


def _why(support: Support) -> str:
    named = "; ".join(map(str, support.findings[:MAX_FINDINGS]))
    return named or "the quotes do not clearly bear this out"


def to_markdown(answer: Answer, *, support_warnings: Sequence[SupportWarning] = ()) -> str:
    """The whole answer: what could not be read comes first, and who wrote it last."""
    page = _Page(answer, support_warnings)
    lines = [f"# {escape(answer.prompt.question)}", ""]
    if missing := what_is_missing(answer):
        lines += [f"> **Not everything could be read.** {missing}", ""]
    if OTHER_LANGUAGE in answer.writer.events:
        lines += [f"> {IN_ENGLISH}", ""]
    lines += ["## 1. What you were doing", "", *page.part("task", answer.task)]
    lines += ["## 2. How it works: input → model → output", ""]
    for stage, heading in STAGES:
        statements = getattr(answer.workflow, stage)
        lines += page.part(f"workflow.{stage}", statements, f"**{heading}:** ")
    lines += ["## 3. Papers and tools", ""]
    for number, reference in enumerate(answer.references):
        lines += page.reference(f"references[{number}]", reference)
    proof = "`rag verify` proves it from the JSON form of this answer."
    lines += ["---", "", f"{escape(how_written(answer))}: {proof}", ""]
    return "\n".join(lines)


class _Page:
    """What the parts of one answer have in common: numbers, support warnings, source records."""

    def __init__(self, answer: Answer, support_warnings: Sequence[SupportWarning]) -> None:
        self._answer = answer
        self._numbers = numbers_of(answer)
        self._reasons = {(one.part, one.statement): one.why for one in support_warnings}
        self._records = {source.id: source for source in answer.sources}

    def part(self, part: str, statements: Sequence[Statement], lead: str = "") -> Iterator[str]:
        """The statements as one paragraph with numbers, and below it the source of each number,
        with the quote where the paragraph has a writer's own words in its place."""
        told: list[str] = []
        sources: dict[str, list[str]] = {}
        for one in statements:
            text = f"“{escape(one.quotes[0].text)}”" if is_told(one) else escape(one.text)
            numbers = (self._number(quote) for quote in one.quotes)
            told.append(" ".join((text, *numbers, *self._warning(part, one))))
            for quote in one.quotes:
                shown = "" if is_told(one) else f"“{escape(quote.text)}” — "
                work = escape(work_of(self._answer, quote.source_id))
                where = place(quote.source_type, quote.pages)
                sources.setdefault(f"{shown}{work}, {where}", []).append(self._number(quote))
        yield f"{lead}{' '.join(told)}\n"
        if sources:
            yield "  \n".join(f"> {' '.join(n)} {source}" for source, n in sources.items()) + "\n"

    def reference(self, part: str, reference: Reference) -> Iterator[str]:
        """One work: its links, what was read, its own sentence, and those that mention it."""
        note = reference.relevance
        yield f"- **{escape(reference.name)}**" + (
            f" ({role})" if (role := role_of(reference)) else ""
        )
        links = {"Paper": paper_of(reference), "GitHub": reference.github}
        # A prompt lists both links of a work, or None; who asks about one gives what there is.
        shown = [f"{k}: {_link(v)}" for k, v in links.items() if v or reference.role != "given"]
        yield f"  - {' · '.join(shown)}"
        yield f"  - {escape(what_was_read(reference, self._records))}"
        text = (escape(note.text),) if plain(note.text) else ()
        lead = (WHAT_IT_IS,) if text and is_told(note) else ()
        quotes = map(self._quoted, note.quotes)
        yield "  - " + " ".join((*text, *lead, *quotes, *self._warning(part, note)))
        for mention in reference.mentions:
            for quote in mention.quotes:
                work = escape(work_of(self._answer, quote.source_id))
                says = f"{SPEAKERS[quote.source_type]} *{work}* says of it:"
                yield f"  - {says} {self._quoted(quote)}"
        yield ""

    def _number(self, quote: Quote) -> str:
        return f"\\[{self._numbers[quote]}\\]"

    def _quoted(self, quote: Quote) -> str:
        where = place(quote.source_type, quote.pages)
        return f"“{escape(quote.text)}” {self._number(quote)} ({where})"

    def _warning(self, part: str, statement: Statement) -> Iterator[str]:
        if why := self._reasons.get((part, statement.text)):
            yield f"(**Weakly supported:** {escape(why)}.)"


def numbers_of(answer: Answer) -> dict[Quote, int]:
    """The number of each quote, from 1 in reading order: the same in every form of the answer."""
    quotes = dict.fromkeys(quote for _, quote in answer.quotes())
    return {quote: number for number, quote in enumerate(quotes, start=1)}


def role_of(reference: Reference) -> str:
    """What the work is listed as; "" of one that was asked about and recommended by nobody."""
    own = any(source.startswith("file:") for source in reference.sources)
    return "own file" if own else ROLES[reference.role]


def paper_of(reference: Reference) -> str | None:
    """The link to the paper as provided; of a file of one's own, which a prompt names by its
    content, the name alone."""
    with suppress(LinkError):
        if isinstance(link := parse_paper_link(reference.paper or ""), FileLink):
            return link.file_name
    return reference.paper


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


def what_is_missing(answer: Answer) -> str:
    """`Missing: 3 papers and 1 README; section 3 says why. …`; "" where everything was read."""
    unread = [source.source_type for source in answer.sources if source.reason]
    counts = (counted(unread.count(kind), noun) for kind, noun in _UNREAD.items())
    if not (missing := " and ".join(filter(None, counts))):
        return ""
    rest = " What follows rests on the rest." if numbers_of(answer) else ""
    return f"Missing: {missing}; section 3 says why.{rest}"


def is_told(statement: Statement) -> bool:
    """Whether the one quote of a statement is told itself: it has no words of the writer's, or
    only those that nothing of the work answers the question."""
    return len(statement.quotes) == 1 and plain(statement.text) in ("", NO_RELEVANCE)


def is_link(text: str) -> bool:
    """Whether a link of the prompt may be live: http(s), without invisible characters."""
    return plain(text) == text and bool(re.fullmatch(r"https?://[^\s<>]+", text))


def how_written(answer: Answer) -> str:
    """Which writer wrote the answer, its note, how much of what a model wrote was kept, and how
    many quotes there are."""
    writer = answer.writer
    name = f"{writer.name} writer" + (f", {writer.model}" if writer.model else "")
    note = f" {_capitalized(writer.note.rstrip('.'))}." if writer.note.rstrip(".") else ""
    quotes = counted(len(list(answer.quotes())), "quote")
    chosen = f"{quotes}, each chosen from the source and none typed" if quotes else ""
    kept = f" {kept}." if (kept := _kept(answer)) else ""
    return f"Written by the {name}.{note}{kept} {chosen or 'Nothing could be quoted'}"


def _kept(answer: Answer) -> str:
    """`12 of 12 statements were replaced by sentences of the works, after 24 rewrites`; "" where
    no model wrote any."""
    counts = Counter(event.kind for event in answer.writer.events)
    replaced, again = counts["replaced"], counted(counts["rewritten"], "rewrite")
    own = [one for _, one in answer.statements() if one.text and one.quotes]
    total = replaced + sum(one.text not in FIXED for one in own)
    if not (answer.writer.model and total):
        return ""
    were = "was" if replaced == 1 else "were"
    shown = f"{replaced} of {counted(total, 'statement')} {were} replaced by sentences of the works"
    return shown + (f", after {again}" if again else "")


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def counted(number: int, noun: str) -> str:
    """`2 papers`; "" for none."""
    if not number:
        return ""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number} {noun if number == 1 else plural}"


def _link(link: str | None) -> str:
    if link is None:
        return "None"
    return f"<{link}>" if is_link(link) else escape(link)
