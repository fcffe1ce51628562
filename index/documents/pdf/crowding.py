"""Words of a page that stand over one another: there, ink is no proof that all of them are seen."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from index.documents.pdf.graphics import Run

OVERLAP = 0.3  # of a word's height on which another one stands
CROWDED = 0.6  # of a word's width where this is so
LETTERS = {"Lu", "Ll", "Lt", "Lo", "Nd"}  # not the accents that are letters, such as ˆ


def crowded_words(
    words: Sequence[Run],
    sides: Sequence[npt.NDArray[np.int_]],
    shape: tuple[int, int],
) -> list[int]:
    """The numbers of the words all along which others stand. `sides` are their left, right, upper
    and lower edges in the pixels of a picture of this shape. On a letter by itself a sign alone
    does not count: it is its accent."""
    left, right, top, foot = sides

    def cover(counted: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The pixels on which several of the counted words stand."""
        steps = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
        corners = ((top, left, 1), (top, right, -1), (foot, left, -1), (foot, right, 1))
        for rows, columns, step in corners:
            np.add.at(steps, (rows[counted], columns[counted]), step)
        crowd: npt.NDArray[np.bool_] = steps.cumsum(0).cumsum(1)[:-1, :-1] > 1
        return crowd

    every = cover(np.ones(len(words), np.bool_))
    total = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    total[1:, 1:] = every.cumsum(0, dtype=np.int32).cumsum(1)
    covered = total[foot, right] - total[top, right] - total[foot, left] + total[top, left]
    suspects = covered > CROWDED * OVERLAP * (right - left) * (foot - top) / 2
    letters = {n: len(letters_of(words[n].text)) for n in np.nonzero(suspects)[0].tolist()}
    if not any(letters.values()):
        return []
    signs = cover(np.array([len(w.text) > 1 or bool(letters_of(w.text)) for w in words]))
    crowded = []
    for n, count in letters.items():
        if count:
            place = (slice(top[n], foot[n]), slice(left[n], right[n]))
            others = (every if count > 1 else signs)[place].mean(axis=0) > OVERLAP
            # Neighbours share a column of pixels.
            if (others[1:-1] if len(others) > 2 else others).mean() > CROWDED:
                crowded.append(n)
    return crowded


def letters_of(text: str) -> str:
    """What two readers of one string should agree on."""
    kept = (c for c in unicodedata.normalize("NFKD", text) if unicodedata.category(c) in LETTERS)
    return "".join(kept).lower()
