"""The form a model's output is held to, and the pointers that the form gives back.

A statement is one or two plain sentences followed by one or two quotes; a quote is exactly one
candidate of the evidence, in quotation marks, followed by the number of its passage; or the whole
is `NOT_SAID`. Outside quotes stands only what `rag.writers.statements` allows. The grammar is one
regular language of bounded length, so that every model comes to its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.retrieval.evidence import Hit, Span
from rag.writers.base import NOT_SAID, DraftStatement

# Longer sentences are offered clause by clause: a quote should be read at a glance.
LONGEST_QUOTE = 320
# A shorter piece says nothing alone ("See Fig.", "However,").
SHORTEST_QUOTE = 24
# Characters of prose that remain once a statement has to come to its quotes.
ROOM_TO_CLOSE = 48

_CLAUSE = re.compile(r"(?<=[;:—–])\s+|(?<=,)\s+(?=(?:and|but|or|which|while|where|whereas|so)\s)")
_COMMA = re.compile(r"(?<=,)\s+")


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage as the model sees it: its number, 1-based, and the sentences that are shown."""

    number: int
    hit: Hit
    sentences: tuple[tuple[Span, str], ...]

    @property
    def text(self) -> str:
        """What is shown: from the first shown sentence to the last, as it stands there."""
        first, last = self.sentences[0][0], self.sentences[-1][0]
        offset = self.hit.passage.start
        return self.hit.text[first.start - offset : last.end - offset]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sentence or clause that may be quoted, in the passage of this number."""

    number: int
    span: Span
    text: str

    @property
    def quoted(self) -> str:
        """The very characters the model has to produce."""
        return f'"{self.text}" [{self.number}]'


def clauses(span: Span, text: str) -> Iterator[tuple[Span, str]]:
    """The sentence itself, or where it is too long its clauses; never less than a clause."""
    if len(text) <= LONGEST_QUOTE:
        yield span, text
        return
    for boundary in (_CLAUSE, _COMMA):
        cuts = [match.span() for match in boundary.finditer(text)]
        starts = [0, *(end for _, end in cuts)]
        ends = [*(start for start, _ in cuts), len(text)]
        pieces = [pair for pair in zip(starts, ends, strict=True) if pair[1] - pair[0] > 0]
        if all(end - start <= LONGEST_QUOTE for start, end in pieces) or boundary is _COMMA:
            break
    for start, end in pieces:
        if end - start <= LONGEST_QUOTE:
            yield Span(span.source_id, span.start + start, span.start + end), text[start:end]


def candidates_of(shown: Iterable[Shown]) -> tuple[Candidate, ...]:
    """Everything of the shown passages that may be quoted, in their order.

    Invariant: no candidate's `quoted` is the beginning of another's, so that the output can be
    read in one way only; the same words twice in one passage are offered once, where they stand
    first, and the same place is offered under one number only.
    """
    found: dict[str, Candidate] = {}
    places: set[Span] = set()
    for passage in shown:
        for sentence in passage.sentences:
            for span, text in clauses(*sentence):
                candidate = Candidate(passage.number, span, text)
                worth = len(text) >= SHORTEST_QUOTE and any(c.isalpha() for c in text)
                if worth and span not in places and candidate.quoted not in found:
                    found[candidate.quoted] = candidate
                    places.add(span)
    clear, last = set(), ""
    for quoted in sorted(found):
        # In sorted order whatever begins with `last` follows it at once.
        if not last or not quoted.startswith(last):
            clear.add(quoted)
            last = quoted
    return tuple(candidate for quoted, candidate in found.items() if quoted in clear)


def statement_grammar(
    candidates: Sequence[Candidate],
    numbers: Collection[str],
    *,
    quotes: int = 2,
    silence: bool = True,
    stop: bool = False,
    characters: int | None = None,
) -> str:
    """The llguidance grammar (Lark) of one statement over these candidates. `silence` allows
    `NOT_SAID` in its place, `stop` allows nothing at all.

    `characters` bounds the prose. A counter gives every position its own states in the lexer,
    which makes masks ten times dearer, so the bound is laid on by `closing` and only when it is
    needed.
    """
    forms = []
    if candidates:
        more = f'(" " QUOTE){{0,{quotes - 1}}}' if quotes > 1 else ""
        forms.append(f'PROSE " " QUOTE {more}')
    if silence or not candidates:
        forms.append(_literal(NOT_SAID))
    if stop:
        forms.append('""')
    lines = ["start: TEXT", "TEXT: " + " | ".join(forms)]
    if candidates:
        bound = f" & /.{{1,{characters}}}/" if characters else ""
        lines.append(f"PROSE: /{_prose(numbers)}/{bound}")
        # All in one terminal: the whole statement is one regular expression, with no ambiguity
        # between where prose could go on and where a quote begins.
        lines.append("QUOTE: " + " | ".join(_literal(item.quoted) for item in candidates))
    return "\n".join(lines) + "\n"


def closing(text: str, grammar: Callable[[int], str]) -> str | None:
    """The grammar that brings what is written so far to its quotes: `grammar` with as many
    characters of prose as there are and `ROOM_TO_CLOSE` more. None where the quotes have begun,
    which end by themselves."""
    return None if '"' in text else grammar(len(text) + ROOM_TO_CLOSE)


def _literal(text: str) -> str:
    """A Lark string: JSON's escapes, and DEL's, which Lark wants too; but no surrogate pairs,
    which it does not join."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _prose(numbers: Collection[str]) -> str:
    """One or two sentences of three words or more. Every piece with a number ends in a letter,
    so two numbers never touch and each longest run of digits in the prose is one of `numbers`;
    a full stop stands at a sentence's end or inside such a number."""
    gap, piece, end = "[,;:]? ", "[A-Za-z]|[-'][A-Za-z]|[,;:]? [A-Za-z]", ""
    if numbers:
        known = "|".join(re.escape(item) for item in sorted(numbers))
        several = f"(?:{gap}|-)?(?:{known})(?:%?(?:{gap}|-)(?:{known}))*"
        piece += f"|{several}(?:%?{gap}|-)?[A-Za-z]"
        end = f"(?:(?:{gap}|-){several.removeprefix(f'(?:{gap}|-)?')}%?)?"
    word = f"{gap}[A-Za-z]"
    sentence = f"[A-Z](?:{piece})*{word}(?:{piece})*{word}(?:{piece})*{end}\\."
    return f"{sentence}(?: {sentence})?"


def parse(text: str, candidates: Sequence[Candidate]) -> DraftStatement | None:
    """What was written, as a statement with pointers; None for an empty text.

    Prose holds no quotation mark, so the first one opens the quotes, and since no candidate's
    form begins another's there is one way to read on. Raises ValueError for a text that the
    grammar over these candidates does not make.
    """
    if not text:
        return None
    mark = text.find('"')
    if mark < 0:
        if text != NOT_SAID:
            raise ValueError(f"neither a statement with a quote nor {NOT_SAID!r}: {text!r}")
        return DraftStatement(NOT_SAID, ())
    prose, rest = text[:mark].rstrip(" "), text[mark:]
    spans: list[Span] = []
    while rest:
        for candidate in candidates:
            if rest.startswith(candidate.quoted):
                break
        else:
            raise ValueError(f"not a quote of the evidence: {rest[:60]!r}")
        if candidate.span not in spans:
            spans.append(candidate.span)
        rest = rest[len(candidate.quoted) :].removeprefix(" ")
    return DraftStatement(prose, tuple(spans))
