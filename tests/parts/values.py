"""JSON values: the way to each value inside one, and a copy in which one is another."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Steps = tuple[str | int, ...]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=5,
)


def nodes(value: Any, path: Steps = ()) -> Iterator[Steps]:
    """The way to every value inside a JSON value, itself first."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from nodes(value[key], (*path, key))


def at(value: Any, path: Steps) -> Any:
    """The value at the end of the way."""
    for key in path:
        value = value[key]
    return value


def changed(value: Any, path: Steps, new: Any) -> Any:
    """A copy of a JSON value with another value at the end of the way."""
    if not path:
        return new
    value = deepcopy(value)
    at(value, path[:-1])[path[-1]] = new
    return value
