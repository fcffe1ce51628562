"""Asking, and looking into the index, from a notebook: `from rag import ask, look`."""

from rag.views.notebook.display import ShownAnswer, ShownVerification
from rag.views.notebook.library import Library, look
from rag.views.notebook.session import Progress, ask, open_pipeline, settings_here, show

__all__ = [
    "Library",
    "Progress",
    "ShownAnswer",
    "ShownVerification",
    "ask",
    "look",
    "open_pipeline",
    "settings_here",
    "show",
]
