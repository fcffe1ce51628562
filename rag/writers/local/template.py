"""A model's chat template is a program that came with the weights. It runs in a worker process,
with limits: the sandbox of jinja2 keeps it from everything but time and memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from index.documents.extract import isolated

log = logging.getLogger(__name__)

Messages = Sequence[Mapping[str, str]]
SECONDS = 20.0
"""Of which importing takes one or two."""
MEMORY = 2 << 30
_LONGEST = 100_000
"""Characters of a rendered chat; the longest templates that models have write some thousands."""


def rendered_chats(
    template: str, chats: Sequence[Messages], names: Mapping[str, Any], *, seconds: float = SECONDS
) -> list[str | None]:
    """Each chat as the template renders it, None where it does not take the messages so, or does
    not come to an end. `names` are what the template may use besides."""
    return _rendered(json.dumps([template, chats, names], default=str), seconds)


@cache
def _rendered(task: str, seconds: float) -> list[str | None]:
    replies = isolated(
        "rag.writers.local.template:render",
        [("the model's chat template", [task.encode()])],
        workers=1,
        seconds=seconds,
        memory_bytes=MEMORY,
    )
    [(name, reply)] = replies
    if isinstance(reply, bytes):
        return list(json.loads(reply))
    log.warning("%s is not used: %s", name, reply.reason)
    return [None] * len(json.loads(task)[1])


def render(_name: str, task: bytes) -> bytes:
    """The job of the worker."""
    from transformers.utils.chat_template_utils import render_jinja_template

    template, chats, names = json.loads(task)
    texts: list[str | None] = []
    for messages in chats:
        try:
            rendered: Any = render_jinja_template(
                [messages], chat_template=template, add_generation_prompt=True, **names
            )
            text = rendered[0][0]
        except Exception:  # A template may raise whatever it likes, as for a role it does not know.
            text = None
        texts.append(text if isinstance(text, str) and len(text) <= _LONGEST else None)
    return json.dumps(texts).encode()
