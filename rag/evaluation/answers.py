"""Answers of this project: what lines 2 and 3 judge, and lines 1, 4 and 5 (quote fidelity,
coverage and abstention), which are counted without any checker.

Premises are the sources' own words, read again from their bytes: a quote that does not stand in
its source is no evidence. Abstention is tested on mismatched prompts, a negative control: the
question of one prompt with the works of another. That these do not bear on it is taken for granted;
works of one field may, a bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from index.build import Notify, silent
from index.catalog import Listing
from index.documents import Document
from index.errors import AnswerError, PromptError, RagError
from index.passages import Passage, split
from index.sources import SourceType
from rag.answer import Answer, Quote, Reference, read_answers_in
from rag.answer.compose import FIXED, NO_RELEVANCE, NOTHING_READ
from rag.answer.verify import DocumentOf, Verification, verify
from rag.evaluation.citations import Citation, Claim, EvaluatedAnswer, read_external
from rag.evaluation.statistics import Declared, Measure, Score, measures_of
from rag.parsing import HEADINGS
from rag.pipeline import Pipeline
from rag.prompt import Prompt, parse_prompt, works_of
from rag.support import premise
from rag.writers import NOT_SAID

Coverage = Literal["used", "silent", "missing"]
"""What became of a listed work: quoted for an answer to the question, said not to answer it, or
passed over. Mentions count for neither work."""

DECLARED: tuple[Declared, ...] = (
    ("exact", 1, "quotes that stand in their source, letter by letter", "higher", "of all quotes"),
    ("wrong_work", 1, "quotes under the wrong work", "lower",
     "of all quotes: from a source that is not listed, not this work's, or another's"),
    ("pages", 1, "quotes with the right page", "higher",
     "of the quotes of sources that have pages"),
    ("links", 1, "links exactly as the prompt gives them", "higher",
     "of the links in section 3 and any in the text"),
    ("no_quotes", 1, "answers without any quote", "lower", "of all answers"),
    ("used", 4, "listed works that are quoted", "", "of all listed works"),
    ("silent", 4, "listed works whose silence is explained", "", "of all listed works"),
    ("missing", 4, "listed works that are missing", "lower", "of all listed works"),
    ("source_type_full_text", 4, "quotes from the paper's full text", "", "of all quotes"),
    ("source_type_readme", 4, "quotes from a README", "", "of all quotes"),
    ("source_type_summary", 4, "quotes from the prompt's summary", "", "of all quotes"),
    ("false_refusals", 5, "false refusals", "lower",
     "of the four parts (task, input, model, output) of answers with their own works"),
)  # fmt: skip
DECLARED_OF_MISMATCHED: tuple[Declared, ...] = (
    ("false_answers", 5, "false answers", "lower",
     "of the questions put to another prompt's works: any part answered"),
    ("false_parts", 5, "parts answered falsely", "lower", "of the four parts of those answers"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """An answer of this project, its prompt (None where its text is none), and its verification.
    `documents` are the sources it says were read, by id; None where one cannot be read again, or
    where its text is not the recorded one."""

    answer: Answer
    prompt: Prompt | None
    documents: Mapping[str, Document | None]
    verification: Verification


@dataclass(frozen=True, slots=True)
class MismatchedAnswers:
    """Answers to questions that were put to another prompt's works, by name; `unscored` are the
    questions for which there are no such works."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()


def read_answers(paths: Sequence[Path]) -> tuple[dict[str, Answer], list[EvaluatedAnswer]]:
    """The answers of this project by name, and those of external systems (`.jsonl`), in these
    files and folders: a writer's answers are in its folder's `answers/`."""
    files: list[Path] = []
    for path in paths:
        folder = path / "answers" if (path / "answers").is_dir() else path
        inside = sorted((*folder.glob("*.json"), *folder.glob("*.jsonl")))
        files += inside if path.is_dir() else [path]
    own: dict[str, Answer] = {}
    external: list[EvaluatedAnswer] = []
    stems = [path.stem for path in files]
    for path in files:
        if path.suffix == ".jsonl" and not _is_own(path):
            external += read_external(path)
            continue
        name = path.stem if stems.count(path.stem) == 1 else str(path)
        answers = read_answers_in(path)
        own |= {f"{name}:{number}": answer for number, answer in enumerate(answers, 1)}
        if len(answers) == 1:
            own[name] = own.pop(f"{name}:1")
    if not (own or external):
        raise AnswerError(f"no answer is in {', '.join(map(str, paths))}; expected answer files")
    return own, external


def _is_own(path: Path) -> bool:
    """Whether JSON Lines are answers of this project, as `rag ask` writes them."""
    with suppress(OSError), path.open("rb") as file:
        return b'"grounded-answer/' in file.read(60)
    return False


def evaluated_answers(
    answers: Mapping[str, Answer], document_of: DocumentOf, *, notify: Notify = silent
) -> tuple[list[EvaluatedAnswer], list[CheckedAnswer]]:
    """Answers of this project by name, as what is judged, and as what was checked."""
    checked = []
    for done, (name, answer) in enumerate(answers.items()):
        notify("read sources again", done, len(answers), name)
        checked.append(_checked(answer, document_of))
    documents = {d.sha256: d for item in checked for d in item.documents.values() if d}
    passages = {sha256: split(document) for sha256, document in documents.items()}
    named = zip(answers, checked, strict=True)
    return [_evaluated(name, item, passages) for name, item in named], checked


def _checked(answer: Answer, document_of: DocumentOf) -> CheckedAnswer:
    prompt = None
    with suppress(PromptError):
        prompt = parse_prompt(answer.prompt.text)
    documents: dict[str, Document | None] = {}
    for record in answer.sources:
        if not record.reason:
            documents[record.id] = None
            with suppress(RagError):
                document = document_of(record)
                if document.sha256 == record.document_sha256:
                    documents[record.id] = document
    return CheckedAnswer(answer, prompt, documents, verify(answer, document_of))


def _evaluated(
    name: str, checked: CheckedAnswer, passages: Mapping[str, Sequence[Passage]]
) -> EvaluatedAnswer:
    """`passages` are those of each document, by its hash."""
    works = works_of(checked.prompt.listings if checked.prompt else ())

    def citation(quote: Quote) -> Citation:
        listed = quote.source_id in works and quote.source_id in checked.documents
        document = checked.documents[quote.source_id] if listed else None
        if document is None or not stands(quote, document):
            unread = listed and document is None
            return Citation("", "", "not read" if unread else "does not stand")
        around = [
            passage.text
            for passage in passages[document.sha256]
            if passage.start < quote.end and quote.start < passage.end
        ]
        return Citation(quote.text, "\n".join(around) or quote.text, work=works[quote.source_id])

    premises = dict.fromkeys(
        premise(works[source_id], passage.text)
        for source_id, document in checked.documents.items()
        if document is not None and source_id in works
        for passage in passages[document.sha256]
    )
    claims = []
    for part, statement in checked.answer.statements():
        unquoted = not statement.quotes or statement.text == NO_RELEVANCE
        fixed = statement.text in FIXED and unquoted
        claims.append(Claim(part, statement.text, tuple(map(citation, statement.quotes)), fixed))
    complete = None not in checked.documents.values()
    question = checked.answer.prompt.question
    return EvaluatedAnswer(name, question, tuple(claims), tuple(premises), complete)


def stands(quote: Quote, document: Document) -> bool:
    """Whether the quote is the slice of the document that it claims to be."""
    inside = 0 <= quote.start < quote.end <= len(document.text)
    return inside and document.text[quote.start : quote.end] == quote.text


def exact_measures(
    checked: Sequence[CheckedAnswer], mismatched: MismatchedAnswers | None
) -> list[Measure]:
    """Lines 1, 4 and 5: false refusals among the answers, and false answers among `mismatched`
    ones where there are any to count."""
    scores = (
        (key, item.answer.prompt.question, value)
        for item in checked
        for key, value in _scores(item)
    )
    measures = measures_of(DECLARED, scores)
    if mismatched is not None:
        measures += measures_of(DECLARED_OF_MISMATCHED, _scores_of_mismatched(mismatched))
    return measures


def _scores_of_mismatched(mismatched: MismatchedAnswers) -> Iterator[Score]:
    for question in mismatched.unscored:
        yield "false_answers", question, None
    for answer in mismatched.answers.values():
        parts = _answered_parts(answer)
        yield "false_answers", answer.prompt.question, any(parts)
        yield from (("false_parts", answer.prompt.question, part) for part in parts)


def _scores(item: CheckedAnswer) -> Iterator[tuple[str, float | None]]:
    """The key of a measure and a score of it, for all that is counted of one answer."""
    quotes = list(item.answer.quotes())
    for part, quote in quotes:
        exact, wrong_work = _exact_and_wrong_work(part, quote, item)
        yield "exact", exact
        yield "wrong_work", wrong_work
        document = item.documents.get(quote.source_id)
        if document is None:
            yield "pages", None
        elif document.page_starts or quote.pages:
            span = quote.start, quote.end
            yield "pages", stands(quote, document) and document.pages(*span) == quote.pages
        for kind in get_args(SourceType):
            yield f"source_type_{kind.replace(' ', '_')}", quote.source_type == kind
    unlisted = [0.0 for one in item.verification.failures if one.kind == "unlisted link"]
    yield from (("links", score) for score in (*_links(item), *unlisted))
    yield "no_quotes", not quotes
    for _, coverage in coverages(item):
        yield from ((each, coverage == each) for each in get_args(Coverage))
    read = any(not source.reason for source in item.answer.sources)
    for answered in _answered_parts(item.answer):
        yield "false_refusals", not answered if read else None


def _exact_and_wrong_work(
    part: str, quote: Quote, item: CheckedAnswer
) -> tuple[float | None, float | None]:
    if item.prompt is None:
        return None, None
    listed = any(quote.source_id in listing.source_ids for listing in item.prompt.listings)
    if not listed or quote.source_id not in item.documents:
        return 0.0, 1.0
    document = item.documents[quote.source_id]
    exact = None if document is None else float(stands(quote, document))
    if part.startswith("references["):
        number, _, mentions = part.removeprefix("references[").partition("]")
        own = quote.source_id in item.answer.references[int(number)].sources
        if own == bool(mentions):  # A work's own quotes are its own, its mentions are not.
            return exact, 1.0
    if document is None:
        return None, None
    others = [other.text for other in item.documents.values() if other]
    return exact, quote.text not in document.text and any(quote.text in text for text in others)


def _links(item: CheckedAnswer) -> Iterator[float | None]:
    """One for each link that is listed or claimed."""
    listing_of = {id(reference): listing for listing, reference in _matched(item)}
    for reference in item.answer.references:
        for kind in ("paper", "github"):
            claimed = getattr(reference, kind)
            link = getattr(listing_of.get(id(reference)), kind, None)
            if claimed is not None or link is not None:
                right = link is not None and claimed == link.written
                yield None if item.prompt is None else right


def _matched(item: CheckedAnswer) -> list[tuple[Listing, Reference | None]]:
    """Each listing of the prompt with its reference in the answer: by name and sources, in order;
    None where there is none."""
    left = list(item.answer.references)
    matched: list[tuple[Listing, Reference | None]] = []
    for listing in item.prompt.listings if item.prompt else ():
        key = (listing.name, listing.source_ids)
        at = next((at for at, one in enumerate(left) if (one.name, one.sources) == key), None)
        matched.append((listing, None if at is None else left.pop(at)))
    return matched


def coverages(item: CheckedAnswer) -> list[tuple[str, Coverage]]:
    """(name, coverage) of each listed work."""
    quoted = {
        quote.source_id
        for part, statement in item.answer.statements()
        for quote in statement.quotes
        if statement.text != NO_RELEVANCE and not part.endswith("mentions")
    }
    works: list[tuple[str, Coverage]] = []
    for listing, reference in _matched(item):
        coverage: Coverage = "missing"
        if reference is not None and quoted.intersection(listing.source_ids):
            coverage = "used"
        elif reference is not None and reference.relevance.text in (NO_RELEVANCE, NOTHING_READ):
            coverage = "silent"
        works.append((listing.name, coverage))
    return works


def _answered_parts(answer: Answer) -> list[bool]:
    """For each of the four parts whether it says more than that nothing is said."""
    return [any(one.text != NOT_SAID for one in part) for part in answer.parts.values()]


def mismatched_prompts(prompts: Sequence[Prompt]) -> list[Prompt | None]:
    """For each prompt its question with the works of the next prompt, in order and around, that
    shares no source with it; None where there is none."""
    mismatched: list[Prompt | None] = []
    for at, prompt in enumerate(prompts):
        own = set(prompt.catalog.source_ids)
        others = [*prompts[at + 1 :], *prompts[:at]]
        other = next((one for one in others if not own & set(one.catalog.source_ids)), None)
        if other is not None:
            works = {role: other.listed_as(role) for role in HEADINGS}
            other = Prompt.build(prompt.question, requests=prompt.requests, **works)
        mismatched.append(other)
    return mismatched


def try_writer(
    pipeline: Pipeline, prompts: Mapping[str, Prompt], *, notify: Notify = silent
) -> tuple[dict[str, Answer], MismatchedAnswers]:
    """The answers of one writer by the names of the prompts: to each prompt, and to each question
    with the works of another prompt."""
    others = mismatched_prompts(list(prompts.values()))
    own: dict[str, Answer] = {}
    mismatched: dict[str, Answer] = {}
    for done, ((name, prompt), other) in enumerate(zip(prompts.items(), others, strict=True)):
        notify("answers", done, len(prompts), name)
        own[name] = pipeline.ask(prompt)
        if other is not None:
            mismatched[name] = pipeline.ask(other)
    unscored = tuple(prompt.question for name, prompt in prompts.items() if name not in mismatched)
    return own, MismatchedAnswers(mismatched, unscored)
