"""From a catalog to the bytes of its sources: the prompt, the mirror, the network, in this order;
and the ledger says why something is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from index.catalog import ArxivLink, Catalog, GithubLink, Listing
from index.errors import RagError
from index.sources import Attempt, Source, SourceStore
from index.sources.fetch import Endpoints, Fetcher, Mirror, Step
from index.sources.http import Http, RetryPolicy
from tests.parts import SHARED
from tests.parts.commands import run
from tests.parts.servers import HTML, PDF, Reply, Request, Server, commits, entry, feed, readme

TEXT = b"# Name\n\nIt explains itself.\n"
SHA = "0123456789abcdef0123456789abcdef01234567"

PAPER = ArxivLink("http://arxiv.org/pdf/2404.13784v1.pdf", "2404.13784", 1)
NEWEST = ArxivLink("https://arxiv.org/abs/1706.03762", "1706.03762")
REPOSITORY = GithubLink("https://github.com/Owner/Name", "Owner", "Name")
LISTING = Listing("A work", "related", PAPER, REPOSITORY, "It does much. It does it well.")
SUMMARY_ID = str(LISTING.summary_id)
EVERYTHING = Catalog.of([LISTING, Listing("Another", "recommended", NEWEST)])


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    return SourceStore(tmp_path / "sources")


@pytest.fixture(autouse=True)
def _without_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    """One server in the place of arXiv and GitHub, that has everything."""
    with Server() as server:
        server.tell("/api/query", feed(entry("2404.13784v1"), entry("1706.03762v7")))
        server.tell("/pdf/2404.13784v1", Reply(body=PDF))
        server.tell("/pdf/1706.03762v7", Reply(body=PDF + b"seven"))
        server.tell("/repos/Owner/Name/readme", readme(TEXT, repository="Owner/Name"))
        server.tell("/repos/Owner/Name/commits", commits(SHA))
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[Http]:
    retry_policy = RetryPolicy(backoff=0.01, read=2.0, tries=2, interval={})
    with Http({server.url}, retry_policy=retry_policy) as http:
        yield http


@pytest.fixture
def online(store: SourceStore, server: Server, http: Http) -> Fetcher:
    return Fetcher(store, http=http, endpoints=at(server))


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    write(folder / "arxiv/2404.13784.pdf", PDF)
    write(folder / "arxiv/1706.03762v5.pdf", PDF + b"five")
    write(folder / "github/owner/name/readme.rst", TEXT)
    return folder


def at(server: Server) -> Endpoints:
    return Endpoints(arxiv=server.url, github=server.url, github_raw=server.url)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def source(sources: Mapping[str, Source | Attempt], source_id: str) -> Source:
    item = sources[source_id]
    assert isinstance(item, Source), item
    return item


def reason(sources: Mapping[str, Source | Attempt], source_id: str) -> str:
    item = sources[source_id]
    assert isinstance(item, Attempt), item
    return item.reason


def ledger(store: SourceStore) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.folder.glob("ledger/*/*")))


def test_the_mirror_serves_an_offline_machine_whatever_the_order_of_the_listings(
    store: SourceStore, tmp_path: Path, mirror: Path
) -> None:
    sources = Fetcher(store, mirror=mirror, offline=True).fetch(EVERYTHING)
    paper, text = source(sources, "arxiv:2404.13784v1"), source(sources, "github:owner/name")
    assert (paper.media_type, paper.version) == ("application/pdf", None)
    assert paper.origin == "mirror:arxiv/2404.13784.pdf"
    assert source(sources, "arxiv:1706.03762").version == "v5"
    assert text.media_type == "text/x-rst"
    assert store.read(text) == TEXT
    other = Fetcher(SourceStore(tmp_path / "other"), mirror=mirror, offline=True)
    assert list(other.fetch(Catalog(EVERYTHING.listings[::-1])).items()) == list(sources.items())


def test_a_closed_machine_has_the_summaries_and_says_what_it_lacks(store: SourceStore) -> None:
    sources = Fetcher(store, offline=True).fetch(EVERYTHING)
    summary = source(sources, SUMMARY_ID)
    assert (summary.media_type, summary.origin) == ("text/plain", "prompt")
    assert store.read(summary).decode() == LISTING.summary
    for source_id in ("arxiv:1706.03762", "arxiv:2404.13784v1", "github:owner/name"):
        assert reason(sources, source_id) == "offline, and no mirror was given"
        assert store.failure(source_id) == sources[source_id]
    assert list(sources) == list(EVERYTHING.source_ids)
    empty = Listing("A work", "related", summary=" \n")
    sources = Fetcher(store, offline=True).fetch(Catalog.of([empty]))
    assert reason(sources, str(empty.summary_id)) == "the summary is empty"


def test_the_mirror_is_read_before_the_network(
    store: SourceStore, server: Server, http: Http, mirror: Path
) -> None:
    (mirror / "arxiv/1706.03762v5.pdf").unlink()
    sources = Fetcher(store, mirror=mirror, http=http, endpoints=at(server)).fetch(EVERYTHING)
    assert server.paths == ["/api/query", "/pdf/1706.03762v7"]
    assert [str(source(sources, i).origin) for i in sources if i != SUMMARY_ID] == [
        server.url + "/pdf/1706.03762v7",
        "mirror:arxiv/2404.13784.pdf",
        "mirror:github/owner/name/readme.rst",
    ]


def test_everything_comes_over_the_network_with_its_version(
    store: SourceStore, online: Fetcher, server: Server
) -> None:
    sources = online.fetch(EVERYTHING)
    assert source(sources, "arxiv:2404.13784v1").version == "v1"
    newest = source(sources, "arxiv:1706.03762")
    assert (newest.version, newest.origin) == ("v7", server.url + "/pdf/1706.03762v7")
    assert newest.title == "A title"  # as arXiv calls it
    assert store.read(newest) == PDF + b"seven"
    assert source(sources, "github:owner/name").version == SHA
    assert server.paths.count("/api/query") == 1


def test_a_second_run_asks_nothing_and_writes_nothing(
    store: SourceStore, online: Fetcher, server: Server
) -> None:
    first = online.fetch(EVERYTHING)
    asked, written = len(server.requests), ledger(store)
    again = Fetcher(SourceStore(store.folder), endpoints=at(server)).fetch(EVERYTHING)
    assert again == first
    assert (len(server.requests), ledger(store)) == (asked, written)


def test_a_second_run_does_not_even_load_the_clients(store: SourceStore, mirror: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from index.catalog import *
from index.sources.fetch import Fetcher
from index.sources import SourceStore
listing = Listing("A work", "related", ArxivLink("", "2404.13784", 1), None, "It does much.")
fetcher = Fetcher(SourceStore(Path({str(store.folder)!r})), mirror=Path({str(mirror)!r}))
fetcher.fetch(Catalog.of([listing]))
print(sorted({{"httpx", "arxiv", "requests"}} & set(sys.modules)))
"""
    assert run(program=code).out == "[]\n"


def test_a_failure_is_tried_again_by_the_next_run(
    store: SourceStore, online: Fetcher, server: Server
) -> None:
    server.tell("/pdf/2404.13784v1", Reply(404), Reply(404), Reply(body=PDF))
    server.tell("/repos/Owner/Name/readme", Reply(404), readme(TEXT))
    sources = online.fetch(EVERYTHING)
    assert reason(sources, "arxiv:2404.13784v1") == "arXiv has no PDF of this paper"
    assert reason(sources, "github:owner/name").startswith("GitHub has no such repository")
    assert source(sources, "arxiv:1706.03762")
    online.fetch(EVERYTHING)
    sources = online.fetch(EVERYTHING)
    assert [bool(a.reason) for a in store.attempts("arxiv:2404.13784v1")] == [True, True, False]
    assert source(sources, "github:owner/name")
    assert store.failure("arxiv:2404.13784v1") is None


def test_what_was_just_refused_is_spared_unless_its_date_is_to_come(
    store: SourceStore, online: Fetcher, server: Server
) -> None:
    server.tell("/pdf/2404.13784v1", Reply(404))
    before = online.fetch(EVERYTHING)
    assert reason(before, "arxiv:2404.13784v1") == "arXiv has no PDF of this paper"
    asked = len(server.paths)
    assert online.fetch(EVERYTHING, spare=600) == before
    assert len(server.paths) == asked

    # A clock that went wrong once must not silence the source for ever.
    ledger = store.ledger("arxiv:2404.13784v1")
    year = str(datetime.now(UTC).year)
    ledger.write_text(ledger.read_text().replace(f'"when":"{year}', '"when":"9999'))
    server.tell("/pdf/2404.13784v1", Reply(body=PDF))
    assert source(online.fetch(EVERYTHING, spare=600), "arxiv:2404.13784v1")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"/pdf/2404.13784v1": Reply(503)}, "arXiv asked to wait; gave up after 2 tries"),
        ({"/pdf/2404.13784v1": Reply(body=HTML)}, "not a PDF: an HTML page came in its place"),
        ({"/api/query": feed()}, "arXiv has no such paper"),
        ({"/api/query": Reply(503)}, "arXiv asked to wait; gave up after 2 tries"),
    ],
)
def test_each_misbehaviour_of_arxiv_becomes_a_ledger_entry(
    store: SourceStore, online: Fetcher, server: Server, answers: dict[str, Reply], expected: str
) -> None:
    for path, answer in answers.items():
        server.tell(path, answer)
    sources = online.fetch(EVERYTHING)
    assert reason(sources, "arxiv:2404.13784v1").startswith(expected)
    attempt = SourceStore(store.folder).failure("arxiv:2404.13784v1")
    assert attempt == sources["arxiv:2404.13784v1"]
    # The works that can be had are had all the same.
    assert source(sources, "github:owner/name")
    assert source(sources, SUMMARY_ID)


def test_being_offline_again_and_again_is_written_down_once(
    store: SourceStore, mirror: Path
) -> None:
    write(mirror / "arxiv/2404.13784.pdf", bytes(2000))
    (mirror / "arxiv/1706.03762v5.pdf").unlink()
    for _ in range(3):
        sources = Fetcher(store, mirror=mirror, offline=True).fetch(EVERYTHING)
    assert reason(sources, "arxiv:2404.13784v1") == "not a PDF: the file begins with zero bytes"
    assert reason(sources, "arxiv:1706.03762") == "offline, and not in the mirror"
    assert len(store.attempts("arxiv:2404.13784v1")) == 1
    assert len(store.attempts("arxiv:1706.03762")) == 1


def test_a_bad_file_of_the_mirror_is_written_down_and_made_good_by_the_next_or_the_network(
    store: SourceStore, server: Server, http: Http, mirror: Path
) -> None:
    write(mirror / "arxiv/2404.13784v1.pdf", HTML)
    write(mirror / "arxiv/1706.03762v5.pdf", b"")
    write(mirror / "github/owner/name/readme.rst", HTML)
    sources = Fetcher(store, mirror=mirror, http=http, endpoints=at(server)).fetch(EVERYTHING)
    assert source(sources, "arxiv:2404.13784v1").origin == "mirror:arxiv/2404.13784.pdf"
    assert source(sources, "arxiv:1706.03762").version == "v7"
    assert source(sources, "github:owner/name").version == SHA
    reasons = [
        (store.attempts(source_id)[0].origin, store.attempts(source_id)[0].reason)
        for source_id in ("arxiv:2404.13784v1", "arxiv:1706.03762", "github:owner/name")
    ]
    assert reasons == [
        ("mirror:arxiv/2404.13784v1.pdf", "not a PDF: an HTML page came in its place"),
        ("mirror:arxiv/1706.03762v5.pdf", "not a PDF: the file is empty"),
        ("mirror:github/owner/name/readme.rst", "not plain text: it is an HTML page"),
    ]


def test_the_real_mirror_is_found_whatever_the_case_of_the_links(store: SourceStore) -> None:
    if not (SHARED / "mirror").is_dir():
        pytest.skip("the shared folder with the mirror is not here")
    listings = [
        Listing(path.stem, "related", ArxivLink("", path.stem, 3))
        for path in (SHARED / "mirror/arxiv").glob("*.pdf")
    ] + [
        Listing(path.name, "related", None, GithubLink("", path.parts[-3].upper(), path.parts[-2]))
        for path in (SHARED / "mirror/github").glob("*/*/README.md")
    ]
    catalog = Catalog.of(listings)
    sources = Fetcher(store, mirror=SHARED / "mirror", offline=True).fetch(catalog)
    assert len(sources) >= 20
    assert all(isinstance(item, Source) for item in sources.values())


def test_lost_bytes_are_fetched_again(store: SourceStore, online: Fetcher) -> None:
    lost = source(online.fetch(EVERYTHING), "arxiv:1706.03762")
    (store.folder / lost.sha256).unlink()
    assert source(online.fetch(EVERYTHING), "arxiv:1706.03762") == lost
    assert store.read(lost) == PDF + b"seven"


def test_an_interruption_loses_the_file_in_hand_alone(
    store: SourceStore, online: Fetcher, server: Server, http: Http
) -> None:
    def interrupt(source_id: str, step: Step) -> None:
        if (source_id, step) == ("arxiv:2404.13784v1", "asking"):
            raise KeyboardInterrupt

    hurried = Fetcher(store, http=http, endpoints=at(server), progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        hurried.fetch(EVERYTHING)
    assert store.get("arxiv:1706.03762")
    assert store.get(SUMMARY_ID)
    server.requests.clear()
    online.fetch(EVERYTHING)
    assert "/pdf/1706.03762v7" not in server.paths


def test_progress_tells_once_how_each_source_ended(
    store: SourceStore, server: Server, http: Http
) -> None:
    server.tell("/pdf/2404.13784v1", Reply(404))
    steps: list[tuple[str, Step]] = []
    fetcher = Fetcher(
        store, http=http, endpoints=at(server), progress=lambda *event: steps.append(event)
    )
    fetcher.fetch(EVERYTHING)
    ends = {source_id: step for source_id, step in steps if step != "asking"}
    assert ends == {
        "arxiv:1706.03762": "fetched",
        "arxiv:2404.13784v1": "failed",
        "github:owner/name": "fetched",
        SUMMARY_ID: "read",
    }
    assert len([step for _, step in steps if step != "asking"]) == 4
    steps.clear()
    fetcher.fetch(EVERYTHING)
    assert ("arxiv:1706.03762", "known") in steps


def test_the_token_of_the_environment_is_used_and_not_kept(
    store: SourceStore, online: Fetcher, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GH_TOKEN", "a-secret")
    online.fetch(EVERYTHING)
    shown: list[Request] = [r for r in server.requests if "authorization" in r.headers]
    assert {request.path.split("/")[1] for request in shown} == {"repos"}
    assert b"a-secret" not in ledger(store)


def mirror_of(folder: Path, *names: str) -> Mirror:
    for name in names:
        write(folder / name, b"here")
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
    folder = mirror_of(
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
    files = mirror_of(tmp_path, name).files(ArxivLink("as written", "cs/0112017", version))
    assert [file.origin for file in files] == [f"mirror:{name}"]


def test_upper_and_lower_case_are_not_told_apart(tmp_path: Path) -> None:
    folder = mirror_of(tmp_path, "ArXiv/CS/0112017V2.PDF", "GitHub/YTian73/AIGI-VC/ReadMe.MD")
    (paper,) = folder.files(ArxivLink("as written", "cs/0112017"))
    (readme,) = folder.files(GithubLink("as written", "ytian73", "aigi-vc"))
    assert (paper.origin, paper.version) == ("mirror:ArXiv/CS/0112017V2.PDF", "v2")
    assert readme.origin == "mirror:GitHub/YTian73/AIGI-VC/ReadMe.MD"


def test_of_several_readmes_the_one_github_would_show_comes_first(tmp_path: Path) -> None:
    names = ("README", "README.rst", "README.zh.md", "README.md", "readmes.md", "README.d/x.md")
    folder = mirror_of(tmp_path, *(f"github/o/n/{name}" for name in names))
    files = folder.files(GithubLink("as written", "o", "n"))
    assert [f.path.name for f in files] == ["README.md", "README.zh.md", "README.rst", "README"]


def test_no_id_leads_out_of_the_mirror(tmp_path: Path) -> None:
    folder = mirror_of(tmp_path / "mirror", "github/o/n/README.md")
    mirror_of(tmp_path, "README.md", "outside/README.md", "2404.13784.pdf")
    for owner, name in (("..", "outside"), ("..", ".."), ("o", "../../..")):
        assert list(folder.files(GithubLink("as written", owner, name))) == []
    assert list(folder.files(ArxivLink("as written", "../../2404.13784"))) == []


def test_a_link_that_leads_out_of_the_mirror_is_not_followed(tmp_path: Path) -> None:
    folder = mirror_of(tmp_path / "mirror", "github/o/n/README.md", "arxiv/2404.13784.pdf")
    mirror_of(tmp_path, "secret/README.md", "secret.pdf")
    inside = tmp_path / "mirror"
    (inside / "github" / "o" / "out").symlink_to(tmp_path / "secret")
    (inside / "arxiv" / "1706.03762.pdf").symlink_to("../../secret.pdf")
    (inside / "arxiv" / "1706.03763.pdf").symlink_to("1706.03763.pdf")
    (inside / "arxiv" / "1706.03764.pdf").symlink_to("2404.13784.pdf")
    assert list(folder.files(GithubLink("as written", "o", "out"))) == []
    for number, count in (("1706.03762", 0), ("1706.03763", 0), ("1706.03764", 1)):
        assert len(list(folder.files(ArxivLink("as written", number)))) == count


def test_a_mirror_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RagError, match=r"no folder .*missing.* check the path"):
        Mirror(tmp_path / "missing")
