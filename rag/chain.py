"""The pipeline as one LangChain `Runnable`, and its retriever as a `BaseRetriever`."""

# No annotation here is a string: LangChain takes its schemas from them.
import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Annotated, Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda, RunnableSequence
from pydantic import BaseModel, Field, GetPydanticSchema, ValidationError
from pydantic_core import core_schema

from index.catalog import FileLink, Listing
from index.errors import LinkError, PromptError
from index.links import file_inside, is_file_name
from rag.answer import Answer, Statement
from rag.answer.compose import quoted_statement
from rag.pipeline import Pipeline
from rag.prompt import Asked, Prompt, as_prompt, prompt_of, title_of
from rag.retrieval import Evidence, Hit
from rag.retrieval.retrieve import search
from rag.writers import DraftStatement, WritingStream

BY_CLASS = GetPydanticSchema(lambda kind, _: core_schema.is_instance_schema(kind))
"""A field of which pydantic checks the class alone: inside a pipeline are protocols, which it
cannot check, and an encoder, which it must not load."""


class LinkedQuestion(BaseModel):
    """A question, and the works that may answer it."""

    question: str = Field(description="What is to be explained.")
    links: list[str] = Field(
        description="Addresses or ids of papers on arXiv and of repositories on GitHub."
    )


def answer_chain(
    pipeline: Pipeline, *, folder: str | Path | None = None
) -> Runnable[LinkedQuestion | Mapping[str, Any] | Asked, Answer]:
    """question and links → prompt → evidence → answer, each step a Runnable of its own in
    LangChain's traces. A `Prompt`, the text of a prompt document and its path are taken, too.

    `invoke` returns the Answer. `stream` yields each (part, statement) of `Answer.statements()` as
    it is written, and the Answer at last. Links may have been chosen by a model, and therefore
    name files only where there is a `folder`, and only inside it."""

    def read(asked: Any) -> Prompt:
        if not isinstance(asked, Mapping | LinkedQuestion):
            return as_prompt(asked)
        try:
            given = LinkedQuestion.model_validate(asked)
        except ValidationError as error:
            raise PromptError(
                "expected a question and links: {'question': 'How …?', 'links': ['2404.13784']}"
            ) from error
        return prompt_of(given.question, given.links, files)

    def files(name: str) -> list[FileLink]:
        if not is_file_name(name):
            return []
        if folder is None:
            raise LinkError(
                f"{name} is a file, and none is read unless you say from which folder, since links "
                "may be a model's choice: answer_chain(pipeline, folder='.')"
            )
        return [file_inside(Path(folder), name)]

    def gather(prompt: Prompt) -> Evidence:
        return pipeline.gather(prompt)

    def answer(evidence: Evidence) -> Iterator[Any]:
        statements = _Statements(evidence)
        write = partial(pipeline.answer, evidence, stream=statements)
        shown = []
        with ThreadPoolExecutor(1) as thread:
            # With its context, in which LangChain keeps the callbacks of this run.
            written = thread.submit(copy_context().run, write)
            written.add_done_callback(lambda _: statements.queue.put(None))
            try:
                while statement := statements.queue.get():
                    shown.append(statement)
                    yield statement
            finally:
                statements.is_closed = True
            whole = written.result()
        yield from (statement for statement in whole.statements() if statement not in shown)
        yield whole

    async def answer_async(evidence: Evidence) -> AsyncIterator[Any]:
        chunks = answer(evidence)
        try:
            while chunk := await asyncio.to_thread(next, chunks, None):
                yield chunk
        finally:
            await asyncio.to_thread(chunks.close)  # type: ignore[attr-defined]

    steps = (
        RunnableLambda(read, name="prompt").with_types(input_type=LinkedQuestion),
        RunnableLambda(gather, name="evidence"),
        RunnableLambda(answer, answer_async, name="answer").with_types(output_type=Answer),
    )
    return RunnableSequence(*steps, name="grounded_answer")


class _Statements(WritingStream):
    """Puts what is written into a queue, and ends a writer to which nobody listens any more."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.queue: SimpleQueue[tuple[str, Statement] | None] = SimpleQueue()
        self.is_closed = False

    def __call__(self, text: str) -> None:
        if self.is_closed:
            raise CancelledError

    def statement(self, part: str, statement: DraftStatement) -> None:
        self.queue.put((part, quoted_statement(self.evidence, statement)))


class ListedWorksRetriever(BaseRetriever):
    """The `k` best passages for a query among the works that one prompt lists, and no others; `k`
    may also be given to `invoke`."""

    pipeline: Annotated[Pipeline, BY_CLASS]
    prompt: Annotated[Prompt, BY_CLASS]
    k: int = 8

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        readings, segments = self.pipeline.read(self.prompt.catalog)
        titles = {source_id: reading.title for source_id, reading in readings.items()}
        works = {sid: item for item in reversed(self.prompt.listings) for sid in item.source_ids}
        (hits,) = search(segments, self.pipeline.encoder, [query])
        return [
            _document(hit, works[hit.source_id], titles)
            for hit in hits[: self.k if k is None else k]
        ]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        return await asyncio.to_thread(
            self._get_relevant_documents, query, run_manager=run_manager.get_sync(), k=k
        )


def _document(hit: Hit, work: Listing, titles: Mapping[str, str]) -> Document:
    """`link` is the work's, as it was given; `page` the first of `pages`, None where there are
    none."""
    passage = hit.passage
    links = {link.source_id: link.written for link in (work.paper, work.github) if link}
    return Document(
        id=f"{hit.source_id}#{passage.start}-{passage.end}",
        page_content=hit.text,
        metadata={
            "title": title_of(work, titles),
            "link": links.get(hit.source_id) or next(iter(links.values()), None),
            "page": passage.pages[0] if passage.pages else None,
            "pages": list(passage.pages),
            "section": passage.heading,
            "source_id": hit.source_id,
            "source_type": hit.source_type,
            "start": passage.start,
            "end": passage.end,
            "score": hit.score,
        },
    )
