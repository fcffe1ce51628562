"""From prompt to answer: each prompt sees the works that it lists and no others."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.encoder import Encoder
from index.settings import Settings
from index.sources import source_type_of
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import NO_PASSAGES, Pipeline
from rag.writers import NOT_SAID
from rag.writers.extractive import ExtractiveWriter
from tests.parts.works import LISTED, MIRROR, PROMPTS, QUESTIONS, PlainWriter, prompt, write_mirror

ROLES = st.lists(
    st.tuples(st.sampled_from(sorted(LISTED)), st.booleans()),
    min_size=1,
    max_size=len(LISTED),
    unique_by=lambda pair: pair[0],
)
READABLE = len(MIRROR) + 3
"""The readable sources of all works together: the mirror's files, and three summaries."""


def quoted(answer: Answer) -> set[str]:
    return {quote.source_id for _, quote in answer.quotes()}


@pytest.fixture(scope="module")
def full(pipeline: Pipeline) -> Pipeline:
    """The pipeline after every work was indexed in its one data directory."""
    pipeline.gather(prompt("colour", sorted(LISTED), []))
    return pipeline


@pytest.fixture(scope="module")
def reextraction(full: Pipeline) -> Reextraction:
    return Reextraction(full.settings)


@given(roles=ROLES, question=st.sampled_from(sorted(QUESTIONS)))
@settings(max_examples=6, deadline=None)
def test_no_quote_comes_from_a_work_that_is_not_listed(
    full: Pipeline, reextraction: Reextraction, roles: list[tuple[str, bool]], question: str
) -> None:
    recommended = [name for name, first in roles if first]
    asked = prompt(question, recommended, [name for name, first in roles if not first])
    answer = full.ask(asked)
    listed = {sid for listing in asked.listings for sid in listing.source_ids}
    assert quoted(answer) <= listed
    assert {source.id for source in answer.sources} == listed
    # Other tests may have added works to the data directory, which are not listed either.
    assert len(list(full.settings.index.glob("*.segment"))) >= READABLE
    verification = verify(answer, reextraction)
    assert verification.verified, verification.failures


def test_the_order_of_listings_changes_no_quote(full: Pipeline) -> None:
    names = sorted(LISTED)
    quotes = {
        frozenset(
            (part.partition("[")[0], quote.source_id, quote.start)
            for part, quote in full.ask(prompt("colour", [], order)).quotes()
        )
        for order in (names, names[2:] + names[:2])
    }
    assert len(quotes) == 1


def test_a_closed_machine_without_a_mirror_answers_from_the_summaries(
    own_settings: Settings, encoder: Encoder
) -> None:
    closed = Pipeline(replace(own_settings, mirror=None), encoder, PlainWriter())
    streamed: list[str] = []
    answer = closed.ask(PROMPTS["colour"], stream=streamed.append)
    assert streamed == [answer.task[0].text]
    assert {source_type_of(source_id) for source_id in quoted(answer)} == {"summary"}
    unread = {source.id: source.reason for source in answer.sources if source.reason}
    assert {source_type_of(source_id) for source_id in unread} == {"full text", "readme"}
    assert set(unread.values()) == {"offline, and no mirror was given"}
    silent = replace(closed, writer=ExtractiveWriter()).ask(prompt("remove", ["Tide"], []))
    assert {statement.text for statements in silent.parts.values() for statement in statements} == {
        NOT_SAID
    }
    for each in (answer, silent):
        assert verify(each, Reextraction(closed.settings)).verified


def test_a_bad_source_costs_that_source(
    own_settings: Settings, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bad: Mapping[str, bytes | str] = {
        **MIRROR,
        "arxiv/2401.00002.pdf": bytes(9000),
        "arxiv/2401.00001v2.pdf": "<html>wait",
        "github/mosaic-makers/mosaic/README.rst": "References\n==========\n\n- x\n",
    }
    own = replace(own_settings, mirror=write_mirror(tmp_path_factory.mktemp("bad"), bad))
    asked = prompt("colour", ["Lantern"], ["Tide", "Willow", "Mosaic"])
    answer = Pipeline(own, encoder, PlainWriter()).ask(asked)
    reasons = {source.id: source.reason for source in answer.sources if source.reason}
    assert "zero bytes" in reasons["arxiv:2401.00002"]
    assert "HTML page" in reasons["arxiv:2401.00001v2"]
    assert reasons["github:mosaic-makers/mosaic"] == NO_PASSAGES
    assert "github:lantern-lab/lantern" in quoted(answer)
    assert verify(answer, Reextraction(own)).verified


def test_each_segment_file_is_opened_once_for_a_question(full: Pipeline) -> None:
    opened: list[str] = []
    counting = True

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if counting and event == "open" and str(arguments[0]).endswith(".segment"):
            opened.append(str(arguments[0]))

    sys.addaudithook(count)  # there is no removing it
    full.gather(prompt("colour", sorted(LISTED), []))
    counting = False
    assert len(opened) == len(set(opened)) == READABLE


def test_a_search_sees_the_catalog_it_is_given(full: Pipeline) -> None:
    hits = full.search("Which task is inpainting?", prompt("colour", ["Tide"], []).catalog)
    assert {hit.source_id for hit in hits} == {"arxiv:2401.00002"}
    assert "Inpainting is the task" in hits[0].text
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
