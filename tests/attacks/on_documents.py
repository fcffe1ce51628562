"""PDFs that hide words, and PDFs that are made to take for ever or to break their reader."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from functools import cache

from index.documents import Document
from index.documents.extract import extract_isolated
from tests.attacks import Tally, Target
from tests.parts.hiding import HIDDEN, hiding
from tests.parts.invariants import assert_invariants
from tests.parts.pdfs import LOREM, OTHER, assembled, lines, pdf, text, wrapped

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
SHOWN = lines(wrapped(LOREM), 90, 700)


def hidden_text(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """Words that the drawn page does not show must not be read."""
    chosen = chance.sample(sorted(HIDDEN), min(count, len(HIDDEN)))
    tasks = [(name, hiding(HIDDEN[name]), "application/pdf") for name in chosen]
    for name, result in extract_isolated(tasks):
        if not isinstance(result, Document):
            tally.add("refused with a reason")
        elif result.text.split() != f"{LOREM} {OTHER}".split():
            tally.fault(f"{name}: {result.text}")
        else:
            tally.add("hidden words not read, all others are")


def structural_pdfs(target: Target, count: int, chance: random.Random, tally: Tally) -> None:
    """Each is read or refused with a reason, within limits of time and memory."""
    known = structures()
    files = {name: known[name] for name in chance.sample(sorted(known), min(count, len(known)))}
    while len(files) < count:
        whole = bytearray(chance.choice(list(known.values()))[:200_000])
        for _ in range(chance.randrange(1, 40)):
            whole[chance.randrange(len(whole))] = chance.randrange(256)
        files[f"flipped {len(files)}"] = bytes(whole)
    tasks = [(name, data, "application/pdf") for name, data in files.items()]
    seen = set()
    for name, result in extract_isolated(tasks, seconds=20.0, memory_bytes=1 << 30):
        seen.add(name)
        if isinstance(result, Document):
            try:
                assert_invariants(result, len(result.page_starts))
                tally.add("read, with every invariant")
            except AssertionError as error:
                tally.fault(f"{name}: {error}")
        else:
            tally.add("refused with a reason")
    for name in set(files) - seen:
        tally.fault(f"{name}: no result")


def _page(body: bytes = b"", *more: bytes, box: bytes = b"[0 0 612 792]") -> bytes:
    """One page with these operators, whose entries may refer to the objects `more`, from 5 on."""
    content = b"<< /Length %d >>\nstream\n%b\nendstream" % (len(body), body)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox %b /Contents 4 0 R >>" % box
    tree = b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>"
    return assembled([CATALOG, tree, page, content, *more])


def _packed(data: bytes, times: int = 1) -> bytes:
    for _ in range(times):
        data = zlib.compress(data, 9)
    filters = b"/FlateDecode " * times
    return b"<< /Length %d /Filter [%b] >>\nstream\n%b\nendstream" % (len(data), filters, data)


def _tree(*objects: bytes) -> bytes:
    return assembled([CATALOG, *objects])


@cache
def structures() -> Mapping[str, bytes]:
    """Files with something wrong, by what it is. Some are large. See test_extract.py and
    test_isolation.py for more."""
    return {
        "a bomb within a bomb": _tree(
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
            _packed(b"\0" * 60_000_000, 2),
        ),
        "two page trees in each other": _tree(
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Pages /Count 1 /Kids [2 0 R] >>",
        ),
        "a page tree of five thousand levels": _tree(
            *(b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>" % n for n in range(3, 5003)),
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
        ),
        "a million pages that are one": _tree(
            b"<< /Type /Pages /Count 1000000 /Kids [" + b"3 0 R " * 100_000 + b"] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
        ),
        "a count below zero": _tree(b"<< /Type /Pages /Count -5 /Kids [] >>"),
        "kids that are a number": _tree(b"<< /Type /Pages /Count 1 /Kids 7 >>"),
        "a catalog that is a list": assembled([b"[1 0 R]"]),
        "forms that paint each other twice": pdf(
            [SHOWN + b"/X0 Do\n"],
            forms=[b"/X%d Do /X%d Do\n" % (n + 1, n + 1) for n in range(30)] + [text("x", 9, 9)],
        ),
        "states that are never restored": pdf([b"q " * 200_000 + SHOWN]),
        "restored and never saved": pdf([b"Q " * 200_000 + SHOWN]),
        "lists in lists": _page(b"[" * 100_000),
        "dictionaries in dictionaries": _page(b"", b"<< /A " * 50_000),
        "a string without end": _page(b"BT (" + b"(" * 100_000),
        "operands without operators": _page(b"1 " * 1_000_000),
        "unknown operators": _page(b"zz " * 500_000),
        "numbers that are none": pdf([b"BT 1e999 nan --5 .-. 0 0 Tm (x) Tj ET " * 1000 + SHOWN]),
        "a font size beyond all": pdf([text("x", 9, 9, size=1e30) + SHOWN]),
        "a matrix of zeros": pdf([b"0 0 0 0 0 0 cm " + SHOWN]),
        "a page as wide as a country": _page(SHOWN, box=b"[0 0 1e12 1e12]"),
        "a page of no size": _page(SHOWN, box=b"[0 0 0 0]"),
        "a page box of words": _page(SHOWN, box=b"[/a /b /c /d]"),
        "a page turned by a third": pdf([SHOWN], extra=b"/Rotate 31"),
        "a stream of another length": _page(SHOWN).replace(b"/Length ", b"/Length 9999"),
        "a table of nowhere": _page(SHOWN).replace(b"startxref\n", b"startxref\n99"),
        "a previous table that is itself": _page(SHOWN).replace(b"/Root", b"/Prev 9 /Root"),
        "fifty thousand areas": pdf([b"0 0 3 3 re f " * 50_000 + SHOWN]),
        "fifty thousand clips": pdf([b"0 0 612 792 re W n " * 50_000 + SHOWN]),
        "an encoding of everything": pdf(
            [SHOWN], readings={chr(n): "\u202e" * 50 for n in range(33, 99)}
        ),
        "a title of a megabyte": pdf([SHOWN], title="x" * 1_000_000),
    }
