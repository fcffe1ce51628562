"""Where sentences begin and end in scientific prose, as offsets. Rules, no model, linear time.

A paragraph break (a blank line) always ends a sentence, so that headings, captions and list
items that stand alone stay alone. Within a paragraph a full stop ends a sentence unless what
stands before it (an abbreviation, an initial, a bare number) or after it (a lower-case word)
says otherwise. What cannot be told apart by form ("by Smith et al. The" against "by Smith et
al. Nature 2009") is decided by whether the next word is one that commonly opens a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|\Z")
_LETTER_RUN = re.compile(r"\S+\Z")

# A place where a sentence may end: terminators, closing quotes and brackets, then citations
# that stand after the full stop ("shown.[12] The", "shown. [3, 4] The", "shown.12 The"), then
# white space. Or: the line break before a list item. CJK full stops need no space.
_CANDIDATE = re.compile(
    r"(?P<stop>[.!?…]+)(?P<close>[\"'”’»)\]]{0,3})"
    r"(?P<cite>(?:[^\S\n]?\[\d[\d,;\s–-]{0,40}\](?=\s|\Z)|(?<=[^\W\d]\.)\d{1,3}(?:[,–-]\d{1,3}){0,8}(?=\s))?)"
    r"(?P<space>\s+)"
    r"|(?P<cjk>[。！？]+[」』”’）]{0,3})\s*"
    r"|(?P<item>\s*\n\s*)(?=(?:[•◦▪‣∙*–-]|\(?\d{1,2}[.)]|\([a-z]\))\s)"
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


def _is_label(text: str, begin: int, match: re.Match[str]) -> bool:
    """Whether all there is before the full stop is a number or a caption's label."""
    stop = match.start("cite")
    return stop - begin < 40 and _LABEL.match(text, begin, stop) is not None


def _is_abbreviated(text: str, begin: int, match: re.Match[str], end: int) -> bool:
    """Whether the full stop belongs to an abbreviation rather than ends a sentence."""
    run = _LETTER_RUN.search(text[max(begin, match.start() - 24) : match.start()])
    word = run.group().lstrip("([{\"'“‘") if run else ""
    after = match.end()
    if word.lower() in _NEVER:
        return True
    if word.lower() == "al" and text[after] in "([":
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
    if _is_label(text, begin, match) or not _OPENING.match(text, match.end(), end):
        return False
    if match["stop"] != "." or match["close"]:
        return True
    return not _is_abbreviated(text, begin, match, end)


def _sentences(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The sentences of one paragraph, not yet trimmed at its end."""
    for match in _CANDIDATE.finditer(text, begin, end):
        if match.start() < begin or not _ends_sentence(text, begin, match, end):
            continue
        if match["item"] or match["bullet"]:
            stop = match.start()
        elif match["cjk"]:
            stop = match.end("cjk")
        elif match["glued"] is not None:
            stop = match.end()
        else:
            stop = match.end("cite")
        yield begin, stop
        begin = match.end()
    if begin < end:
        yield begin, end


def sentence_spans(
    text: str, start: int = 0, end: int | None = None
) -> tuple[tuple[int, int], ...]:
    """Half-open absolute spans of the sentences of `text[start:end]`, in order and trimmed.

    Invariants: spans do not overlap, none is empty, none contains a blank line, and every
    character between `start` and `end` that is not white space lies in exactly one of them.
    """
    end = len(text) if end is None else min(end, len(text))
    found: list[tuple[int, int]] = []
    begin = start
    while begin < end:
        boundary = _PARAGRAPH.search(text, begin, end)
        stop = boundary.start() if boundary else end
        for first, last in _sentences(text, begin, stop):
            sentence = text[first:last]
            left = first + len(sentence) - len(sentence.lstrip())
            right = first + len(sentence.rstrip())
            if left < right:
                found.append((left, right))
        begin = boundary.end() if boundary and boundary.end() > stop else end
    return tuple(found)
