"""From a sentence of a source to a sentence about it. Pure text, no choice of what to say.

The words stay the source's own: what is taken away is asides, citations and the first person,
what is put in is whose words they are. So whatever is said here, the sentence behind it says.
"""

from __future__ import annotations

import re

_CITATION = re.compile(
    r"\s?\[\s?\d[\d\s,;–-]*\]"
    r"|\s?\((?:[^()]*\b(?:19|20)\d\d[a-z]?\b[^()]*|(?:see |cf\. )?(?:Fig|Tab|Sec|Eq|App|§)[^()]*)\)"
    r"|(?<=[a-z])\s(?:[A-Z][\w-]+ et al\.) \(\d{4}[a-z]?\)"
)
_ASIDE = re.compile(r"\s?\((?:e\.g\.|i\.e\.|that is|for example|such as)[^()]*\)|\s?\([^()]{25,}\)")
_CONNECTIVE = re.compile(
    r"(?:However|Moreover|Furthermore|Additionally|In addition|Therefore|Thus|Hence|Consequently"
    r"|Accordingly|Specifically|In particular|More specifically|Concretely|To this end|To do so"
    r"|To address th\w+(?: \w+)?|To tackle th\w+(?: \w+)?|Here|Finally|Lastly|First|Firstly|Second"
    r"|Secondly|Third|Next|Then|Also|Overall|In summary|In short|Notably|Recently|Importantly"
    r"|Interestingly|As a result|In this (?:paper|work|study|article|tutorial|report|section)"
    r"|At a high level|In other words|In contrast|Instead|Meanwhile|Nevertheless|Indeed|In fact"
    r"|After[^,]{3,40}filtering|On the other hand|For this reason|With this in mind|Empirically"
    r"|In practice|In general|Generally|Similarly|Likewise|Similar to [^,]{3,60}), ?",
)
_THIS_WORK = re.compile(
    r"(?:This|The present|Our) (?:paper|work|study|article|tutorial|report)(?= \w+s\b)"
)
_TRAILING = re.compile(
    r"(?:; (?!but|however)[^;]+|,? —[^—]+| – [^–]+"
    r"|, (?:which|while|whereas|making|allowing|enabling|thereby|thus|as well as|so that)\b[^,;]+)"
    r"(?=[.!?]$)"
)
_IN_THIS = re.compile(r"^(?:In|With) (?:this|our) (?:paper|work|study|article|tutorial),? (?=\w)")
_FIRST_PERSON = (
    (re.compile(r"\bwe(?:'|’)ve\b"), "they have"),
    (re.compile(r"\b[Ww]e\b"), "they"),
    (re.compile(r"\b(?:of )ours\b"), "of theirs"),
    (re.compile(r"\bours\b"), "theirs"),
    # After a word that needs a possessive "the" would be wrong: "in our own", "with all our".
    (re.compile(r"\bour (?=own\b)"), "their "),
    (re.compile(r"\bour\b"), "the"),
    (re.compile(r"\bus\b"), "them"),
)
_DROPPED_END = re.compile(r"\s+([.,;:!?])")

LONG = 230
"""Characters from which on a sentence is shortened where it can be."""
ENOUGH = 70
"""Characters that shortening must leave."""


def without_asides(sentence: str) -> str:
    """The sentence without citations, pointers to figures, and long parentheses."""
    bare = _ASIDE.sub("", _CITATION.sub("", " ".join(sentence.split())))
    return _DROPPED_END.sub(r"\1", " ".join(bare.split()))


def without_connective(sentence: str) -> str:
    """The sentence without the word that tied it to the one before."""
    stripped = _CONNECTIVE.sub("", sentence, count=1) if _CONNECTIVE.match(sentence) else sentence
    return _capital(stripped)


def shortened(sentence: str) -> str:
    """The sentence without its last side clauses, where it is long. A clause that limits what
    is said (but, although, unless, only) is never taken away."""
    while len(sentence) > LONG:
        match = _TRAILING.search(sentence)
        if match is None or match.start() < ENOUGH:
            break
        sentence = sentence[: match.start()] + sentence[match.end() :]
    return sentence


def third_person(sentence: str, subject: str) -> str:
    """The sentence as told by somebody else about `subject` ("the recommended model", "REALM",
    "" where there is no short name): "We propose …" → "The authors of REALM propose …", "Our
    method …" → "The method …", "This paper studies …" → "REALM studies …"."""
    told = _IN_THIS.sub("", sentence)
    told = _THIS_WORK.sub(_capital(subject) or "The paper", told, count=1)
    told = _capital(told)
    authors = f"the authors of {subject}" if subject else "the authors"
    if told.startswith("We "):
        told = f"{_capital(authors)} {told[3:]}"
    else:
        told = re.sub(r"\bwe\b", authors, told, count=1)
    told = re.sub(r"^Our\b", "The", told)
    for pattern, replacement in _FIRST_PERSON:
        told = pattern.sub(replacement, told)
    return told


def told(sentence: str, subject: str) -> str:
    """A statement made of a source's sentence: bare, shortened, in the third person."""
    bare = without_connective(without_asides(sentence))
    return _full_stop(third_person(shortened(bare), subject))


def short_name(name: str) -> str:
    """How a listed work is called within a sentence: `REALM` for `REALM: Retrieval-…`, "" for a
    title that is too long to be read there (the quote below names the work in full)."""
    before, colon, _ = name.partition(": ")
    if colon and len(before) <= 30:
        return before
    return name if len(name) <= 40 else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _full_stop(text: str) -> str:
    text = text.rstrip(" ,;:")
    return text if text[-1:] in ".!?" else text + "."
