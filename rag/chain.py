"""The whole line as one LangChain `Runnable`, and its retriever as a `BaseRetriever`.

`answer_chain(...)` takes a Prompt, the text of a prompt document or a path to one, and gives an
Answer; `invoke`, `batch`, `ainvoke` and `abatch` come with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from index.errors import PromptError
from rag.answer.compose import compose
from rag.answer.model import Answer
from rag.pipeline import Pipeline
from rag.prompt import Prompt, parse_prompt, read_prompt
from rag.retrieval.evidence import Evidence, Hit

Asked = Prompt | str | Path
"""A prompt, the text of a prompt document, or the path of one."""

AS_IT_IS = GetPydanticSchema(lambda kind, _: core_schema.is_instance_schema(kind))
"""A field that pydantic checks for its class and does not look into: what is inside a pipeline
are protocols, which it cannot check, and an encoder, which it must not load."""


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


def answer_chain(pipeline: Pipeline) -> Runnable[Asked, Answer]:
    """prompt → evidence → answer, each step a Runnable of its own in LangChain's traces."""

    def evidence_of(prompt: Prompt) -> Evidence:
        return pipeline.gather(prompt)

    def written(evidence: Evidence) -> Answer:
        return compose(evidence, pipeline.writer.write(evidence))

    return (
        RunnableLambda(as_prompt, name="prompt")
        | RunnableLambda(evidence_of, name="evidence")
        | RunnableLambda(written, name="answer")
    )


class ListedWorksRetriever(BaseRetriever):
    """The passages that a query finds among the works of one prompt, and no others: the closed
    set is a property of the retriever, not a filter that a caller may forget."""

    pipeline: Annotated[Pipeline, AS_IT_IS]
    prompt: Annotated[Prompt, AS_IT_IS]
    k: int = 8

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = self.pipeline.search(query, self.prompt.catalog)
        return [as_document(hit) for hit in hits[: self.k]]


def as_document(hit: Hit) -> Document:
    """A hit as LangChain knows it: the passage's words, and where they stand as metadata."""
    passage = hit.passage
    return Document(
        page_content=passage.text,
        metadata={
            "source_id": hit.source_id,
            "source_type": hit.source_type,
            "start": passage.start,
            "end": passage.end,
            "pages": list(passage.pages),
            "heading": passage.heading,
            "score": hit.score,
        },
    )
