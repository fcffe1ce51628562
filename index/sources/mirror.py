"""A folder that is read in place of arXiv and GitHub.

Laid out as `arxiv/<id>.pdf`, with or without `vN`, and `github/<owner>/<repo>/README*`; upper and
lower case are not told apart. An old id such as `cs/0112017` may stand as `arxiv/cs/0112017.pdf`,
`arxiv/cs_0112017.pdf` or `arxiv/0112017.pdf`, looked for in this order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from index.catalog import ArxivLink, GithubLink
from index.errors import RagError

# As GitHub prefers them where a repository has several; others follow in order of name.
_README_ENDINGS = (".md", ".markdown", ".rst", ".txt", "")


@dataclass(frozen=True, slots=True)
class MirrorFile:
    """A file of the mirror. `origin` is the same on every machine that has this mirror;
    `version` is `v2` where the file name says so."""

    path: Path
    origin: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """`folder` as it was when each part of it was first looked at."""

    folder: Path
    _listings: dict[PurePosixPath, dict[str, Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise RagError(f"there is no folder {self.folder} to read as a mirror: check the path")

    def files(self, link: ArxivLink | GithubLink) -> Iterator[MirrorFile]:
        """The files that can stand for `link`, the best first.

        A paper's link with a version takes the file of that version, then one without; a link
        without takes the newest version there is, then a file without. Of a repository's READMEs
        the one that GitHub would show comes first.
        """
        if isinstance(link, GithubLink):
            files = self._files(PurePosixPath("github", link.owner, link.name))
            readmes = [path for name, path in files.items() if name.split(".")[0] == "readme"]
            yield from map(self._file, sorted(readmes, key=_preference))
            return
        unversioned: list[MirrorFile] = []
        archive, _, number = link.id.rpartition("/")
        for stem in (f"{archive}/{number}", f"{archive}_{number}", number) if archive else [number]:
            path = PurePosixPath("arxiv", stem)
            files = self._files(path.parent)
            versions = sorted(
                (int(match[1]), file)
                for key, file in files.items()
                if (match := re.fullmatch(re.escape(path.name.lower()) + r"v(\d{1,4})\.pdf", key))
            )
            for version, file in reversed(versions):
                if link.version in (None, version):
                    yield self._file(file, f"v{version}")
            if f"{path.name.lower()}.pdf" in files:
                unversioned.append(self._file(files[f"{path.name.lower()}.pdf"]))
        yield from unversioned

    def _file(self, path: Path, version: str | None = None) -> MirrorFile:
        return MirrorFile(path, f"mirror:{path.relative_to(self.folder).as_posix()}", version)

    def _files(self, part: PurePosixPath) -> dict[str, Path]:
        return {key: path for key, path in self._listing(part).items() if path.is_file()}

    def _listing(self, part: PurePosixPath) -> dict[str, Path]:
        """What stands in this part of the mirror, by lower-case name. Parts are found by name in
        the listing above them, so that no id can lead out of the mirror."""
        if part not in self._listings:
            folder: Path | None = self.folder
            if part.name:
                folder = self._listing(part.parent).get(part.name.lower())
            inside = sorted(folder.iterdir()) if folder and folder.is_dir() else ()
            # Of names that differ in case alone, the last in order stands: lower case.
            self._listings[part] = {path.name.lower(): path for path in inside}
        return self._listings[part]


def _preference(path: Path) -> tuple[int, str]:
    ending = path.suffix.lower()
    known = ending in _README_ENDINGS
    return (_README_ENDINGS.index(ending) if known else len(_README_ENDINGS), path.name)
