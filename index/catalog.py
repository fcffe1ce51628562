"""Which works may be read: listings with their links, and the catalog that unites them.

Knows nothing of prompt documents, of questions, or of how bytes are fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["recommended", "given", "related"]
"""How a work came to be listed: by a recommender, or `given` with the question by whoever asks."""


@dataclass(frozen=True, slots=True)
class ArxivLink:
    """A paper on arXiv. `version` is None where the link names none: then the newest is meant."""

    written: str
    id: str
    version: int | None = None

    @property
    def source_id(self) -> str:
        """`arxiv:2404.13784v1`, or without `vN` where the link has none."""
        return f"arxiv:{self.id}" + (f"v{self.version}" if self.version else "")


@dataclass(frozen=True, slots=True)
class GithubLink:
    """A repository on GitHub; owner and name in the case they were written in."""

    written: str
    owner: str
    name: str

    @property
    def source_id(self) -> str:
        """`github:owner/name` in lower case: GitHub does not tell cases apart."""
        return f"github:{self.owner}/{self.name}".lower()


@dataclass(frozen=True, slots=True)
class FileLink:
    """A file of one's own. It is named by its content, so that it can be stored, verified and
    moved like any other source: `digest` is the first 16 hex digits of its SHA-256. `path` is
    where it stood when it was named, None once only the stored bytes are known."""

    written: str
    file_name: str
    digest: str
    path: Path | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, name: str, sha256: str, path: Path | None = None) -> FileLink:
        """The link to the bytes with this hash; of the name only what can be shown stays."""
        printable = (char if char.isprintable() and char not in "/\\" else " " for char in name)
        shown = " ".join("".join(printable).split())
        return cls(f"{shown} (sha256 {sha256[:16]})", shown, sha256[:16], path)

    @property
    def source_id(self) -> str:
        """`file:` and the digest: the same bytes are one source, whatever they are called."""
        return f"file:{self.digest}"


@dataclass(frozen=True, slots=True)
class Listing:
    """One work as a prompt lists it; `name` is "" where the prompt gives none. `line` is where
    its block begins, 1-based."""

    name: str
    role: Role
    paper: ArxivLink | FileLink | None = None
    github: GithubLink | None = None
    summary: str | None = None
    line: int = 0

    @property
    def label(self) -> str:
        """The name, or what stands for it until a title is known."""
        if self.name or not (link := self.paper or self.github):
            return self.name
        if isinstance(link, FileLink):
            return link.file_name
        return f"{link.owner}/{link.name}" if isinstance(link, GithubLink) else f"arXiv {link.id}"

    @property
    def summary_id(self) -> str | None:
        """The source id of the summary: it names the text, so equal summaries are one source."""
        if self.summary is None:
            return None
        return "summary:" + hashlib.sha256(self.summary.encode()).hexdigest()[:16]

    @property
    def source_ids(self) -> tuple[str, ...]:
        """The ids of paper, README and summary, in this order, where there are such."""
        links = (link.source_id for link in (self.paper, self.github) if link)
        return (*links, *filter(None, [self.summary_id]))


@dataclass(frozen=True, slots=True)
class Catalog:
    """The union of listings: each distinct one once, ordered by name and links, so that the
    order in which prompts were given changes nothing."""

    listings: tuple[Listing, ...]

    @classmethod
    def of(cls, listings: Iterable[Listing]) -> Catalog:
        """Unite `listings`, whatever their order or number of repetitions. Of listings that
        differ only in how a link is written or in their line, the first in that order stays."""
        distinct: dict[tuple[str, str, tuple[str, ...]], Listing] = {}
        for item in sorted(listings, key=lambda i: (repr(i.paper), repr(i.github), i.line)):
            distinct.setdefault((item.name, item.role, item.source_ids), item)
        return cls(tuple(distinct[key] for key in sorted(distinct)))

    @property
    def sources(self) -> dict[str, ArxivLink | FileLink | GithubLink | str]:
        """The link, or the text of the summary, that each source id stands for, sorted."""
        sources: dict[str, ArxivLink | FileLink | GithubLink | str] = {}
        for listing in self.listings:
            for link in (listing.paper, listing.github):
                if link is not None:
                    sources.setdefault(link.source_id, link)
            if listing.summary is not None and listing.summary_id is not None:
                sources[listing.summary_id] = listing.summary
        return dict(sorted(sources.items()))

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Every source of every listing, once, sorted."""
        return tuple(self.sources)

    @property
    def names(self) -> dict[str, str]:
        """What a person knows each source by: its id, of a file of one's own its name, of a
        summary its work's."""
        sources, works = self.sources.items(), self.listings
        names = {sid: it.file_name if isinstance(it, FileLink) else sid for sid, it in sources}
        return names | {it.summary_id: f"summary of {it.label}" for it in works if it.summary_id}
