"""Answers a prompt from the works it lists, with quotes that are slices of those works.

The names of `__all__` are the public API. Each is imported at its first use, so that `import rag`
is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.errors import RagError
    from index.settings import Settings
    from rag.answer.model import Answer, read_answer
    from rag.answer.verify import Reextraction, Verification, verify
    from rag.chain import ListedWorksRetriever, answer_chain
    from rag.pipeline import Pipeline
    from rag.prompt import Prompt, parse_prompt, read_prompt
    from rag.views.html import to_html
    from rag.views.markdown import to_markdown
    from rag.views.notebook import ask, look
    from rag.writers.choice import WriterChoice, open_writer

__all__ = [
    "Answer",
    "ListedWorksRetriever",
    "Pipeline",
    "Prompt",
    "RagError",
    "Reextraction",
    "Settings",
    "Verification",
    "WriterChoice",
    "answer_chain",
    "ask",
    "look",
    "open_writer",
    "parse_prompt",
    "read_answer",
    "read_prompt",
    "to_html",
    "to_markdown",
    "verify",
]

_MODULES = {
    "index.errors": "RagError",
    "index.settings": "Settings",
    "rag.answer.model": "Answer read_answer",
    "rag.answer.verify": "Reextraction Verification verify",
    "rag.chain": "ListedWorksRetriever answer_chain",
    "rag.pipeline": "Pipeline",
    "rag.prompt": "Prompt parse_prompt read_prompt",
    "rag.views.html": "to_html",
    "rag.views.markdown": "to_markdown",
    "rag.views.notebook": "ask look",
    "rag.writers.choice": "WriterChoice open_writer",
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
