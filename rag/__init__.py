"""Answers a prompt from the works it lists, with quotes that are slices of those works.

The names of `__all__` are the public API. Each is imported at its first use, so that `import rag`
is quick.
"""

import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.errors import RagError
    from index.settings import Settings
    from rag.answer import Answer, read_answer
    from rag.answer.verify import Reextraction, Verification, verify
    from rag.chain import ListedWorksRetriever, answer_chain
    from rag.pipeline import Pipeline
    from rag.prompt import Prompt, parse_prompt, read_prompt
    from rag.views.html import to_html
    from rag.views.markdown import to_markdown
    from rag.views.notebook import ask
    from rag.views.notebook.tables import look
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
    "rag.answer": "Answer read_answer",
    "rag.answer.verify": "Reextraction Verification verify",
    "rag.chain": "ListedWorksRetriever answer_chain",
    "rag.pipeline": "Pipeline",
    "rag.prompt": "Prompt parse_prompt read_prompt",
    "rag.views.html": "to_html",
    "rag.views.markdown": "to_markdown",
    "rag.views.notebook": "ask",
    "rag.views.notebook.tables": "look",
    "rag.writers.choice": "WriterChoice open_writer",
}


def _bind_index() -> None:
    """Make `index` the package beside this one: a user's own index.py in the working folder comes
    before it in the path of scripts and notebooks (docs/decisions/0071-names-in-the-path.md)."""
    spec = PathFinder.find_spec("index", [str(Path(__file__).parents[1])])
    if spec is None or spec.origin is None or spec.loader is None:
        raise ImportError(f"the package index is missing beside {Path(__file__).parent}: reinstall")
    present = sys.modules.get("index")
    if present is None or Path(present.__file__ or "").resolve() != Path(spec.origin).resolve():
        for name in [name for name in sys.modules if name.startswith("index.")]:
            del sys.modules[name]
        sys.modules["index"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["index"])


_bind_index()


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names.split():
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
