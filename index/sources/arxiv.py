"""arXiv: the records of many papers in one request, and the PDF of one.

The `arxiv` package parses the feed; every byte passes through our own client, so that feed and
PDFs share one connection, one pause between requests and one list of hosts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import arxiv
import arxiv._feed

from index.catalog import ArxivLink
from index.errors import FetchError
from index.sources import PDF_LIMIT, Download, pdf_error
from index.sources.http import HttpClient, HttpError

_SITE = "arXiv"
_FEED_LIMIT = 20_000_000
_MAX_IDS = 100  # an address of about two thousand characters


@dataclass(frozen=True, slots=True)
class Paper:
    """One version of a paper, as arXiv's feed describes it."""

    id: str
    version: int
    title: str
    comment: str
    has_pdf: bool


class ArxivApi:
    """The feed and the PDFs of `base`, which `http` must allow."""

    def __init__(self, http: HttpClient, *, base: str) -> None:
        self._http = http
        self.base = base

    def look_up(self, links: Sequence[ArxivLink]) -> dict[str, Paper | FetchError]:
        """The version each link means, by source id: the named one, or else the newest. What is
        not there, or could not be asked for, is the error that says so."""
        results: dict[str, Paper | FetchError] = {}
        for start in range(0, len(links), _MAX_IDS):
            chunk = links[start : start + _MAX_IDS]
            try:
                papers = self._papers([link.source_id.removeprefix("arxiv:") for link in chunk])
                results |= {link.source_id: _choose(link, papers) for link in chunk}
            except HttpError as error:
                ids = [link.source_id for link in chunk]
                results |= {source_id: FetchError(source_id, str(error)) for source_id in ids}
        return results

    def pdf(self, link: ArxivLink, paper: Paper | FetchError) -> Download:
        """The PDF of the version that `look_up` found for `link`. Raises FetchError, the one that
        `look_up` found if it did."""
        if isinstance(paper, FetchError):
            raise paper
        url = f"{self.base}/pdf/{quote(link.id)}v{paper.version}"
        reason = "arXiv has no PDF of this paper"
        if paper.has_pdf:
            try:
                response = self._http.get(url, site=_SITE, limit=PDF_LIMIT)
            except HttpError as error:
                raise FetchError(link.source_id, str(error)) from error
            if response.status not in (200, 404):
                unsent = f"arXiv does not send this paper (status {response.status})"
                raise FetchError(link.source_id, unsent)
            if response.status == 200 and not (reason := pdf_error(response.content)):
                title = " ".join(paper.title.split())
                return Download(
                    response.content, "application/pdf", url, f"v{paper.version}", title
                )
        # The comment may speak of another withdrawal ("withdrawn from the workshop"): only a
        # missing PDF makes it certain.
        withdrawn = "withdrawn" in paper.comment.lower()
        raise FetchError(link.source_id, "withdrawn by its authors" if withdrawn else reason)

    def _papers(self, names: Sequence[str]) -> list[Paper]:
        """What the feed has of `names`, in no order. Raises HttpError."""
        url = f"{self.base}/api/query?id_list={quote(','.join(names))}&max_results={len(names)}"
        for _ in range(2):  # Now and then it is empty for no reason (arxiv.py, issue 43).
            answer = self._http.get(url, site=_SITE, limit=_FEED_LIMIT)
            if answer.status == 400:
                break
            if answer.status != 200:
                raise HttpError(f"arXiv answered with status {answer.status}")
            # A web page parses as a feed without entries: every paper would be unknown.
            whole = b"<feed" in answer.content[:2000] and b"</feed>" in answer.content[-200:]
            if not whole:
                raise HttpError("arXiv sent something else in place of its feed")
            if papers := _papers_in(answer.content):
                return papers
        # One malformed id and arXiv refuses them all: halve until it stands alone.
        if len(names) == 1 or answer.status != 400:
            return []
        middle = len(names) // 2
        return self._papers(names[:middle]) + self._papers(names[middle:])


def _papers_in(feed: bytes) -> list[Paper]:
    """The entries of a feed, but for those by which arXiv reports an error: these have another
    address. Raises HttpError."""
    try:
        entries = arxiv._feed.parse(feed).results
    except (ValueError, OverflowError) as error:  # a year that there is not
        raise HttpError("arXiv's feed cannot be read") from error
    addresses = ((re.fullmatch(r".*/abs/(.+)v([0-9]{1,4})", e.entry_id), e) for e in entries)
    return [
        Paper(match[1], int(match[2]), entry.title, entry.comment or "", entry.pdf_url is not None)
        for match, entry in addresses
        if match
    ]


def _choose(link: ArxivLink, papers: Sequence[Paper]) -> Paper | FetchError:
    versions = {paper.version: paper for paper in papers if _plain(paper.id) == _plain(link.id)}
    if not versions:
        return FetchError(link.source_id, "arXiv has no such paper")
    return versions.get(link.version or max(versions)) or FetchError(
        link.source_id, f"arXiv has this paper, but not its version {link.version}"
    )


def _plain(arxiv_id: str) -> str:
    """Without the subject class that an old id may carry (`math.GT/0309136`)."""
    return re.sub(r"\.[a-z-]+/", "/", arxiv_id.lower())
