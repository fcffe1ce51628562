"""Where segments are kept: files of one's own, or Milvus. All of them keep the same content."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from index.encoder import Vectors
    from index.errors import SegmentError
    from index.settings import Settings
    from index.stores.segments import Segment


class Store(Protocol):
    """Segments by name. A name is a hash of the content, so nothing is ever out of date: a segment
    is there whole, or it is not there. Each method raises StoreError where the store cannot be
    reached."""

    def known(self, names: Collection[str]) -> frozenset[str]:
        """Those of the names that are here."""

    def save(self, segment: Segment) -> object:
        """Keep the segment, whole or not at all; where it is here already, nothing changes."""

    def delete(self, names: Collection[str]) -> None:
        """Remove the segments of these names, or what is left of them; none of them need be here.
        One whose deletion was interrupted is not there, and deleting it again removes the rest."""

    def load(self, name: str) -> Segment:
        """The segment of this name. Raises SegmentError where it is absent or damaged."""

    def load_all(self, names: Collection[str]) -> Iterator[tuple[str, Segment | SegmentError]]:
        """Each of the names with its segment, or with what is wrong. Those that are absent may
        come before the others; these come in the order given."""

    def nearest(
        self, names: Collection[str], query: str, vector: Vectors, count: int
    ) -> frozenset[str]:
        """Those of the names that hold some of the `count` passages of the whole store that are
        nearest to a query, by its words and by its vector [d]; all of them, where there is no
        index over everything."""

    def verify_all(self, names: Collection[str]) -> Iterator[tuple[str, SegmentError]]:
        """Those of the names that are damaged, as far as can be told without loading them."""


def open_store(settings: Settings) -> Store:
    """The store that `settings.store` names. Raises StoreError for what is none."""
    if settings.store == "segments":
        from index.stores.segments import SegmentStore

        return SegmentStore(settings.index)
    from index.stores.milvus import MilvusStore

    return MilvusStore(settings.store)
