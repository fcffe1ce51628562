"""The readable sentences of the evidence, each with its scores for the parts of an answer.

Pure: evidence in, scored sentences out, in an order that depends on the evidence alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rag.retrieval.evidence import FACETS, Evidence, Facet, Hit, Similarity, Span
from rag.selection.wording import without_connective

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
_CUES: Mapping[Facet, re.Pattern[str]] = {
    "task": re.compile(
        r"\bis the (?:process|task|problem) of\b|\b(?:task|problem|goal|aim) (?:is|of)\b|\baims? (?:to|at)\b"
        r"|\b(?:we|authors) (?:propose|present|introduce|investigate|study|address|tackle)\b"
        r"|\bThis (?:paper|work|tutorial) (?!is )\w+s\b|\bis an? [^.]*\b(?:model|method|framework|dataset|pipeline|database|network|approach)\b",
        re.IGNORECASE,
    ),
    "input": re.compile(
        r"\binputs?\b|\bgiven an?\b|\btakes?\b|\bcondition(?:ed|ing)\b|\bprompts?\b|\binstructions?\b"
        r"|\bfrom (?:an?|the) (?:image|text|photo|single)|\bquer(?:y|ies)\b|\bquestion\b",
        re.IGNORECASE,
    ),
    "model": re.compile(
        r"\b(?:uses?|using|leverag\w+|combin\w+|integrat\w+|consists? of|based on|built on|trained|train"
        r"|learns?|encod\w+|decod\w+|architecture|layers?|attention|loss|objective|fine-?tun\w+|module"
        r"|network|mechanism|retriev\w+|discriminator|generator|diffusion|latent|connections?|noise"
        r"|begins? with|starts? (?:with|from)|step by step|little by little|steers?|guides?|guided"
        r"|turns? (?:the|an?|each|it) [^.]* into)\b",
        re.IGNORECASE,
    ),
    "output": re.compile(
        r"\b(?:generat\w+|produc\w+|outputs?|synthesi[sz]\w+|reconstruct\w+|restor\w+|predict\w+|results? in"
        r"|fill\w* in|realistic|plausible|sharp\w*|faithful|photo-?realistic|quality|answers?)\b",
        re.IGNORECASE,
    ),
}
_CENTRAL = re.compile(
    r"^(?:\d[\d.]*\s*)?(?:abstract|introduction|overview|conclusions?|summary|discussion)\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"related work|background|experiment|evaluation|datasets\b|training details|setup|install|requirements"
    r"|appendix|supplement|acknowledg|ablation|implementation|comparison|limitation|broader impact"
    r"|tips|fine-?tun|(?:generate|write) a|sampling|script|modification with|weights|tuning|other ways|generate dataset|edit a single"
    r"|data (?:augment|prep)|news|getting started|quick ?start|usage|download|license|comments",
    re.IGNORECASE,
)
_METHOD = re.compile(
    r"\b(?:methods?|approach|architecture|models?|network|framework|generator|objective|overview)\b",
    re.IGNORECASE,
)
# The problem or the limits of other work: why a work was done, not how it works.
_COMPLAINT = re.compile(
    r"\b(?:limits?|limited|limitation|challeng\w+|overlook\w*|lacks?|suffer\w*|fails?|difficult\w*|narrow"
    r"|unfavorable|prominent|fundamental|no longer|earlier|existing|warning|struggl\w+|however|prior works?|existing methods?|previous(?:ly)?|traditional\w*"
    r"|bias\w*|advise|have become|has become|future|remains?|unfortunately|expensive|requiring)\b",
    re.IGNORECASE,
)
# Experiments.
_TRIAL = re.compile(
    r"\b(?:evaluat\w+|validation|test sets?|baselines?|outperform\w*|state[- ]of[- ]the[- ]art"
    r"|accurac\w+|experiment\w*|benchmark\w*|ablation\w*|annotat\w+|compar\w+|best known|datasets?|collections?"
    r"|training images|during training|error rate|computed|averag\w+|proposals|samples per|significant\w*)\b",
    re.IGNORECASE,
)
# A sentence that names its own part of the answer.
_DECLARED = re.compile(r"(?:The )?(input|output)s? (?:is|are|consists?)\b", re.IGNORECASE)


def readable(sentence: str) -> bool:
    """Whether the sentence can be put before a reader on its own."""
    text = sentence.strip()
    words = _WORD.findall(text)
    return (
        SHORTEST <= len(text) <= LONGEST
        and "\n\n" not in text
        and re.match(r"[A-Z“\"‘(]", text) is not None
        and re.search(r"[.!][”\"’)]?$", text) is not None
        and len(words) >= 5
        and sum(map(len, words)) + len(words) >= 0.78 * len(text)
        and sum(len(word) == 1 and word not in "aAI" for word in words) <= 1
        and text.count("(") == text.count(")")
        and text.count("“") == text.count("”")
        and not (_RUN_IN.match(text) or _INSTRUCTION.match(text))
        and not (_NO_PROSE.search(text) or _TALK.search(text))
    )


def standalone_score(sentence: str) -> float:
    """How well a readable sentence can be understood alone: 1 for one that refers to nothing
    around it, less for each reference, at least -1."""
    score = 1.0
    if _LEANING.match(sentence):
        score -= 1.0
    elif re.search(r"\b(?:this|these|those|such) (?!paper|work|study|tutorial|article)", sentence):
        score -= 0.3
    score -= 0.35 * bool(_POINTING.search(sentence))
    score -= 0.3 * (len(_NUMBER.findall(sentence)) > 1)
    score -= 0.15 * (len(sentence) > 240)
    return score - 0.1 * (sentence.count(",") > 4)


@dataclass(frozen=True, slots=True)
class ScoredSentence:
    """A sentence of listed work number `work`. `merit` is its score in any part of an answer;
    `similarity` is its cosine with the question and `facets` with the query of each part; `cues`
    are the parts to which its words point."""

    work: int
    span: Span
    text: str
    heading: str
    merit: float
    similarity: float
    facets: Mapping[Facet, float]
    cues: frozenset[Facet]

    def score(self, facet: Facet) -> float:
        """Its score in one part of the answer."""
        score = self.merit + 3.0 * self.similarity + 2.0 * self.facets.get(facet, 0.0)
        score += 0.6 * (facet in self.cues)
        if facet == "model" and _METHOD.search(self.heading):
            score += 0.5
        if facet != "task":
            score -= 1.2 * bool(_COMPLAINT.search(self.text))
            score -= 0.6 * bool(_TRIAL.search(self.text))
        if (declared := _DECLARED.match(self.text)) is not None:
            score += 1.0 if declared[1].lower() == facet else -1.5
        return score


def scored_sentences(evidence: Evidence) -> tuple[ScoredSentence, ...]:
    """Every readable sentence of the evidence once for each work that lists its source, by
    descending merit."""
    with_full_source = {
        work
        for hit in evidence.hits()
        if hit.source_type != "summary"
        for work in evidence.listings_of(hit.source_id)
    }
    openings = {hit.key for hits in evidence.openings for hit in hits}
    sentences: dict[tuple[int, Span], ScoredSentence] = {}
    for hit in evidence.hits():
        opens = hit.key in openings
        for span, text in hit.sentences():
            works = [n for n in evidence.listings_of(hit.source_id) if (n, span) not in sentences]
            if not works or not readable(text):
                continue
            similarity = evidence.similarities.get(span, Similarity(0.0, {}))
            merit = _merit(text, hit, opens=opens)
            for work in works:
                in_summary = hit.source_type == "summary" and work in with_full_source
                sentences[work, span] = ScoredSentence(
                    work=work,
                    span=span,
                    text=text,
                    heading=hit.passage.heading,
                    merit=merit - (1.0 if in_summary else 0.0),
                    similarity=similarity.question,
                    facets=similarity.facets,
                    cues=frozenset(facet for facet in FACETS if _CUES[facet].search(text)),
                )
    return tuple(
        sorted(
            sentences.values(),
            key=lambda item: (-item.merit, item.work, item.span.source_id, item.span.start),
        )
    )


def _merit(text: str, hit: Hit, *, opens: bool) -> float:
    last_heading = hit.passage.heading.rpartition("›")[2].strip()
    score = standalone_score(without_connective(text))
    if _CENTRAL.match(last_heading) or (opens and hit.source_type != "full text"):
        score += 0.6
    return score - 1.0 * bool(_ASIDE.search(hit.passage.heading))
