"""The real `arxiv` package and the real client, against a server that answers like arXiv."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from index.catalog import ArxivLink
from index.errors import FetchError
from index.sources import Download
from index.sources.arxiv import ArxivApi, Paper
from index.sources.http import Http, RetryPolicy
from tests.parts.servers import HTML, PDF, Reply, Request, Server, entry, error_entry, feed

QUERY = "/api/query"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[ArxivApi]:
    retry_policy = RetryPolicy(backoff=0.01, read=2.0, tries=3, interval={})
    with Http({server.url}, retry_policy=retry_policy) as http:
        yield ArxivApi(http, base=server.url)


def link(arxiv_id: str, version: int | None = None) -> ArxivLink:
    return ArxivLink(f"http://arxiv.org/abs/{arxiv_id}", arxiv_id, version)


def reason(result: Paper | FetchError) -> str:
    assert isinstance(result, FetchError)
    return result.reason


def test_many_papers_are_looked_up_in_one_request(server: Server, api: ArxivApi) -> None:
    server.tell(
        QUERY, feed(entry("1706.03762v7", title="Attention\n  Is All"), entry("2404.13784v1"))
    )
    links = [link("2404.13784", 1), link("1706.03762")]
    papers = api.look_up(links)
    assert papers == {
        "arxiv:2404.13784v1": Paper("2404.13784", 1, "A title", "", True),
        "arxiv:1706.03762": Paper("1706.03762", 7, "Attention Is All", "", True),
    }
    assert [request.query["id_list"] for request in server.requests] == ["2404.13784v1,1706.03762"]


def test_more_than_a_hundred_papers_take_two_requests(server: Server, api: ArxivApi) -> None:
    def answer(request: Request) -> Reply:
        return feed(*(entry(name + "v1") for name in request.query["id_list"].split(",")))

    server.tell(QUERY, answer)
    papers = api.look_up([link(f"2401.{number:05}") for number in range(130)])
    assert all(isinstance(paper, Paper) for paper in papers.values())
    assert [len(r.query["id_list"].split(",")) for r in server.requests] == [100, 30]


def test_old_ids_are_found_with_and_without_subject_class(server: Server, api: ArxivApi) -> None:
    server.tell(QUERY, feed(entry("cs/0112017v1"), entry("math/0309136v2")))
    papers = api.look_up([link("cs/0112017"), link("math.GT/0309136")])
    assert [paper.version for paper in papers.values() if isinstance(paper, Paper)] == [1, 2]


def test_an_unknown_paper_is_told_apart_from_a_missing_version(
    server: Server, api: ArxivApi
) -> None:
    server.tell(QUERY, feed(entry("2404.13784v2")))
    papers = api.look_up([link("2404.13784", 9), link("2404.99999")])
    assert reason(papers["arxiv:2404.13784v9"]) == ("arXiv has this paper, but not its version 9")
    assert reason(papers["arxiv:2404.99999"]) == "arXiv has no such paper"


def test_an_empty_feed_is_asked_for_once_more(server: Server, api: ArxivApi) -> None:
    server.tell(QUERY, feed(), feed(entry("2404.13784v1")))
    assert isinstance(api.look_up([link("2404.13784")])["arxiv:2404.13784"], Paper)
    server.tell(QUERY, feed(total=1))
    assert reason(api.look_up([link("2404.13784")])["arxiv:2404.13784"]) == (
        "arXiv has no such paper"
    )
    assert len(server.requests) == 4


def test_a_feed_that_counts_unknown_papers_too_is_asked_for_once(
    server: Server, api: ArxivApi
) -> None:
    server.tell(QUERY, feed(entry("1706.03762v7"), total=2))
    papers = api.look_up([link("0000.0000"), link("1706.03762")])
    assert reason(papers["arxiv:0000.0000"]) == "arXiv has no such paper"
    assert isinstance(papers["arxiv:1706.03762"], Paper)
    assert len(server.requests) == 1


def test_one_id_that_arxiv_refuses_does_not_lose_the_others(server: Server, api: ArxivApi) -> None:
    def answer(request: Request) -> Reply:
        names = request.query["id_list"].split(",")
        if "9999.0001" in names:
            page = feed(error_entry("incorrect id format for 9999.0001"))
            return Reply(400, page.body, page.headers)
        return feed(*(entry(name + "v1") for name in names))

    server.tell(QUERY, answer)
    links = [link(f"2401.{number:05}") for number in range(9)]
    papers = api.look_up([*links[:3], link("9999.0001"), *links[3:]])
    assert reason(papers.pop("arxiv:9999.0001")) == "arXiv has no such paper"
    assert len(papers) == 9
    assert all(isinstance(paper, Paper) for paper in papers.values())


def test_an_error_entry_beside_the_others_is_no_paper(server: Server, api: ArxivApi) -> None:
    server.tell(QUERY, feed(error_entry("incorrect id format for x"), entry("2404.13784v1")))
    papers = api.look_up([link("2404.13784"), link("2404.00001")])
    assert isinstance(papers["arxiv:2404.13784"], Paper)
    assert reason(papers["arxiv:2404.00001"]) == "arXiv has no such paper"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reply(503), "arXiv asked to wait; gave up after 3 tries"),
        (
            Reply(429, headers={"Retry-After": "600"}),
            "arXiv asked to wait 10 minutes; try again then",
        ),
        (Reply(500), "arXiv answered with status 500"),
        (Reply(body=HTML), "arXiv sent something else in place of its feed"),
        (Reply(body=b""), "arXiv sent something else in place of its feed"),
        (Reply(body=feed().body, cut=50), "arXiv cut the connection; gave up after 3 tries"),
        (
            Reply(302, headers={"Location": "http://elsewhere.invalid/"}),
            "arXiv redirected to elsewhere.invalid, which is not an allowed host",
        ),
        (
            Reply(body=feed(entry("2404.13784v1")).body.replace(b"2024-04-22T", b"soon")),
            "arXiv's feed cannot be read",
        ),
    ],
)
def test_when_arxiv_misbehaves_no_paper_is_called_unknown(
    server: Server, api: ArxivApi, answer: Reply, expected: str
) -> None:
    server.tell(QUERY, answer)
    papers = api.look_up([link("2404.13784"), link("1706.03762")])
    assert {reason(paper) for paper in papers.values()} == {expected}


def paper(comment: str = "", *, pdf: bool = True) -> Paper:
    return Paper("2404.13784", 4, "A title", comment, pdf)


@pytest.mark.parametrize(
    ("answer", "comment", "expected"),
    [
        (Reply(404), "", "arXiv has no PDF of this paper"),
        (Reply(404), "This paper has been withdrawn", "withdrawn by its authors"),
        (Reply(body=HTML), "Withdrawn due to an error", "withdrawn by its authors"),
        (Reply(body=HTML), "12 pages", "not a PDF: an HTML page came in its place"),
        (Reply(403, HTML), "withdrawn", "arXiv does not send this paper (status 403)"),
        (Reply(body=bytes(2000)), "", "not a PDF: the file begins with zero bytes"),
        (Reply(body=PDF, cut=20), "", "arXiv cut the connection; gave up after 3 tries"),
    ],
)
def test_what_is_no_pdf_is_refused_with_the_reason(
    server: Server, api: ArxivApi, answer: Reply, comment: str, expected: str
) -> None:
    server.tell("/pdf/2404.13784v4", answer)
    with pytest.raises(FetchError) as error:
        api.pdf(link("2404.13784"), paper(comment))
    assert (error.value.reason, error.value.source_id) == (expected, "arxiv:2404.13784")


@pytest.mark.parametrize("comment", ["", "withdrawn from the workshop proceedings"])
def test_the_pdf_of_the_very_version_is_fetched(
    server: Server, api: ArxivApi, comment: str
) -> None:
    server.tell("/pdf/2404.13784v4", Reply(body=PDF))
    url = server.url + "/pdf/2404.13784v4"
    expected = Download(PDF, "application/pdf", url, "v4", title="A title")
    assert api.pdf(link("2404.13784"), paper(comment)) == expected


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("This submission has been withdrawn by the authors", "withdrawn by its authors"),
        ("", "arXiv has no PDF of this paper"),
    ],
)
def test_a_paper_without_a_pdf_link_is_not_asked_for(
    server: Server, api: ArxivApi, comment: str, expected: str
) -> None:
    with pytest.raises(FetchError, match=expected):
        api.pdf(link("2404.13784"), paper(comment, pdf=False))
    assert server.requests == []


def test_feed_and_pdfs_share_one_connection_and_its_pauses(server: Server) -> None:
    server.tell(QUERY, feed(entry("2404.13784v4")))
    server.tell("/pdf/2404.13784v4", Reply(body=PDF))
    with Http({server.url}, retry_policy=RetryPolicy(interval={"127.0.0.1": 0.2})) as http:
        api = ArxivApi(http, base=server.url)
        (described,) = api.look_up([link("2404.13784")]).values()
        api.pdf(link("2404.13784"), described)
    first, second = server.requests
    assert first.connection == second.connection
    assert second.at - first.at >= 0.2
