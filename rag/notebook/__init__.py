"""Asking, and looking into the index, where values show themselves: notebooks above all.

from rag.notebook import ask, look
answer = ask("prompt.txt")
"""

from rag.notebook.asking import ask, open_pipeline, settings_here, show
from rag.notebook.looking import Library, look
from rag.notebook.shown import ShownAnswer, ShownVerification
from rag.notebook.table import Table

__all__ = [
    "Library",
    "ShownAnswer",
    "ShownVerification",
    "Table",
    "ask",
    "look",
    "open_pipeline",
    "settings_here",
    "show",
]
