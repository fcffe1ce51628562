"""Files of one's own → links that name them by their content. Where a file stood is used to read
it once, and never written down."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path, PurePosixPath

from index.catalog import FileLink
from index.errors import LinkError
from index.sources.store import SourceStore, media_type_of, pdf_error, text_error

ENDINGS = (".pdf", ".md", ".markdown", ".rst", ".txt")
"""Of files that can be read."""


def is_file_name(text: str) -> bool:
    """Whether `text` can only be meant as a file: by its ending, and as it is no address."""
    return text.strip().lower().endswith(ENDINGS) and "://" not in text


def exists(written: str) -> bool:
    """Whether there is a file or a folder of this name; any text may be asked for."""
    with contextlib.suppress(OSError, ValueError):
        return bool(written) and _path(written).exists()
    return False


def is_folder(written: str) -> bool:
    """Whether there is a folder of this name."""
    return exists(written) and _path(written).is_dir()


def _path(written: str) -> Path:
    with contextlib.suppress(RuntimeError):  # for ~NAME of nobody here
        return Path(written).expanduser()
    return Path(written)


def own_files(written: str) -> list[FileLink]:
    """The links to the file, or to every PDF of the folder, that a person names; none where there
    is nothing of that name and it need not be a file. Raises LinkError."""
    if not (exists(written) or is_file_name(written)):
        return []
    path = _path(written)
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
