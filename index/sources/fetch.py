"""Catalog → bytes of every source: from the prompt, from a file of one's own, from a mirror, or
else from the network.

What came is stored; what did not is written down in the ledger with the reason, and is tried again
by the next run. A run that is cut short loses at most the file in hand.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from index.catalog import ArxivLink, Catalog, FileLink, GithubLink
from index.errors import FetchError, RagError
from index.files import exclusive
from index.sources import (
    PDF_LIMIT,
    README_LIMIT,
    Attempt,
    Download,
    Source,
    SourceStore,
    media_type_of,
    pdf_error,
    text_error,
)

log = logging.getLogger(__name__)

if TYPE_CHECKING:  # imported where the network is needed: most runs fetch nothing
    from index.sources.http import HttpClient

# All but "asking" end a source; "fetched" came from the network, "read" from the prompt or a file,
# and "known" is what was stored or refused before this run.
Step = Literal["asking", "fetched", "read", "failed", "known"]
Progress = Callable[[str, Step], None]

# As GitHub prefers them where a repository has several; others follow in order of name.
_README_ENDINGS = (".md", ".markdown", ".rst", ".txt", "")


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
        http: HttpClient | None = None,
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
        for source_id, item in catalog.sources.items():
            if source := self._store.get(source_id):
                results[source_id] = source
                self._progress(source_id, "known")
            elif isinstance(item, str):
                results[source_id] = self._end(source_id, self._summary(source_id, item))
            elif isinstance(item, FileLink):
                results[source_id] = self._end(source_id, self._own_file(item))
            elif result := self._from_mirror(item):
                results[source_id] = self._end(source_id, result)
            elif refusal := self._refused_lately(source_id, spare):
                results[source_id] = refusal
                self._progress(source_id, "known")
            elif isinstance(item, ArxivLink):
                papers.append(item)
            else:
                readmes.append(item)
        if self._http is not None:
            results |= self._from_network(self._http, papers, readmes)
        elif papers or readmes:
            from index.sources.http import Http

            # Hosts are asked by one process at a time, with the pause that they want in between.
            with (
                exclusive(self._store.folder / "network") as idle,
                Http(self._endpoints.origins, idle=idle) as http,
            ):
                results |= self._from_network(http, papers, readmes)
        return dict(sorted(results.items()))

    def _refused_lately(self, source_id: str, spare: float) -> Attempt | None:
        """The newest attempt, where it asked the network in vain less than `spare` seconds ago."""
        failure = self._store.failure(source_id)
        if failure is None or not failure.origin.startswith("http"):
            return None
        age = datetime.now(UTC) - datetime.fromisoformat(failure.when)
        # A date to come is a wrong clock's, and must not put off the next attempt.
        return failure if 0 <= age.total_seconds() < spare else None

    def _summary(self, source_id: str, text: str) -> Source | Attempt:
        if not text.strip():
            return self._fail_once(source_id, "prompt", "the summary is empty")
        return self._store.put(source_id, text.encode(), "text/plain", "prompt")

    def _own_file(self, link: FileLink) -> Source | Attempt:
        origin = f"file:{link.file_name}"
        if link.path is None:
            reason = "its bytes are not in this data directory: ask again with the file itself"
            return self._fail_once(link.source_id, origin, reason)
        return self._from_file(link, link.path, origin)

    def _from_file(
        self,
        link: ArxivLink | GithubLink | FileLink,
        path: Path,
        origin: str,
        version: str | None = None,
    ) -> Source | Attempt:
        """The bytes of a file, stored, or why they are not accepted."""
        is_pdf = path.suffix.lower() == ".pdf" and not isinstance(link, GithubLink)
        try:
            # One byte more is enough to see that the file is too large.
            with path.open("rb") as stream:
                data = stream.read((PDF_LIMIT if is_pdf else README_LIMIT) + 1)
        except OSError as error:
            reason = f"the file cannot be read ({error.strerror})"
        else:
            reason = pdf_error(data) if is_pdf else text_error(data)
            sha256 = hashlib.sha256(data).hexdigest()
            if not reason and isinstance(link, FileLink) and sha256[:16] != link.digest:
                reason = "the file was changed while it was read: ask again"
        if reason:
            return self._fail_once(link.source_id, origin, reason)
        media_type = "application/pdf" if is_pdf else media_type_of(path.name)
        return self._store.put(link.source_id, data, media_type, origin, version)

    def _from_mirror(self, link: ArxivLink | GithubLink) -> Source | Attempt | None:
        """The first valid file of the mirror. Offline, else, why there is none."""
        refused: Attempt | None = None
        for file in self._mirror.files(link) if self._mirror else ():
            result = self._from_file(link, *file)
            if isinstance(result, Source):
                return result
            refused = result
        if not self._offline:
            return None
        missing = "not in the mirror" if self._mirror else "no mirror was given"
        return refused or self._fail_once(link.source_id, "offline", f"offline, and {missing}")

    def _from_network(
        self, http: HttpClient, papers: Sequence[ArxivLink], readmes: Sequence[GithubLink]
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
            result: Source | Attempt = self._store.put(source_id, *download())
        except FetchError as error:
            result = self._store.fail(source_id, origin, error.reason)
        return self._end(source_id, result)

    def _fail_once(self, source_id: str, origin: str, reason: str) -> Attempt:
        """A failure that involved no network: where it repeats the newest entry of the ledger, no
        entry is added."""
        last = self._store.failure(source_id)
        if last is not None and (last.origin, last.reason) == (origin, reason):
            return last
        return self._store.fail(source_id, origin, reason)

    def _end(self, source_id: str, result: Source | Attempt) -> Source | Attempt:
        step: Step = "failed"
        if isinstance(result, Source):
            step = "fetched" if result.origin.startswith("http") else "read"
        self._progress(source_id, step)
        return result


class MirrorFile(NamedTuple):
    """`origin` is the same on every machine that has this mirror; `version` is `v2` where the
    file name says so."""

    path: Path
    origin: str
    version: str | None = None


class Mirror:
    """A folder that is read in place of arXiv and GitHub, as it was when each part of it was
    first looked at.

    Laid out as `arxiv/<id>.pdf`, with or without `vN`, and `github/<owner>/<repo>/README*`; upper
    and lower case are not told apart. An old id such as `cs/0112017` may stand as
    `arxiv/cs/0112017.pdf`, `arxiv/cs_0112017.pdf` or `arxiv/0112017.pdf`, looked for in this order.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise RagError(f"there is no folder {folder} to read as a mirror: check the path")
        self.folder = folder
        self._root = folder.resolve()
        self._listings: dict[PurePosixPath, dict[str, Path]] = {}

    def files(self, link: ArxivLink | GithubLink) -> Iterator[MirrorFile]:
        """The files that can stand for `link`, the best first.

        A paper's link with a version takes the file of that version, then one without; a link
        without takes the newest version there is, then a file without. Of a repository's READMEs
        the one that GitHub would show comes first.
        """
        if isinstance(link, GithubLink):
            listing = self._listing(PurePosixPath("github", link.owner, link.name))
            readmes = [path for name, path in listing.items() if name.split(".")[0] == "readme"]
            yield from map(self._file, sorted(filter(Path.is_file, readmes), key=_preference))
            return
        unversioned: list[Path] = []
        archive, _, number = link.id.rpartition("/")
        for stem in (f"{archive}/{number}", f"{archive}_{number}", number) if archive else [number]:
            path = PurePosixPath("arxiv", stem.lower())
            listing = self._listing(path.parent)
            versions = sorted(
                (int(match[1]), file)
                for key, file in listing.items()
                if (match := re.fullmatch(re.escape(path.name) + r"v(\d{1,4})\.pdf", key))
            )
            for version, file in reversed(versions):
                if link.version in (None, version):
                    yield self._file(file, f"v{version}")
            unversioned += filter(None, [listing.get(f"{path.name}.pdf")])
        yield from map(self._file, unversioned)

    def _file(self, path: Path, version: str | None = None) -> MirrorFile:
        return MirrorFile(path, f"mirror:{path.relative_to(self.folder).as_posix()}", version)

    def _is_inside(self, path: Path) -> bool:
        """Whether it stays in the mirror. A link that leads out of it, or nowhere, is refused."""
        try:
            inside = not path.is_symlink() or path.resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):
            inside = False
        if not inside:
            log.warning("%s is not read: it is a link that leads out of the mirror", path)
        return inside

    def _listing(self, part: PurePosixPath) -> dict[str, Path]:
        """What stands in this part of the mirror, by lower-case name. Parts are found by name in
        the listing above them, so that no id can lead out of the mirror."""
        if part not in self._listings:
            folder: Path | None = self.folder
            if part.name:
                folder = self._listing(part.parent).get(part.name.lower())
            inside = sorted(folder.iterdir()) if folder and folder.is_dir() else ()
            # Of names that differ in case alone, the last in order stands: lower case.
            self._listings[part] = {
                path.name.lower(): path for path in inside if self._is_inside(path)
            }
        return self._listings[part]


def _preference(path: Path) -> tuple[int, str]:
    endings = (*_README_ENDINGS, path.suffix.lower())
    return endings.index(path.suffix.lower()), path.name
