"""Catalog → bytes of every source: from the prompt, from a mirror, or else from the network.

What came is stored; what did not is written down in the ledger with the reason, and is tried again
by the next run. A run that is cut short loses at most the file in hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from index.catalog import ArxivLink, Catalog, GithubLink
from index.errors import FetchError
from index.sources.mirror import Mirror
from index.sources.store import Attempt, Source, SourceStore
from index.sources.validate import (
    PDF_LIMIT,
    README_LIMIT,
    Download,
    pdf_error,
    readme_error,
    readme_media_type,
)

if TYPE_CHECKING:
    from index.sources.http import Http

# What speaks to the network is imported where it is first needed: most runs fetch nothing.

# All but "asking" end a source; "asking" comes before them where the network is asked for it.
Step = Literal["asking", "fetched", "already stored", "spared", "failed"]
Progress = Callable[[str, Step], None]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where arXiv and GitHub are. Nothing else is ever contacted: this is the allow-list."""

    arxiv: str = "https://export.arxiv.org"
    github: str = "https://api.github.com"
    github_raw: str = "https://raw.githubusercontent.com"

    @property
    def origins(self) -> frozenset[str]:
        """What `index.sources.http.Http` is to allow."""
        return frozenset((self.arxiv, self.github, self.github_raw))


class Fetcher:
    """Fills `store`. `mirror` is read before the network, which `offline` never touches.

    `progress` is called with every source id of the catalog: with "asking" when the network is
    about to be asked for its bytes, and once with how it ended. `http` must allow the origins of
    `endpoints`.
    """

    def __init__(
        self,
        store: SourceStore,
        *,
        mirror: Path | None = None,
        offline: bool = False,
        http: Http | None = None,
        endpoints: Endpoints | None = None,
        progress: Progress = lambda _source_id, _step: None,
    ) -> None:
        self._store = store
        self._mirror = Mirror(mirror) if mirror else None
        self._offline = offline
        self._http = http
        self._endpoints = endpoints or Endpoints()
        self._progress = progress

    def fetch(self, catalog: Catalog, *, spare: float = 0.0) -> dict[str, Source | Attempt]:
        """What there is of each source id of `catalog`, sorted: the source, or else the newest
        attempt to get it. What is stored already is left alone, and the network is not asked for
        what it refused less than `spare` seconds ago."""
        results: dict[str, Source | Attempt] = {}
        papers: list[ArxivLink] = []
        readmes: list[GithubLink] = []
        for source_id, item in _items(catalog).items():
            if source := self._store.get(source_id):
                results[source_id] = self._end(source, "already stored")
            elif isinstance(item, str):
                results[source_id] = self._end(self._summary(source_id, item))
            elif isinstance(attempt := self._from_mirror(item), Source):
                results[source_id] = self._end(attempt)
            elif self._offline:
                missing = "not in the mirror" if self._mirror else "no mirror was given"
                reason = f"offline, and {missing}"
                attempt = attempt or self._fail_once(source_id, "offline", reason)
                results[source_id] = self._end(attempt)
            elif refusal := self._refused_lately(source_id, spare):
                results[source_id] = self._end(refusal, "spared")
            elif isinstance(item, ArxivLink):
                papers.append(item)
            else:
                readmes.append(item)
        if self._http is not None:
            results |= self._from_network(self._http, papers, readmes)
        elif papers or readmes:
            from index.sources.http import Http

            with Http(self._endpoints.origins) as http:
                results |= self._from_network(http, papers, readmes)
        return dict(sorted(results.items()))

    def _summary(self, source_id: str, text: str) -> Source | Attempt:
        if not text.strip():
            return self._fail_once(source_id, "prompt", "the summary is empty")
        return self._put(source_id, Download(text.encode(), "text/plain", "prompt"))

    def _from_mirror(self, link: ArxivLink | GithubLink) -> Source | Attempt | None:
        """The first valid file of the mirror, or what was wrong with the last invalid one."""
        refused: Attempt | None = None
        is_paper = isinstance(link, ArxivLink)
        for file in self._mirror.files(link) if self._mirror else ():
            try:
                # One byte more is enough to see that the file is too large.
                with file.path.open("rb") as stream:
                    data = stream.read((PDF_LIMIT if is_paper else README_LIMIT) + 1)
            except OSError as error:
                reason = f"the file in the mirror cannot be read ({error.strerror})"
            else:
                reason = pdf_error(data) if is_paper else readme_error(data)
            if not reason:
                kind = "application/pdf" if is_paper else readme_media_type(file.path.name)
                download = Download(data, kind, file.origin, file.version)
                return self._put(link.source_id, download)
            refused = self._fail_once(link.source_id, file.origin, reason)
        return refused

    def _refused_lately(self, source_id: str, spare: float) -> Attempt | None:
        """The newest attempt, where it asked the network in vain less than `spare` seconds ago."""
        failure = self._store.failure(source_id)
        if failure is None or not failure.origin.startswith("http"):
            return None
        age = datetime.now(UTC) - datetime.fromisoformat(failure.when)
        return failure if age.total_seconds() < spare else None

    def _from_network(
        self, http: Http, papers: list[ArxivLink], readmes: list[GithubLink]
    ) -> dict[str, Source | Attempt]:
        results: dict[str, Source | Attempt] = {}
        if papers:
            from index.sources.arxiv import ArxivApi

            arxiv = ArxivApi(http, base=self._endpoints.arxiv)
            self._progress(papers[0].source_id, "asking")
            descriptions = arxiv.look_up(papers)
            for paper in papers:
                download = partial(arxiv.pdf, paper, descriptions[paper.source_id])
                results[paper.source_id] = self._download(paper.source_id, arxiv.base, download)
        if readmes:
            from index.sources.github import GithubApi, token_from_environment

            github = GithubApi(
                http,
                api=self._endpoints.github,
                raw=self._endpoints.github_raw,
                token=token_from_environment(),
            )
            for link in readmes:
                download = partial(github.readme, link)
                results[link.source_id] = self._download(link.source_id, github.base, download)
        return results

    def _download(
        self, source_id: str, origin: str, download: Callable[[], Download]
    ) -> Source | Attempt:
        self._progress(source_id, "asking")
        try:
            return self._end(self._put(source_id, download()))
        except FetchError as error:
            return self._end(self._store.fail(source_id, origin, error.reason))

    def _put(self, source_id: str, download: Download) -> Source:
        return self._store.put(
            source_id,
            download.data,
            media_type=download.media_type,
            origin=download.origin,
            version=download.version,
        )

    def _fail_once(self, source_id: str, origin: str, reason: str) -> Attempt:
        """A failure that involved no network: where it repeats the newest entry of the ledger, no
        entry is added."""
        last = self._store.failure(source_id)
        if last is not None and (last.origin, last.reason) == (origin, reason):
            return last
        return self._store.fail(source_id, origin, reason)

    def _end(self, result: Source | Attempt, step: Step | None = None) -> Source | Attempt:
        source_id = result.id if isinstance(result, Source) else result.source_id
        self._progress(source_id, step or ("fetched" if isinstance(result, Source) else "failed"))
        return result


def _items(catalog: Catalog) -> dict[str, ArxivLink | GithubLink | str]:
    """The link or the summary that each source id of the catalog stands for, sorted."""
    items: dict[str, ArxivLink | GithubLink | str] = {}
    for listing in catalog.listings:
        for link in (listing.paper, listing.github):
            if link is not None:
                items.setdefault(link.source_id, link)
        if listing.summary is not None and listing.summary_id is not None:
            items[listing.summary_id] = listing.summary
    return dict(sorted(items.items()))
