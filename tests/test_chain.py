"""The pipeline as a LangChain runnable, and its retriever."""

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
from rag.chain import ListedWorksRetriever, answer_chain, as_prompt
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from tests.parts.works import LISTED, PROMPTS, prompt


def test_a_prompt_its_text_and_its_path_are_answered_alike(
    pipeline: Pipeline, answers: Mapping[str, Answer], prompt_files: Mapping[str, Path]
) -> None:
    file = prompt_files["move"]
    for asked in (PROMPTS["move"], PROMPTS["move"].text, file, str(file)):
        assert answer_chain(pipeline).invoke(asked) == answers["move"]


def test_a_batch_of_threads_may_build_one_index_and_is_answered_in_order(
    own_settings: Settings, encoder: Encoder, answers: Mapping[str, Answer]
) -> None:
    chain = answer_chain(Pipeline(own_settings, encoder, ExtractiveWriter()))
    assert chain.batch([*PROMPTS.values()] * 2) == [answers[name] for name in PROMPTS] * 2


def test_it_can_be_awaited(pipeline: Pipeline, answers: Mapping[str, Answer]) -> None:
    batch = asyncio.run(answer_chain(pipeline).abatch([*PROMPTS.values()]))
    assert batch == list(answers.values())


def test_what_is_no_prompt_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    for wrong in ("Not\na prompt", str(tmp_path / "missing.txt"), tmp_path):
        with pytest.raises(PromptError):
            answer_chain(pipeline).invoke(wrong)
    with pytest.raises(PromptError, match="found int"):
        as_prompt(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROMPTS)
def test_the_retriever_gives_passages_of_listed_works_alone(pipeline: Pipeline, name: str) -> None:
    pipeline.gather(prompt("colour", sorted(LISTED), []))
    query = "Which network makes sixteen frames of a grey photograph?"
    retriever = ListedWorksRetriever(pipeline=pipeline, prompt=PROMPTS[name], k=100)
    documents = retriever.invoke(query)
    assert documents
    for document in documents:
        about = document.metadata
        names = "end heading pages score source_id source_type start"
        assert " ".join(sorted(about)) == names
        assert about["source_id"] in PROMPTS[name].catalog.source_ids
        assert about["end"] - about["start"] == len(document.page_content)
        assert about["source_type"] in {"full text", "readme", "summary"}
        assert bool(about["pages"]) == (about["source_type"] == "full text")
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)
    assert asyncio.run(retriever.ainvoke(query)) == documents
    assert retriever.model_copy(update={"k": 1}).invoke(query) == documents[:1]


def test_works_that_cannot_be_read_give_no_document_and_no_quote(
    own_settings: Settings, encoder: Encoder
) -> None:
    closed = Pipeline(replace(own_settings, mirror=None), encoder, ExtractiveWriter())
    asked = prompt("remove", ["Tide"], [])
    assert ListedWorksRetriever(pipeline=closed, prompt=asked).invoke("bricks") == []
    assert not list(answer_chain(closed).invoke(asked).quotes())
