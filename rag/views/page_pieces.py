"""One string within another, in order, in as few pieces as can be: dynamic programming.

Knows nothing of pages: a break costs, a longer one a little more, one backwards most.
"""

from __future__ import annotations

from collections.abc import Collection

FORWARD = 1.0
BACKWARD = 3.0
IN_WORD = 2.0  # more where no word begins and no hyphen stands
EACH = 0.0003  # for every character that is passed over
ALLOWED = 6.0  # what all breaks may cost,
PER_CHARACTER = 0.03  # and for every character sought: formulas are broken often
FAR = 1e6


def pieces_of(
    sought: str,
    text: str,
    *,
    openings: Collection[int] = (),
    hyphens: Collection[int] = (),
    used: Collection[int] = (),
) -> list[int] | None:
    """For each character of `sought` a place in `text` where it stands, so that the breaks
    between them cost least; None where they cost too much.

    `openings` are the characters of `sought` with which words begin, `hyphens` the places in
    `text` behind which there is a hyphen: a break is likely there. Places in `used` are taken.
    """
    if not sought or not set(sought) <= set(text):
        return None
    import numpy as np

    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).copy()
    letters[list(used)] = 0
    along = np.arange(len(text), dtype=np.float32) * EACH
    inside = np.full(len(text), IN_WORD, dtype=np.float32)
    inside[list(hyphens)] = 0
    codes = [ord(char) for char in sought]
    allowed = ALLOWED + PER_CHARACTER * len(sought)

    rows = [np.where(letters == codes[0], np.float32(0), np.float32(FAR))]
    broken = [rows[0]]  # the same before a break
    for number, code in enumerate(codes[1:], start=1):
        best = np.full(len(text), FAR, dtype=np.float32)
        best[1:] = rows[-1][:-1]
        broken.append(rows[-1] if number in openings else rows[-1] + inside)
        ahead = np.minimum.accumulate(broken[-1] - along)
        best[1:] = np.minimum(best[1:], ahead[:-1] + along[1:] + FORWARD)
        behind = np.minimum.accumulate((broken[-1] + along)[::-1])[::-1]
        best[:-1] = np.minimum(best[:-1], behind[1:] - along[:-1] + BACKWARD)
        best[letters != code] = FAR
        if best.min() > allowed:
            return None
        rows.append(best)

    at = int(rows[-1].argmin())
    if rows[-1][at] > allowed:
        return None
    found = [at]
    for number in range(len(sought) - 1, 0, -1):
        # The same three ways, of which one led here.
        last = broken[number]
        ways = []
        if at > 0:
            place = int((last[:at] - along[:at]).argmin())
            ways.append((float(rows[number - 1][at - 1]), at - 1))
            ways.append((float(last[place] - along[place] + along[at]) + FORWARD, place))
        if at + 1 < len(text):
            place = at + 1 + int((last[at + 1 :] + along[at + 1 :]).argmin())
            ways.append((float(last[place] + along[place] - along[at]) + BACKWARD, place))
        at = min(ways)[1]
        found.append(at)
    return found[::-1]
