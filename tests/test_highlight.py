"""The pictures of an answer: of its quotes from PDFs, from kept bytes, whatever a file does."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index.documents.extract import cache_document
from index.documents.worker import isolated
from index.settings import Settings
from index.sources.store import SourceStore
from rag.answer.model import Answer, Quote, SourceRecord, Statement
from rag.pipeline import Pipeline
from rag.views.highlight import pictures_of
from rag.views.page_work import JOB, order_of, reply_of, work
from rag.views.pictures import NO_PICTURES, Pictures
from tests.parts.pdfs import pdf, text
from tests.test_highlight_places import LOREM, body, covered, read, same, wanted
from tests.test_isolation import bomb, children

Quoting = Callable[..., tuple[Answer, Settings]]
PDF = "application/pdf"
GOOD = pdf([body(LOREM, 600)])


def quoted(answer: Answer) -> list[Quote]:
    return [quote for _, quote in answer.quotes() if quote.source_type == "full text"]


def test_every_quote_from_a_pdf_is_highlighted_where_its_words_are(
    answers: Mapping[str, Answer], pipeline: Pipeline
) -> None:
    for answer in answers.values():
        pictures = pictures_of(answer, pipeline.settings)
        hashes = {record.id: record.sha256 for record in answer.sources}
        assert quoted(answer)
        for quote in quoted(answer):
            data = (pipeline.settings.sources / hashes[quote.source_id]).read_bytes()
            where = pictures.of(quote)
            assert [highlight.page for highlight in where] == list(quote.pages)
            assert same(covered(data, where), quote.text)
        assert set(pictures.pages) == {
            (quote.source_id, page) for quote in quoted(answer) for page in quote.pages
        }
        source_types = {quote.source_id for _, quote in answer.quotes()}
        assert {span.source_id for span in pictures.highlights} <= source_types
        assert not any(span.source_id.startswith("summary") for span in pictures.highlights)


def test_the_same_answer_gives_the_same_pictures_and_tells_how_far_it_is(
    answers: Mapping[str, Answer], pipeline: Pipeline
) -> None:
    told: list[tuple[str, int, int, str]] = []
    first = pictures_of(
        answers["colour"], pipeline.settings, notify=lambda *step: told.append(step)
    )
    assert first == pictures_of(answers["colour"], pipeline.settings)
    assert told[0] == ("draw pages", 0, len(told) - 1, "")
    assert [done for _, done, _, _ in told] == list(range(len(told)))
    assert {what for *_, what in told[1:]} == {source for source, _ in first.pages}


def test_a_text_that_is_not_kept_is_read_again(
    answers: Mapping[str, Answer], pipeline: Pipeline, tmp_path: Path
) -> None:
    shutil.copytree(pipeline.settings.sources, tmp_path / "sources")
    elsewhere = replace(pipeline.settings, data_dir=tmp_path)
    assert pictures_of(answers["move"], elsewhere) == pictures_of(
        answers["move"], pipeline.settings
    )


def test_what_is_not_as_the_answer_says_has_no_pictures(
    answers: Mapping[str, Answer],
    pipeline: Pipeline,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = answers["move"]
    (record,) = [one for one in answer.sources if one.source_type == "full text"]

    def with_record(**changes: Any) -> Answer:
        return replace(answer, sources=(replace(record, **changes),))

    assert pictures_of(answer, Settings(data_dir=tmp_path)) == NO_PICTURES
    assert "bytes are not kept" in caplog.text
    for other in (
        with_record(sha256="0" * 64),
        with_record(document_sha256="0" * 64),
        with_record(id="arxiv:9999.00001"),
        replace(answer, sources=()),
    ):
        assert pictures_of(other, pipeline.settings) == NO_PICTURES


def test_a_quote_that_was_changed_is_not_looked_for(
    answers: Mapping[str, Answer], pipeline: Pipeline
) -> None:
    answer = answers["move"]
    (record,) = [one for one in answer.sources if one.source_type == "full text"]
    honest = quoted(answer)[0]
    changed = [
        replace(honest, text="No quote."),
        replace(honest, start=honest.start + 1),
        replace(honest, start=0, end=0, text=""),
        replace(honest, start=-5, end=1 << 40),
        replace(honest, start=honest.end, end=honest.start),
    ]
    for quote in changed:
        other = replace(answer, task=(Statement("So it is.", (quote,)),), sources=(record,))
        assert pictures_of(other, pipeline.settings).of(quote) == ()


@pytest.fixture
def quoting(answers: Mapping[str, Answer], tmp_path: Path) -> Quoting:
    """Makes an answer that quotes the text of GOOD from each of some files."""

    def make(papers: Mapping[str, bytes], **limits: float) -> tuple[Answer, Settings]:
        settings = Settings(data_dir=tmp_path, **limits)  # type: ignore[arg-type]
        store, document = SourceStore(settings.sources), read(GOOD)
        quotes, records = [], []
        for source_id, data in papers.items():
            source = store.put(source_id, data, source_type="full text", media_type=PDF, origin="x")
            cache_document(document, source, settings)
            quotes.append(Quote(source_id, "full text", 0, len(LOREM), LOREM, (1,)))
            records.append(
                SourceRecord(
                    source_id,
                    "full text",
                    source.sha256,
                    document.extractor,
                    document.sha256,
                    None,
                    "",
                )
            )
        task = (Statement("So it is.", tuple(quotes)),)
        return replace(answers["move"], task=task, sources=tuple(records)), settings

    return make


def sources_of(pictures: Pictures) -> set[str]:
    return {span.source_id for span in pictures.highlights}


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\0" * 5000,
        b"%PDF-1.5 and no more",
        b"<html>Not found</html>",
        GOOD[: len(GOOD) // 2],
        GOOD.replace(b"/Count 1", b"/Count 0").replace(b"/Kids [8 0 R]", b"/Kids []"),
        GOOD.replace(b"/Kids [8 0 R]", b"/Kids [2 0 R]"),
    ],
    ids=["empty", "zeros", "head", "html", "half", "no page", "itself"],
)
def test_a_file_that_is_no_pdf_has_no_pictures_and_the_others_do(
    bad: bytes, quoting: Quoting, caplog: pytest.LogCaptureFixture
) -> None:
    answer, settings = quoting({"arxiv:2401.00011": bad, "arxiv:2401.00012": GOOD})
    with caplog.at_level(logging.WARNING):
        pictures = pictures_of(answer, settings)
    assert sources_of(pictures) == {"arxiv:2401.00012"}
    if "arxiv:2401.00011" not in {source for source, _ in pictures.pages}:
        assert "arxiv:2401.00011" in caplog.text


def test_a_page_that_takes_too_long_is_given_up(
    quoting: Quoting, caplog: pytest.LogCaptureFixture
) -> None:
    endless = pdf(
        [b"/X0 Do\n" * 40],
        forms=[b"/X%d Do\n" % (n + 1) * 40 for n in range(9)] + [text("Now.", 9, 9)],
    )
    answer, settings = quoting(
        {"arxiv:2401.00011": endless, "arxiv:2401.00012": GOOD}, pdf_seconds=4
    )
    began = time.monotonic()
    assert sources_of(pictures_of(answer, settings)) == {"arxiv:2401.00012"}
    assert time.monotonic() - began < 40
    assert "longer than 4 seconds" in caplog.text


def test_a_page_that_unpacks_to_seventy_megabytes_harms_nobody(quoting: Quoting) -> None:
    papers = {"arxiv:2401.00011": bomb(), "arxiv:2401.00012": GOOD}
    answer, settings = quoting(papers, pdf_memory_bytes=400 << 20)
    assert sources_of(pictures_of(answer, settings)) == {"arxiv:2401.00012"}


def test_a_worker_that_dies_costs_one_source(
    quoting: Quoting, caplog: pytest.LogCaptureFixture
) -> None:
    papers = {f"arxiv:2401.0001{n}": GOOD + b"%%%d" % n for n in range(3)}
    answer, settings = quoting(papers)
    killed: list[int] = []

    def kill(stage: str, done: int, total: int, what: str) -> None:
        if done == 1:
            killed.extend(children())
            os.kill(max(killed), signal.SIGKILL)

    before = children()
    pictures = pictures_of(answer, settings, notify=kill)
    assert len(sources_of(pictures)) in (2, 3)  # it may have been done by then
    assert children() == before


ONE = wanted(read(GOOD), LOREM)


def tampered(change: Callable[[Any], None]) -> bytes:
    """The reply of a worker that somebody else has taken over."""
    head, _, rest = work("arxiv:1", GOOD, order_of([ONE])).partition(b"\n")
    raw = json.loads(head)
    change(raw)
    return json.dumps(raw).encode() + b"\n" + rest


def box(raw: Any) -> Any:
    return raw["highlights"][0][0]["rectangles"][0]


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw["highlights"].append([]),
        lambda raw: raw["highlights"].clear(),
        lambda raw: raw["highlights"][0][0].update(page=2),
        lambda raw: raw["highlights"][0][0].update(rectangles=[]),
        lambda raw: box(raw).update(left=-0.1),
        lambda raw: box(raw).update(right=1.1),
        lambda raw: box(raw).update(top=float("nan")),
        lambda raw: box(raw).update(bottom="1); alert(1"),
        lambda raw: box(raw).update(left=0.9, right=0.1),
        lambda raw: box(raw).update(more=1),
        lambda raw: raw["sheets"].clear(),
        lambda raw: raw["sheets"].append(dict(raw["sheets"][0])),
        lambda raw: raw["sheets"][0].update(page=3),
        lambda raw: raw["sheets"][0].update(length=-1),
        lambda raw: raw["sheets"][0].update(length=1 << 40),
        lambda raw: raw["sheets"][0].update(width=0),
        lambda raw: raw["sheets"][0].update(width=-1000, height=-1000),
        lambda raw: raw["sheets"][0].update(width=1 << 30),
    ],
)
def test_a_reply_of_any_other_form_is_refused(change: Callable[[Any], None]) -> None:
    reply_of(tampered(lambda raw: None), "arxiv:1", [ONE])
    with pytest.raises(ValueError, match=r"\w"):
        reply_of(tampered(change), "arxiv:1", [ONE])


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"\n", b"[[[[", b"\xff\n", b"null\n"])
def test_a_reply_that_is_none_is_refused(rubbish: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        reply_of(rubbish, "arxiv:1", [ONE])


def test_a_picture_that_is_none_is_refused() -> None:
    said = work("arxiv:1", GOOD, order_of([ONE]))
    with pytest.raises(ValueError, match="page 1"):
        reply_of(said.replace(b"WEBP", b"<svg"), "arxiv:1", [ONE])


def test_in_a_worker_the_work_is_the_same() -> None:
    order = order_of([ONE])
    (reply,) = isolated(
        JOB, [("arxiv:1", (GOOD, order))], workers=1, seconds=30, memory_bytes=1 << 30
    )
    assert reply == ("arxiv:1", work("arxiv:1", GOOD, order))


def test_asking_for_pictures_loads_no_pdf_library_into_the_caller() -> None:
    script = (
        "import sys, rag.highlight\n"
        "print([name for name in ('pypdfium2', 'PIL', 'torch') if name in sys.modules])"
    )
    folder = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, cwd=folder, check=True
    )
    assert done.stdout == b"[]\n"
