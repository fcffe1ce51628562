"""Evaluation: answers of any system, retrieval, and the support checker, with intervals. Here is
the reader of all their files: JSON lines, each a record of a known form."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from index.errors import DatasetError

Record = TypeVar("Record")


def read_json_lines(path: Path, kind: type[Record], form: str) -> Iterator[tuple[str, Record]]:
    """("file:line", record) of each line that is not empty of a file, plain or gzipped. `form`
    says in words what was expected. Raises DatasetError, naming file, line and the part that is
    not of this form."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path} cannot be read ({reason}); expected {form}") from error
    adapter = TypeAdapter(kind)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                record = adapter.validate_json(line, strict=True)
            except ValidationError as error:
                raise DatasetError(f"{where}: {first_error(error)}; expected {form}") from None
            yield where, record


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong, after the part it is in: `statements[0].text: …`."""
    details = error.errors()[0]
    part = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in details["loc"])
    return ": ".join(filter(None, (part.lstrip("."), details["msg"])))
