"""A folder stands in for arXiv and GitHub, however its names are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.catalog import ArxivLink, GithubLink
from index.errors import RagError
from index.sources.fetch import Mirror


def mirror(folder: Path, *names: str) -> Mirror:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("here")
    return Mirror(folder)


@pytest.mark.parametrize(
    ("arxiv_id", "version", "names", "expected"),
    [
        # The listed version first, then the file without one; other versions never.
        ("2404.13784", 1, "13784v1 13784v2 13784", [("13784v1", "v1"), ("13784", None)]),
        ("2404.13784", 3, "13784v1 13784", [("13784", None)]),
        # The newest version first where none is listed.
        (
            "2404.13784",
            None,
            "13784v9 13784v10 13784",
            [("13784v10", "v10"), ("13784v9", "v9"), ("13784", None)],
        ),
        ("2404.13784", None, "137841 1378 13784v1.pdf.part", []),
    ],
)
def test_versions_stand_for_a_link_in_order(
    tmp_path: Path,
    arxiv_id: str,
    version: int | None,
    names: str,
    expected: list[tuple[str, str | None]],
) -> None:
    folder = mirror(
        tmp_path,
        "github/o/n/README.md",
        *(f"arxiv/2404.{name}{'' if '.' in name else '.pdf'}" for name in names.split()),
    )
    files = folder.files(ArxivLink("as written", arxiv_id, version))
    assert [(file.origin, file.version) for file in files] == [
        (f"mirror:arxiv/2404.{name}.pdf", version) for name, version in expected
    ]


@pytest.mark.parametrize(
    "name", ["arxiv/cs/0112017.pdf", "arxiv/cs_0112017.pdf", "arxiv/0112017.pdf"]
)
@pytest.mark.parametrize("version", [None, 1])
def test_an_old_id_is_found_in_each_spelling(
    tmp_path: Path, name: str, version: int | None
) -> None:
    files = mirror(tmp_path, name).files(ArxivLink("as written", "cs/0112017", version))
    assert [file.origin for file in files] == [f"mirror:{name}"]


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
    assert [f.path.name for f in files] == ["README.md", "README.zh.md", "README.rst", "README"]


def test_no_id_leads_out_of_the_mirror(tmp_path: Path) -> None:
    folder = mirror(tmp_path / "mirror", "github/o/n/README.md")
    mirror(tmp_path, "README.md", "outside/README.md", "2404.13784.pdf")
    for owner, name in (("..", "outside"), ("..", ".."), ("o", "../../..")):
        assert list(folder.files(GithubLink("as written", owner, name))) == []
    assert list(folder.files(ArxivLink("as written", "../../2404.13784"))) == []


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagError, match=r"no folder .*missing.* check the path"):
        Mirror(tmp_path / "missing")
