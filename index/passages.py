"""A document cut into passages: the unit that is embedded, ranked and shown as evidence.

Passages are spans of whole sentences. Offsets come from the split and are never searched for
again: `document.text[p.start:p.end] == p.text` by construction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from index.documents import Document, Section, is_complete

Span = tuple[int, int]

_PARAGRAPH_END = re.compile(r"\n[^\S\n]*\n\s*|\Z")
_LETTER_RUN = re.compile(r"\S+\Z")

# A place where a sentence may end: terminators, closing quotes and brackets, then citations
# that stand after the full stop ("shown.[12] The", "shown. [3, 4] The", "shown.12 The"), then
# white space. Or: the line break before a list item. CJK full stops need no space. Runs of stops
# and of spaces are tried from their first character: from each, a long one takes quadratic time.
_CANDIDATE = re.compile(
    r"(?P<stop>(?<![.!?…])[.!?…]++)(?P<close>[\"'”’»)\]]{0,3})"
    r"(?P<cite>(?:[^\S\n]?\[\d[\d,;\s–-]{0,40}\](?=\s|\Z)|(?<=[^\W\d]\.)\d{1,3}(?:[,–-]\d{1,3}){0,8}(?=\s))?)"
    r"(?P<space>\s+)"
    r"|(?P<cjk>[。！？]+[」』”’）]{0,3})\s*"
    r"|(?P<item>(?<!\s)\s*\n\s*)(?=(?:[•◦▪‣∙*–-]|\(?\d{1,2}[.)]|\([a-z]\))\s)"
    r"|(?<=[.;:!?])(?P<bullet>\s+)(?=[•◦▪‣]\s)"
    # "…generative models.Current methods…": a space was lost, as abstracts often have it.
    r"|(?<=[a-z]{4}\.)(?P<glued>)(?=[A-Z][A-Za-z]+[\s,])"
)

# What may open a sentence: a capital or a digit, possibly behind quotes or brackets, a bullet,
# a letter of no case, or a word with a capital inside it (mRNA, iPhone).
_OPENING = re.compile(
    r"[\"'“‘«(\[¿¡$\\]*(?:[^\W_a-z]|[•◦▪‣–—-]\s|[a-zα-ω]{1,2}-?[A-Z]|(?<=\()[a-z]{1,4}\)\s)"
)
_WORD = re.compile(r"[\"'“‘(\[]*([A-Za-z]+)")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# These never end a sentence.
_NEVER = _words("e.g i.e cf vs viz dr mr mrs ms prof resp approx ca st fig figs eq eqs")
# These, and single capitals (initials, "vitamin C."), end one only if a usual opening follows.
_SOMETIMES = _words(
    "al eqn eqns sec secs sect tab ref refs no nos vol pp p ch chap thm prop def lem cor app "
    "appx alg ed eds suppl supp ext dept univ inc ltd co corp jr sr no nr art ser u.s u.k w.r.t "
    "s.t a.k.a i.i.d a.m p.m ph.d m.sc b.sc u.s.a d.c et min max avg std est jan feb mar apr jun "
    "jul aug sep sept oct nov dec sp spp var subsp gen assoc int natl proc conf trans lett phys "
    "chem biol med j acad sci"
)
_STARTERS = _words(
    "a after all also although an and another are as at because before below besides both but by "
    "consequently despite do does during each even every finally first for from further "
    "furthermore given hence here how however i if in indeed instead interestingly is it its last "
    "later lastly let like likewise many meanwhile more moreover most nevertheless next no "
    "nonetheless not note notably now of on once one only or other our out over overall "
    "particularly previous rather recall recent recently second several similarly since so some "
    "specifically still subsequently such than that the their then there therefore these they "
    "third this those though through thus to together two under unlike until unless using was we "
    "what when whenever where whereas whether which while who why with within without yet you your "
    "figure table section theorem lemma proof equation conversely accordingly additionally "
    "alternatively compared considering based according inspired motivated following three four "
    "suppose assume denote intuitively importantly surprisingly unfortunately conclusion results "
    "methods background objective objectives introduction"
)
_INITIAL = re.compile(r"(?:[A-Z]\.-?)*[A-Z]\Z")
# "Figure 3." or "2.1." or "iv." at the beginning belongs to what follows.
_LABEL = re.compile(
    r"[\W\d_]*\Z|[\[(]?(?:[ivxIVX]{1,5}|[A-Za-z])(?:\.\d+)*[.)\]]+\Z"
    r"|(?:Supplementary\s|Extended\sData\s)?(?:Fig(?:ure)?|Table|Tab|Alg(?:orithm)?|Theorem|Lemma|"
    r"Definition|Proposition|Corollary|Remark|Example|Section|Appendix|Chapter|Listing|Box|Step|"
    r"Question|Scheme|Eq)\.?\s*[A-Z]?[\dIVX.]*[a-z]?[.:]*\Z"
)


def _is_abbreviated(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether the full stop belongs to an abbreviation rather than ends a sentence."""
    run = _LETTER_RUN.search(text[max(begin, match.start() - 24) : match.start()])
    word = run.group().lstrip("([{\"'“‘") if run else ""
    after = match.end()
    if word.lower() in _NEVER or (word.lower() == "al" and text[after] in "(["):
        return True
    if word.lower() in _SOMETIMES or _INITIAL.match(word):
        # "J. R. Smith", "et al. Nature", "No. 5" against "group A. The", "et al. We".
        following = _WORD.match(text, after, end)
        return not (following and following[1][0].isupper() and following[1].lower() in _STARTERS)
    return False


def _ends_sentence(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether the candidate `match`, in a sentence that began at `begin`, is its end."""
    if not match["stop"]:
        return match.start() > begin
    if match.end() >= end:
        return True
    stop = match.start("cite")
    if stop - begin < 40 and _LABEL.match(text, begin, stop):
        return False
    if not _OPENING.match(text, match.end(), end):
        return False
    plain = match["stop"] == "." and not match["close"]
    return not (plain and _is_abbreviated(text, begin, match, end))


def _sentences(text: str, begin: int, end: int) -> Iterator[Span]:
    """The sentences of one paragraph, not yet trimmed at its end."""
    for match in _CANDIDATE.finditer(text, begin, end):
        if match.start() < begin or not _ends_sentence(text, begin, match, end):
            continue
        last = next((g for g in ("cite", "cjk", "glued") if match[g] is not None), None)
        yield begin, match.end(last) if last else match.start()
        begin = match.end()
    if begin < end:
        yield begin, end


def sentence_spans(text: str, start: int = 0, end: int | None = None) -> tuple[Span, ...]:
    """Half-open absolute spans of the sentences of `text[start:end]`, in order and trimmed.

    Invariants: spans do not overlap, none is empty, none contains a blank line, and every
    character between `start` and `end` that is not white space lies in exactly one of them.
    """
    end = len(text) if end is None else min(end, len(text))
    spans: list[Span] = []
    begin = start
    for paragraph_end in _PARAGRAPH_END.finditer(text, start, end):
        trimmed = (_trim(text, span) for span in _sentences(text, begin, paragraph_end.start()))
        spans += [span for span in trimmed if span[0] < span[1]]
        begin = paragraph_end.end()
    return tuple(spans)


MINIMUM = 350
MAXIMUM = 600

# Names this splitter and its parameters: part of a segment's name, so that an index of another
# split is never taken for this one. Change it with anything that moves a boundary.
SPLITTER = f"sentences-2:{MINIMUM}-{MAXIMUM}"

# Where an over-long sentence may be cut, best first: line ends, clauses, commas, any space.
_CUTS = tuple(
    re.compile(pattern) for pattern in (r"\n", r"(?<=[;:.!?])\s+|(?<=[。；])", r"(?<=,)\s+", r"\s+")
)


@dataclass(frozen=True, slots=True)
class Passage:
    """`sentences` are the spans of its sentences, as offsets in the document like `start` and
    `end`; the first begins at `start`, the last ends at `end`. `pages` are 1-based. `lost` are the
    offsets in the document at which the extraction left something out (`Document.lost`)."""

    start: int
    end: int
    text: str
    heading: str = ""
    pages: tuple[int, ...] = ()
    sentences: tuple[Span, ...] = ()
    lost: tuple[int, ...] = ()

    @property
    def complete_sentences(self) -> tuple[Span, ...]:
        """The sentences that lack nothing: no other may be quoted."""
        return tuple(span for span in self.sentences if is_complete(self.lost, *span))


def _halve(text: str, span: Span, limit: int, fits: Callable[[str], bool]) -> list[Span]:
    """Cut one span into pieces of at most `limit` characters that fit, at the best places near
    its middle; in the middle itself where there is nothing better."""
    start, end = span
    if end - start <= limit and (end - start <= 1 or fits(text[start:end])):
        return [span]
    middle, reach = (start + end) / 2, (end - start) // 4
    left = right = (start + end) // 2
    for cut in _CUTS:
        near = [
            match.span()
            for match in cut.finditer(text, start + reach, end - reach)
            if start < match.start() and match.end() < end
        ]
        if near:
            left, right = min(near, key=lambda cut: abs(sum(cut) / 2 - middle))
            break
    return [
        piece
        for part in ((start, left), (right, end))
        for piece in _halve(text, _trim(text, part), limit, fits)
        if piece[0] < piece[1]
    ]


def _trim(text: str, span: Span) -> Span:
    """The span without white space at its ends; empty where there is nothing else."""
    part = text[span[0] : span[1]]
    start = span[0] + len(part) - len(part.lstrip())
    return start, max(start, span[0] + len(part.rstrip()))


def _after_heading(text: str, section: Section) -> int:
    """Where the section's own text begins: its heading is context, not evidence."""
    start, _ = _trim(text, (section.start, section.end))
    heading = section.heading.strip()
    after = start + len(heading)
    if heading and text.startswith(heading, start) and text[after : after + 1] in ("", "\n"):
        return min(after, section.end)
    return section.start


def _group(text: str, pieces: Sequence[Span], minimum: int, maximum: int) -> list[tuple[Span, ...]]:
    """Consecutive pieces joined to passages no longer than `maximum`, the cuts chosen so that
    lengths stay near the middle of the range and cuts fall at paragraphs (least total cost)."""
    target = (minimum + maximum) / 2
    best = [0.0] + [float("inf")] * len(pieces)
    came_from = [0] * (len(pieces) + 1)
    for stop in range(1, len(pieces) + 1):
        end = pieces[stop - 1][1]
        # A cut inside a paragraph costs about as much as a passage half as long as it should be.
        inside = stop < len(pieces) and "\n" not in text[end : pieces[stop][0]]
        for first in range(stop - 1, -1, -1):
            length = end - pieces[first][0]
            if length > maximum and first < stop - 1:
                break
            miss = abs(length - target) / target
            cost = best[first] + miss * miss + 0.5 * (length < minimum) * miss + 0.1 * inside
            if cost < best[stop]:
                best[stop], came_from[stop] = cost, first
    groups: list[tuple[Span, ...]] = []
    stop = len(pieces)
    while stop:
        groups.insert(0, tuple(pieces[came_from[stop] : stop]))
        stop = came_from[stop]
    return groups


def _fitting(
    text: str, group: tuple[Span, ...], fits: Callable[[str], bool]
) -> list[tuple[Span, ...]]:
    """The group, or its halves where the encoder would cut it off."""
    if len(group) < 2 or fits(text[group[0][0] : group[-1][1]]):
        return [group]
    half = len(group) // 2
    return _fitting(text, group[:half], fits) + _fitting(text, group[half:], fits)


def split(
    document: Document,
    *,
    minimum: int = MINIMUM,
    maximum: int = MAXIMUM,
    fits: Callable[[str], bool] = lambda _text: True,
) -> tuple[Passage, ...]:
    """The passages of `document`, in order.

    Invariants: none crosses a section or lies in one that must not be quoted; every character
    of a quotable section that is neither white space nor its heading lies in exactly one
    passage; none is longer than `maximum` characters, nor too long for `fits` (is the text
    short enough for the encoder?). `minimum` is aimed at: a section shorter than that, or one
    whose sentences do not add up, gives shorter passages.
    """
    text = document.text
    passages: list[Passage] = []
    for section in document.sections:
        if not section.quotable:
            continue
        pieces = [
            piece
            for sentence in sentence_spans(text, _after_heading(text, section), section.end)
            for piece in _halve(text, sentence, maximum, fits)
        ]
        for whole in _group(text, pieces, minimum, maximum):
            for group in _fitting(text, whole, fits):
                start, end = group[0][0], group[-1][1]
                where = section.heading, document.pages(start, end)
                lost = tuple(offset for offset in document.lost if start < offset < end)
                passages.append(Passage(start, end, text[start:end], *where, group, lost))
    return tuple(passages)
