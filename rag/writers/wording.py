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
_FIRST_PERSON = (
    (re.compile(r"\b[Ww]e ourselves\b"), "they themselves"),
    (re.compile(r"\bwe(?:'|’)ve\b"), "they have"),
    (re.compile(r"\bwe\b"), "they"),
    (re.compile(r"\bour own\b"), "their own"),
    (re.compile(r"\bour\b"), "their"),
    (re.compile(r"\bours\b"), "theirs"),
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
    """The sentence as told about `subject` ("the recommended model", "REALM") by somebody else:
    "We propose …" → "The authors of REALM propose …", "Our method …" → "In REALM, the method …"."""
    told = _THIS_WORK.sub(_capital(subject), sentence, count=1)
    if match := re.match(r"(?:In )?(?:[Tt]his|[Oo]ur) (?:paper|work|study), (?=\w)", told):
        told = told[match.end() :]
        told = told[0].upper() + told[1:]
    if told.startswith("We "):
        told = f"The authors of {subject} {told[3:]}"
    elif told.startswith("Our "):
        told = f"In {subject}, the {told[4:]}"
    elif re.search(r"\b(?:we|our|us|ours)\b", told):
        told = f"In {subject}, {_uncapital(told)}"
        told = re.sub(r"\bwe\b", "the authors", told, count=1)
    for pattern, replacement in _FIRST_PERSON:
        told = pattern.sub(replacement, told)
    return told


def told(sentence: str, subject: str) -> str:
    """A statement made of a source's sentence: bare, shortened, in the third person."""
    bare = without_connective(without_asides(sentence))
    return _full_stop(third_person(shortened(bare), subject))


def short_name(name: str) -> str:
    """How a listed work is called within a sentence: `REALM` for `REALM: Retrieval-…`."""
    before, colon, _ = name.partition(": ")
    return before if colon and len(before) <= 30 else name


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _uncapital(text: str) -> str:
    """The text as it goes on after a comma: names and acronyms keep their capitals."""
    first = text.split(" ", 1)[0]
    ordinary = first[:1].isupper() and first[1:].islower() and first.lower() in _FUNCTION_WORDS
    return text[:1].lower() + text[1:] if ordinary else text


_FUNCTION_WORDS = frozenset(
    ["a", "after", "all", "an", "and", "any", "as", "at", "because", "before", "both", "by", "during", "each", "for", "from", "given", "if", "in", "instead", "into", "it", "its", "most", "on", "one", "since", "so", "some", "such", "that", "the", "their", "then", "there", "these", "they", "this", "those", "though", "through", "to", "two", "under", "unlike", "using", "when", "where", "whereas", "while", "with", "without"]
)


def _full_stop(text: str) -> str:
    text = text.rstrip(" ,;:")
    return text if text[-1:] in ".!?" else text + "."
