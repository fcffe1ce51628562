"""How a system message and a user message become token ids for one model.

A model's own chat template is used where there is one; what is put into it is encoded apart, as
ordinary text, so that nothing in it can end a turn or begin one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag.writers.vocabulary import Vocabulary

# Private-use characters: no template has them, and none treats them as white space.
_SYSTEM, _USER = "\ue000\ue001", "\ue002\ue003"
# Templates of models that may think aloud are asked not to; the others ignore the names.
_SILENT = {"enable_thinking": False, "thinking": False}


@dataclass(frozen=True, slots=True)
class Template:
    """Pieces of markup around the two messages: before, between and after them. `merged` where
    the system message has to stand at the head of the user's."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    merged: bool
    plain: bool

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> Template:
        """The template of this tokenizer; a plain layout where it has none that can be used."""
        tokenizer: Any = vocabulary.tokenizer
        if getattr(tokenizer, "chat_template", None):
            for merged in (False, True):
                if pieces := _pieces(tokenizer, merged=merged):
                    before, between, after = (tuple(vocabulary.markup(p)) for p in pieces)
                    return cls(before, between, after, merged, plain=False)
        start = tokenizer.bos_token_id
        before = () if start is None else (int(start),)
        gap = tuple(vocabulary.plain("\n\n"))
        return cls(before, gap, tuple(vocabulary.plain("\n\nAnswer:\n")), False, plain=True)

    def prefix(self, vocabulary: Vocabulary, system: str, shared: str) -> list[int]:
        """Everything before the part of the user's message that differs between prompts."""
        return [
            *self.before,
            *vocabulary.plain(system),
            *self.between,
            *vocabulary.plain(shared),
        ]

    def suffix(self, vocabulary: Vocabulary, task: str) -> list[int]:
        """The rest of the user's message and the beginning of the model's turn."""
        return [*vocabulary.plain(task), *self.after]


def _pieces(tokenizer: Any, *, merged: bool) -> Sequence[str] | None:
    """The markup around the two messages, or None where this template does not take them so."""
    import jinja2

    if merged:
        messages = [{"role": "user", "content": f"{_SYSTEM}\n\n{_USER}"}]
    else:
        messages = [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": _USER},
        ]
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **_SILENT
        )
    except (jinja2.TemplateError, TypeError, ValueError):
        return None
    if text.count(_SYSTEM) != 1 or text.count(_USER) != 1:
        return None
    before, rest = text.split(_SYSTEM)
    if _USER not in rest:
        return None
    between, after = rest.split(_USER)
    return before, between, after
