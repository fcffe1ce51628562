"""Links as people write them become ids; whatever only looks like one is refused."""

from __future__ import annotations

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.catalog import ArxivLink, GithubLink
from index.errors import LinkError
from index.links import MAX_LINK, parse_github_link, parse_paper_link

ARXIV = """
    http://export.arxiv.org/pdf/2404.13784v1.pdf     | 2404.13784    | 1
    https://www.arxiv.org/abs/2404.13784v12?context=cs | 2404.13784    | 12
    arxiv.org/html/2404.13784v1/                     | 2404.13784    | 1
    //arxiv.org/abs/2404.13784                       | 2404.13784    |
    HTTPS://ArXiv.org/ABS/2404.13784V1               | 2404.13784    | 1
    <https://arxiv.org/abs/2404.13784>.              | 2404.13784    |
    https://arxiv.org/pdf/2404.13784v1.pdf#page=3    | 2404.13784    | 1
    arXiv: 2404.13784 [cs.CV]                        | 2404.13784    |
    2404.13784                                       | 2404.13784    |
    https://doi.org/10.48550/arXiv.2404.13784        | 2404.13784    |
    10.48550/arXiv.2404.13784                        | 2404.13784    |
    https://arxiv.org/abs/0704.0001                  | 0704.0001     |
    http://arxiv.org/pdf/cs/0112017v1.pdf            | cs/0112017    | 1
    arXiv:hep-th/9901001v2                           | hep-th/9901001 | 2
    https://arxiv.org/abs/math.gt/0309136v1          | math/0309136  | 1
    cond-mat.mes-hall/0703001                        | cond-mat/0703001 |
"""
NO_ARXIV = r"""
    https://arxiv.org.evil.com/abs/2404.13784
    https://evil.com/arxiv.org/abs/2404.13784
    https://arxiv.org@evil.com/abs/2404.13784
    https://arxiv.org:443/abs/2404.13784
    https://arxiv.org\@evil.com/abs/2404.13784
    https://аrxiv.org/abs/2404.13784
    https://arxiv。org/abs/2404.13784
    https://arxiv.org/abs/٢٤٠٤.13784
    javascript://arxiv.org/abs/2404.13784
    https://evil.arxiv.org/abs/2404.13784
    https://arxiv.org./abs/2404.13784
    https://arxiv.org/abs/../abs/2404.13784
    https://arxiv.org/list/cs.CV/recent
    https://arxiv.org/abs/2404.13784v0
    https://arxiv.org/abs/2404.13784 and https://arxiv.org/abs/2404.13785
    https://arxiv.org/abs/2404.13784#<script>
    [paper](https://arxiv.org/abs/2404.13784)
    https://doi.org/10.1145/3065386
    https://github.com/owner/name
    no
"""
GITHUB = """
    http://www.github.com/felixcheng97/AGAP/         | felixcheng97  | AGAP
    github.com/o/r.git                               | o             | r
    HTTPS://GITHUB.COM/Kame/stable-diffusion-1.5     | Kame          | stable-diffusion-1.5
    https://github.com/o/r/blob/main/README.md#usage | o             | r
    https://github.com/o/r?tab=readme-ov-file        | o             | r
    <https://github.com/o/r>,                        | o             | r
    git@github.com:o/r.git                           | o             | r
    ssh://git@github.com/o/r.git                     | o             | r
    git+https://github.com/o/r.git                   | o             | r
    git://github.com/o/r.git                         | o             | r
    https://github.com/o/.github                     | o             | .github
"""
NO_GITHUB = r"""
    https://gist.github.com/owner/0123456789abcdef
    https://owner.github.io/name
    https://github.com/owner/
    https://github.com/owner/.git
    https://github.com/owner/..
    https://github.com.evil.com/o/r
    https://evilgithub.com/o/r
    https://github.com@evil.com/o/r
    https://token@github.com/o/r
    https://github.com:443/o/r
    ssh://git@github.com:22/o/r
    evil@github.com:o/r
    https://github.com\@evil.com/o/r
    https://gıthub.com/o/r
    https://github.com/o/r/../../evil/malware
    https://github.com/o/r/%2e%2e/malware
    https://github.com/topics/inpainting
    https://github.com/orgs/huggingface/repositories
    https://github.com/o/r https://github.com/o/s
    owner/name
    -
"""


def rows(table: str) -> list[str]:
    return [line.strip() for line in table.strip().splitlines()]


def columns(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")] for row in rows(table)]


@pytest.mark.parametrize("written", ["None", " NONE ", "", "  \t"])
def test_none_and_nothing_are_no_link(written: str) -> None:
    assert parse_paper_link(written, 1) is None
    assert parse_github_link(written, 1) is None


@pytest.mark.parametrize(("written", "arxiv_id", "version"), columns(ARXIV))
def test_every_way_of_writing_an_arxiv_link_gives_its_id(
    written: str, arxiv_id: str, version: str
) -> None:
    link = ArxivLink(written, arxiv_id, int(version) if version else None)
    assert parse_paper_link(f"  {written} ", 7) == link


@pytest.mark.parametrize(("written", "owner", "name"), columns(GITHUB))
def test_every_way_of_writing_a_github_link_gives_owner_and_name(
    written: str, owner: str, name: str
) -> None:
    assert parse_github_link(f"{written}\t", 7) == GithubLink(written, owner, name)


CONTROLS = ["https://arxiv.org/abs/2404.13784\x00", "https://arxiv.org/abs/2404.\n13784"]
IMPOSSIBLE = [
    *("2413.00001", "2400.00001", "cs/9013001", "hep-th/9900001"),  # no such month
    *("0703.0001", "cs/0704001"),  # one scheme followed the other in April 2007
    *("1412.00001", "1501.0001"),  # five digits came in 2015
    *("2404.00000", "hep-th/9901000", "recipes/0112017"),
]


@pytest.mark.parametrize(
    ("parse", "written", "reason"),
    [
        *((parse_paper_link, link, "expected an arXiv link") for link in rows(NO_ARXIV) + CONTROLS),
        *((parse_paper_link, link, "no arXiv paper can have the id") for link in IMPOSSIBLE),
        *((parse_github_link, link, "expected a repository's link") for link in rows(NO_GITHUB)),
        (parse_github_link, "https://github.com/o/r\x1b[31m", "expected a repository's link"),
    ],
)
def test_what_only_looks_like_a_link_is_refused(
    parse: Callable[[str, int], object], written: str, reason: str
) -> None:
    with pytest.raises(LinkError, match=reason) as refused:
        parse(written, 12)
    assert refused.value.line == 12


def test_the_message_shows_the_link_without_control_characters_and_shortened() -> None:
    with pytest.raises(LinkError) as refused:
        parse_paper_link("http://evil\x1b[2J\ud800", 4)
    message = str(refused.value)
    assert message.startswith("4: found 'http://evil\\x1b[2J\\ud800'")
    assert message.encode()
    with pytest.raises(LinkError) as refused:
        parse_github_link("https://github.com/o/r/" + "a" * MAX_LINK)
    assert len(str(refused.value)) < 300


@given(
    st.text()
    | st.text(alphabet=string.printable)
    | st.from_regex(r"https?://(www\.)?(arxiv\.org|github\.com)/.{0,40}")
)
def test_any_text_is_a_link_or_refused(text: str) -> None:
    for parse in (parse_paper_link, parse_github_link):
        try:
            link = parse(text, 1)
        except LinkError:
            continue
        assert link is None or link.written == text.strip()
