"""Text as it should read: encoding, line ends, ligatures, accents, control characters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

LIGATURES = dict(
    zip("ﬀﬁﬂﬃﬄﬅﬆĲĳ", ["ff", "fi", "fl", "ffi", "ffl", "st", "st", "IJ", "ij"], strict=True)
)
HIDDEN = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFEFF, 0xFFFC]
)
TRANSLATION = str.maketrans(LIGATURES) | HIDDEN
# Old TeX fonts paint an accent and then its letter.
ACCENTS = dict(
    zip(
        "´`¨ˆ˜ˇ˘¯˚˙˝¸",
        "\u0301\u0300\u0308\u0302\u0303\u030c\u0306\u0304\u030a\u0307\u030b\u0327",
        strict=True,
    )
)
ACCENTED = re.compile(f"([{''.join(ACCENTS)}]) ?([A-Za-zıȷ])")
LOOSE = re.compile(r"(?<=\S) +(?=[,)\]}])|(?<=\b[^\W\d_]) +(?=[.;:](\s|$))")
# Where the document itself does not say: endings that are no words, and beginnings that take one.
SUFFIXES = re.compile(
    r"(?:(?:ab|ib)l[ey]|ability|al|ally|ance|at?ed|ence|ers?|es|est|ful|ic|ical|ings?|ions?|is[mt]s?"
    r"|ity|ive|ized|less|ly|ments?|ness|ors?|ous|[st]ions?|ties|tive|tures?)"
)
PREFIXES = {"cross", "self", "semi", "quasi", "well", "zero", "few", "state", "non"}
SECONDS = {"aware", "based", "driven", "free", "level", "scale", "shot", "specific", "trained"}
LONGEST_WORD = 20  # letters: longer ones are compounds, such as expectation-maximization
HYPHENS = "-\u00ad\u2010"
WORD = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")


def decoded(data: bytes) -> str:
    """UTF-8 with or without its mark, every line end a line feed, what cannot be read U+FFFD."""
    text = data.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def encodable(text: str) -> str:
    """Without lone surrogates: pairs become their character, single ones U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def repaired(text: str) -> str:
    """One line as it reads: ligatures spelled out, accents on their letters, single spaces."""
    text = encodable(text).translate(TRANSLATION)
    text = ACCENTED.sub(_accented, text)
    text = LOOSE.sub("", text)
    if not text.isprintable():
        text = "".join(" " if _is_control(char) else char for char in text)
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _accented(match: re.Match[str]) -> str:
    letter = {"ı": "i", "ȷ": "j"}.get(match[2], match[2])
    one = unicodedata.normalize("NFC", letter + ACCENTS[match[1]])
    return one if len(one) == 1 else match[0]


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Co", "Cn", "Zl", "Zp")


class Vocabulary:
    """The words a document writes inside its lines: they decide what a hyphen at a line end is."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.words: Counter[str] = Counter()
        broken = False
        for line in lines:
            words = [match[0].lower() for match in WORD.finditer(line)]
            if broken:
                words = words[1:]
            broken = bool(line) and line[-1] in HYPHENS
            if broken:
                words = words[:-1]
            self.words.update(words)
            self.words.update(part for word in words if "-" in word for part in word.split("-"))

    def keeps_hyphen(self, before: str, after: str) -> bool:
        """Whether `before`-`after`, broken at the hyphen, is written with it."""
        left = re.split(r"[^\w-]", before)[-1].lower()
        match = re.match(r"[\w-]+", after)
        right = match[0].lower() if match else ""
        capitals = re.search(r"[A-Z]{2}$", before) and re.match(r"[A-Z]{2}", after)
        if capitals and self.words[left + right]:
            return False
        if not left or not right or not after[:1].islower() or not left[-1].isalpha():
            return True
        first, second = left.split("-")[-1], right.split("-")[0]
        with_hyphen = self.words[f"{left}-{right}"] + self.words[f"{first}-{second}"]
        without = self.words[first + second] + self.words[left + right]
        if with_hyphen or without:
            return with_hyphen > without
        if SUFFIXES.fullmatch(second):
            return False
        if first in PREFIXES or second in SECONDS:
            return True
        both_are_words = self.words[first] > 0 and self.words[second] > 0 and len(first) > 1
        return both_are_words or len(first + second) > LONGEST_WORD


def joined(before: str, after: str, vocabulary: Vocabulary) -> str:
    """`before`, a line of a paragraph, with what joins it to the line `after` it in running text:
    a space, or at a hyphen the hyphen or nothing."""
    if before[-1:] in HYPHENS and before[-2:-1].isalnum():
        if before.endswith("\u00ad") or not vocabulary.keeps_hyphen(before[:-1], after):
            return before[:-1]
        return before[:-1] + "-"
    last = before.rsplit(" ", 1)[-1]
    if before[-1:] in "—" or (re.match(r"(https?:|www\.)", last) and last[-1] in "/_=&?%.#-~"):
        return before
    return before + " "
