"""The tasks that a sentence names or a question means, and how a sentence begins. Pure text."""

from __future__ import annotations

import re
from dataclasses import dataclass

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


def without_connective(sentence: str) -> str:
    """The sentence without the connective that it begins with."""
    match = _CONNECTIVE.match(sentence)
    return _capitalized(sentence[match.end() :] if match else sentence)


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
