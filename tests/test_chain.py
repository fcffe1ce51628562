"""The pipeline as a LangChain runnable, and its retriever."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from index.encoder import Encoder
from index.errors import PromptError
from index.settings import Settings
from rag.answer import Answer
from rag.chain import ListedWorksRetriever, answer_chain
from rag.pipeline import Pipeline
from rag.retrieval import Evidence
from rag.writers import Draft, DraftStatement, WritingStream
from rag.writers.chat import ChatWriter
from rag.writers.extractive import ExtractiveWriter
from tests.parts.tiny_models import FixedChecker
from tests.parts.works import KITE, LISTED, PROMPTS, prompt, write


def test_a_prompt_its_text_and_its_path_are_answered_alike(
    pipeline: Pipeline, answers: Mapping[str, Answer], prompt_files: Mapping[str, Path]
) -> None:
    file = prompt_files["move"]
    for asked in (PROMPTS["move"].text, file, str(file)):
        assert answer_chain(pipeline).invoke(asked) == answers["move"]


def test_a_batch_of_threads_may_build_one_index_and_is_answered_in_order(
    own_settings: Settings, encoder: Encoder, answers: Mapping[str, Answer]
) -> None:
    chain = answer_chain(Pipeline(own_settings, encoder, ExtractiveWriter()))
    names = ["move", "remove", "move"]
    batch = asyncio.run(chain.abatch([PROMPTS[name] for name in names]))
    assert batch == [answers[name] for name in names]


def test_a_question_and_links_are_its_typed_input(pipeline: Pipeline) -> None:
    chain = answer_chain(pipeline)
    assert chain.get_input_jsonschema()["required"] == ["question", "links"]
    assert "references" in chain.get_output_jsonschema()["$defs"]["Answer"]["properties"]
    asked = {"question": "How does it move?", "links": ["2401.00003", "Lantern-Lab/lantern"]}
    assert [item.name for item in chain.invoke(asked).references] == [
        "Kite: Moving Pictures from One Frame",
        "Lantern-Lab/lantern",
    ]


def test_a_model_that_fills_in_the_links_reads_no_file_that_it_was_not_given(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    secret = write(tmp_path / "secret.pdf", KITE)
    inside = write(tmp_path / "shown" / "kite.pdf", KITE)
    for folder, links, expected in (
        (None, [str(inside)], r"is a file, .*answer_chain\(pipeline, folder='\.'\)"),
        (inside.parent, [str(secret)], "leads out of the folder"),
        (inside.parent, ["../secret.pdf"], "leads out of the folder"),
        (None, [str(tmp_path)], "expected the address"),
    ):
        with pytest.raises(PromptError, match=expected):
            answer_chain(pipeline, folder=folder).invoke({"question": "Why?", "links": links})
    chain = answer_chain(pipeline, folder=str(inside.parent))
    answer = chain.invoke({"question": "How does it move?", "links": ["kite.pdf"]})
    assert not answer.sources[0].reason


def test_a_stream_is_the_statements_and_then_the_answer(
    pipeline: Pipeline, answers: Mapping[str, Answer]
) -> None:
    chunks_now: Iterator[Any] = answer_chain(pipeline).stream(PROMPTS["colour"])
    *statements, answer = chunks_now
    assert answer == answers["colour"]
    assert statements == list(answer.statements())

    async def chunks() -> list[object]:
        return [chunk async for chunk in answer_chain(pipeline).astream(PROMPTS["colour"])]

    assert asyncio.run(chunks()) == [*statements, answer]


def test_statements_of_a_model_come_while_it_is_still_asked_for_the_next(
    pipeline: Pipeline,
) -> None:
    first_shown = threading.Event()

    def replies() -> Iterator[AIMessage]:
        reply = {"statements": [{"text": "A picture moves.", "quotes": ["1.1"]}]}
        yield AIMessage(json.dumps(reply))
        while first_shown.wait(30):
            yield AIMessage(json.dumps(reply))

    writer = ChatWriter(GenericFakeChatModel(messages=replies()), checker=FixedChecker(1.0))
    chunks: Any = answer_chain(replace(pipeline, writer=writer)).stream(PROMPTS["move"])
    first = next(chunks)
    assert (first[0], first[1].text) == ("task", "A picture moves.")
    first_shown.set()
    *rest, answer = chunks
    assert Counter([first, *rest]) == Counter(answer.statements())


class SlowWriter:
    """Hands over one statement and writes on until it is stopped."""

    def __init__(self) -> None:
        self.ended = ""

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        assert isinstance(stream, WritingStream)
        (first, _), *_ = evidence.works[0][0].sentences()
        stream.statement("task", DraftStatement("It moves.", (first,)))
        try:
            while True:
                stream("word ")
                time.sleep(0.001)
        except BaseException as error:
            self.ended = type(error).__name__
            raise


def test_a_statement_comes_before_the_answer_is_there_and_leaving_ends_the_writer(
    pipeline: Pipeline,
) -> None:
    writer = SlowWriter()
    chunks: Any = answer_chain(replace(pipeline, writer=writer)).stream(PROMPTS["move"])
    part, statement = next(chunks)
    assert (part, statement.text) == ("task", "It moves.")
    assert statement.quotes[0].source_id in PROMPTS["move"].catalog.source_ids
    chunks.close()
    assert writer.ended == "CancelledError"


def test_what_is_no_prompt_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    asked = {"question": "Why?", "links": "2401.00003"}
    for wrong, message in (
        ("Not\na prompt", "no question found"),
        (tmp_path, "cannot be read"),
        (7, "found int"),
        ({}, "expected a question and links"),
        ({"question": "Why?"}, "expected a question and links"),
        (asked, "expected a question and links"),
    ):
        with pytest.raises(PromptError, match=message):
            answer_chain(pipeline).invoke(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROMPTS)
def test_the_retriever_gives_passages_of_listed_works_alone(pipeline: Pipeline, name: str) -> None:
    pipeline.gather(prompt("colour", sorted(LISTED), []))
    query = "Which network makes sixteen frames of a grey photograph?"
    retriever = ListedWorksRetriever(pipeline=pipeline, prompt=PROMPTS[name], k=100)
    documents = retriever.invoke(query)
    works = {item.name: item for item in PROMPTS[name].listings}
    keys = "end link page pages score section source_id source_type start title"
    for document in documents:
        about = document.metadata
        assert " ".join(sorted(about)) == keys
        work = works[about["title"]]
        assert about["source_id"] in work.source_ids
        links = {link.source_id: link.written for link in (work.paper, work.github) if link}
        assert about["link"] == links.get(about["source_id"], next(iter(links.values()), None))
        assert about["end"] - about["start"] == len(document.page_content)
        assert bool(about["pages"]) == (about["source_type"] == "full text")
        assert about["page"] == (about["pages"] or [None])[0]
        assert document.id == f"{about['source_id']}#{about['start']}-{about['end']}"
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)
    assert len({document.id for document in documents}) == len(documents) > 2
    assert retriever.invoke(query, k=1) == documents[:1]
    assert asyncio.run(retriever.ainvoke(query, k=2)) == documents[:2]
