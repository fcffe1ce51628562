"""What holds for every document, whatever bytes it was extracted from."""

from __future__ import annotations

from itertools import pairwise

from index.documents import Document


def assert_invariants(document: Document, pages: int = 0) -> None:
    assert document.text.encode().decode() == document.text
    assert [s.start for s in document.sections] == [0, *[s.end for s in document.sections][:-1]]
    assert document.sections[-1].end == len(document.text)
    assert all(s.start < s.end for s in document.sections)
    assert len(document.page_starts) == pages
    assert list(document.page_starts) == sorted(document.page_starts)
    assert document.page_starts[:1] == (0,) * bool(pages)
    assert all(start <= len(document.text) for start in document.page_starts)
    assert Document.from_json(document.to_json()) == document
    assert all(line.start < line.end for line in document.lines)
    assert all(a.end <= b.start for a, b in pairwise(document.lines))
    assert len(document.page_sizes) == pages
    for line in document.lines:
        width, height = document.page_sizes[line.page - 1]
        assert len(line.edges) == 2 * len(document.text[line.start : line.end].split(" "))
        assert all(0 <= x <= width + 0.05 for x in line.edges)
        assert 0 <= line.bottom <= line.top <= height + 0.05
