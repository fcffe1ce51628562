"""From a catalog to the bytes of its sources: the prompt, the mirror, the network, in this order;
and the ledger says why something is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from index.catalog import ArxivLink, Catalog, GithubLink, Listing
from index.errors import RagError
from index.sources import README_LIMIT, Attempt, Source, SourceStore
from index.sources.fetch import Endpoints, Fetcher, Mirror, Step
from index.sources.http import Http, RetryPolicy
from tests.parts.servers import HTML, PDF, Reply, Server, commits, entry, feed, readme
from tests.parts.works import write, write_mirror

TEXT = b"# Name\n\nIt explains itself.\n"
SHA = "0123456789abcdef0123456789abcdef01234567"

LISTED, NEWEST, REPOSITORY = "arxiv:2404.13784v1", "arxiv:1706.03762", "github:owner/name"
PAPER = ArxivLink("http://arxiv.org/pdf/2404.13784v1.pdf", "2404.13784", 1)
LINK = GithubLink("https://github.com/Owner/Name", "Owner", "Name")
LISTING = Listing("A work", "related", PAPER, LINK, "It does much. It does it well.")
SUMMARY = str(LISTING.summary_id)
ANOTHER = Listing("Another", "recommended", ArxivLink("1706.03762", "1706.03762"))
EVERYTHING = Catalog.of([LISTING, ANOTHER])

PAPER_PATH, README_PATH = "/pdf/2404.13784v1", "/repos/Owner/Name/readme"
ANSWERS = {
    "/api/query": feed(entry("2404.13784v1"), entry("1706.03762v7")),
    PAPER_PATH: Reply(body=PDF),
    "/pdf/1706.03762v7": Reply(body=PDF + b"seven"),
    README_PATH: readme(TEXT, repository="Owner/Name"),
    "/repos/Owner/Name/commits": commits(SHA),
}


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    return SourceStore(tmp_path / "sources")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One server in the place of arXiv and GitHub, that has everything."""
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GH_TOKEN", "a-secret")
    with Server() as server:
        for path, answer in ANSWERS.items():
            server.tell(path, answer)
        yield server


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    files: dict[str, bytes | str] = {
        "arxiv/2404.13784.pdf": PDF,
        "arxiv/1706.03762v5.pdf": PDF + b"five",
        "github/owner/name/readme.rst": TEXT,
    }
    return write_mirror(tmp_path / "mirror", files)


def fetch(
    store: SourceStore, server: Server, *, spare: float = 0.0, **options: Any
) -> dict[str, Source | Attempt]:
    """A run with the network, in which only the server may be asked."""
    policy = RetryPolicy(backoff=0.01, read=2.0, tries=2, interval={})
    ends = Endpoints(arxiv=server.url, github=server.url, github_raw=server.url)
    with Http({server.url}, retry_policy=policy) as http:
        return Fetcher(store, http=http, endpoints=ends, **options).fetch(EVERYTHING, spare=spare)


def source(sources: Mapping[str, Source | Attempt], source_id: str) -> Source:
    item = sources[source_id]
    assert isinstance(item, Source), item
    return item


def reasons(sources: Mapping[str, Source | Attempt]) -> dict[str, str]:
    return {sid: item.reason for sid, item in sources.items() if isinstance(item, Attempt)}


def ledger(store: SourceStore) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(store.folder.glob("ledger/*/*")))


def test_offline_everything_is_read_from_prompt_and_mirror(
    store: SourceStore, mirror: Path
) -> None:
    sources = Fetcher(store, mirror=mirror, offline=True).fetch(EVERYTHING)
    had = [source(sources, source_id) for source_id in EVERYTHING.source_ids]
    assert [(item.id, item.origin, item.media_type, item.version) for item in had] == [
        (NEWEST, "mirror:arxiv/1706.03762v5.pdf", "application/pdf", "v5"),
        (LISTED, "mirror:arxiv/2404.13784.pdf", "application/pdf", None),
        (REPOSITORY, "mirror:github/owner/name/readme.rst", "text/x-rst", None),
        (SUMMARY, "prompt", "text/plain", None),
    ]
    assert [store.read(item) for item in had[2:]] == [TEXT, str(LISTING.summary).encode()]


@pytest.mark.parametrize("with_mirror", [False, True])
def test_what_an_offline_machine_lacks_is_written_down_once(
    store: SourceStore, tmp_path: Path, with_mirror: bool
) -> None:
    write(tmp_path / "arxiv/2404.13784.pdf", bytes(2000))
    empty = Listing("Empty", "related", summary=" \n")
    for _ in range(3):
        fetcher = Fetcher(store, mirror=tmp_path if with_mirror else None, offline=True)
        sources = fetcher.fetch(Catalog.of([LISTING, ANOTHER, empty]))
    missing = f"offline, and {'not in the mirror' if with_mirror else 'no mirror was given'}"
    assert reasons(sources) == {
        LISTED: "not a PDF: the file begins with zero bytes" if with_mirror else missing,
        NEWEST: missing,
        REPOSITORY: missing,
        empty.summary_id: "the summary is empty",
    }
    for source_id in reasons(sources):
        assert store.attempts(source_id) == [sources[source_id]]


def test_the_mirror_is_read_before_the_network_which_makes_good_its_bad_files(
    store: SourceStore, server: Server, mirror: Path
) -> None:
    write(mirror / "arxiv/2404.13784v1.pdf", HTML)
    write(mirror / "arxiv/1706.03762v5.pdf", b"")
    write(mirror / "github/owner/name/readme.rst", b"x" * (README_LIMIT + 1))
    sources = fetch(store, server, mirror=mirror)
    assert source(sources, LISTED).origin == "mirror:arxiv/2404.13784.pdf"
    assert source(sources, NEWEST).origin == f"{server.url}/pdf/1706.03762v7"
    assert source(sources, REPOSITORY).version == SHA
    assert PAPER_PATH not in server.paths
    refused = [store.attempts(source_id)[0] for source_id in (LISTED, NEWEST, REPOSITORY)]
    assert [(attempt.origin, attempt.reason) for attempt in refused] == [
        ("mirror:arxiv/2404.13784v1.pdf", "not a PDF: an HTML page came in its place"),
        ("mirror:arxiv/1706.03762v5.pdf", "not a PDF: the file is empty"),
        ("mirror:github/owner/name/readme.rst", "larger than 5 MB: not stored"),
    ]


def test_everything_comes_over_the_network_once_and_again_where_it_was_lost(
    store: SourceStore, server: Server
) -> None:
    sources = fetch(store, server)
    newest = source(sources, NEWEST)
    assert (newest.version, newest.title) == ("v7", "A title")
    assert store.read(newest) == PDF + b"seven"
    assert [source(sources, sid).version for sid in (LISTED, REPOSITORY)] == ["v1", SHA]
    assert server.paths.count("/api/query") == 1
    # The token of the environment is shown to GitHub alone, and not kept.
    shown = [request.path for request in server.requests if "authorization" in request.headers]
    assert {path.split("/")[1] for path in shown} == {"repos"}
    assert b"a-secret" not in ledger(store)

    asked, written = len(server.requests), ledger(store)
    assert fetch(SourceStore(store.folder), server) == sources
    assert (len(server.requests), ledger(store)) == (asked, written)

    (store.folder / newest.sha256).unlink()
    assert fetch(store, server) == sources
    assert store.read(newest) == PDF + b"seven"


@pytest.mark.parametrize(
    ("path", "answer", "failed", "reason"),
    [
        (PAPER_PATH, Reply(404), [LISTED], "arXiv has no PDF of this paper"),
        (PAPER_PATH, Reply(503), [LISTED], "arXiv asked to wait; gave up after 2 tries"),
        (PAPER_PATH, Reply(body=HTML), [LISTED], "not a PDF: an HTML page came in its place"),
        ("/api/query", feed(entry("1706.03762v7")), [LISTED], "arXiv has no such paper"),
        ("/api/query", Reply(500), [NEWEST, LISTED], "arXiv answered with status 500"),
        (README_PATH, Reply(451), [REPOSITORY], "GitHub does not send its README (status 451)"),
    ],
)
def test_a_failure_costs_its_source_and_is_spared_or_tried_again_by_the_next_run(
    store: SourceStore, server: Server, path: str, answer: Reply, failed: list[str], reason: str
) -> None:
    server.tell(path, answer)
    steps: list[tuple[str, Step]] = []
    sources = fetch(store, server, progress=lambda *step: steps.append(step))
    assert reasons(sources) == dict.fromkeys(failed, reason)
    assert [store.failure(source_id) for source_id in failed] == [sources[sid] for sid in failed]
    ends = dict.fromkeys(sources, "fetched") | {SUMMARY: "read"} | dict.fromkeys(failed, "failed")
    assert sorted(step for step in steps if step[1] != "asking") == sorted(ends.items())

    asked = len(server.requests)
    steps.clear()
    again = fetch(store, server, spare=600, progress=lambda *step: steps.append(step))
    assert again == sources
    assert len(server.requests) == asked
    assert sorted(steps) == [(source_id, "known") for source_id in sources]

    # A clock that went wrong once must not silence the source for ever.
    for name in map(store.ledger, failed):
        year = str(datetime.now(UTC).year)
        name.write_text(name.read_text().replace(f'"when":"{year}', '"when":"9999'))
    assert reasons(fetch(store, server, spare=600)) == reasons(sources)
    assert len(server.requests) > asked

    server.tell(path, ANSWERS[path])
    assert not reasons(fetch(store, server))
    for source_id in failed:
        had = [not attempt.reason for attempt in store.attempts(source_id)]
        assert had == [False, False, True]


def test_an_interruption_loses_the_file_in_hand_alone(store: SourceStore, server: Server) -> None:
    def interrupt(source_id: str, step: Step) -> None:
        if (source_id, step) == (LISTED, "asking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(store, server, progress=interrupt)
    assert [bool(store.get(sid)) for sid in (NEWEST, SUMMARY, LISTED)] == [True, True, False]
    assert not reasons(fetch(store, server))
    assert server.paths.count("/pdf/1706.03762v7") == 1


def origins(folder: Path, link: ArxivLink | GithubLink, *names: str) -> list[str]:
    """Which of these files of a mirror stand for the link, the best first."""
    mirror = Mirror(write_mirror(folder, dict.fromkeys(names, b"here")))
    return [file.origin.removeprefix("mirror:") for file in mirror.files(link)]


OLD = ["cs/0112017.pdf", "cs_0112017.pdf", "0112017.pdf"]


@pytest.mark.parametrize(
    ("arxiv_id", "version", "names", "expected"),
    [
        # The listed version first, then the file without one; other versions never.
        ("1.2", 1, ["1.2.pdf", "1.2v2.pdf", "1.2v1.pdf"], ["1.2v1.pdf", "1.2.pdf"]),
        ("1.2", 3, ["1.2v1.pdf", "1.2.pdf"], ["1.2.pdf"]),
        # The newest version first where none is listed.
        (
            "1.2",
            None,
            ["1.2.pdf", "1.2v9.pdf", "1.2v10.pdf"],
            ["1.2v10.pdf", "1.2v9.pdf", "1.2.pdf"],
        ),
        ("1.2", None, ["1.21.pdf", "1.pdf", "11.2.pdf", "1.2v1.pdf.part"], []),
        # An old id in each spelling, and upper and lower case are not told apart.
        ("cs/0112017", None, OLD[::-1], OLD),
        ("cs/0112017", 1, OLD[::-1], OLD),
        ("cs/0112017", None, ["CS/0112017V2.PDF"], ["CS/0112017V2.PDF"]),
        ("../../2404.13784", None, ["../../2404.13784.pdf"], []),
    ],
)
def test_the_files_of_a_mirror_stand_for_a_paper_in_order(
    tmp_path: Path, arxiv_id: str, version: int | None, names: list[str], expected: list[str]
) -> None:
    folder, link = tmp_path / "a/mirror", ArxivLink("as written", arxiv_id, version)
    write(folder / "github/o/n/README.md", b"here")
    found = origins(folder, link, *(f"ArXiv/{name}" for name in names))
    assert found == [f"ArXiv/{name}" for name in expected]


def test_of_several_readmes_the_one_github_would_show_comes_first(tmp_path: Path) -> None:
    endings = ("", ".rst", ".zh.md", ".MD", "s.md", ".d/x.md")
    link = GithubLink("as written", "ytian73", "aigi-vc")
    found = origins(tmp_path, link, *(f"GitHub/YTian73/AIGI-VC/README{e}" for e in endings))
    assert found == [
        f"GitHub/YTian73/AIGI-VC/README{ending}" for ending in (".MD", ".zh.md", ".rst", "")
    ]


def test_no_id_and_no_link_leads_out_of_the_mirror(tmp_path: Path) -> None:
    inside = tmp_path / "mirror"
    for name in ("mirror/github/o/n/README.md", "mirror/arxiv/1.1.pdf", "README.md"):
        write(tmp_path / name, b"here")
    secret = write(tmp_path / "secret/README.md", b"secret").parent
    write(secret / "1.2.pdf", PDF)
    (inside / "github/o/out").symlink_to(secret)
    (inside / "arxiv/1.2.pdf").symlink_to("../../secret/1.2.pdf")
    (inside / "arxiv/1.3.pdf").symlink_to("1.3.pdf")
    (inside / "arxiv/1.4.pdf").symlink_to("1.1.pdf")
    for owner, name in (("..", "secret"), ("..", ".."), ("o", "../../.."), ("o", "out")):
        assert origins(inside, GithubLink("as written", owner, name)) == []
    papers = {name: len(origins(inside, ArxivLink("", name))) for name in ("1.2", "1.3", "1.4")}
    assert papers == {"1.2": 0, "1.3": 0, "1.4": 1}
    with pytest.raises(RagError, match=r"no folder .*missing.* check the path"):
        Mirror(tmp_path / "missing")
