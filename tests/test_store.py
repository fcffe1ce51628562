"""Bytes are refused with a reason that a layman understands, or stored once under their hash; the
ledger holds every attempt and survives a kill."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import SourceError
from index.files import parts_of
from index.sources import (
    PDF_LIMIT,
    README_LIMIT,
    Attempt,
    Source,
    SourceStore,
    pdf_error,
    text_error,
)

PAPER = "arxiv:1"


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    return SourceStore(tmp_path / "sources")


def put(store: SourceStore, data: bytes, source_id: str = PAPER) -> Source:
    return store.put(source_id, data, media_type="application/pdf", origin="here")


def test_the_newest_bytes_are_got_and_older_ones_found_by_their_hash(store: SourceStore) -> None:
    old = store.put(PAPER, b"old", "application/pdf", "there", "v1", "A title")
    sha256 = hashlib.sha256(b"old").hexdigest()
    assert old == Source(PAPER, "application/pdf", sha256, 3, "there", "v1", "A title")
    new, same = put(store, b"new"), put(store, b"new", "arxiv:2")
    again = SourceStore(store.folder)
    assert [again.get(source_id) for source_id in (PAPER, "arxiv:2", "arxiv:3")] == [
        new,
        same,
        None,
    ]
    assert [again.read(source) for source in (old, new, same)] == [b"old", b"new", b"new"]
    assert again.find(PAPER, old.sha256) == old
    assert again.find("arxiv:2", old.sha256) is None
    # Equal bytes are kept once, and what is the newest entry already is not written again.
    assert len([path for path in store.folder.iterdir() if path.is_file()]) == 2
    assert put(store, b"new") == new
    assert [attempt.source for attempt in store.attempts(PAPER)] == [old, new]
    put(store, b"old")
    assert len(store.attempts(PAPER)) == 3
    # What cannot be read any more gives way to what came before it.
    (store.folder / sha256).write_bytes(b"shorter or longer")
    assert store.get(PAPER) == new
    (store.folder / new.sha256).unlink()
    assert store.get(PAPER) is None


def test_a_failure_shows_beside_the_older_bytes_until_they_come_again(store: SourceStore) -> None:
    source = put(store, b"kept")
    attempt = store.fail(PAPER, "https://example.org", "away today")
    assert (store.get(PAPER), store.failure(PAPER)) == (source, attempt)
    put(store, b"kept")
    assert store.failure(PAPER) is None
    with pytest.raises(ValueError, match="reason"):
        store.fail(PAPER, "there", "")


def test_changed_bytes_are_refused_and_putting_them_again_heals(store: SourceStore) -> None:
    source = put(store, b"true")
    (store.folder / source.sha256).write_bytes(b"fake")
    with pytest.raises(SourceError, match=r"arxiv:1: .*changed on disk.*fetch it again"):
        store.read(source)
    put(store, b"true")
    assert store.read(source) == b"true"
    (store.folder / source.sha256).unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        store.read(source)
    store.ledger(PAPER).unlink()
    assert store.get(PAPER) is None
    assert put(store, b"true") == source == store.get(PAPER)


texts = st.text(min_size=1, max_size=30)
hashes = st.binary(max_size=9).map(lambda data: hashlib.sha256(data).hexdigest())
sources = st.builds(Source, texts, texts, hashes, st.integers(0, 10**9), texts, st.none() | texts)
times = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
failures = st.builds(Attempt, st.just(PAPER), times, texts, texts)
attempts = failures | st.builds(Attempt, st.just(PAPER), times, texts, st.just(""), sources)


@given(st.lists(attempts, min_size=1, max_size=4), st.data())
def test_a_ledger_cut_at_any_byte_keeps_every_whole_entry_and_is_mended_by_the_next(
    entries: list[Attempt], data: st.DataObject
) -> None:
    lines = [entry.to_json().encode() for entry in entries]
    whole = b"".join(line + b"\n" for line in lines)
    left = whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))]
    # An entry is whole once its last brace is written, with or without the line end.
    ends = [len(b"\n".join(lines[: i + 1])) for i in range(len(lines))]
    kept = [entry for entry, end in zip(entries, ends, strict=True) if end <= len(left)]
    with tempfile.TemporaryDirectory() as name:
        store = SourceStore(Path(name))
        path = store.ledger(PAPER)
        path.parent.mkdir(parents=True)
        path.write_bytes(left)
        assert store.attempts(PAPER) == kept
        added = store.fail(PAPER, "nowhere", "no reason")
        assert SourceStore(Path(name)).attempts(PAPER) == [*kept, added]
        assert path.read_bytes().startswith(left)
        assert path.read_bytes().endswith(b"\n")


def test_a_line_of_garbage_is_skipped_with_a_warning(
    store: SourceStore, caplog: pytest.LogCaptureFixture
) -> None:
    source = put(store, b"one")
    line = store.ledger(PAPER).read_bytes()
    with store.ledger(PAPER).open("ab") as file:
        file.write(b"\xff\x00 garbage\n[]\nnull\n{}\n")
        file.write(line.replace(source.sha256.encode(), b"../../etc/passwd"))
        file.write(line.replace(b"arxiv:1", b"arxiv:2"))
    failure = store.fail(PAPER, "there", "away")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        attempts = SourceStore(store.folder).attempts(PAPER)
    assert [attempts[0].source, *attempts[1:]] == [source, failure], "of another source none counts"
    assert len([r for r in caplog.records if "no entry" in r.message]) == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("when", value) for value in ("", "yesterday", "2026-11-21T10:00:00", "7", None)),
        *product(("origin", "source_id", "reason", "id", "media_type", "version"), ([1], {}, 1)),
        *(("size", value) for value in ("1", -1, 1.5, True, None)),
        *(("sha256", value) for value in ("../x", None)),
        ("reason", "away"),
    ],
)
def test_an_entry_with_a_field_of_another_type_is_none(field: str, value: object) -> None:
    source = Source(PAPER, "application/pdf", "0" * 64, 1, "there", "v1")
    entry = json.loads(Attempt(PAPER, "2026-11-21T10:00:00+00:00", "x", "", source).to_json())
    # An entry of an older version is read: it has fields that are gone.
    entry["source"] |= {"tier": "full text", "source_type": "full text"}
    assert Attempt.from_json(json.dumps(entry)).source == source
    (entry if field in entry else entry["source"])[field] = value
    with pytest.raises(ValueError, match="not a ledger entry"):
        Attempt.from_json(json.dumps(entry))


def _write_many(folder: Path, writer: int) -> None:
    store = SourceStore(folder)
    for number in range(100):
        # Long enough that a write in two parts would be cut by the other process's.
        store.fail(PAPER, "x" * 9000, f"away {writer}:{number}")
        store.put(f"{writer}:{number}", b"shared", media_type="text/plain", origin="o")


def test_two_processes_at_once_do_not_interleave_and_see_each_other(store: SourceStore) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(store.folder, n)) for n in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    reasons = [attempt.reason for attempt in store.attempts(PAPER)]
    assert len(reasons) == 200
    for writer in (0, 1):
        own = [reason for reason in reasons if reason.startswith(f"away {writer}:")]
        assert own == [f"away {writer}:{number}" for number in range(100)]
        assert all(store.get(f"{writer}:{number}") for number in range(100))


def test_putting_sweeps_what_a_killed_process_left_half_written(store: SourceStore) -> None:
    parts = parts_of(store.folder)
    parts.mkdir(parents=True)
    (parts / ".a.part").write_bytes(b"half")
    os.utime(parts / ".a.part", (0, 0))
    put(store, b"whole")
    assert list(parts.iterdir()) == []


@pytest.mark.parametrize(
    ("error_of", "data", "error"),
    [
        (pdf_error, b"", "not a PDF: the file is empty"),
        (pdf_error, bytes(4000), "not a PDF: the file begins with zero bytes"),
        (
            pdf_error,
            b"\xef\xbb\xbf\n <!doctype HTML>%PDF-",
            "not a PDF: an HTML page came in its place",
        ),
        (pdf_error, b"<html><body>Slow down", "not a PDF: an HTML page came in its place"),
        (pdf_error, b"x" * 1020 + b"%PDF-1.4", "not a PDF: it does not begin with %PDF-"),
        (pdf_error, b"x" * 1019 + b"%PDF-1.4", ""),
        (text_error, b'<p align="center"><img src="logo.png"></p>\n# Title', ""),
        (text_error, "# Überschrift".encode("latin-1"), ""),
        (text_error, b" \r\n\t", "the file is empty"),
        (text_error, b"<!DOCTYPE html>\n<title>404", "not plain text: it is an HTML page"),
        (text_error, b"GIF89a\0\0", "not plain text: it has zero bytes"),
    ],
)
def test_what_is_no_pdf_or_no_text_is_refused_with_the_reason(
    error_of: Callable[[bytes], str], data: bytes, error: str
) -> None:
    assert error_of(data) == error


def test_too_much_is_refused() -> None:
    most = b"%PDF-".ljust(PDF_LIMIT)
    assert (pdf_error(most), pdf_error(most + b"x")) == ("", "larger than 100 MB: not stored")
    most = b"x" * README_LIMIT
    assert (text_error(most), text_error(most + b"x")) == ("", "larger than 5 MB: not stored")
