"""Catalog → bytes of every source: from the prompt, from a mirror, or else from the network.

What came is kept in the store, what did not is written down in its ledger with the reason, and
is tried again by the next run. A run that is cut short loses at most the file in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from index.catalog import ArxivLink, Catalog, GithubLink
from index.errors import FetchError
from index.sources.mirror import Mirror, MirrorFile
from index.sources.store import Attempt, Source, SourceStore
from index.sources.validate import (
    PDF_LIMIT,
    README_LIMIT,
    pdf_error,
    readme_error,
    readme_media_type,
)

if TYPE_CHECKING:
    from index.sources.arxiv import ArxivApi, Paper
    from index.sources.github import GithubApi
    from index.sources.http import Http

# What speaks to the network is imported where it is first needed: most runs fetch nothing.

# The three that end a source; "asking" may come before them, when the network is asked for it.
Step = Literal["asking", "fetched", "already kept", "spared", "failed"]
Progress = Callable[[str, Step], None]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where arXiv and GitHub are. Nothing else is ever contacted: this is the allow-list."""

    arxiv: str = "https://export.arxiv.org"
    github: str = "https://api.github.com"
    github_raw: str = "https://raw.githubusercontent.com"

    @property
    def origins(self) -> frozenset[str]:
        """What `index.network.http.Http` is to allow."""
        return frozenset((self.arxiv, self.github, self.github_raw))


def _unseen(_source_id: str, _step: Step) -> None:
    pass


class Fetcher:
    """Fills `store`. `mirror` is read before the network, which `offline` never touches.

    `progress` is told of every source id of the catalog: "asking" when the network is about to
    be asked for its bytes, and once how it ended. `http` must allow the origins of `endpoints`.
    """

    def __init__(
        self,
        store: SourceStore,
        *,
        mirror: Path | None = None,
        offline: bool = False,
        http: Http | None = None,
        endpoints: Endpoints | None = None,
        progress: Progress = _unseen,
    ) -> None:
        self._store = store
        self._mirror = Mirror(mirror) if mirror else None
        self._offline = offline
        self._http = http
        self._endpoints = endpoints or Endpoints()
        self._progress = progress

    def fetch(
        self, catalog: Catalog, *, refresh: bool = False, spare: float = 0.0
    ) -> Mapping[str, Source | Attempt]:
        """What there is of each source id of `catalog`, sorted: the source, or else the newest
        attempt to get it.

        What is kept already is left alone. `refresh` asks again for what may have changed since:
        READMEs, and papers listed without a version; where that fails, the kept one stands.
        The network is spared what it refused less than `spare` seconds ago.
        """
        results: dict[str, Source | Attempt] = {}
        papers: list[ArxivLink] = []
        readmes: list[GithubLink] = []
        for source_id, item in _wanted(catalog).items():
            kept = self._store.get(source_id)
            if kept is not None and not (refresh and _may_change(item)):
                results[source_id] = self._done(kept, "already kept")
            elif isinstance(item, str):
                results[source_id] = self._summary(source_id, item)
            elif isinstance(found := self._from_mirror(item), Source):
                results[source_id] = self._done(found, "fetched")
            elif self._offline:
                results[source_id] = self._refused(item, found)
            elif refusal := self._refused_lately(source_id, spare):
                self._progress(source_id, "spared")
                results[source_id] = refusal
            elif isinstance(item, ArxivLink):
                papers.append(item)
            else:
                readmes.append(item)
        if papers or readmes:
            results.update(self._from_network(papers, readmes))
        return {source_id: results[source_id] for source_id in sorted(results)}

    def _summary(self, source_id: str, text: str) -> Source | Attempt:
        if not text.strip():
            return self._failed(self._write_down(source_id, "prompt", "the summary is empty"))
        source = self._store.put(
            source_id,
            text.encode(),
            source_type="summary",
            media_type="text/plain",
            origin="prompt",
        )
        return self._done(source, "fetched")

    def _from_mirror(self, link: ArxivLink | GithubLink) -> Source | Attempt | None:
        """The first sound file of the mirror, or what was wrong with the last unsound one."""
        if self._mirror is None:
            return None
        refused: Attempt | None = None
        is_paper = isinstance(link, ArxivLink)
        for file in (
            self._mirror.paper(link) if isinstance(link, ArxivLink) else self._mirror.readme(link)
        ):
            data, flaw = _read(file, PDF_LIMIT if is_paper else README_LIMIT)
            if flaw := flaw or (pdf_error(data) if is_paper else readme_error(data)):
                refused = self._write_down(link.source_id, file.origin, flaw)
                continue
            return self._store.put(
                link.source_id,
                data,
                source_type="full text" if is_paper else "readme",
                media_type="application/pdf" if is_paper else readme_media_type(file.path.name),
                origin=file.origin,
                version=file.version,
            )
        return refused

    def _refused(self, link: ArxivLink | GithubLink, unsound: Attempt | None) -> Source | Attempt:
        """Offline, and the mirror did not help."""
        if kept := self._store.get(link.source_id):
            return self._done(kept, "already kept")
        missing = "not in the mirror" if self._mirror else "no mirror was given"
        reason = f"offline, and {missing}"
        return self._failed(unsound or self._write_down(link.source_id, "offline", reason))

    def _refused_lately(self, source_id: str, spare: float) -> Attempt | None:
        """The newest attempt, where it asked the network in vain less than `spare` seconds ago."""
        failure = self._store.failure(source_id)
        if failure is None or not failure.origin.startswith("http"):
            return None
        age = datetime.now(UTC) - datetime.fromisoformat(failure.when)
        return failure if age.total_seconds() < spare else None

    def _from_network(
        self, papers: list[ArxivLink], readmes: list[GithubLink]
    ) -> dict[str, Source | Attempt]:
        if self._http is None:
            from index.sources.http import Http

            with Http(self._endpoints.origins) as http:
                return self._ask(http, papers, readmes)
        return self._ask(self._http, papers, readmes)

    def _ask(
        self, http: Http, papers: list[ArxivLink], readmes: list[GithubLink]
    ) -> dict[str, Source | Attempt]:
        results: dict[str, Source | Attempt] = {}
        if papers:
            from index.sources.arxiv import ArxivApi

            arxiv = ArxivApi(http, base=self._endpoints.arxiv)
            self._progress(papers[0].source_id, "asking")
            described = arxiv.look_up(papers)
            for paper in papers:
                description = described[paper.source_id]
                results[paper.source_id] = self._paper(arxiv, paper, description)
        if readmes:
            from index.sources.github import GithubApi, token_from_environment

            github = GithubApi(
                http,
                api=self._endpoints.github,
                raw=self._endpoints.github_raw,
                token=token_from_environment(),
            )
            for link in readmes:
                results[link.source_id] = self._readme(github, link)
        return results

    def _paper(self, api: ArxivApi, link: ArxivLink, paper: Paper | FetchError) -> Source | Attempt:
        if isinstance(paper, FetchError):
            return self._failed(self._store.fail(link.source_id, api.base, paper.reason))
        version = f"v{paper.version}"
        kept = self._store.get(link.source_id)
        if kept is not None and kept.version == version:
            return self._done(kept, "already kept")
        self._progress(link.source_id, "asking")
        try:
            data, origin = api.pdf(link, paper)
        except FetchError as error:
            return self._failed(self._store.fail(link.source_id, api.base, error.reason))
        source = self._store.put(
            link.source_id,
            data,
            source_type="full text",
            media_type="application/pdf",
            origin=origin,
            version=version,
        )
        return self._done(source, "fetched")

    def _readme(self, api: GithubApi, link: GithubLink) -> Source | Attempt:
        self._progress(link.source_id, "asking")
        try:
            readme = api.readme(link)
        except FetchError as error:
            return self._failed(self._store.fail(link.source_id, api.base, error.reason))
        kept = self._store.get(link.source_id)
        if kept and readme.version is None and kept.sha256 == sha256(readme.data).hexdigest():
            # The same bytes, fetched in a way that does not tell the commit: we know it already.
            return self._done(kept, "already kept")
        source = self._store.put(
            link.source_id,
            readme.data,
            source_type="readme",
            media_type=readme.media_type,
            origin=readme.origin,
            version=readme.version,
        )
        return self._done(source, "fetched")

    def _write_down(self, source_id: str, origin: str, reason: str) -> Attempt:
        """A failure that involved no network. Repeated run by run it tells nothing new, and is
        one ledger entry; every attempt over the network is one of its own."""
        last = self._store.failure(source_id)
        if last is not None and (last.origin, last.reason) == (origin, reason):
            return last
        return self._store.fail(source_id, origin, reason)

    def _done(self, source: Source, step: Step) -> Source:
        self._progress(source.id, step)
        return source

    def _failed(self, attempt: Attempt) -> Source | Attempt:
        """The failure, or the older bytes that stand in spite of it."""
        if kept := self._store.get(attempt.source_id):
            return self._done(kept, "already kept")
        self._progress(attempt.source_id, "failed")
        return attempt


def _wanted(catalog: Catalog) -> dict[str, ArxivLink | GithubLink | str]:
    """The link or the summary that each source id of the catalog stands for."""
    wanted: dict[str, ArxivLink | GithubLink | str] = {}
    for listing in catalog.listings:
        for link in (listing.paper, listing.github):
            if link is not None:
                wanted.setdefault(link.source_id, link)
        if listing.summary is not None and listing.summary_id is not None:
            wanted.setdefault(listing.summary_id, listing.summary)
    return dict(sorted(wanted.items()))


def _may_change(item: ArxivLink | GithubLink | str) -> bool:
    """Not so: a summary, which is named by its text, and one version of a paper."""
    return isinstance(item, GithubLink) or (isinstance(item, ArxivLink) and item.version is None)


def _read(file: MirrorFile, limit: int) -> tuple[bytes, str]:
    """The bytes, and why there are none."""
    try:
        # One byte more is enough to see that the file is too large.
        with file.path.open("rb") as stream:
            return stream.read(limit + 1), ""
    except OSError as error:
        return b"", f"the file in the mirror cannot be read ({error.strerror})"
