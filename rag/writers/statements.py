"""Whether a statement may stay, and what takes its place where it may not. The same for every
writer whose words a model chose."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection

from rag.retrieval.evidence import Evidence, Span
from rag.selection.wording import rewritten, short_name
from rag.support import SupportChecker
from rag.writers.base import AS_IT_STANDS, NOT_SAID, DraftStatement

MAX_SENTENCES = 2
MAX_CHARACTERS = 700

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
# Letters of every script, and the signs that prose needs. All else is refused, so that a mark
# nobody thought of is no hole: look-alike quotes, brackets, bidi controls, markup, control tokens.
_SIGNS = frozenset(" .,;:?!'-–—%/&+=")
_LETTERS = frozenset({"Lu", "Ll", "Lt", "Lo"})
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


def fault(text: str, numbers: Collection[str]) -> str:
    """What keeps the text from being a plain statement; "" where nothing does."""
    odd = next((c for c in text if not _known(c)), None)
    missing = sorted(numbers_in(text) - set(numbers))
    checks = (
        (not any(character.isalpha() for character in text), "no words"),
        (odd is not None, f"the character {odd!r}"),
        ("'" in _APOSTROPHE.sub("", text), "a quotation mark"),
        (bool(missing), f"the number {''.join(missing[:1])}, which the evidence lacks"),
        (_linklike(text), "something like a link"),
        (text != " ".join(text.split()), "loose white space"),
        (text[-1:] not in (".", "?", "!"), "no full stop"),
        (len(text) > MAX_CHARACTERS, "too many words"),
        (len(_END.split(text)) > MAX_SENTENCES, "too many sentences"),
    )
    return next((said for wrong, said in checks if wrong), "")


def _known(character: str) -> bool:
    digit = character.isascii() and character.isdigit()
    return digit or character in _SIGNS or unicodedata.category(character) in _LETTERS


def _linklike(text: str) -> bool:
    return bool(_HOSTLIKE.search(_NUMBER.sub("0", text))) or "www" in text.lower()


def plain_statement(text: str, evidence_numbers: Collection[str]) -> str | None:
    """The text as a plain statement of one or two sentences, or None where it cannot be one.

    Quotation marks, emphasis, citation numbers and round brackets are taken off; links, control
    tokens and numbers the evidence lacks are not repaired but refused. Invariants: what comes out
    has no `fault`, and comes out again unchanged.
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
    return None if fault(tidy, evidence_numbers) else tidy


Extract = Callable[[Evidence, Span], DraftStatement]
"""The statement that a quote makes by itself: what takes the place of one it does not support."""

_LONGEST_WORD = 40


def fallback_statement(evidence: Evidence, span: Span) -> DraftStatement:
    """What a quote says, told of its work; where that is no plain statement, only that it is
    said. Licensed by the quote either way."""
    text = evidence.text(span)
    listings = evidence.listings_of(span.source_id)
    subject = short_name(evidence.prompt.listings[listings[0]].name) if listings else "the work"
    whole = text[-1:] in (".", "!", "?")
    plain = plain_statement(rewritten(text, subject), numbers_in(text)) if whole else None
    return DraftStatement(plain or AS_IT_STANDS, (span,))


def objection(
    written: DraftStatement,
    evidence: Evidence,
    numbers: Collection[str],
    checker: SupportChecker,
    threshold: float | None,
) -> str:
    """Why the statement may not stay, "" where it may. A statement that could not be scored is
    not held to be unsupported."""
    if written.text.startswith(NOT_SAID):
        return "it says that nothing is said, and quotes"
    if wrong := fault(written.text, numbers):
        return f"it holds {wrong}"
    support = checker.check(written.text, [evidence.text(span) for span in written.quotes])
    enough = checker.threshold if threshold is None else threshold
    if support.holds(enough) is not False:
        return ""
    if support.findings:
        return "not in its quotes: " + ", ".join(
            f"the {found.kind} “{found.said[:_LONGEST_WORD]}”" for found in support.findings[:3]
        )
    return f"support by its quotes {support.probability or 0.0:.2f}"
