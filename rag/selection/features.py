"""What is known of a sentence of the evidence, as numbers: its place, its form, its words.

Form is matched by patterns; what a sentence is about is left to the words and the encoder
(`rag.selection.grading`), whose weights are learned. Pure: evidence in, a matrix out, in an order
that depends on the evidence alone.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rag.retrieval import Evidence, SentenceContext, Span

Matrix = npt.NDArray[np.float32]

WORD_BUCKETS, HEADING_BUCKETS = 1024, 128
"""Columns into which the one- and two-word terms of a sentence, and the words of its heading, are
hashed (Weinberger et al. 2009)."""
_WORD_SCALE, _HEADING_SCALE = 3.0, 2.0
_SHORT = 16
"""Sentences below which a source is an abstract or a summary rather than a text with parts."""

_APPENDIX = re.compile(r"(?i:appendi(?:x|ces)|supplementary)\b|[A-HJ-UWYZ](?:\.\d+)*[.:]?\s+[A-Z]")
"""I, V and X number the parts of a text too."""
_APPENDIX_FROM = 0.4

_TOKEN = re.compile(r"[a-z]+(?:['’-][a-z]+)*|\d+|[^\w\s]")
_NAME_WORD = re.compile(r"[A-Za-z][\w.+]{2,}")
_LONG_WORD = re.compile(r"[A-Za-z][\w'’-]{3,}")
_ENDED = re.compile(r"[.!:][\"”’)]*$")
_PATTERNS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (r"\b(?:we|our)\b", re.IGNORECASE),
        (r"^(?:Th[ei]se?|It|They|Such|In this|That|Those)\b", 0),
        (r"^[A-Z]", 0),
        (r"[.!][\"”’)]*$", 0),
        (r":$", 0),
        (r"\?$", 0),
        (r"https?:|www\.|\.\w{2,4}/|@", 0),
        (r"\d", 0),
        (r"[=_{}\\^|~<>$→≤≥∑α-ωΑ-Ω]", 0),
        (r"^(?:\W|\d)", 0),
        (r"\[\d", 0),
        (r"\b(?:Fig|Tab|Sec|Eq)", 0),
    )
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of the evidence that may be quoted for listing number `listing`."""

    listing: int
    span: Span
    text: str
    heading: str
    context: SentenceContext


def candidates_in(evidence: Evidence) -> tuple[Candidate, ...]:
    """Every quotable sentence of the evidence, once for each work that lists its source, in the
    order of the listings and, within a source, of its text; questions, titles, parts of sentences
    and the appendices of papers are left out. A summary is read as an abstract."""
    candidates: dict[tuple[int, Span], Candidate] = {}
    appendices = _appendices(evidence)
    for hit in evidence.hits():
        heading = "Abstract" if hit.source_type == "summary" else ""
        if hit.passage.start >= appendices.get(hit.source_id, math.inf):
            continue
        for span, text in hit.sentences():
            for listing in evidence.listings_of(hit.source_id):
                new = (listing, span) not in candidates and span in evidence.contexts
                if new and not _is_cut(text) and not _is_title(text):
                    place = hit.passage.heading or heading, evidence.contexts[span]
                    candidates[listing, span] = Candidate(listing, span, text, *place)
    return tuple(
        sorted(candidates.values(), key=lambda c: (c.listing, c.span.source_id, c.span.start))
    )


def _appendices(evidence: Evidence) -> dict[str, int]:
    """The offset at which the appendix of each paged source begins that has one: at a heading
    numbered by a letter, or so called, after the first 40 % of the sentences. Of 351 graded
    sentences that stand there or after the bibliography, 3 were graded 2 or 3; of others 12 %."""
    begins: dict[str, int] = {}
    for hit in evidence.hits():
        passage = hit.passage
        if passage.pages and passage.sentences and _APPENDIX.match(passage.heading):
            context = evidence.contexts.get(Span(hit.source_id, *passage.sentences[0]))
            if context is not None and context.number > _APPENDIX_FROM * context.total:
                start = begins.get(hit.source_id, passage.start)
                begins[hit.source_id] = min(start, passage.start)
    return begins


def _is_cut(text: str) -> bool:
    """Whether the text is a question or, by its form, a part of a sentence."""
    return text.count("(") != text.count(")") or text.endswith("?") or text[:1].islower()


def _is_title(text: str) -> bool:
    """Whether the text ends as no sentence does, and its longer words are capitalised."""
    words = _LONG_WORD.findall(text)
    capitals = sum(word[0].isupper() for word in words)
    return len(words) > 1 and capitals >= 0.8 * len(words) and not _ENDED.search(text)


def features(evidence: Evidence, candidates: Sequence[Candidate]) -> Matrix:
    """[n, d]: place, nearness and form, then the hashed words, for each candidate."""
    words = _hashed([_terms(item.text) for item in candidates], WORD_BUCKETS) * _WORD_SCALE
    headings = [_TOKEN.findall(item.heading.lower()) for item in candidates]
    hashed_headings = _hashed(headings, HEADING_BUCKETS) * _HEADING_SCALE
    return np.hstack((_dense(evidence, candidates), words, hashed_headings))


def terms_of(text: str) -> frozenset[str]:
    """The words and signs of a text, any number being one word."""
    return frozenset(_words(text))


def _words(text: str) -> list[str]:
    return ["0" if word.isdigit() else word for word in _TOKEN.findall(text.lower())]


def _terms(text: str) -> list[str]:
    bounded = ["<", *_words(text), ">"]
    return bounded + [f"{a} {b}" for a, b in pairwise(bounded)]


def _hashed(rows: Sequence[Sequence[str]], buckets: int) -> Matrix:
    """Which buckets the terms of each row fall into, each row of unit length."""
    matrix = np.zeros((len(rows), buckets), dtype=np.float32)
    for row, terms in zip(matrix, rows, strict=True):
        row[[zlib.crc32(term.encode()) % buckets for term in set(terms)]] = 1.0
    unit: Matrix = matrix / np.maximum(np.sqrt(matrix.sum(axis=1, keepdims=True)), 1.0)
    return unit


def _dense(evidence: Evidence, candidates: Sequence[Candidate]) -> Matrix:
    similarity = np.array([item.context.similarity for item in candidates])
    standard = (similarity - similarity.mean()) / (similarity.std() + 1e-6)
    rank = np.array([(similarity > value).mean() for value in similarity])
    return np.array(
        [
            (*_place(evidence, item), *_nearness(evidence, item, z, share), *_form(item.text))
            for item, z, share in zip(candidates, standard, rank, strict=True)
        ],
        dtype=np.float32,
    )


def _place(evidence: Evidence, item: Candidate) -> tuple[float, ...]:
    number, total, inside = item.context.number, item.context.total, item.context.in_section
    recommended = evidence.prompt.listings[item.listing].role != "related"
    return (
        recommended,
        item.span.source_id.startswith("github:"),
        # Of a recommended model a summary explains as well as any other text.
        total < _SHORT and not recommended,
        number == 0,
        number == 1,
        number == 2,
        number < 6,
        min(number, 60) / 60,
        number / max(total, 1),
        inside == 0,
        inside == 1,
        min(inside, 8) / 8,
    )


def _nearness(evidence: Evidence, item: Candidate, z: float, rank: float) -> tuple[float, ...]:
    """The similarity with the question, standardised over the prompt so that it means the same
    with every encoder; and how much of the work's name the sentence has."""
    listing = evidence.prompt.listings[item.listing]
    name = listing.name.rpartition("/")[2].partition(":")[0].replace("-", " ")
    words = _NAME_WORD.findall(name)
    named = sum(word.lower() in item.text.lower() for word in words) / max(len(words), 1)
    recommended = listing.role != "related"
    return (z, z * recommended, z * (not recommended), max(z - 1, 0), max(z - 2, 0), rank, named)


def _form(text: str) -> tuple[float, ...]:
    words, length = text.split(), max(len(text), 1)
    return (
        min(length, 400) / 200,
        length < 40,
        length > 300,
        len(words) < 6,
        sum(char.isalpha() or char == " " for char in text) / length,
        sum(word[:1].isupper() for word in words) / max(len(words), 1),
        min(len(re.findall(r"\d+", text)), 5) / 5,
        min(text.count(","), 6) / 6,
        text.count("(") != text.count(")"),
        *(pattern.search(text) is not None for pattern in _PATTERNS),
    )
