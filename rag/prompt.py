"""A question and the works that may answer it: from a prompt document, from Python objects, or from
links and files alone. All of them become a document, since that is what an answer records.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from index.catalog import ArxivLink, Catalog, FileLink, Listing, Role
from index.errors import LinkError, PromptError
from index.links import (
    exists,
    is_file_name,
    is_folder,
    own_files,
    parse_github_link,
    parse_paper_link,
)
from rag.parsing import FIELDS, HEADINGS, MAX_SIZE, decode, normalised, or_none, read_document
from rag.plaintext import addresses_in, plain

REQUESTS = (
    "What task the user is trying to perform.",
    "How the model(s) would work in a CNAPS AI-like workflow (input → model → output).",
    "List relevant papers and tools (with GitHub or ArXiv links) that support your answer.",
)
Work = Listing | Mapping[str, str | None]
"""A work as Python has it: a listing, or a mapping with the document's field names as keys."""
Fields = tuple[str, Role, str | None, str | None, str | None]
"""What a block says, however it is laid out: name, role, the links as written, summary."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question and the works that may answer it. `listings` stand in document order and
    `requests` without their numbers; `text` is the whole document, without a byte-order mark,
    its lines ended by `\\n`; `path` is where it was read, and no part of what it is."""

    question: str
    requests: tuple[str, ...]
    listings: tuple[Listing, ...]
    text: str
    path: str = field(default="", compare=False)

    @classmethod
    def build(
        cls,
        question: str,
        *,
        recommended: Iterable[Work] = (),
        given: Iterable[Work] = (),
        related: Iterable[Work] = (),
        requests: Iterable[str] = REQUESTS,
    ) -> Prompt:
        """A prompt from Python objects: listings, or mappings with the keys `model`, `paper`,
        `github` and `summary`. The canonical document is written and read again, so whatever a
        document could not say (a summary with a line `Model: …`, a bad link) is refused alike.
        Nobody recommended the works that are `given` with the question."""
        if not isinstance(question, str):
            raise PromptError(f"expected the question as text; found {question!a:.60}")
        for works in (recommended, given, related, requests):
            if not isinstance(works, Iterable):
                raise PromptError(f"expected a list of works; found {works!a:.60}")
        works_by_role: dict[Role, tuple[Work, ...]] = {
            "recommended": tuple(recommended), "given": tuple(given), "related": tuple(related),
        }  # fmt: skip
        blocks = [_block(work, role) for role, works in works_by_role.items() for work in works]
        blocks = list(dict.fromkeys(blocks))
        question, numbered = _tidy(question), tuple(" ".join(_tidy(r).split()) for r in requests)
        prompt = parse_prompt(_document(question, numbered, blocks))
        # The path of a file stands in no document.
        papers = {
            work.paper: work.paper
            for work in chain.from_iterable(works_by_role.values())
            if isinstance(work, Listing)
        }
        listings = (
            replace(item, paper=papers.get(item.paper, item.paper)) for item in prompt.listings
        )
        prompt = replace(prompt, listings=tuple(listings))
        read = prompt.question, prompt.requests, list(map(_block_of, prompt.listings))
        if read != (question, numbered, blocks):
            raise PromptError(
                "a text given here reads as something else in a prompt document; expected a "
                "question, requests and summaries without lines that look like a field "
                f"({', '.join(FIELDS)}), a heading or 'Answer:', and names on one line"
            )
        return prompt

    def titled(self, titles: Mapping[str, str]) -> Prompt:
        """The same with the name that `title_of` gives for every work that has none, written into
        its document; `titles` by source id."""
        if all(item.name for item in self.listings):
            return self
        lines = self.text.split("\n")
        for item in read_document(self.text).listings:  # also a block that says the same again
            if not item.name:
                title = f"Title: {title_of(item, titles)}"
                lines[item.line - 1] = f"{title}\n{lines[item.line - 1]}"
        return parse_prompt("\n".join(lines), self.path)

    @property
    def sha256(self) -> str:
        """Hash of `text` in UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def listed_as(self, role: Role) -> tuple[Listing, ...]:
        """The works of one role, in document order."""
        return tuple(item for item in self.listings if item.role == role)

    @property
    def catalog(self) -> Catalog:
        """The works that may be read for this prompt."""
        return Catalog.of(self.listings)


def works_of(listings: Iterable[Listing]) -> dict[str, str]:
    """What the prompt calls the work of each source; two listings may share one."""
    names: dict[str, dict[str, None]] = {}
    for listing in listings:
        for source_id in listing.source_ids:
            names.setdefault(source_id, {})[listing.label] = None
    return {source_id: ", ".join(own) for source_id, own in names.items()}


def title_of(listing: Listing, titles: Mapping[str, str]) -> str:
    """The work's name; where it has none the title of its paper, by source id in `titles`; where
    that is not known or an address, what its link says."""
    title = plain(titles.get(listing.paper.source_id, "")) if listing.paper else ""
    if addresses_in(title):
        title = ""
    return listing.name or or_none(title[:300].strip()) or listing.label


def prompt_of(
    question: str,
    links: Iterable[str | Path],
    files: Callable[[str], Sequence[FileLink]] = own_files,
) -> Prompt:
    """The prompt of a question and what may answer it, as `works_at` reads it. Raises
    PromptError."""
    if not (works := works_at(links, files)):
        raise PromptError(
            "the question has nothing to be answered from; expected links to papers on arXiv or "
            "repositories on GitHub, or files after it"
        )
    return Prompt.build(question, given=works)


def works_at(
    links: Iterable[str | Path], files: Callable[[str], Sequence[FileLink]] = own_files
) -> tuple[Listing, ...]:
    """The works, each once and without a name, that addresses or ids of papers on arXiv and of
    repositories on GitHub (OWNER/NAME) stand for, or names of files and folders. `files` decides
    which of these may be read: by default any that there is. Raises LinkError."""
    works: dict[str, Listing] = {}
    for link in links:
        for work in _works_at(str(link).strip(), files):
            works.setdefault(work.source_ids[0], work)
    return tuple(works.values())


def _works_at(link: str, files: Callable[[str], Sequence[FileLink]]) -> list[Listing]:
    with suppress(LinkError):
        if paper := parse_paper_link(link):
            if isinstance(paper, ArxivLink) and "://" not in link:
                address = f"https://arxiv.org/abs/{paper.source_id.removeprefix('arxiv:')}"
                paper = replace(paper, written=address)
            return [Listing("", "given", paper=paper)]
    with suppress(LinkError):
        if github := parse_github_link(link):
            return [Listing("", "given", github=github)]
    if found := files(link):
        return [Listing("", "given", paper=file) for file in found]
    with suppress(LinkError):
        if re.fullmatch(r"(?:github:)?[^/:]+/[^/:]+", link) and not is_file_name(link):
            address = f"https://github.com/{link.removeprefix('github:')}"
            return [Listing("", "given", github=parse_github_link(address))]
    raise LinkError(
        f"found {link[:100]!r}; expected the address or id of a paper on arXiv (2404.13784) or of "
        "a repository on GitHub (OWNER/NAME), a PDF, notes (.md, .txt) or a folder of PDFs"
        + ("; what lies elsewhere can be downloaded, and given as a file" if "://" in link else "")
    )


def is_question(text: str) -> bool:
    """Whether words of a person are a question, and not the name of a document or of a work."""
    if not re.search(r"\s|\?$", text.strip()) or exists(text):
        return False
    with suppress(LinkError):  # arXiv:2404.13784 [cs.CV], mine.pdf (sha256 …)
        return parse_paper_link(text) is None
    return True


Asked = Prompt | str | Path
"""A prompt, the text of a prompt document, or the path of one."""


def as_prompt(asked: Asked) -> Prompt:
    """The prompt that `asked` is or names: a string of one line is a path, a longer one the
    document itself. Raises PromptError."""
    if isinstance(asked, Prompt):
        return asked
    if not isinstance(asked, str | Path):
        raise PromptError(
            "expected a prompt document: its path, its text, or a Prompt; found "
            f"{type(asked).__name__}"
        )
    if isinstance(asked, Path) or "\n" not in asked.strip():
        return read_prompt(asked)
    return parse_prompt(asked)


def listings_of(asked: Asked) -> tuple[Listing, ...]:
    """The works that a prompt lists, or that an address or id, a PDF or a folder of PDFs stands
    for. A text file is a prompt document here. Raises PromptError."""
    name = str(asked).strip()
    if isinstance(asked, str | Path) and "\n" not in name:
        is_named = name.lower().endswith(".pdf") or is_folder(name) or ":" in name
        if is_named or not exists(name):
            try:
                return works_at([name])
            except LinkError:
                if is_named:
                    raise
    return as_prompt(asked).listings


def read_prompt(path: str | Path) -> Prompt:
    """Read a document in UTF-8, or in UTF-16 with its byte-order mark. It may name files inside
    its own folder. Raises PromptError."""
    where = str(path)
    if where.lower().endswith(".pdf"):
        expected = "expected a prompt document, or a question and then papers"
        raise PromptError(f"this is a paper; {expected}", path=where)
    try:
        with Path(path).open("rb") as file:
            text = decode(file.read(MAX_SIZE + 1))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PromptError(
            f"cannot be read ({reason}); expected a prompt document, or a question and links",
            path=where,
        ) from error
    except PromptError as error:
        raise error.at(where) from None
    return parse_prompt(text, where, Path(path).parent)


def parse_prompt(text: str, path: str = "", folder: Path | None = None) -> Prompt:
    """Read a document; `path` is only for messages and for `Prompt.path`. Files of one's own may
    be named only where there is a `folder`, and only inside it; the prompt's text then names them
    by their content. Blocks that say the same are one listing, those that only share a name are
    several. Raises PromptError."""
    try:
        document = read_document(text, folder)
    except PromptError as error:
        raise error.at(path) from None
    listings: dict[Fields, Listing] = {}
    for listing in document.listings:
        listings.setdefault(_block_of(listing), listing)
    return Prompt(
        document.question, document.requests, tuple(listings.values()), document.text, path
    )


def render_prompt(prompt: Prompt) -> str:
    """The canonical document: parsing it gives the same question, requests and listings."""
    return _document(prompt.question, prompt.requests, map(_block_of, prompt.listings))


def _document(question: str, requests: Sequence[str], blocks: Iterable[Fields]) -> str:
    """With one heading for each run of works of one role, so that the order is kept."""
    blocks = list(blocks)
    works = "works" if all(role == "given" for _, role, *_ in blocks) else "recommended models"
    parts = [
        "You are an AI scientist.",
        f'A user has asked the following question:\n"{question}"',
        f"Based on the following {works}, explain:",
        *(["\n".join(f"{i}. {text}" for i, text in enumerate(requests, 1))] if requests else []),
        "Use **only the provided models and papers**. Do not refer to outside sources.",
    ]
    current = ""
    for name, role, paper, github, summary in blocks:
        fields = [f"Model: {name}"] if name else []
        fields += [f"Paper: {paper or None}"]
        fields += [f"GitHub: {github}"] if github else []
        fields += [f"Summary: {summary}"] if summary else []
        parts.append("\n".join(fields if role == current else [HEADINGS[role], *fields]))
        current = role
    return "\n\n".join(parts) + "\n\n\nAnswer:\n"


def _block_of(item: Listing) -> Fields:
    paper = item.paper.written if item.paper else None
    github = item.github.written if item.github else None
    return item.name, item.role, paper, github, item.summary


def _block(work: Work, role: Role) -> Fields:
    """What the block of `work` will say once it is read back."""
    if isinstance(work, Listing):
        name, _, *rest = _block_of(work)
    else:
        if not isinstance(work, Mapping) or not all(
            isinstance(text, str | None) for pair in work.items() for text in pair
        ):
            raise PromptError(
                f"expected works as mappings from {', '.join(FIELDS)} to text; found {work!a:.60}"
            )
        values = {key.lower().replace("title", "model"): text for key, text in work.items()}
        if unknown := values.keys() - {key.lower() for key in FIELDS}:
            raise PromptError(
                f"a work has the unknown keys {sorted(unknown)}; expected {', '.join(FIELDS)}"
            )
        name, rest = values.get("model") or "", [values.get(key.lower()) for key in FIELDS[1:]]
    paper, github, summary = (or_none(_tidy(value or "")) for value in rest)
    return _tidy(name), role, paper, github, summary


def _tidy(text: str) -> str:
    """`text` as it would be read from a document."""
    return "\n".join(line.strip() for line in normalised(text).split("\n")).strip()
