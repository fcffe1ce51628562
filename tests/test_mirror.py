"""A folder stands in for arXiv and GitHub, however its names are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.catalog import ArxivLink, GithubLink
from index.errors import RagError
from index.sources.mirror import Mirror


def mirror(folder: Path, *names: str) -> Mirror:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("here")
    return Mirror(folder)


def papers(folder: Path, arxiv_id: str, version: int | None, *names: str) -> list[str]:
    link = ArxivLink("as written", arxiv_id, version)
    return [file.origin for file in mirror(folder, *names).files(link)]


def test_a_listed_version_takes_its_own_file_and_then_the_unversioned_one(tmp_path: Path) -> None:
    names = ("arxiv/2404.13784v1.pdf", "arxiv/2404.13784v2.pdf", "arxiv/2404.13784.pdf")
    assert papers(tmp_path, "2404.13784", 1, *names) == [
        "mirror:arxiv/2404.13784v1.pdf",
        "mirror:arxiv/2404.13784.pdf",
    ]
    assert papers(tmp_path, "2404.13784", 3) == ["mirror:arxiv/2404.13784.pdf"]


def test_an_unversioned_listing_takes_the_newest_version_first(tmp_path: Path) -> None:
    names = ("arxiv/2404.13784v9.pdf", "arxiv/2404.13784v10.pdf", "arxiv/2404.13784.pdf")
    assert papers(tmp_path, "2404.13784", None, *names) == [
        "mirror:arxiv/2404.13784v10.pdf",
        "mirror:arxiv/2404.13784v9.pdf",
        "mirror:arxiv/2404.13784.pdf",
    ]


def test_the_version_is_known_where_the_file_name_says_it(tmp_path: Path) -> None:
    folder = mirror(tmp_path, "arxiv/2404.13784v2.pdf", "arxiv/2404.13784.pdf")
    files = folder.files(ArxivLink("as written", "2404.13784"))
    assert [file.version for file in files] == ["v2", None]


def test_another_paper_is_not_taken(tmp_path: Path) -> None:
    names = ("arxiv/2404.137841.pdf", "arxiv/2404.1378.pdf", "arxiv/2404.13784v1.pdf.part")
    assert papers(tmp_path, "2404.13784", None, *names) == []


@pytest.mark.parametrize(
    "name", ["arxiv/cs/0112017.pdf", "arxiv/cs_0112017.pdf", "arxiv/0112017.pdf"]
)
def test_an_old_id_is_found_in_each_spelling(tmp_path: Path, name: str) -> None:
    assert papers(tmp_path, "cs/0112017", None, name) == [f"mirror:{name}"]
    assert papers(tmp_path, "cs/0112017", 1) == [f"mirror:{name}"]


def test_upper_and_lower_case_are_not_told_apart(tmp_path: Path) -> None:
    folder = mirror(tmp_path, "ArXiv/CS/0112017V2.PDF", "GitHub/YTian73/AIGI-VC/ReadMe.MD")
    (paper,) = folder.files(ArxivLink("as written", "cs/0112017"))
    (readme,) = folder.files(GithubLink("as written", "ytian73", "aigi-vc"))
    assert (paper.origin, paper.version) == ("mirror:ArXiv/CS/0112017V2.PDF", "v2")
    assert readme.origin == "mirror:GitHub/YTian73/AIGI-VC/ReadMe.MD"


def test_of_several_readmes_the_one_github_would_show_comes_first(tmp_path: Path) -> None:
    names = ("README", "README.rst", "README.zh.md", "README.md", "readmes.md", "README.d/x.md")
    folder = mirror(tmp_path, *(f"github/o/n/{name}" for name in names))
    files = folder.files(GithubLink("as written", "o", "n"))
    assert [file.path.name for file in files] == [
        "README.md",
        "README.zh.md",
        "README.rst",
        "README",
    ]


def test_no_id_leads_out_of_the_mirror(tmp_path: Path) -> None:
    folder = mirror(tmp_path / "mirror", "github/o/n/README.md")
    mirror(tmp_path, "README.md", "outside/README.md", "2404.13784.pdf")
    for owner, name in (("..", "outside"), ("..", ".."), ("o", "../../..")):
        assert list(folder.files(GithubLink("as written", owner, name))) == []
    assert list(folder.files(ArxivLink("as written", "../../2404.13784"))) == []


def test_a_mirror_without_the_one_part_serves_the_other(tmp_path: Path) -> None:
    assert papers(tmp_path, "2404.13784", None, "github/o/n/README.md") == []


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagError, match=r"no folder .*missing.* check the path"):
        Mirror(tmp_path / "missing")
