"""Links as people write them, read into ids: arXiv papers, GitHub repositories, and files of one's
own by their content, nothing else.

A link is matched whole against the forms below, never searched for inside other text: what is
not certainly arXiv or GitHub is refused. User names, ports, look-alike hosts and anything but
plain ASCII therefore never pass. `written` keeps the link as it stands, for showing. Where a file
stood is used to read it once, and never written down.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from index.catalog import ArxivLink, FileLink, GithubLink
from index.errors import LinkError
from index.sources import SourceStore, media_type_of, pdf_error, text_error

# Longer than any real link, short enough that nothing here can take long.
MAX_LINK = 2_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Archives that gave ids of the old scheme, 1991 to March 2007 (https://arxiv.org/archive).
_ARCHIVES = _words(
    "acc-phys adap-org alg-geom ao-sci astro-ph atom-ph bayes-an chao-dyn chem-ph cmp-lg "
    "comp-gas cond-mat cs dg-ga funct-an gr-qc hep-ex hep-lat hep-ph hep-th math math-ph "
    "mtrl-th nlin nucl-ex nucl-th patt-sol physics plasm-ph q-alg q-bio quant-ph solv-int "
    "supr-con"
)

# First path segments of github.com that are pages of GitHub itself, not owners.
_GITHUB_PAGES = _words(
    "about apps collections contact customer-stories enterprise events explore features login "
    "marketplace new notifications orgs organizations pricing resources search security "
    "sessions settings signup site solutions sponsors stars team topics trending users"
)

_URL = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]"
_TAIL = rf"(?:[?#]{_URL}*)?"

_ID = r"(?P<id>[a-z]+(?:-[a-z]+)?(?:\.[a-z-]{2,10})?/\d{7}|\d{4}\.\d{4,5})"
_ID_AND_VERSION = rf"(?:arxiv:)?{_ID}(?:v(?P<version>[1-9]\d{{0,2}}))?"

_ARXIV_URL = re.compile(
    r"(?:(?:https?:)?//)?(?:(?:www|export)\.)?arxiv\.org/(?:abs|pdf|html|format|ps|src|e-print)/"
    rf"{_ID_AND_VERSION}(?:\.pdf|\.ps|\.gz)?/?{_TAIL}",
    re.ASCII | re.IGNORECASE,
)
# The DOI that arXiv itself gives to a paper names it as surely as its own address does.
_ARXIV_DOI = re.compile(
    rf"(?:(?:https?://)?(?:dx\.)?doi\.org/|doi:\s?)?10\.48550/arxiv\.{_ID_AND_VERSION}/?",
    re.ASCII | re.IGNORECASE,
)
# As cited: `arXiv:2404.13784v1 [cs.CV]`.
_ARXIV_BARE = re.compile(
    rf"(?:arxiv:\s?)?{_ID_AND_VERSION}(?:\s*\[[a-z-]+(?:\.[a-z-]+)?\])?",
    re.ASCII | re.IGNORECASE,
)

# As `FileLink.of` writes it. The hash names the file: no path is in it.
_FILE = re.compile(r"(?P<name>[^/\\]*[^/\\\s]) \(sha256 (?P<digest>[0-9a-f]{16})\)")

_REPOSITORY = r"(?P<owner>[A-Za-z0-9][A-Za-z0-9_-]{0,38})/(?P<name>[A-Za-z0-9._-]{1,104})"
# No `.` or `..` segment, encoded or not: a browser would show another repository than we read.
_DOTS = r"(?:\.|%2e){1,2}(?:[/?#]|$)"
_GITHUB_URL = re.compile(
    r"(?:(?:(?:git\+)?https?:)?//|git://|(?:git\+)?ssh://git@)?(?:www\.)?github\.com/"
    rf"{_REPOSITORY}(?:/(?!{_DOTS})[A-Za-z0-9\-._~:@!$&'()*+,;=%]*)*{_TAIL}",
    re.ASCII | re.IGNORECASE,
)
_GITHUB_SCP = re.compile(rf"git@github\.com:{_REPOSITORY}/?", re.ASCII | re.IGNORECASE)

_PAPER_EXPECTED = "an arXiv link such as https://arxiv.org/abs/2404.13784, or None"
_GITHUB_EXPECTED = "a repository's link such as https://github.com/OWNER/NAME, or None"


def parse_paper_link(text: str, line: int = 0) -> ArxivLink | FileLink | None:
    """Read the arXiv link that `text` is, or the name and hash of a file; None for `None` and for
    nothing at all.

    Ids of the old scheme lose their subject class (`math.GT/0309136` is `math/0309136`), as in
    arXiv's own listings, so that one paper has one id. Raises LinkError with `line`.
    """
    written, link = _bare(text)
    if link is None:
        return None
    if file := _FILE.fullmatch(link):
        return FileLink(written, file["name"], file["digest"])
    match = next(
        (m for form in (_ARXIV_URL, _ARXIV_DOI, _ARXIV_BARE) if (m := form.fullmatch(link))), None
    )
    if match is None:
        raise _refused(written, line, "not a link to a paper on arXiv", _PAPER_EXPECTED)
    arxiv_id: str = match["id"].lower()
    archive, slash, number = arxiv_id.rpartition("/")
    archive = archive.split(".")[0]
    arxiv_id = archive + slash + number
    if not _is_possible(archive, number):
        raise _refused(written, line, f"no arXiv paper can have the id {arxiv_id}", _PAPER_EXPECTED)
    return ArxivLink(written, arxiv_id, int(match["version"]) if match["version"] else None)


def parse_github_link(text: str, line: int = 0) -> GithubLink | None:
    """Read the link to a GitHub repository, or to something inside one, that `text` is; None
    for `None` and for nothing at all. Raises LinkError with `line`."""
    written, link = _bare(text)
    if link is None:
        return None
    match = _GITHUB_URL.fullmatch(link) or _GITHUB_SCP.fullmatch(link)
    name = re.sub(r"\.git$", "", match["name"], flags=re.IGNORECASE) if match else ""
    if (
        match is None
        or name in ("", ".", "..")
        or len(name) > 100
        or match["owner"].lower() in _GITHUB_PAGES
    ):
        raise _refused(written, line, "not a link to a GitHub repository", _GITHUB_EXPECTED)
    return GithubLink(written, match["owner"], name)


def _bare(text: str) -> tuple[str, str | None]:
    """The link as written, and without `<>` and what a sentence leaves behind it; None for none."""
    written = text.strip()
    if written.lower() in ("", "none"):
        return written, None
    if len(written) > MAX_LINK:
        return written, ""
    link = _without_stop(written)
    if link.startswith("<") and link.endswith(">"):
        link = _without_stop(link[1:-1].strip())
    return written, link


def _without_stop(link: str) -> str:
    """Two dots are no full stop: `/o/r/..` is another address than `/o/r`."""
    link = link.rstrip(",;:!")
    return link if link.endswith("..") else link.removesuffix(".")


def _is_possible(archive: str, number: str) -> bool:
    """Whether arXiv can have given this id: YYMMNNN in an archive from January 1991 to March 2007,
    YYMM.NNNN from April 2007, YYMM.NNNNN from January 2015."""
    year, month, count = int(number[:2]), int(number[2:4]), number[4:].lstrip(".")
    if not 1 <= month <= 12 or int(count) == 0:
        return False
    if archive:
        date = (1900 + year if year >= 91 else 2000 + year, month)
        return archive in _ARCHIVES and date <= (2007, 3)
    return (year, month) >= (7, 4) and len(count) == (4 if year < 15 else 5)


def _refused(written: str, line: int, why: str, expected: str) -> LinkError:
    shown = written if len(written) <= 100 else written[:100] + "…"
    return LinkError(f"found {shown!r}: {why}; expected {expected}", line=line)


ENDINGS = (".pdf", ".md", ".markdown", ".rst", ".txt")
"""Of files that can be read."""


def is_file_name(text: str) -> bool:
    """Whether `text` can only be meant as a file: by its ending, and as it is no address."""
    return text.strip().lower().endswith(ENDINGS) and "://" not in text


def exists(written: str) -> bool:
    """Whether there is a file or a folder of this name; any text may be asked for."""
    with contextlib.suppress(OSError, ValueError):
        return bool(written) and _local_path(written).exists()
    return False


def is_folder(written: str) -> bool:
    """Whether there is a folder of this name."""
    return exists(written) and _local_path(written).is_dir()


def _local_path(written: str) -> Path:
    with contextlib.suppress(RuntimeError):  # for ~NAME of nobody here
        return Path(written).expanduser()
    return Path(written)


def own_files(written: str) -> list[FileLink]:
    """The links to the file, or to every PDF of the folder, that a person names; none where there
    is nothing of that name and it need not be a file. Raises LinkError."""
    if not (exists(written) or is_file_name(written)):
        return []
    path = _local_path(written)
    return [file_link(each) for each in (pdfs_in(path) if is_folder(written) else [path])]


def file_link(path: Path, line: int = 0) -> FileLink:
    """The link to the file. Raises LinkError, with `line`, where it cannot be read."""
    if path.suffix.lower() not in ENDINGS:
        endings = ", ".join(ENDINGS)
        raise LinkError(f"{path}: expected a file that ends with one of {endings}", line=line)
    if not exists(str(path)):
        raise LinkError(f"{path} does not exist; expected a file or a folder of PDFs", line=line)
    if not path.is_file():
        raise LinkError(f"{path} is no file that can be read; expected a PDF or notes", line=line)
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise LinkError(f"{path} cannot be read ({error.strerror})", line=line) from error
    return FileLink.of(path.name, sha256, path)


def store_file(store: SourceStore, name: str, data: bytes) -> FileLink:
    """Store the bytes of a file that came without a path; the link to it. Raises LinkError where
    they are not accepted."""
    link = FileLink.of(name, hashlib.sha256(data).hexdigest())
    suffix = PurePosixPath(link.file_name).suffix.lower()
    if suffix not in ENDINGS:
        expected = f"expected a file that ends with one of {', '.join(ENDINGS)}"
        raise LinkError(f"{link.file_name}: {expected}")
    if reason := pdf_error(data) if suffix == ".pdf" else text_error(data):
        raise LinkError(f"{link.file_name}: {reason}")
    media_type = "application/pdf" if suffix == ".pdf" else media_type_of(link.file_name)
    store.put(link.source_id, data, media_type, f"file:{link.file_name}")
    return link


def file_inside(folder: Path, written: str, line: int = 0) -> FileLink:
    """The link to the file that `written` names, relative to `folder`, by which a document or a
    model can reach no file outside it. Raises LinkError, with `line`."""
    path = folder / written
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        reason = f"{written} leads out of the folder {folder}; expected a file inside it"
        raise LinkError(f"{reason}, or name it yourself: rag ask QUESTION FILE", line=line)
    return file_link(path, line)


def pdfs_in(folder: Path) -> list[Path]:
    """Every PDF in the folder and the folders in it, by path. Hidden ones and links that lead out
    of the folder are passed over. Raises LinkError where there is none."""
    inside = os.path.realpath(folder)  # unlike Path.resolve, it ends on circular links
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() == ".pdf"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and Path(os.path.realpath(path)).is_relative_to(inside)
        and path.is_file()
    ]
    if not paths:
        raise LinkError(f"there is no PDF in the folder {folder}; name other files one by one")
    return paths
