"""JSON read into frozen dataclasses: every field there, none beside, each of its declared type.

Knows nothing of answers. `read` takes what it needs from the type hints, so that a type and its
JSON form cannot drift apart.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def parse(data: str) -> Any:
    """Any JSON value. Raises ValueError for what is not JSON (RFC 8259): NaN and infinities,
    which Python would let pass; and for what is JSON and means two things: a key given twice."""
    try:
        return json.loads(data, parse_constant=_no_number, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read(kind: type[T], raw: Any, where: str = "") -> T:
    """`raw` as a `kind`: a dataclass of strings, numbers, literals, tuples of one type, optional
    values and other such dataclasses. Raises ValueError naming the part that is none."""
    found: T = _read(kind, raw, where)
    return found


def members(raw: Any, where: str, *keys: str) -> list[Any]:
    """The values of an object that has exactly these keys."""
    if not isinstance(raw, dict):
        raise _unlike(where, "an object", raw)
    if missing := [key for key in keys if key not in raw]:
        raise ValueError(f"{_dotted(where, missing[0])} is missing")
    if unknown := sorted(raw.keys() - set(keys)):
        raise ValueError(f"{_dotted(where, ascii(unknown[0])[1:-1])} is not known")
    return [raw[key] for key in keys]


def _read(kind: Any, raw: Any, where: str) -> Any:
    origin = get_origin(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        types = _types(kind)
        values = members(raw, where, *types)
        return kind(
            **{
                name: _read(hint, value, _dotted(where, name))
                for (name, hint), value in zip(types.items(), values, strict=True)
            }
        )
    if origin is tuple:
        if not isinstance(raw, list):
            raise _unlike(where, "a list", raw)
        (item, _) = get_args(kind)
        return tuple(_read(item, value, f"{where}[{n}]") for n, value in enumerate(raw))
    if origin is Literal:
        if not isinstance(raw, str) or raw not in get_args(kind):
            raise _unlike(where, f"one of {', '.join(map(repr, get_args(kind)))}", raw)
        return raw
    if origin is UnionType:
        (some,) = (option for option in get_args(kind) if option is not NoneType)
        return None if raw is None else _read(some, raw, where)
    return _plain(kind, raw, where)


def _plain(kind: Any, raw: Any, where: str) -> Any:
    """A value of exactly this type: True is no 1, and 1.0 is none either; 1 is a 1.0."""
    if kind is float and type(raw) is int:
        raw = float(raw) if abs(raw) < 1 << 53 else raw
    if type(raw) is not kind:
        raise _unlike(where, _WORDS[kind], raw)
    if kind is float and not math.isfinite(raw):
        raise _unlike(where, "a number", raw)
    if kind is str and any("\ud800" <= char <= "\udfff" for char in raw):
        raise _unlike(where, "text that can be encoded", raw)
    return raw


@cache
def _types(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _unlike(where: str, expected: str, raw: Any) -> ValueError:
    shown = ascii(raw)
    found = shown if len(shown) <= 60 else shown[:60] + "…"
    return ValueError(f"{where or 'the whole'} is {found}, expected {expected}")


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice!a} is given twice")
    return found
