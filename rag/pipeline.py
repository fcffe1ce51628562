"""From a prompt to its answer: index what is missing, retrieve, write, compose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field

from index.build import Notify, SourceState, build, silent
from index.catalog import Catalog
from index.encoder import Encoder, LazyEncoder
from index.settings import Settings
from index.sources.store import source_type_of
from index.stores.segments import Segment
from rag.answer import Answer
from rag.answer.compose import compose
from rag.prompt import Prompt
from rag.retrieval import Evidence, Hit, Reading
from rag.retrieval.reranker import Reranker
from rag.retrieval.retrieve import retrieve, search
from rag.writers import Writer

NO_PASSAGES = "it holds no text that can be quoted"
Stream = Callable[[str], None]


class TimedStream:
    """Passes text on to `stream`, and estimates from the time that the parts of an answer took
    when the rest will be written."""

    def __init__(self, notify: Notify, stream: Stream | None) -> None:
        self._notify, self._stream = notify, stream
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        """More text."""
        if self._stream:
            self._stream(text)

    def part(self, done: int, total: int) -> None:
        """See `rag.writers.PartStream`."""
        if not done:
            self._began = time.monotonic()
        seconds = (time.monotonic() - self._began) / done * (total - done) if done else 0.0
        left = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
        self._notify("write", done, total, f"about {left} left" if done else "")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Answers any number of prompts with one encoder and one writer. Each prompt sees the works
    that it lists and no others; works that are not indexed yet are indexed first. Up to
    `concurrency` answers may be written at once, each in a thread; works are read and searched by
    one thread at a time."""

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
        built = build(catalog, self.settings, self.encoder, notify=notify, retry=False, load=True)
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
