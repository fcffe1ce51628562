"""The catalog is a set of works: the order and number of the prompts change nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from index.catalog import ArxivLink, Catalog, FileLink, GithubLink, Listing

papers = st.builds(
    ArxivLink,
    written=st.sampled_from(["http://arxiv.org/abs/2404.13784", "arXiv:2404.13784"]),
    id=st.sampled_from(["2404.13784", "2404.17255"]),
    version=st.none() | st.just(1),
)
repositories = st.builds(
    GithubLink,
    written=st.sampled_from(["https://github.com/o/r", "https://github.com/O/R"]),
    owner=st.sampled_from(["o", "O"]),
    name=st.sampled_from(["r", "R"]),
)
listings = st.builds(
    Listing,
    name=st.just("A"),
    role=st.sampled_from(["recommended", "related"]),
    paper=st.none() | papers,
    github=st.none() | repositories,
    summary=st.none() | st.just("One sentence."),
    line=st.integers(0, 3),
)


@given(st.lists(listings, max_size=12).flatmap(lambda x: st.tuples(st.just(x), st.permutations(x))))
def test_order_repetition_and_steps_change_nothing_and_every_work_stands_once(
    both: tuple[list[Listing], list[Listing]],
) -> None:
    items, shuffled = both
    catalog = Catalog.of(items)
    assert Catalog.of(shuffled) == catalog
    assert Catalog.of([*Catalog.of(items[:5]).listings, *catalog.listings]) == catalog
    works = [(item.name, item.role, item.source_ids) for item in catalog.listings]
    assert len(works) == len(set(works))
    assert set(works) == {(item.name, item.role, item.source_ids) for item in items}
    assert catalog.source_ids == tuple(sorted({sid for item in items for sid in item.source_ids}))


def test_a_person_knows_a_source_by_its_id_its_file_or_its_work() -> None:
    own = FileLink.of("mine.pdf", "0123456789abcdef" * 4)
    listing = Listing("A", "related", own, GithubLink("o/r", "o", "r"), "One sentence.")
    names = [Catalog.of([listing]).names[source_id] for source_id in listing.source_ids]
    assert names == ["mine.pdf", "github:o/r", "summary of A"]
