"""Search without a prompt looks where it is told to, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from index.errors import EncoderError, SegmentError, SourceError
from index.passages import Passage
from rag.retrieval.evidence import Hit
from rag.retrieval.home_search import search_home
from rag.retrieval.scoring import Scores
from tests.test_whole_catalog import ENCODER, DataDir


class Lengths:
    """A reranker that likes long texts."""

    name = "lengths"

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        return np.array([float(len(text)) for text in texts])


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    found = DataDir(tmp_path)
    found.add("arxiv:2401.00001v2", ["a hole", "an edge of light"])
    found.add("github:some/edge", ["the edge", "a hole in the edge"])
    found.add("github:other/noise", ["noise", "an edge"])
    return found


def sources(hits: Sequence[Hit]) -> set[str]:
    return {hit.source_id for hit in hits}


@pytest.mark.parametrize(
    "name",
    [
        "arxiv:2401.00001v2",
        "http://arxiv.org/pdf/2401.00001v2.pdf",
        "https://arxiv.org/abs/2401.00001",
        "2401.00001",
    ],
)
def test_a_work_is_named_by_its_id_a_link_or_a_part_of_the_id(data_dir: DataDir, name: str) -> None:
    hits = search_home("edge", 9, data_dir.settings, ENCODER, works=[name])
    assert sources(hits) == {"arxiv:2401.00001v2"}
    assert hits[0].text == "an edge of light"


def test_several_names_are_searched_together_and_k_may_be_more_than_there_is(
    data_dir: DataDir,
) -> None:
    hits = search_home(
        "edge", 99, data_dir.settings, ENCODER, works=["GitHub:", "github:some/edge"]
    )
    assert sources(hits) == {"github:some/edge", "github:other/noise"}
    assert len(hits) == 4
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_whole_id_is_found_without_reading_the_ledger_of_any_other(data_dir: DataDir) -> None:
    for path in data_dir.store.folder.glob("ledger/*/*"):
        if path != data_dir.store.ledger("github:some/edge"):
            path.unlink()
            path.mkdir()  # whoever reads it now fails
    hits = search_home("edge", 9, data_dir.settings, ENCODER, works=["github:some/edge"])
    assert sources(hits) == {"github:some/edge"}


def test_everything_is_searched_where_nothing_is_named(data_dir: DataDir) -> None:
    hits = search_home("edge", 99, data_dir.settings, ENCODER)
    assert hits == data_dir.catalog().best("edge", ENCODER.encode_queries(["edge"])[0], 99)
    assert len(hits) == 6


def test_another_store_may_take_the_place_of_the_files(data_dir: DataDir) -> None:
    class Elsewhere:
        def best(self, query: str, vector: object, k: int) -> tuple[Hit, ...]:
            return (Hit("arxiv:1", "full text", Passage(0, 1, query), float(k)),)

    (hit,) = search_home("edge", 3, data_dir.settings, ENCODER, store=Elsewhere())
    assert (hit.text, hit.score) == ("edge", 3.0)


@pytest.mark.parametrize("works", [(), ("arxiv:", "github:")])
def test_a_reranker_orders_the_best_anew(data_dir: DataDir, works: tuple[str, ...]) -> None:
    hits = search_home("edge", 2, data_dir.settings, ENCODER, works=works, reranker=Lengths())
    assert [hit.text for hit in hits] == ["a hole in the edge", "an edge of light"]
    assert hits[0].score > hits[1].score


def test_what_fits_nothing_or_is_not_indexed_or_damaged_is_named(data_dir: DataDir) -> None:
    with pytest.raises(SourceError, match="arxiv:9: no work that is kept here"):
        search_home("edge", 2, data_dir.settings, ENCODER, works=["arxiv:9"])
    source = data_dir.store.put(
        "github:a/new", b"text", source_type="readme", media_type="text/plain", origin="test"
    )
    with pytest.raises(EncoderError, match=r"github:a/new: kept here, but not indexed.*rag index"):
        search_home("edge", 2, data_dir.settings, ENCODER, works=["a/new"])
    data_dir.segments.path(data_dir.name(source)).write_bytes(b"damaged")
    with pytest.raises(SegmentError, match="is damaged"):
        search_home("edge", 2, data_dir.settings, ENCODER, works=["a/new"])
