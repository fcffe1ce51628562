"""Rewrites a sentence of a source as a statement about the source. Pure text, no choice.

The words stay the source's own: asides, citations and the first person are removed and the
author is named, so the sentence always supports the statement.
"""

from __future__ import annotations

import re

# A noun phrase, roughly: up to where a clause, a preposition that is not "of", or a verb begins.
_PHRASE = (
    r"(?P<np>(?:(?:an?|the|one|two|some|several|any|each|its|their|your|only|just)\s)?"
    r"[A-Za-z][\w’'/-]*(?:,?\s(?!(?:that|which|who|whose|where|when|while|to|with|by|in|on|at|for|from"
    r"|into|is|are|was|were|can|could|may|will|as|so|then|but|using|via|through|under|has|have|we|it"
    r"|they|our|such|because|if|before|after|during|without|within|across|than|given|and (?:then|thus"
    r"|is|are|was|can|we|it|learn\w*|outperform\w*|achiev\w*|demonstrat\w*|show\w*|generat\w*|produc\w*"
    r"|reconstruct\w*|use\w*|train\w*|predict\w*))\b)(?:and |or )?[\w’'/-]+){0,11})"
)
_END = r"(?=\s(?:that|which|to|with|by|in|on|at|for|from|into|is|are|as|so|and|but|using|via|through|under|when|while|can|than|without|within|across|because|where|such)\b|[,.;:!?)—–]|$)"

_INPUTS = tuple(
    re.compile(pattern + _PHRASE + _END, re.IGNORECASE)
    for pattern in (
        r"\bgiven (?:only )?(?=(?:an?|the|some|two|one|only)\s)",
        r"\btakes? (?:as input |in )?(?=(?:an?|the|two|text|images?)\s)",
        r"\b(?:accepts?|receives?|reads?) (?:as input )?(?=(?:an?|the|two|text|images?)\s)",
        r"\bthe (?:model|network|system)(?:’s|'s)? inputs? (?:is|are) ",
        r"\bthe input (?:is|consists of|comprises) (?=(?:an?|the|two|both)\s)",
        r"\bwhat goes in(?: is|:) ",
        r"\bcondition(?:ed|ing|s)?(?: the (?:model|network|generator|process))?(?: itself)? (?:up)?on (?:both )?",
        r"\bmap(?:s|ping)?(?: from)? (?=(?:an?|the)\s)",
        r"\bfrom (?=an? (?:single |short |written |few )?(?:image|photo|text|prompt|sketch|sentence|description|picture|instruction))",
    )
)
_OUTPUTS = tuple(
    re.compile(pattern + _PHRASE + _END, re.IGNORECASE)
    for pattern in (
        r"\bwhat comes out(?: is|:) ",
        r"\bthe output (?:is|consists of) (?=(?:an?|the)\s)",
        r"\b(?:in)?to (?=(?:an?|the) (?:corresponding )?(?:output|target|edited) )",
        r"\b(?:generat|synthesi[sz]|produc|output|return|reconstruct|creat|render)(?:es?|s|ing)? ",
        r"\b(?:predict|yield|restor)(?:es?|s|ing)? ",
    )
)
_THING = re.compile(
    r"\b(?:images?|photos?|photographs?|pictures?|portraits?|faces?|texts?|prompts?|instructions?|words?"
    r"|descriptions?|sentences?|questions?|quer(?:y|ies)|passages?|documents?|pages?|answers?|tokens?"
    r"|sequences?|masks?|labels?|class(?:es)?|attributes?|noise|videos?|frames?|audio|speech|scenes?"
    r"|pixels?|patch(?:es)?|sketch(?:es)?|maps?|features?|representations?|regions?|samples?|mattes?"
    r"|depth|outputs?|results?|translations?|summar(?:y|ies)|captions?|distributions?|vectors?|scores?)\b",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"^(?:(?:the|an?|its|their|our) )?(?:inputs?|outputs?|results?|method|model|approach|features?"
    r"|same|first|following|problem|task|advantage|place|form|part|account|dataset|step)s?$"
    r"|\b(?:our|away|state-of-the-art results?|results? (?:for|of)|improvements?|advantage)\b",
    re.IGNORECASE,
)
_NO_START = re.compile(
    r"(?:of|to|are|is|these|those|this|that|it|them|more|not|such|each|any|their|how|what|only)\b",
    re.IGNORECASE,
)
_NO_END = re.compile(
    r"\b(?:and|or|together|taken|even|of|the|a|an|taking|given|result)$", re.IGNORECASE
)


def input_of(sentence: str) -> str:
    """The phrase of the sentence that names the input, "" where there is none."""
    return _first(_INPUTS, sentence)


def output_of(sentence: str) -> str:
    """The phrase of the sentence that names the output, "" where there is none."""
    return _first(_OUTPUTS, sentence)


def _first(patterns: tuple[re.Pattern[str], ...], sentence: str) -> str:
    for pattern in patterns:
        for match in pattern.finditer(sentence):
            phrase = match["np"].strip()
            before, _, after = phrase.partition(",")
            if not re.search(r"\b(?:and|or)\b", after):  # The comma does not separate a list.
                phrase = before
            if _NO_START.match(phrase) or _NO_END.search(phrase):
                continue
            if _THING.search(phrase) and not _VAGUE.search(phrase) and len(phrase.split()) > 1:
                return phrase
    return ""


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

# In characters: longer sentences are shortened where they can be; so many must be left.
LONG, ENOUGH = 230, 70


def without_asides(sentence: str) -> str:
    """The sentence without citations, pointers to figures, and long parentheses."""
    bare = _ASIDE.sub("", _CITATION.sub("", " ".join(sentence.split())))
    return _DROPPED_END.sub(r"\1", " ".join(bare.split()))


def without_connective(sentence: str) -> str:
    """The sentence without the connective that it begins with."""
    match = _CONNECTIVE.match(sentence)
    return _capitalized(sentence[match.end() :] if match else sentence)


def shortened(sentence: str) -> str:
    """The sentence without its last side clauses, where it is long. A limiting clause (but,
    although, unless, only) is never removed."""
    while len(sentence) > LONG:
        match = _TRAILING.search(sentence)
        if match is None or match.start() < ENOUGH:
            break
        sentence = sentence[: match.start()] + sentence[match.end() :]
    return sentence


def third_person(sentence: str, subject: str) -> str:
    """The sentence in the third person, about `subject` ("the recommended model", "REALM", "" for
    a work without a short name): "We propose …" → "The authors of REALM propose …", "Our method …"
    → "The method …", "This paper studies …" → "REALM studies …"."""
    text = _IN_THIS.sub("", sentence)
    text = _capitalized(_THIS_WORK.sub(_capitalized(subject) or "The paper", text, count=1))
    authors = f"the authors of {subject}" if subject else "the authors"
    if text.startswith("We "):
        text = f"{_capitalized(authors)} {text[3:]}"
    else:
        text = re.sub(r"\bwe\b", authors, text, count=1)
    text = re.sub(r"^Our\b", "The", text)
    for pattern, replacement in _FIRST_PERSON:
        text = pattern.sub(replacement, text)
    return text


def rewritten(sentence: str, subject: str) -> str:
    """The sentence as a statement: without asides, shortened, in the third person, ended."""
    bare = shortened(without_connective(without_asides(sentence)))
    text = third_person(bare, subject).rstrip(" ,;:")
    return text if text[-1:] in ".!?" else text + "."


def short_name(name: str) -> str:
    """How a listed work is called within a sentence: `REALM` for `REALM: Retrieval-…`, "" for a
    title too long to read there (the quote names the work in full)."""
    before, colon, _ = name.partition(": ")
    if colon and len(before) <= 30:
        return before
    return name if len(name) <= 40 else ""


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
