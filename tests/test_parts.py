"""A long source that was half embedded when the process was killed is not embedded anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.encoder import Vectors
from index.passages import Passage
from index.stores.segments import PART, UnfinishedVectors
from tests.parts.tiny_encoders import WordEncoder


class Counting(WordEncoder):
    """Counts what it encodes, and is killed when told to."""

    def __init__(self, most: int = 1 << 30) -> None:
        super().__init__()
        self.most, self.count = most, 0

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        self.count += len(texts)
        if self.count > self.most:
            raise KeyboardInterrupt
        return super().encode_passages(texts)


PASSAGES = [
    Passage(10 * n, 10 * n + 5, f"w{n:04}", sentences=((10 * n, 10 * n + 5),))
    for n in range(3 * PART + 7)
]


@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_done_is_not_done_again(tmp_path: Path, damaged: bool) -> None:
    whole = UnfinishedVectors(tmp_path / "a", "name", Counting()).embed(PASSAGES)
    with pytest.raises(KeyboardInterrupt):
        UnfinishedVectors(tmp_path / "b", "name", Counting(2 * PART)).embed(PASSAGES)
    files = sorted((tmp_path / "b").glob("*.vectors"))
    assert len(files) == 2
    if damaged:
        files[0].write_bytes(files[0].read_bytes()[:-1] + b"?")
    encoder = Counting()
    again = UnfinishedVectors(tmp_path / "b", "name", encoder)
    for ours, undisturbed in zip(again.embed(PASSAGES), whole, strict=True):
        assert np.array_equal(ours, undisturbed)
    assert encoder.count == len(PASSAGES) - (1 if damaged else 2) * PART
    again.delete()
    assert not list((tmp_path / "b").glob("*.vectors"))


def test_a_short_source_writes_nothing(tmp_path: Path) -> None:
    UnfinishedVectors(tmp_path / "a", "name", WordEncoder()).embed(PASSAGES[:PART])
    assert not (tmp_path / "a").exists()
