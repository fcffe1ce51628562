"""Which checker of support a user asked for, loaded."""

from __future__ import annotations

from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.support.builtin import BuiltinChecker
from rag.support.checker import SupportChecker


def open_checker(
    name: str = "", *, offline: bool = False, token_states: bool = True
) -> SupportChecker:
    """The NLI cross-encoder `name` (hub id or folder), or with "" the checker built in: with the
    default encoder's token states, as it was fitted, or without them. Raises EncoderError."""
    if name:
        from rag.support.nli import CrossEncoderChecker

        return CrossEncoderChecker.load(name, offline=offline)
    if not token_states:
        return BuiltinChecker()
    from rag.support.soft import SentenceTransformerTokens

    folder = locate(DEFAULT_ENCODER, offline=offline)
    return BuiltinChecker(SentenceTransformerTokens.load(folder))
