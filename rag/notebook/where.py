"""Where a passage stands, in the words that answers use; and the words of a query in it."""

from __future__ import annotations

import re

from index.passages import Passage
from index.sources import Tier
from rag.answer import Quote
from rag.notebook.table import Marked
from rag.ranking import terms
from rag.render import place

_WORD = re.compile(r"[^\W_]+")


def where(tier: Tier, passage: Passage) -> str:
    """`full text, p. 3`."""
    return place(Quote("", tier, passage.start, passage.end, passage.text, passage.pages))


def with_words_of(query: str, text: str) -> Marked:
    """`text` with the words marked that BM25 finds for `query`."""
    wanted = set(terms(query))
    found = (match.span() for match in _WORD.finditer(text) if wanted & set(terms(match[0])))
    return Marked(text, tuple(found))
