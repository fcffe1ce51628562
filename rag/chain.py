"""The pipeline as one LangChain `Runnable`, and its retriever as a `BaseRetriever`."""

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
from rag.answer.model import Answer
from rag.pipeline import Pipeline
from rag.prompt import Prompt, parse_prompt, read_prompt
from rag.retrieval.evidence import Evidence

Asked = Prompt | str | Path
"""A prompt, the text of a prompt document, or the path of one."""

BY_CLASS = GetPydanticSchema(lambda kind, _: core_schema.is_instance_schema(kind))
"""A field of which pydantic checks the class alone: inside a pipeline are protocols, which it
cannot check, and an encoder, which it must not load."""


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

    def gather(prompt: Prompt) -> Evidence:
        return pipeline.gather(prompt)

    def answer(evidence: Evidence) -> Answer:
        return pipeline.answer(evidence)

    return (
        RunnableLambda(as_prompt, name="prompt")
        | RunnableLambda(gather, name="evidence")
        | RunnableLambda(answer, name="answer")
    )


class ListedWorksRetriever(BaseRetriever):
    """The `k` best passages for a query among the works that one prompt lists, and no others."""

    pipeline: Annotated[Pipeline, BY_CLASS]
    prompt: Annotated[Prompt, BY_CLASS]
    k: int = 8

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [
            Document(
                page_content=hit.text,
                metadata={
                    "source_id": hit.source_id,
                    "source_type": hit.source_type,
                    "start": hit.passage.start,
                    "end": hit.passage.end,
                    "pages": list(hit.passage.pages),
                    "heading": hit.passage.heading,
                    "score": hit.score,
                },
            )
            for hit in self.pipeline.search(query, self.prompt.catalog)[: self.k]
        ]
