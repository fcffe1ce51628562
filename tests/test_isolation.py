"""One bad file costs one file: each of these would end or block a process that read it itself."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import pytest

from index.documents import Document
from index.documents.extract import Task, extract, extract_isolated
from index.errors import ExtractionError
from tests.parts import ROOT
from tests.parts.commands import run
from tests.parts.pdfs import lines, oversized, pdf, text, wrapped
from tests.parts.processes import children, is_running

PDF = "application/pdf"
GOOD = pdf([lines(wrapped("A short report on the harbour that was lost to the dunes."), 90, 600)])
# A page whose content is painted by forms that each paint the next one twice, twelve deep: no
# file is smaller, and no reader ever comes to its end in time.
ENDLESS = pdf(
    [text("Once.", 90, 600) + b"/X0 Do\n" * 40],
    forms=[text("Again.", 90, 500) + b"/X%d Do\n" % min(n + 1, 11) * 12 for n in range(12)],
)


@pytest.fixture(autouse=True)
def leaves_no_process_behind() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def reason(result: Document | ExtractionError) -> str:
    assert isinstance(result, ExtractionError)
    return result.reason


def test_it_gives_what_the_plain_extraction_gives() -> None:
    tasks: list[Task] = [("a", GOOD, PDF), ("b", b"Hello there.", "text/plain")]
    assert dict(extract_isolated(tasks)) == {sid: extract(sid, d, m) for sid, d, m in tasks}


def test_warnings_of_the_reader_reach_the_log_of_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = GOOD.replace(b"startxref\n", b"startxref\n9")
    with caplog.at_level(logging.WARNING):
        assert len(list(extract_isolated([("odd", odd, PDF)]))) == 1
    assert any(record.getMessage().startswith("odd: ") for record in caplog.records)


def test_a_file_without_end_is_stopped_and_the_others_are_read() -> None:
    tasks: list[Task] = [("endless", ENDLESS, PDF), *((f"good{n}", GOOD, PDF) for n in range(3))]
    began = time.monotonic()
    results = dict(extract_isolated(tasks, seconds=8))
    assert time.monotonic() - began < 80
    assert "longer than 8 seconds" in reason(results.pop("endless"))
    assert all(isinstance(result, Document) for result in results.values())
    assert len(results) == 3


def test_a_file_that_takes_all_memory_is_stopped() -> None:
    tasks: list[Task] = [("bomb", oversized(), PDF), ("good", GOOD, PDF)]
    results = dict(extract_isolated(tasks, workers=1, memory_bytes=200 << 20, seconds=90))
    assert "memory" in reason(results["bomb"])
    assert isinstance(results["good"], Document)


def test_a_worker_that_dies_costs_its_file_only() -> None:
    tasks = iter([("first", ENDLESS, PDF), ("good", GOOD, PDF)])
    results = extract_isolated(tasks, workers=2, seconds=90)
    before = children()
    assert next(results)[0] == "good"
    for pid in children() - before:
        os.kill(pid, signal.SIGKILL)
    source_id, result = next(results)
    assert source_id == "first"
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
    results = extract_isolated([("good", GOOD, PDF), ("endless", ENDLESS, PDF)], seconds=60)
    next(results)
    assert children() - before
    results.close()  # type: ignore[attr-defined]
    assert children() == before


def test_an_interrupt_ends_the_workers_too() -> None:
    script = textwrap.dedent("""
        import signal, sys
        from index.documents.extract import extract_isolated
        from tests.parts.processes import children
        from tests.test_isolation import ENDLESS, GOOD, PDF
        # Where the tests run in the background, the shell has interrupts ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("begun", flush=True)
        try:
            for _ in extract_isolated([("a", GOOD, PDF), ("b", ENDLESS, PDF)], seconds=60):
                print("one", flush=True)
        except KeyboardInterrupt:
            sys.exit(len(children()))
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    assert process.stdout.readline() == b"one\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) == 0
    process.stdout.close()


def test_a_worker_ends_with_its_caller_however_that_ends() -> None:
    script = textwrap.dedent("""
        import threading, time
        from index.documents.extract import extract_isolated
        from tests.parts.processes import children
        from tests.test_isolation import ENDLESS, PDF
        def tell():
            while not children():
                time.sleep(0.1)
            print(*children(), flush=True)
        threading.Thread(target=tell).start()
        list(extract_isolated([("b", ENDLESS, PDF)]))
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    (worker,) = map(int, process.stdout.readline().split())
    time.sleep(3)  # it is in the middle of a file
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not is_running(worker)


def test_a_worker_imports_nothing_heavy() -> None:
    script = (
        "import sys, index.documents.extract\n"
        "index.documents.extract.extract('a', b'Hello.', 'text/plain')\n"
        "print([name for name in ('torch', 'numpy', 'transformers') if name in sys.modules])"
    )
    assert run(program=script).out == "[]\n"
