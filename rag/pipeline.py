"""The whole line for one prompt: index what is missing, retrieve, write, compose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from index.build import Notify, SourceState, build, silent
from index.catalog import Catalog
from index.encoder import Encoder, LazyEncoder
from index.settings import Settings
from index.sources.store import source_type_of
from index.stores.segments import Segment
from rag.answer.compose import compose
from rag.answer.model import Answer
from rag.prompt import Prompt
from rag.retrieval.evidence import Evidence, Hit, Reading
from rag.retrieval.reranker import Reranker
from rag.retrieval.retrieve import retrieve, search
from rag.writers.base import Writer

NO_PASSAGES = "it holds no text that can be quoted"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Answers prompts with one encoder and one writer. Safe to use for any number of prompts:
    each sees the works that it lists and no others."""

    settings: Settings
    encoder: Encoder
    writer: Writer

    @classmethod
    def of(cls, settings: Settings, writer: Writer) -> Pipeline:
        """The pipeline that `settings` describe. Raises EncoderError where there is no encoder."""
        return cls(settings, LazyEncoder(settings), writer)

    def gather(self, prompt: Prompt, *, notify: Notify = silent) -> Evidence:
        """The evidence for `prompt`; works that are not indexed yet are indexed first."""
        readings, segments = self.read(prompt.catalog, notify)
        source_ids = dict.fromkeys(sid for item in prompt.listings for sid in item.source_ids)
        return retrieve(prompt, [readings[sid] for sid in source_ids], segments, self.encoder)

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

    def ask(
        self,
        prompt: Prompt,
        *,
        notify: Notify = silent,
        stream: Callable[[str], None] | None = None,
    ) -> Answer:
        """The answer to `prompt`, from the works it lists and nothing else."""
        return self.answer(self.gather(prompt, notify=notify), stream=stream)

    def answer(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Answer:
        """The answer that the writer makes of `evidence`."""
        return compose(evidence, self.writer.write(evidence, stream=stream))

    def read(
        self, catalog: Catalog, notify: Notify = silent
    ) -> tuple[dict[str, Reading], dict[str, Segment]]:
        """What became of each source of the catalog, and the segments of those that were read, by
        source id; works that are not indexed yet are indexed first."""
        built = build(catalog, self.settings, self.encoder, notify=notify, retry=False, load=True)
        readings = {
            source_id: _reading(state, built.segments.get(state.segment))
            for source_id, state in built.states.items()
        }
        segments = {
            source_id: built.segments[built.states[source_id].segment]
            for source_id, reading in readings.items()
            if not reading.reason
        }
        return readings, segments


def _reading(state: SourceState, segment: Segment | None) -> Reading:
    """What became of one source, of whose bytes `segment` was made."""
    source_type = source_type_of(state.source_id)
    if state.reason or state.source is None or segment is None:
        return Reading(state.source_id, source_type, reason=state.reason)
    if not segment.passages:
        return Reading(state.source_id, source_type, reason=NO_PASSAGES)
    return Reading(
        source_id=state.source_id,
        source_type=source_type,
        sha256=state.source.sha256,
        document_sha256=segment.document,
        extractor=segment.extractor,
        version=state.source.version,
        page_starts=segment.page_starts,
    )
