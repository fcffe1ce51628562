"""Reading what a chat model sent back: JSON in whatever wrapping, whole or cut off. Pure.

A reply is data from outside: nothing of it is trusted but ids that exist and text that is plain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.writers.draft import DraftStatement
from rag.writers.grammar import Candidate
from rag.writers.plain import plain_statement

MOST_QUOTES = 2
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_ID = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Reply:
    """`statements` as they may stand; `dropped` says, kind and detail, what may not. `understood`
    is False where there was nothing in the form that was asked for."""

    statements: tuple[DraftStatement, ...]
    dropped: tuple[tuple[str, str], ...]
    understood: bool


def schema(ids: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of a reply over these sentence ids: a server that takes it as a grammar
    cannot name an id that does not exist."""
    statement = {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 600},
            "quotes": {
                "type": "array",
                "items": {"type": "string", "enum": list(ids)},
                "minItems": 1,
                "maxItems": MOST_QUOTES,
            },
        },
        "required": ["text", "quotes"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"statements": {"type": "array", "items": statement, "maxItems": 3}},
        "required": ["statements"],
        "additionalProperties": False,
    }


def ids_of(candidates: Sequence[Candidate]) -> dict[str, Candidate]:
    """Each candidate under its id: the number of its passage, and its place there."""
    found: dict[str, Candidate] = {}
    for candidate in candidates:
        place = sum(item.number == candidate.number for item in found.values()) + 1
        found[f"{candidate.number}.{place}"] = candidate
    return found


def read_reply(text: str, candidates: Mapping[str, Candidate], numbers: Collection[str]) -> Reply:
    """The statements of a reply. Of one that was cut off, those that came whole are read."""
    raw, understood = _statements(_THOUGHT.sub("", text))
    statements: list[DraftStatement] = []
    dropped: list[tuple[str, str]] = []
    for item in raw:
        given = item.get("quotes")
        named = [str(name) for name in given] if isinstance(given, list) else []
        known = list(dict.fromkeys(name for name in named if name in candidates))
        for name in named:
            if name not in candidates:
                # An id is shown only where it has the form of one: the rest may be anything.
                shown = name if _ID.fullmatch(name) and len(name) < 12 else "not of that form"
                dropped.append(("unknown id", f"the model named a sentence id ({shown})"))
        written = item.get("text")
        plain = plain_statement(written, numbers) if isinstance(written, str) else None
        if plain is None:
            dropped.append(("refused", "a statement that is no plain prose"))
        elif not known:
            dropped.append(("refused", "a statement with no sentence behind it"))
        else:
            spans = tuple(candidates[name].span for name in known[:MOST_QUOTES])
            statements.append(DraftStatement(plain, spans))
    return Reply(tuple(statements), tuple(dropped), understood)


def _statements(text: str) -> tuple[list[dict[str, Any]], bool]:
    """Every object that looks like a statement, and whether the form was kept at all."""
    decoder, found, position = json.JSONDecoder(), [], text.find("{")
    while position >= 0:
        try:
            value, after = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            after = position + 1
        else:
            if isinstance(value.get("statements"), list):
                return [item for item in value["statements"] if isinstance(item, dict)], True
            if "text" in value and "quotes" in value:
                found.append(value)
        position = text.find("{", after)
    return found, bool(found)
