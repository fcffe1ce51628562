"""Asking, and looking into the index, where values show themselves: notebooks above all.

from rag.views.notebook import ask, look
answer = ask("prompt.txt")
"""

from rag.views.notebook.display import ShownAnswer, ShownVerification
from rag.views.notebook.library import Library, look
from rag.views.notebook.session import ask, open_pipeline, settings_here, show
from rag.views.notebook.table import Table

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
