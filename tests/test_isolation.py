"""One bad file costs one file: each of these would end or block a process that read it itself."""

from __future__ import annotations

import logging
import os
import signal
import textwrap
import time
from collections.abc import Iterator

import pytest

from index.documents import Document
from index.documents.extract import Task, extract, extract_isolated
from index.errors import ExtractionError
from tests.parts.commands import run
from tests.parts.pdfs import lines, oversized, pdf, text, wrapped
from tests.parts.processes import children, is_running, program

PDF = "application/pdf"
GOOD = pdf([lines(wrapped("A short report on the harbour that was lost to the dunes."), 90, 600)])
# A page whose content is painted by forms that each paint the next one twice, twelve deep: no
# file is smaller, and no reader ever comes to its end in time.
ENDLESS = pdf(
    [text("Once.", 90, 600) + b"/X0 Do\n" * 40],
    forms=[text("Again.", 90, 500) + b"/X%d Do\n" % min(n + 1, 11) * 12 for n in range(12)],
)

TASKS: list[Task] = [("good", GOOD, PDF), ("endless", ENDLESS, PDF)]


@pytest.fixture(autouse=True)
def leaves_no_process_behind() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def reason(result: Document | ExtractionError) -> str:
    assert isinstance(result, ExtractionError)
    return result.reason


def test_it_gives_what_the_plain_extraction_gives_and_its_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = GOOD.replace(b"startxref\n", b"startxref\n9")
    tasks: list[Task] = [("a", GOOD, PDF), ("b", b"Hello there.", "text/plain"), ("odd", odd, PDF)]
    with caplog.at_level(logging.WARNING):
        results = dict(extract_isolated(tasks))
    warned = {record.getMessage().partition(": ")[0] for record in caplog.records}
    assert results == {task[0]: extract(*task) for task in tasks}
    assert warned == {"odd"}


def test_a_file_without_end_is_stopped_and_the_others_are_read() -> None:
    goods: list[Task] = [(f"good{n}", GOOD, PDF) for n in range(3)]
    began = time.monotonic()
    results = dict(extract_isolated([("endless", ENDLESS, PDF), *goods], seconds=8))
    assert time.monotonic() - began < 80
    assert "longer than 8 seconds" in reason(results.pop("endless"))
    assert results == {name: extract(name, GOOD, PDF) for name, *_ in goods}


def test_a_file_that_takes_all_memory_is_stopped() -> None:
    tasks: list[Task] = [("bomb", oversized(), PDF), ("good", GOOD, PDF)]
    results = dict(extract_isolated(tasks, memory_bytes=200 << 20, seconds=90))
    assert "memory" in reason(results["bomb"])
    assert isinstance(results["good"], Document)


def test_a_worker_that_dies_costs_its_file_only() -> None:
    before = children()
    results = extract_isolated(TASKS)
    assert next(results)[0] == "good"
    for pid in children() - before:
        os.kill(pid, signal.SIGKILL)
    source_id, result = next(results)
    assert source_id == "endless"
    assert "broke down" in reason(result)
    assert list(results) == []


def test_tasks_are_taken_as_workers_become_free() -> None:
    taken: list[str] = []

    def tasks() -> Iterator[Task]:
        for n in range(6):
            taken.append(str(n))
            yield str(n), GOOD, PDF

    results = extract_isolated(tasks(), workers=2)
    next(results)
    assert len(taken) <= 4
    assert len(list(results)) == 5


def test_workers_end_when_the_caller_loses_interest() -> None:
    before = children()
    results = extract_isolated(TASKS)
    next(results)
    assert children() - before
    results.close()  # type: ignore[attr-defined]
    assert children() == before


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_their_caller_however_that_ends(end: signal.Signals) -> None:
    script = textwrap.dedent("""
        import signal
        from index.documents.extract import extract_isolated
        from tests.parts.processes import children
        from tests.test_isolation import TASKS
        # Where the tests run in the background, the shell has interrupts ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for _ in extract_isolated(TASKS):
            print(*children(), flush=True)
    """)
    with program(script) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        process.send_signal(end)
        process.wait(timeout=90)
    deadline = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [is_running(pid) for pid in workers] == [False, False]


def test_a_worker_imports_nothing_heavy() -> None:
    script = (
        "import sys, index.documents.extract\n"
        "index.documents.extract.extract('a', b'Hello.', 'text/plain')\n"
        "print([name for name in ('torch', 'numpy', 'transformers') if name in sys.modules])"
    )
    assert run(program=script).out == "[]\n"
