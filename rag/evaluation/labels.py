"""The sheet that people fill in, and the labels that are read from it.

One line for each statement; `supported` is "yes", "no" or left empty. What the checker thought is
not on the sheet: a label that knows the verdict is worth little.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence
from pathlib import Path

from index.errors import DatasetError
from rag.evaluation.evaluated import Claim, EvaluatedAnswer

__all__ = ["COLUMNS", "draw", "read_labels", "write_sheet"]

COLUMNS = ("id", "question", "statement", "quotes", "passages", "supported")
_WORDS = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}
_SHOWN = 3


def draw(
    subjects: Sequence[EvaluatedAnswer], size: int, *, seed: int = 0
) -> list[tuple[EvaluatedAnswer, Claim]]:  # fmt: skip
    """At most `size` statements, each as likely as any other; none twice."""
    every = {
        subject.key(claim): (subject, claim)
        for subject in subjects
        for claim in subject.claims
        if not claim.fixed
    }
    keys = sorted(every)
    return [every[key] for key in random.Random(seed).sample(keys, min(size, len(keys)))]


def write_sheet(drawn: Sequence[tuple[EvaluatedAnswer, Claim]]) -> str:
    """The sheet as CSV: the quotes, and the passages of the listed works nearest to the
    statement, for whoever labels judges against all of them."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for subject, claim in drawn:
        quotes = "\n\n".join(item.text for item in claim.citations if item.text)
        around = [item.passage for item in claim.citations if item.passage]
        near = dict.fromkeys((*around, *subject.closed_set.best(claim.text, _SHOWN)))
        row = (subject.key(claim), subject.prompt, claim.text, quotes, "\n\n".join(near), "")
        writer.writerow([_cell(text) for text in row])
    return out.getvalue()


def _cell(text: str) -> str:
    """A text of a paper must not become a formula where the sheet is opened."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def read_labels(path: Path) -> dict[str, bool]:
    """The labels of a filled-in sheet, by statement; lines without one are left out. Raises
    DatasetError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: the labels cannot be read ({error})") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if not {"id", "supported"} <= set(rows.fieldnames or ()):
        raise DatasetError(
            f"{path}: no sheet of labels; expected CSV with the columns {', '.join(COLUMNS)}, as "
            "`rag evaluate sheet` writes it"
        )
    found: dict[str, bool] = {}
    for row in rows:
        said = (row["supported"] or "").strip().lower()
        if not said:
            continue
        if said not in _WORDS:
            raise DatasetError(
                f"{path}:{rows.line_num}: supported is {said[:40]!r}, expected yes, no or nothing"
            )
        if found.setdefault(row["id"], _WORDS[said]) is not _WORDS[said]:
            raise DatasetError(f"{path}:{rows.line_num}: {row['id']!r} has two different labels")
    return found
