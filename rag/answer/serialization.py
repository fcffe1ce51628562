"""JSON read into frozen dataclasses: each field of exactly its declared type, none beside them."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

_SHORT = {"missing": "is missing", "unexpected_keyword_argument": "is not known"}


def parse_json(text: str) -> Any:
    """Any JSON value. Raises ValueError for what is not JSON (RFC 8259), such as NaN, for nesting
    that is too deep, and for an object that has a key twice."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def from_json(kind: type[T], value: Any) -> T:
    """`value`, as `parse_json` gives it, as a `kind`: strictly, so that True is no 1 and "1" is no
    1. Raises ValueError with one sentence that names the first part that does not fit."""
    from pydantic import ValidationError

    try:
        adapter: TypeAdapter[tuple[T]] = _adapter(cast("Any", kind))
        return adapter.validate_json(json.dumps([value]))[0]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"][1:])
        where = ascii("".join(steps).lstrip("."))[1:-1] or "the whole"
        if first["type"] in _SHORT:
            raise ValueError(f"{where} {_SHORT[first['type']]}") from None
        shown = ascii(first["input"])[:60]
        raise ValueError(f"{where} is not as it should be: {first['msg']}; found {shown}") from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import ConfigDict, TypeAdapter

    # A plain dataclass takes these rules from the type that contains it, hence the tuple.
    rules = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return TypeAdapter(tuple[kind], config=rules)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!a} is given twice")
    return dict(pairs)
