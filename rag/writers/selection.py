"""Which passages a model is shown: the best first, every work among them as long as it fits.

Knows nothing of tokens but a function that counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from rag.evidence import FACETS, Evidence, Facet, Hit, Span
from rag.writers.grammar import Shown

Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Selection:
    """The passages shown, numbered from 1 in the order of the works. `works[i]` is the listing
    that `shown[i]` is shown for; `unseen` are listings with hits of which none fits."""

    shown: tuple[Shown, ...]
    works: tuple[int, ...]
    unseen: tuple[int, ...]

    def for_facet(self, evidence: Evidence, facet: Facet) -> tuple[Shown, ...]:
        """The shown passages that were found for this facet, best first; all where none was."""
        by_place = {_place(item.hit): item for item in self.shown}
        found = [by_place.get(_place(hit)) for hit in evidence.facets.get(facet, ())]
        return tuple(item for item in found if item is not None) or self.shown

    def for_work(self, evidence: Evidence, listing: int) -> tuple[Shown, ...]:
        """The shown passages of one work's own sources."""
        sources = evidence.prompt.listings[listing].source_ids
        return tuple(item for item in self.shown if item.hit.source_id in sources)


def select(
    evidence: Evidence, *, room: int, most: int, cost: Callable[[Hit, str], int]
) -> Selection:
    """At most `most` passages that together cost at most `room`; `cost` is that of showing a
    text of a hit. First the best passage of every work, cut to its first sentences where all of
    them would not fit; then what was found for the facets and the works, rank by rank."""
    firsts: dict[Place, tuple[Hit, int]] = {}
    for listing, hits in enumerate(evidence.works):
        if hits:
            firsts.setdefault(_place(hits[0]), (hits[0], listing))
    chosen: dict[Place, tuple[Hit, int, tuple[tuple[Span, str], ...]]] = {}
    whole = sum(cost(hit, hit.text) for hit, _ in firsts.values())
    left = room
    for position, (place, (hit, listing)) in enumerate(firsts.items()):
        share = left if whole <= room else left // (len(firsts) - position)
        sentences = _within(hit, share, cost)
        if sentences:
            chosen[place] = (hit, listing, sentences)
            left -= cost(hit, _text(hit, sentences))
    if not chosen:  # A work's share is too small for any sentence: the first that fits at all.
        for place, (hit, listing) in firsts.items():
            if sentences := _within(hit, room, cost):
                chosen[place] = (hit, listing, sentences)
                left -= cost(hit, _text(hit, sentences))
                break
    for hit in _by_rank(evidence):
        listings = evidence.listings_of(hit.source_id)
        if len(chosen) >= most:
            break
        if _place(hit) in chosen or not listings or cost(hit, hit.text) > left:
            continue
        chosen[_place(hit)] = (hit, listings[0], hit.sentences())
        left -= cost(hit, hit.text)
    ordered = sorted(chosen.values(), key=lambda item: item[1])
    shown = tuple(
        Shown(number, hit, sentences) for number, (hit, _, sentences) in enumerate(ordered, 1)
    )
    seen = {listing for item in shown for listing in evidence.listings_of(item.hit.source_id)}
    unseen = (n for n, hits in enumerate(evidence.works) if hits and n not in seen)
    return Selection(shown, tuple(listing for _, listing, _ in ordered), tuple(unseen))


def _by_rank(evidence: Evidence) -> Iterator[Hit]:
    lists = [*(evidence.facets.get(facet, ()) for facet in FACETS), *evidence.works]
    for rank in zip_longest(*lists):
        yield from (hit for hit in rank if hit is not None)


def _within(hit: Hit, room: int, cost: Callable[[Hit, str], int]) -> tuple[tuple[Span, str], ...]:
    """As many of the first sentences as fit; () where not even one does."""
    sentences = hit.sentences()
    while sentences and cost(hit, _text(hit, sentences)) > room:
        sentences = sentences[:-1]
    return sentences


def _text(hit: Hit, sentences: tuple[tuple[Span, str], ...]) -> str:
    return Shown(0, hit, sentences).text


def _place(hit: Hit) -> Place:
    return hit.source_id, hit.passage.start, hit.passage.end
