"""Text as a reader sees it: no control characters, on one line, escaped for Markdown."""

from __future__ import annotations

import re
import unicodedata

# What CommonMark and GitHub's tables, strikes, formulas and bare links are made of.
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~$@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
_LINE_START = re.compile(r"^(\d+(?=[.)])|(?=[-+=]))")
# Control characters, format characters (bidirectional overrides, invisible tags) and surrogates.
_UNSEEN = frozenset({"Cc", "Cf", "Cs"})
_SPACE = re.compile(r"\s+")
# A scheme, "www.", or a host and a path. Each begins where a word does: no text takes long.
_ADDRESS = re.compile(
    r"(?:(?<!\w)\w+://|www[.。])\S+"
    r"|(?<![\w.-])(?:(?:[\w-]+[.。])+[^\W\d_]{2,}|(?:\d{1,3}\.){3}\d{1,3})(?::[0-9]+)?/\S+",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """`text` on one line, without control characters."""
    return _SPACE.sub(" ", visible(_SPACE.sub(" ", text))).strip()


def visible(text: str) -> str:
    """`text` without control characters, but for its line ends."""
    return "".join(
        char for char in text if char == "\n" or unicodedata.category(char) not in _UNSEEN
    )


def addresses_in(text: str) -> list[str]:
    """What a reader may take for an address on the web. As the text is shown: invisible characters
    within a link hide it from no reader."""
    return _ADDRESS.findall(plain(unicodedata.normalize("NFKC", text)))


def without_addresses(text: str) -> str:
    """`text` as `plain` gives it, with an ellipsis for every address."""
    shown, count = _ADDRESS.subn("…", plain(unicodedata.normalize("NFKC", text)))
    return shown if count else plain(text)


def escape(text: str) -> str:
    """`text` as Markdown that shows exactly it."""
    escaped = _MARKUP.sub(_escaped, plain(text).replace("&", "&amp;"))
    return _LINE_START.sub(r"\1\\", escaped)


def _escaped(match: re.Match[str]) -> str:
    # Not by another backslash: notebooks take two before a bracket, and the second of two before
    # `begin{`, for the beginning of a formula.
    return "&#92;" if match[0] == "\\" else "\\" + match[0]
