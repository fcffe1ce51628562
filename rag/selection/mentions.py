"""Where one listed work names another: the sentences, told by the form of names alone.

Pure. A name counts only where it has a capital inside, a digit, a hyphen or several words, so that
no common word passes for one ("Attention" does not, "U-Net" does).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from index.catalog import Listing
from rag.retrieval import Evidence, Span

MOST = 2
"""Sentences for one work."""

LONGEST_NAME = 300
"""Characters of what can stand in a sentence."""

_DISTINCT = re.compile(r"(?=.{3})(?=.*[A-Za-z])(?:.+[A-Z0-9]|\d|.*\w[\s_-]\w)")
_SEPARATOR = re.compile(r"[\s_-]+")
# What a registry of models puts before a name: "Txt2Img-", "ImageClassification-", "owner/".
_PREFIX = re.compile(r"^(?:[^/\s]+/|[A-Z]\w{5,}-)(?=\S+$)")
_VERSION = re.compile(r"[\s_-]?[vV]?\d+(?:\.\d+)*$")
_PARENTHESIS = re.compile(r"(?<![\w-])((?:[\w-]++\s){1,8})\(([A-Z][A-Za-z-]{1,9}?)s?\)")
_SENTENCE = re.compile(r"[A-Z“\"(][^=<>|{}\\^~•]{38,328}[.!][”\")]?")
_LEANING = re.compile(r"(?:It|They|Th[ei]se?|This|That|Those|Its|Their|Such|Both|Here)\b")
# What points to a place that the reader does not see.
_POINTING = re.compile(r"\b(?:Fig|Tab|Eq|Sec|Alg)\w*\.?\s?\(?\d")


def names_of(listing: Listing, own_texts: Iterable[str]) -> re.Pattern[str] | None:
    """What matches the names of a listed work: its title, the part before a colon, the name
    without a registry's prefix, its repository, each without a version too, and the abbreviation
    that its own texts introduce in parentheses or write in capitals. None where it has no name of
    a distinct form."""
    name = listing.name.strip() if len(listing.name) <= LONGEST_NAME else ""
    names = {name, name.partition(": ")[0], _PREFIX.sub("", name)}
    repository = listing.github.name if listing.github else ""
    names |= {repository} | {_VERSION.sub("", each) for each in (*names, repository)}
    words = _words(name)
    for text in own_texts:
        for before, short in _PARENTHESIS.findall(text):
            count = sum(map(str.isupper, short))
            initials = "".join(word[0] for word in words[:count])
            if count > 1 and initials.upper() == "".join(filter(str.isupper, short)):
                names |= {short} if _words(before)[-count:] == words[:count] else set()
        if repository and not _DISTINCT.match(repository):
            names |= set(re.findall(rf"\b{re.escape(repository)}\b", text, re.IGNORECASE))
    patterns = [_pattern(each) for each in sorted(names) if _DISTINCT.match(each)]
    return (
        re.compile(rf"(?<![\w-])(?:{'|'.join(patterns)})(?:s|[vV]?\d+)?(?!\w)")
        if patterns
        else None
    )


def mentions_of(evidence: Evidence, used: Collection[Span]) -> tuple[tuple[Span, ...], ...]:
    """For each listing at most `MOST` sentences in which another listed work's source names it,
    the nearest to the question first, one of a source. None of `used` is among them, and none
    comes twice."""
    sentences = {
        span: text
        for hit in evidence.hits()
        for span, text in hit.sentences()
        if span not in used and stands_alone(text)
    }
    near = sorted(
        sentences,
        key=lambda span: (
            -evidence.contexts[span].similarity if span in evidence.contexts else 0.0,
            span.source_id,
            span.start,
        ),
    )
    texts: dict[str, dict[str, None]] = {}
    for hit in evidence.hits():
        texts.setdefault(hit.source_id, {})[hit.text] = None
    taken: set[Span] = set()
    mentions = []
    for listing in evidence.prompt.listings:
        own = [text for source in listing.source_ids for text in texts.get(source, ())]
        names = names_of(listing, own)
        chosen: dict[str, Span] = {}
        for span in near if names else ():
            foreign = span.source_id not in listing.source_ids and span not in taken
            if foreign and names and len(chosen) < MOST and names.search(sentences[span]):
                chosen.setdefault(span.source_id, span)
        taken.update(chosen.values())
        mentions.append(tuple(chosen.values()))
    return tuple(mentions)


def stands_alone(text: str) -> bool:
    """Whether the text has the form of one whole sentence that points to nothing before it."""
    letters = sum(char.isalpha() or char == " " for char in text)
    balanced = all(text.count(left) == text.count(right) for left, right in ("()", "[]", "“”"))
    whole = _SENTENCE.fullmatch(" ".join(text.split())) and letters > 0.85 * len(text)
    return bool(whole and balanced and not _LEANING.match(text) and not _POINTING.search(text))


def _words(name: str) -> list[str]:
    return [word for word in _SEPARATOR.split(name.lower().strip()) if word]


def _pattern(name: str) -> str:
    """Parts may be joined by a space, a hyphen or nothing. One word with capitals is matched as
    it is written, everything else in any case."""
    parts = [re.escape(part) for part in _SEPARATOR.split(name.strip()) if part]
    exact = len(parts) == 1 and name[1:] != name[1:].lower()
    return parts[0] if exact else "(?i:" + r"[\s_-]?".join(parts) + ")"
