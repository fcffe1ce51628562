"""The real `arxiv` package and the real client, against a server that answers like arXiv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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


def found(papers: Mapping[str, Paper | FetchError]) -> list[int | str]:
    """The version of each paper, or why there is none."""
    return [item.version if isinstance(item, Paper) else item.reason for item in papers.values()]


UNKNOWN = "arXiv has no such paper"
NO_VERSION = "arXiv has this paper, but not its version 9"


def test_many_papers_are_looked_up_in_one_request(server: Server, api: ArxivApi) -> None:
    withdrawn = entry("2404.13784v1", comment="Withdrawn & gone", pdf=False)
    server.tell(QUERY, feed(entry("1706.03762v7", title="Attention\n  Is All"), withdrawn))
    papers = api.look_up([link("2404.13784", 1), link("1706.03762")])
    assert papers == {
        "arxiv:2404.13784v1": Paper("2404.13784", 1, "A title", "Withdrawn & gone", False),
        "arxiv:1706.03762": Paper("1706.03762", 7, "Attention Is All", "", True),
    }
    assert [request.query["id_list"] for request in server.requests] == ["2404.13784v1,1706.03762"]


def test_of_more_than_a_hundred_papers_one_that_arxiv_refuses_does_not_lose_the_others(
    server: Server, api: ArxivApi
) -> None:
    def answer(request: Request) -> Reply:
        names = request.query["id_list"].split(",")
        if "9999.0001" in names:
            page = feed(error_entry("incorrect id format for 9999.0001"))
            return Reply(400, page.body, page.headers)
        return feed(*(entry(name + "v1") for name in names))

    server.tell(QUERY, answer)
    links = [link(f"2401.{number:05}") for number in range(129)]
    papers = api.look_up([*links[:120], link("9999.0001"), *links[120:]])
    assert found({"": papers.pop("arxiv:9999.0001")}) == [UNKNOWN]
    assert found(papers) == [1] * 129
    asked = [len(request.query["id_list"].split(",")) for request in server.requests]
    assert asked[:3] == [100, 30, 15]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([feed(entry("2404.13784v2"))], [NO_VERSION, UNKNOWN, UNKNOWN]),
        # Old ids are found with and without subject class.
        ([feed(entry("cs/0112017v1"), entry("math/0309136v2"))], [UNKNOWN, 1, 2]),
        # A feed that counts unknown papers too is asked for once, an empty one once more.
        ([feed(entry("2404.13784v9"), total=3)], [9, UNKNOWN, UNKNOWN]),
        ([feed(), feed(entry("2404.13784v9"))], [9, UNKNOWN, UNKNOWN]),
        ([feed(total=1), feed()], [UNKNOWN, UNKNOWN, UNKNOWN]),
        # An error among the others is no paper.
        ([feed(error_entry("incorrect id"), entry("cs/0112017v1"))], [UNKNOWN, 1, UNKNOWN]),
    ],
)
def test_an_unknown_paper_is_told_apart_from_a_missing_version(
    server: Server, api: ArxivApi, pages: list[Reply], expected: list[int | str]
) -> None:
    server.tell(QUERY, *pages)
    papers = api.look_up([link("2404.13784", 9), link("cs/0112017"), link("math.GT/0309136")])
    assert found(papers) == expected
    assert len(server.requests) == len(pages)


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
    assert found(papers) == [expected, expected]


WITHDRAWN = "withdrawn by its authors"
MISSING = "arXiv has no PDF of this paper"


@pytest.mark.parametrize(
    ("answer", "comment", "expected"),
    [
        (Reply(404), "", MISSING),
        (Reply(404), "This paper has been withdrawn", WITHDRAWN),
        (Reply(body=HTML), "Withdrawn due to an error", WITHDRAWN),
        (Reply(body=HTML), "12 pages", "not a PDF: an HTML page came in its place"),
        (Reply(403, HTML), "withdrawn", "arXiv does not send this paper (status 403)"),
        (Reply(body=bytes(2000)), "", "not a PDF: the file begins with zero bytes"),
        (Reply(body=PDF, cut=20), "", "arXiv cut the connection; gave up after 3 tries"),
        # Where the feed names no PDF, none is asked for.
        (None, "This submission has been withdrawn by the authors", WITHDRAWN),
        (None, "", MISSING),
    ],
)
def test_what_is_no_pdf_is_refused_with_the_reason(
    server: Server, api: ArxivApi, answer: Reply | None, comment: str, expected: str
) -> None:
    server.tell("/pdf/2404.13784v4", answer or Reply(body=PDF))
    paper = Paper("2404.13784", 4, "A title", comment, has_pdf=answer is not None)
    with pytest.raises(FetchError) as error:
        api.pdf(link("2404.13784"), paper)
    assert (error.value.reason, error.value.source_id) == (expected, "arxiv:2404.13784")
    assert bool(server.requests) is paper.has_pdf


def test_the_pdf_of_the_very_version_is_fetched_over_the_connection_of_the_feed_and_its_pauses(
    server: Server,
) -> None:
    server.tell(QUERY, feed(entry("2404.13784v4", comment="withdrawn from the workshop")))
    server.tell("/pdf/2404.13784v4", Reply(body=PDF))
    with Http({server.url}, retry_policy=RetryPolicy(interval={"127.0.0.1": 0.2})) as http:
        api = ArxivApi(http, base=server.url)
        (paper,) = api.look_up([link("2404.13784")]).values()
        download = api.pdf(link("2404.13784"), paper)
    url = f"{server.url}/pdf/2404.13784v4"
    assert download == Download(PDF, "application/pdf", url, "v4", title="A title")
    first, second = server.requests
    assert first.connection == second.connection
    assert second.at - first.at >= 0.2
