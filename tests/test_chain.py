"""The line as a LangChain runnable, and its retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from index.encoder import Encoder
from index.errors import PromptError
from index.settings import Settings
from rag.answer.model import Answer
from rag.chain import Asked, ListedWorksRetriever, answer_chain, as_prompt
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from tests.parts.works import LISTED, PROMPTS, prompt


def test_a_prompt_its_text_and_its_path_are_asked_alike(
    pipeline: Pipeline, answers: Mapping[str, Answer], prompt_files: Mapping[str, Path]
) -> None:
    chain = answer_chain(pipeline)
    asked: list[Asked] = [
        PROMPTS["move"],
        PROMPTS["move"].text,
        prompt_files["move"],
        str(prompt_files["move"]),
    ]
    for one in asked:
        assert chain.invoke(one) == answers["move"]


def test_a_batch_is_answered_in_order(
    pipeline: Pipeline, answers: Mapping[str, Answer], prompt_files: Mapping[str, Path]
) -> None:
    found = answer_chain(pipeline).batch([prompt_files[name] for name in PROMPTS])
    assert found == [answers[name] for name in PROMPTS]


def test_a_batch_may_index_what_it_asks_about(
    own_settings: Settings, encoder: Encoder, answers: Mapping[str, Answer]
) -> None:
    """Several threads build one index at once, and none takes the other's files away."""
    chain = answer_chain(Pipeline(own_settings, encoder, ExtractiveWriter()))
    found = chain.batch([*PROMPTS.values()] * 2)
    assert found == [answers[name] for name in PROMPTS] * 2


def test_it_can_be_awaited(pipeline: Pipeline, answers: Mapping[str, Answer]) -> None:
    chain = answer_chain(pipeline)

    async def ask() -> tuple[Answer, list[Answer]]:
        return await chain.ainvoke(PROMPTS["move"]), await chain.abatch([*PROMPTS.values()])

    one, all_of_them = asyncio.run(ask())
    assert one == answers["move"]
    assert all_of_them == list(answers.values())


def test_what_is_no_prompt_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    for wrong in ("Not\na prompt", str(tmp_path / "missing.txt"), tmp_path):
        with pytest.raises(PromptError):
            answer_chain(pipeline).invoke(wrong)
        with pytest.raises(PromptError):
            as_prompt(wrong)


@pytest.mark.parametrize("name", PROMPTS)
def test_the_retriever_gives_listed_works_alone(pipeline: Pipeline, name: str) -> None:
    pipeline.gather(prompt("colour", sorted(LISTED), []))
    retriever = ListedWorksRetriever(pipeline=pipeline, prompt=PROMPTS[name], k=100)
    documents = retriever.invoke("Which network makes sixteen frames of a grey photograph?")
    found = {document.metadata["source_id"] for document in documents}
    assert found
    assert found <= set(PROMPTS[name].catalog.source_ids)


def test_a_document_says_all_that_a_quote_needs(pipeline: Pipeline) -> None:
    retriever = ListedWorksRetriever(pipeline=pipeline, prompt=PROMPTS["remove"], k=3)
    documents = retriever.invoke("What does the mask do?")
    assert len(documents) == 3
    for document in documents:
        about = document.metadata
        assert set(about) >= {
            "source_id",
            "source_type",
            "start",
            "end",
            "pages",
            "heading",
            "score",
        }
        assert about["end"] - about["start"] == len(document.page_content)
        assert about["source_type"] in {"full text", "readme", "summary"}
        assert bool(about["pages"]) == (about["source_type"] == "full text")
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)
    assert asyncio.run(retriever.ainvoke("What does the mask do?")) == documents


def test_the_retriever_never_counts_beyond_k(pipeline: Pipeline) -> None:
    retriever = ListedWorksRetriever(pipeline=pipeline, prompt=PROMPTS["move"])
    assert 0 < len(retriever.invoke("frames")) <= retriever.k
    assert len(replace_k(retriever, 1).invoke("frames")) == 1


def replace_k(retriever: ListedWorksRetriever, k: int) -> ListedWorksRetriever:
    return retriever.model_copy(update={"k": k})


def test_an_empty_evidence_is_no_error(own_settings: Settings, encoder: Encoder) -> None:
    closed = Pipeline(replace(own_settings, mirror=None), encoder, ExtractiveWriter())
    asked = prompt("remove", ["Tide"], [])
    assert ListedWorksRetriever(pipeline=closed, prompt=asked).invoke("bricks") == []
    assert not list(answer_chain(closed).invoke(asked).quotes())
