"""From a prompt to its answer: index what is missing, retrieve, write, compose; and the same once
more, for `rag verify --strict`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from index.build import Notify, SourceState, build, silent
from index.catalog import Catalog
from index.encoder import Encoder, LazyEncoder
from index.errors import PromptError
from index.settings import Settings
from index.sources import source_type_of
from index.stores.segments import Segment
from rag.answer import Answer, Statement
from rag.answer.compose import FIXED, compose
from rag.answer.verify import Failure
from rag.prompt import Prompt, parse_prompt
from rag.retrieval import Evidence, Hit, Reading
from rag.retrieval.retrieve import Reranker, retrieve, search
from rag.support import SupportChecker
from rag.support.builtin import BuiltinChecker
from rag.writers import Writer, WritingStream

NO_PASSAGES = "it holds no text that can be quoted"
Stream = Callable[[str], None]
TOLERANCE = 0.02
"""By how much a probability may be lower when judged again: a device's number type moves it."""


class TimedStream(WritingStream):
    """Passes text on to `stream`, and estimates from the time that the parts of an answer took
    when the rest will be written."""

    def __init__(self, notify: Notify, stream: Stream | None) -> None:
        self._notify, self._stream = notify, stream
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        """See `WritingStream`."""
        if self._stream:
            self._stream(text)

    def part(self, done: int, total: int) -> None:
        """See `WritingStream`."""
        if not done:
            self._began = time.monotonic()
        seconds = (time.monotonic() - self._began) / done * (total - done) if done else 0.0
        left = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
        self._notify("write", done, total, f"about {left} left" if done else "")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Answers any number of prompts with one encoder and one writer. Each prompt sees the works
    that it lists and no others; works that are not indexed yet are indexed first. Up to
    `concurrency` answers may be written at once, each in a thread; works are read by one
    thread at a time."""

    settings: Settings
    encoder: Encoder
    writer: Writer
    concurrency: int = 1
    _reading: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    @classmethod
    def of(cls, settings: Settings, writer: Writer) -> Pipeline:
        """The pipeline that `settings` describe. Raises EncoderError where there is no encoder."""
        return cls(settings, LazyEncoder(settings), writer)

    def ask(
        self, prompt: Prompt, *, notify: Notify = silent, stream: Stream | None = None
    ) -> Answer:
        """The answer to `prompt`. The writer may call `stream` with text as it is written."""
        return self.answer(self.gather(prompt, notify=notify), notify=notify, stream=stream)

    def ask_all(self, prompts: Sequence[Prompt], *, notify: Notify = silent) -> Generator[Answer]:
        """Index what is missing of all works; then the answers to `prompts`, in their order, up to
        `concurrency` of them written at once. An error is raised in the place of its answer, and
        ends the others at their next words."""
        catalog = Catalog.of(listing for prompt in prompts for listing in prompt.listings)
        build(catalog, self.settings, self.encoder, notify=notify, retry=False)
        ended = threading.Event()

        def stream(_: str) -> None:
            if ended.is_set():
                raise CancelledError

        def answers() -> Generator[Answer]:
            with ThreadPoolExecutor(self.concurrency) as pool:
                try:
                    yield from pool.map(lambda prompt: self.ask(prompt, stream=stream), prompts)
                finally:
                    ended.set()

        return answers()

    def gather(self, prompt: Prompt, *, notify: Notify = silent) -> Evidence:
        """The evidence for `prompt`, in which works without a name have their title."""
        with self._reading:
            readings, segments = self.read(prompt.catalog, notify)
            prompt = prompt.titled({sid: reading.title for sid, reading in readings.items()})
            source_ids = dict.fromkeys(sid for item in prompt.listings for sid in item.source_ids)
            return retrieve(prompt, [readings[sid] for sid in source_ids], segments, self.encoder)

    def answer(
        self, evidence: Evidence, *, notify: Notify | None = None, stream: Stream | None = None
    ) -> Answer:
        """The answer that the writer makes of `evidence`. `notify` is told when a writer that
        takes its time will be done."""
        if notify:
            stream = TimedStream(notify, stream)
        return compose(evidence, self.writer.write(evidence, stream=stream))

    def search(
        self,
        query: str,
        catalog: Catalog,
        *,
        reranker: Reranker | None = None,
        notify: Notify = silent,
    ) -> tuple[Hit, ...]:
        """Every passage of the catalog's works, those for `query` first."""
        _, segments = self.read(catalog, notify)
        (hits,) = search(segments, self.encoder, [query], reranker=reranker)
        return hits

    def read(
        self, catalog: Catalog, notify: Notify = silent
    ) -> tuple[dict[str, Reading], dict[str, Segment]]:
        """What became of each source of the catalog, and the segments of those that were read, by
        source id."""
        with self._reading:
            built = build(
                catalog, self.settings, self.encoder, notify=notify, retry=False, load=True
            )
        readings = {sid: _reading(state, built.segments) for sid, state in built.states.items()}
        segments = {
            source_id: built.segments[built.states[source_id].segment]
            for source_id, reading in readings.items()
            if not reading.reason
        }
        return readings, segments


def _reading(state: SourceState, segments: dict[str, Segment]) -> Reading:
    segment = segments.get(state.segment)
    if state.reason or state.source is None or segment is None or not segment.passages:
        reason = state.reason or NO_PASSAGES
        return Reading(state.source_id, source_type_of(state.source_id), reason=reason)
    return Reading(
        source_id=state.source_id,
        source_type=source_type_of(state.source_id),
        sha256=state.source.sha256,
        document_sha256=segment.document,
        extractor=segment.extractor,
        version=state.source.version,
        page_starts=segment.page_starts,
        title=state.source.title or segment.title,
    )


def reproduce(
    answer: Answer,
    open_pipeline: Callable[[], Pipeline],
    open_checker: Callable[[], SupportChecker] = BuiltinChecker,
) -> Iterator[Failure]:
    """Every part of an answer that does not come out again.

    `rag.answer.verify` proves what an answer shows of its sources. That nothing was left out, moved
    or put in its own words by somebody else can be proved only where the writer is deterministic:
    then the answer is written again from the cached sources, by a pipeline with the extractive
    writer, and compared word for word. Of a model's answer every statement is judged again by the
    checker that judged it when it was written. Only what is needed is opened."""
    if answer.writer.name == "extractive":
        try:
            prompt = parse_prompt(answer.prompt.text)
        except PromptError:  # `verify` says so.
            return
        yield from _differences(answer, open_pipeline().ask(prompt))
        return
    checker = open_checker()
    for part, statement in answer.statements():
        if statement.text and statement.text not in FIXED:
            support = checker.check(statement.text, [quote.text for quote in statement.quotes])
            if objection := support.objection(checker.threshold - TOLERANCE):
                shown = statement.text[:60]
                yield Failure(part, f"{shown!r} is not supported by its quotes ({objection})")


def _differences(answer: Answer, again: Answer) -> Iterator[Failure]:
    # Why a source could not be read may have been said otherwise.
    states = [
        [replace(source, reason="unread" if source.reason else "") for source in each.sources]
        for each in (answer, again)
    ]
    if states[0] != states[1]:
        yield Failure("sources", "are not those that are cached here now: ask again")
    # Why this writer wrote, and no model, is not known any more.
    if replace(answer.writer, note="") != replace(again.writer, note=""):
        yield Failure("writer", "is not what the extractive writer reports of itself")
    for part, statements in answer.parts.items():
        for one, other in zip_longest(statements, again.parts[part]):
            if one != other:
                shown, expected = (_words(each)[:60] for each in (one, other))
                yield Failure(part, f"says {shown!r}, the extractive writer says {expected!r} here")
                break
    for number, works in enumerate(zip_longest(answer.references, again.references)):
        if works[0] != works[1]:
            message = "is not what the extractive writer says of this work"
            yield Failure(f"references[{number}]", message)


def _words(statement: Statement | None) -> str:
    if statement is None:
        return ""
    return statement.text or next((quote.text for quote in statement.quotes), "")
