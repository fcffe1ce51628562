"""The form of a statement: what may be quoted, what its prose may hold, and how it is read.

A statement is one or two plain sentences followed by one or two quotes, or the whole is `NOT_SAID`.
A quote is exactly one candidate of the evidence, in quotation marks, followed by the number of its
passage. The grammar is one regular language of bounded length, so that every model comes to its
end; `plain_statement` holds the prose of a model without a grammar to the same rules.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rag.retrieval import Hit, Span
from rag.writers import NOT_SAID, SILENCE, DraftStatement

# Longer sentences are offered clause by clause; shorter pieces say nothing alone ("See Fig.").
LONGEST_QUOTE, SHORTEST_QUOTE = 320, 24
# Characters of prose that remain once a statement has to come to its quotes.
ROOM_TO_CLOSE = 48
MAX_SENTENCES, MAX_CHARACTERS = 2, 700

_CLAUSE = re.compile(r"(?<=[;:—–])\s+|(?<=,)\s+(?=(?:and|but|or|which|while|where|whereas|so)\s)")
_COMMA = re.compile(r"(?<=,)\s+")


@dataclass(frozen=True, slots=True)
class ShownSentence:
    """A sentence as a model sees it, under a number from 1: the passage that it stands in, and the
    listing that it is shown for."""

    number: int
    hit: Hit
    span: Span
    text: str
    listing: int = 0


@dataclass(frozen=True, slots=True)
class QuoteCandidate:
    """One sentence or clause that may be quoted, under the number that it is shown with."""

    number: int
    span: Span
    text: str

    @property
    def quoted(self) -> str:
        """The very characters the model has to produce."""
        return f'"{self.text}" [{self.number}]'


def clauses(span: Span, text: str) -> Iterator[tuple[Span, str]]:
    """The sentence itself, or where it is too long its clauses."""
    if len(text) <= LONGEST_QUOTE:
        yield span, text
        return
    for boundary in (_CLAUSE, _COMMA):
        cuts = [match.span() for match in boundary.finditer(text)]
        starts, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(text)]
        pieces = list(zip(starts, ends, strict=True))
        if all(end - start <= LONGEST_QUOTE for start, end in pieces):
            break
    for start, end in pieces:
        if 0 < end - start <= LONGEST_QUOTE:
            yield Span(span.source_id, span.start + start, span.start + end), text[start:end]


def candidates_of(shown: Iterable[ShownSentence]) -> tuple[QuoteCandidate, ...]:
    """Everything of the shown sentences that may be quoted, in their order.

    Invariant: no candidate's `quoted` is the beginning of another's, so that the output can be
    read in one way only. The same words twice under one number are offered once, where they stand
    first; the same place is offered under one number only.
    """
    candidates: dict[str, QuoteCandidate] = {}
    spans: set[Span] = set()
    for sentence in shown:
        for span, text in clauses(sentence.span, sentence.text):
            candidate = QuoteCandidate(sentence.number, span, text)
            quotable = len(text) >= SHORTEST_QUOTE and any(c.isalpha() for c in text)
            if quotable and span not in spans and candidate.quoted not in candidates:
                candidates[candidate.quoted] = candidate
                spans.add(span)
    last = ""
    for quoted in sorted(candidates):
        # In sorted order whatever begins with `last` follows it at once.
        if last and quoted.startswith(last):
            del candidates[quoted]
        else:
            last = quoted
    return tuple(candidates.values())


def statement_grammar(
    candidates: Sequence[QuoteCandidate],
    numbers: Collection[str],
    *,
    quotes: int = 2,
    silence: bool = True,
    stop: bool = False,
    characters: int | None = None,
) -> str:
    """The llguidance grammar (Lark) of one statement over these candidates. `silence` allows
    `NOT_SAID` in its place, `stop` an empty text.

    `characters` bounds the prose. A counter gives every position its own states in the lexer,
    which makes masks ten times dearer, so the decoder asks for it only once it is needed.
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
    """The grammar that brings the text written so far to its quotes: `grammar` with as many
    characters of prose as there are and `ROOM_TO_CLOSE` more. None where the quotes have begun,
    which end by themselves."""
    return None if '"' in text else grammar(len(text) + ROOM_TO_CLOSE)


def _literal(text: str) -> str:
    # A Lark string takes JSON's escapes, wants DEL's too, and does not join surrogate pairs.
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


def parse(text: str, candidates: Sequence[QuoteCandidate]) -> DraftStatement | None:
    """The written text as a statement with pointers; None for an empty text.

    Prose holds no quotation mark, so the first one opens the quotes, and since no candidate's
    form begins another's there is one way to read on. Raises ValueError for a text that the
    grammar over these candidates does not make.
    """
    if not text:
        return None
    prose, mark, rest = text.partition('"')
    if not mark:
        if text != NOT_SAID:
            raise ValueError(f"neither a statement with a quote nor {NOT_SAID!r}: {text!r}")
        return SILENCE
    rest = mark + rest
    spans: dict[Span, None] = {}
    while rest:
        quote = next((item for item in candidates if rest.startswith(item.quoted)), None)
        if quote is None:
            raise ValueError(f"not a quote of the evidence: {rest[:60]!r}")
        spans[quote.span] = None
        rest = rest[len(quote.quoted) :].removeprefix(" ")
    return DraftStatement(prose.rstrip(" "), tuple(spans))


_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
# The alphabet of a statement: Latin and Greek letters and the signs that prose needs. All else is
# refused: look-alike quotes, brackets, bidi controls, markup, control tokens, letters that nobody
# sees or that look like marks, and whatever no list would name.
_SIGNS = frozenset(" .,;:?!'-–—%/&+=")
_LETTERS = frozenset({"Lu", "Ll", "Lt"})
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
# A dot, colon or slashes with no space after them: a host, an address, a scheme, a path.
_HOSTLIKE = re.compile(r"[^\W_]\.[^\W_]|:\S|//|/\S*/|\.\.")
_END = re.compile(r"(?<=[.?!])\s+")

_ABBREVIATIONS = (("e.g.", "for example"), ("i.e.", "that is"), ("et al.", "and others"))
_CITATION = re.compile(r"\s*[\[(]\s*[0-9][0-9,;–\s-]*[\])]")
_ASIDE = re.compile(r"\s*\(([^()]*)\)")
_MARKS = re.compile("[\"“”„‟«»‹›`´*_＂「」『』]|(?<![^\\W\\d_])['‘’‚‛]|['‘’‚‛](?![^\\W\\d_])")


def numbers_in(text: str) -> frozenset[str]:
    """Every number of the text as it is written: the longest runs of ASCII digits, with the dots
    and commas inside them (`1,000`, `0.95`, the `2` of `pix2pix`)."""
    return frozenset(_NUMBER.findall(text))


def prose_error(text: str, numbers: Collection[str]) -> str:
    """What keeps the text from being a plain statement; "" where nothing does."""
    odd = next((character for character in text if not _is_plain(character)), None)
    missing = sorted(numbers_in(text).difference(numbers))
    linklike = _HOSTLIKE.search(_NUMBER.sub("0", text)) or "www" in text.lower()
    checks = (
        (not any(character.isalpha() for character in text), "no words"),
        (odd is not None, f"the character {odd!r}"),
        ("'" in _APOSTROPHE.sub("", text), "a quotation mark"),
        (bool(missing), f"the number {''.join(missing[:1])}, which the evidence lacks"),
        (linklike, "something like a link"),
        (text != " ".join(text.split()), "loose white space"),
        (text[-1:] not in (".", "?", "!"), "no full stop"),
        (len(text) > MAX_CHARACTERS, "too many words"),
        (len(_END.split(text)) > MAX_SENTENCES, "too many sentences"),
    )
    return next((error for wrong, error in checks if wrong), "")


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in _SIGNS
    letter = unicodedata.category(character) in _LETTERS
    known = unicodedata.name(character, "").startswith(("LATIN ", "GREEK "))
    return (letter and known) or character in _SIGNS


def plain_statement(text: str, evidence_numbers: Collection[str]) -> str | None:
    """The text as a plain statement of one or two sentences, or None where it cannot be one.

    Quotation marks, emphasis, citation numbers and round brackets are removed; links, control
    tokens and numbers the evidence lacks are refused. Invariants: the result has no
    `prose_error`, and is its own plain statement.
    """
    tidy = unicodedata.normalize("NFC", text).replace("’", "'")
    for short, long in _ABBREVIATIONS:
        tidy = tidy.replace(short + ",", long).replace(short, long)
    tidy = _CITATION.sub("", tidy)
    tidy = _MARKS.sub("", _ASIDE.sub(r", \1,", tidy))
    tidy = " ".join(re.sub(r"\s*,(?=\s*[,.;:?!])", "", tidy).split())
    tidy = re.sub(r"\s+(?=[.,;:?!])", "", tidy)
    tidy = " ".join(_END.split(tidy)[:MAX_SENTENCES])
    if tidy and tidy[-1] not in ".?!":
        tidy = tidy.rstrip(" ,;:-–—") + "."
    return None if prose_error(tidy, evidence_numbers) else tidy
