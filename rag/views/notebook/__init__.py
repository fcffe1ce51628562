"""Asking, and looking into the index, from a notebook: `from rag import ask, look`."""

from rag.views.notebook.display import ShownAnswer, ShownVerification
from rag.views.notebook.library import Library, look
from rag.views.notebook.session import ProgressBar, ask, open_pipeline, settings_here, show

__all__ = [
    "Library",
    "ProgressBar",
    "ShownAnswer",
    "ShownVerification",
    "ask",
    "look",
    "open_pipeline",
    "settings_here",
    "show",
]
