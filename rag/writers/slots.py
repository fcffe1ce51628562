"""What goes in and what comes out, as a sentence of a source says it: a slice of that sentence.

The slice is the source's own noun phrase, so "What goes in: an input image and an instruction."
claims no more than the quote that follows it.
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
    """The phrase by which the sentence says what goes in, "" where it does not."""
    return _first(_INPUTS, sentence)


def output_of(sentence: str) -> str:
    """The phrase by which the sentence says what comes out, "" where it does not."""
    return _first(_OUTPUTS, sentence)


def _first(patterns: tuple[re.Pattern[str], ...], sentence: str) -> str:
    for pattern in patterns:
        for match in pattern.finditer(sentence):
            phrase = _up_to_comma(match["np"].strip())
            if _NO_START.match(phrase) or _NO_END.search(phrase):
                continue
            if _THING.search(phrase) and not _VAGUE.search(phrase) and len(phrase.split()) > 1:
                return phrase
    return ""


def _up_to_comma(phrase: str) -> str:
    """The phrase up to its first comma, unless that comma is part of a list that ends in "and"."""
    before, comma, after = phrase.partition(",")
    return phrase if comma and re.search(r"\b(?:and|or)\b", after) else before
