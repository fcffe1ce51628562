"""What a sentence of a source names (a task, an input, an output), and how it is rewritten as a
statement about the source. Pure text, no choice.

The words stay the source's own, so the sentence always supports the statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.retrieval.evidence import Facet

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

_LEADS: dict[Facet, tuple[str, ...]] = {
    "input": (
        r"\bgiven (?:only )?(?=(?:an?|the|some|two|one|only)\s)",
        r"\btakes? (?:as input |in )?(?=(?:an?|the|two|text|images?)\s)",
        r"\b(?:accepts?|receives?|reads?) (?:as input )?(?=(?:an?|the|two|text|images?)\s)",
        r"\bthe (?:model|network|system)(?:’s|'s)? inputs? (?:is|are) ",
        r"\bthe input (?:is|consists of|comprises) (?=(?:an?|the|two|both)\s)",
        r"\bwhat goes in(?: is|:) ",
        r"\bcondition(?:ed|ing|s)?(?: the (?:model|network|generator|process))?(?: itself)? (?:up)?on (?:both )?",
        r"\bmap(?:s|ping)?(?: from)? (?=(?:an?|the)\s)",
        r"\bfrom (?=an? (?:single |short |written |few )?(?:image|photo|text|prompt|sketch|sentence|description|picture|instruction))",
    ),
    "output": (
        r"\bwhat comes out(?: is|:) ",
        r"\bthe output (?:is|consists of) (?=(?:an?|the)\s)",
        r"\b(?:in)?to (?=(?:an?|the) (?:corresponding )?(?:output|target|edited) )",
        r"\b(?:generat|synthesi[sz]|produc|output|return|reconstruct|creat|render)(?:es?|s|ing)? ",
        r"\b(?:predict|yield|restor)(?:es?|s|ing)? ",
    ),
}
_NAMING_PHRASES = {
    facet: tuple(re.compile(lead + _PHRASE + _END, re.IGNORECASE) for lead in leads)
    for facet, leads in _LEADS.items()
}
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


def phrase_of(facet: Facet, sentence: str) -> str:
    """The phrase of the sentence that names the input or the output, "" where there is none."""
    for pattern in _NAMING_PHRASES[facet]:
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


@dataclass(frozen=True, slots=True)
class NamedTask:
    """`named` matches its name in a source. `meant` matches its everyday words in a question: it
    chooses between tasks and is never evidence."""

    name: str
    named: re.Pattern[str]
    meant: re.Pattern[str]


_NAMED = {
    "image inpainting": r"(?:image )?inpainting|image completion|object removal",
    "face swapping": r"face[- ]swap\w*|swapping faces",
    "image restoration": r"(?:image|photo|face) restoration|restoration of",
    "super-resolution": r"super-resolution|upsampling",
    "image colorization": r"(?:image )?coloriz\w+|colouris\w+",
    "image-to-image translation": r"image-to-image translation",
    "instruction-based image editing": r"instruction-based image edit\w+|edit\w* images? (?:from|by|with|following) .{0,20}instructions?|image editing instructions?|follow\w* image editing",
    "image editing": r"(?:image|photo) editing|editing (?:an|the)? ?images?",
    "3D editing": r"3D editing|editing of 3D",
    "novel view synthesis": r"novel[- ]view synthesis",
    "text-to-image generation": r"text-to-image|turns? an? (?:written )?(?:description|text|prompt) into an? (?:picture|image)|generat\w+ images? from (?:a )?(?:text|natural language)|text[- ]conditional image",
    "portrait generation": r"portrait (?:fidelity )?generation|face (?:image )?generation|generat\w+ .{0,20}\bportraits?",
    "image matting": r"(?:image )?matting",
    "semantic segmentation": r"segmentation",
    "image quality assessment": r"(?:image )?quality assessment",
    "image recognition": r"image (?:recognition|classification)|object recognition|classif\w+ images?",
    "object detection": r"object detection",
    "open-domain question answering": r"open[- ]domain question answering|open-domain QA|question answering",
    "machine translation": r"machine translation",
    "summarization": r"summari[sz]ation",
    "image captioning": r"image captioning|caption generation",
    "speech recognition": r"speech recognition",
    "speech synthesis": r"speech synthesis|text-to-speech",
    "video generation": r"video generation|text-to-video",
    "style transfer": r"style transfer|styli[sz]ation",
    "code generation": r"code generation|program synthesis",
    "dialogue": r"dialogue|conversational|chatbot",
    "following instructions": r"follow(?:ing)? (?:the )?(?:user )?instructions",
    "recommendation": r"recommend(?:ation|er) systems?",
    "anomaly detection": r"anomaly detection|outlier detection",
}
_MEANT = {
    "image inpainting": r"\b(?:rubbed|erased?|removed?|wiped) .{0,30}\b(?:out|away|from|off)\b|\bfill(?:ed|s)? in|\bbehind it\b|\binstead\b.*\bmarked|\bmarked\b|\bpainted (?:over|out)",
    "face swapping": r"\b(?:swap|exchang|replac)\w* .{0,12}\bfaces?\b|\bface[- ]swap",
    "image restoration": r"\brestor|\bold (?:family )?(?:photo|picture)|\bfaded|\brepair|\bscratch",
    "super-resolution": r"\bsharper|\benlarg|\bupscal|\bblur",
    "image colorization": r"black[- ]and[- ]white|\bcolou?ri[sz]",
    "image-to-image translation": r"\bsame (?:street|place|scene|house|picture)|\bat night\b|\bday(?:time|light)?\b.*\bnight|\bsketch|\bturn(?:ed|s)? (?:a|my|the) .{0,40}\binto\b",
    "instruction-based image editing": r"\btold (?:it|the app)|\basked (?:it|the app|for)\b|\binstruct|\bturn (?:my|the|a)\b",
    "image editing": r"\bedit|\bchang(?:e|ed) (?:the|my)",
    "3D editing": r"\b3D\b.*\bedit|\bwalk(?:ed)? around",
    "novel view synthesis": r"\bother (?:side|angle)|\bfrom (?:every|all|another) (?:side|angle)",
    "text-to-image generation": r"\btyp(?:ed?|ing)\b|\bprompt|\b(?:few|four|five|one) words?\b|\bone sentence|\bdescri(?:bed|ption)",
    "portrait generation": r"\bportrait|\bselfie|\bfaces?\b|\bfacial|\bphoto of (?:me|us|my)",
    "image matting": r"\bhair\b|\bcut(?:ting)? .{0,15}out\b|\bbackground",
    "semantic segmentation": r"\boutlin|\bwhich pixels|\bcell",
    "image quality assessment": r"\bhow good\b|\bquality\b|\blook(?:s|ed)? (?:good|better)|\bjudge",
    "image recognition": r"\bsort(?:ed|s)?\b|\brecogni[sz]|\btell .{0,20}apart|\bbreed|\bidentif|\bwhat (?:is|was) (?:on|in) the",
    "object detection": r"\bfinds? (?:every|all|the) .{0,20}\bin\b.*(?:photo|picture)",
    "open-domain question answering": r"\banswer(?:ed|s)?\b.*\b(?:question|page|source)|\basked .{0,40}question",
    "machine translation": r"\btranslat\w+ .{0,40}\b(?:English|French|German|language|text|letter)",
    "summarization": r"\bsummar",
    "image captioning": r"\bcaption|\bdescribed (?:the|my) (?:photo|picture)",
    "speech recognition": r"\bdictat|\bwrote down what I said|\bspoke\b",
    "speech synthesis": r"\bread .{0,20}aloud|\bvoice",
    "video generation": r"\bvideo|\bclip\b",
    "style transfer": r"\bin the style of|\blike a (?:painting|van Gogh)|\bpainting",
    "code generation": r"\bcode\b|\bprogram",
    "dialogue": r"\bchat|\bconversation",
    "following instructions": r"\bassistant|\bunderst(?:ood|ands?) what I",
    "recommendation": r"\bsuggest|\brecommend",
    "anomaly detection": r"\bunusual|\bfraud",
}
TASKS = tuple(
    NamedTask(
        name, re.compile(rf"\b(?:{named})", re.IGNORECASE), re.compile(_MEANT[name], re.IGNORECASE)
    )
    for name, named in _NAMED.items()
)


def tasks_meant(question: str) -> tuple[NamedTask, ...]:
    """The tasks that the everyday words of a question point to, in the order of the table."""
    return tuple(task for task in TASKS if task.meant.search(question))


def tasks_named(sentence: str) -> tuple[NamedTask, ...]:
    """The tasks that a sentence names, in the order of the table."""
    return tuple(task for task in TASKS if task.named.search(sentence))
