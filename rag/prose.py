"""Which sentences can stand alone before a reader who has not read the paper.

Judged by form only: whole, about something that is named in it, without formulas, not leaning on
a figure, a table or the sentence before, and not about the publication and its files.
"""

from __future__ import annotations

import re

SHORTEST, LONGEST = 30, 330
_WORD = re.compile(r"[A-Za-z][A-Za-z’'-]*")
_NO_PROSE = re.compile(
    r"−|\w\([A-Za-z]\w{0,3}\)|[=<>∑∏∫√∥‖∈∀∂≤≥≈∝→↔←⊗⊕∇_{}\\^|~@#]|https?:|www\.|\.(?:py|sh|yaml|ckpt|json)\b|\bet al\b"
    r"|\$|\[\w*\.\w*\]|[α-ωΑ-Ω]|\b[a-zA-Z]\s[a-zA-Z]\s[a-zA-Z]\b|\?\?"
)
# A heading that runs into its paragraph: "RAG-Sequence Model The RAG-Sequence model …".
_RUN_IN = re.compile(r"[A-Z]\S*(?: \S+){0,4}(?<![,;:]) (?:The|An|We|Our|This|These|For|To) ")
_LEANING = re.compile(
    r"(?:This(?! (?:paper|work|study|tutorial|article)\b)"
    r"|These|Those|It\b|They|Their|Its|Such|Both|Each|Another"
    r"|In (?:that|this|such|these) \w+|It’s|Here|There (?:is|are) (?:a|an|no|also|several|other)\b|We (?:also )?plan"
    r"|The (?:former|latter|same|other|second|third|above|following|previous|resulting|latter’s)\b"
    r"|But|And|Or|So|Yet|Nor|For example|For instance|That is|Note|See|Recall|Similarly|Likewise"
    r"|Figure|Fig|Table|Tab|Algorithm|Equation|Theorem|Lemma|Proof|Appendix|Section|Left|Right|Top"
    r"|Bottom|[•◦▪*–-]|\d)"
)
_POINTING = re.compile(
    r"\b(?:Fig(?:ure)?s?\b|Tables?\b|Tab\.|Eq(?:uation|s|n)?s?\b|Sections?\b|Sec\.|Appendix|Algorithm"
    r"|column|row|above|below|aforementioned|previous section|next section|supplement\w*|footnote|i\.i\.d)"
)
_INSTRUCTION = re.compile(
    r"(?:Run|Install|Download|Clone|Create|Follow|Place|Set|Click|Use|Please|Make sure|Feel free|You"
    r"|If you|Check|Refer|Put|Open|Copy|Execute|Add|To (?:run|install|download|reproduce|train|use))\b"
)
# About the publication and its files, not about how anything works.
_TALK = re.compile(
    r"\b(?:twitter|community|download|by default|software|thank|grateful|acknowledg|funded|licen[sc]e|citation|cite[sd]?\b|bibtex"
    r"|accepted (?:at|by|to)|pull request|issue tracker|(?:is|was|were|are) supported (?:in part )?by"
    r"|under grant|corresponding author|equal contribution|copyright|arXiv|GitHub|repositor"
    r"|conda\b|scripts?\b|model cards?|details (?:on|of|about|are)|can be found|artifacts and"
    r"|implementation is|official|project page|workstation|VRAM|GPUs?\b|web interface"
    r"|browser|colab|notebook|publicly available|plan to|future work|in future|supplement)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\b\d[\d.,]*\b")


def readable(sentence: str) -> bool:
    """Whether the sentence can be put before a reader on its own."""
    text = sentence.strip()
    if not SHORTEST <= len(text) <= LONGEST or "\n\n" in text:
        return False
    if not re.match(r"[A-Z“\"‘(]", text) or not re.search(r"[.!][”\"’)]?$", text):
        return False
    words = _WORD.findall(text)
    letters = sum(map(len, words)) + len(words)
    if len(words) < 5 or letters < 0.78 * len(text):
        return False
    if sum(len(word) == 1 and word not in "aAI" for word in words) > 1:
        return False
    if text.count("(") != text.count(")") or text.count("“") != text.count("”"):
        return False
    if _RUN_IN.match(text):
        return False
    return not (_NO_PROSE.search(text) or _INSTRUCTION.match(text) or _TALK.search(text))


def standing(sentence: str) -> float:
    """How well a readable sentence stands alone: 1 for one that leans on nothing, less for each
    thing that ties it to its place, down to -2."""
    score = 1.0
    if _LEANING.match(sentence):
        score -= 1.0
    elif re.search(r"\b(?:this|these|those|such) (?!paper|work|study|tutorial|article)", sentence):
        score -= 0.3
    if _POINTING.search(sentence):
        score -= 0.35
    if len(_NUMBER.findall(sentence)) > 1:
        score -= 0.3
    if len(sentence) > 240:
        score -= 0.15
    if sentence.count(",") > 4:
        score -= 0.1
    return score
