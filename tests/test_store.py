"""Bytes are refused with a reason that a layman understands, or stored once under their hash; the
ledger holds every attempt and survives a kill."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import SourceError
from index.files import parts_of, read
from index.sources import (
    PDF_LIMIT,
    README_LIMIT,
    Attempt,
    Source,
    SourceStore,
    media_type_of,
    pdf_error,
    text_error,
)

ids = st.text(min_size=1, max_size=30)
contents = st.binary(max_size=60)


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    return SourceStore(tmp_path / "sources")


def put(
    store: SourceStore, data: bytes, source_id: str = "arxiv:1", origin: str = "here"
) -> Source:
    return store.put(source_id, data, media_type="application/pdf", origin=origin)


def ledger(store: SourceStore, source_id: str = "arxiv:1") -> bytes:
    return store.ledger(source_id).read_bytes()


@settings(deadline=None)
@given(ids, contents, ids, st.none() | ids)
def test_what_was_put_is_got_and_read_also_by_another_store(
    source_id: str, data: bytes, origin: str, version: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = SourceStore(Path(folder)).put(
            source_id, data, media_type="text/plain", origin=origin, version=version
        )
        again = SourceStore(Path(folder))
        assert again.get(source_id) == source
        assert again.find(source_id, source.sha256) == source
        assert again.read(source) == data
        assert (source.sha256, source.size) == (hashlib.sha256(data).hexdigest(), len(data))


hashes = contents.map(lambda data: hashlib.sha256(data).hexdigest())
sources = st.builds(Source, ids, ids, hashes, st.integers(0, 10**9), ids, st.none() | ids)
times = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
attempts = st.builds(Attempt, ids, times, ids, ids, st.none()) | st.builds(
    Attempt, ids, times, ids, st.just(""), sources
)


@given(attempts)
def test_an_entry_survives_the_ledger(attempt: Attempt) -> None:
    assert Attempt.from_json(attempt.to_json()) == attempt


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("when", value) for value in ("", "yesterday", "2026-11-21T10:00:00", "7", None)),
        *product(("origin", "source_id", "reason", "id", "media_type", "version"), ([1], {}, 1)),
        *(("size", value) for value in ("1", -1, 1.5, True, None)),
        *(("sha256", value) for value in ("../x", None)),
    ],
)
def test_an_entry_with_a_field_of_another_type_is_none(field: str, value: object) -> None:
    source = Source("arxiv:1", "application/pdf", "0" * 64, 1, "there", "v1")
    entry = json.loads(Attempt("arxiv:1", "2026-11-21T10:00:00+00:00", "x", "", source).to_json())
    (entry if field in entry else entry["source"])[field] = value
    with pytest.raises(ValueError, match="not a ledger entry"):
        Attempt.from_json(json.dumps(entry))


def test_an_entry_of_an_older_version_is_read(store: SourceStore) -> None:
    source = put(store, b"one")
    for field in ("tier", "source_type"):
        old = ledger(store).replace(b'"media_type"', f'"{field}":"full text","media_type"'.encode())
        assert Attempt.from_json(old).source == source


@settings(deadline=None)
@given(st.lists(attempts, min_size=1, max_size=4), st.data())
def test_a_ledger_cut_at_any_byte_keeps_every_whole_entry_and_is_mended_by_the_next(
    entries: list[Attempt], data: st.DataObject
) -> None:
    entries = [replace(entry, source_id="arxiv:1") for entry in entries]
    lines = [entry.to_json().encode() for entry in entries]
    whole = b"".join(line + b"\n" for line in lines)
    left = whole[: data.draw(st.integers(0, len(whole)))]
    # An entry is whole once its last brace is written, with or without the line end.
    ends = [len(b"\n".join(lines[: i + 1])) for i in range(len(lines))]
    kept = [entry for entry, end in zip(entries, ends, strict=True) if end <= len(left)]
    with tempfile.TemporaryDirectory() as name:
        store = SourceStore(Path(name))
        path = store.ledger("arxiv:1")
        path.parent.mkdir(parents=True)
        path.write_bytes(left)
        assert store.attempts("arxiv:1") == kept
        added = store.fail("arxiv:1", "nowhere", "no reason")
        for reader in (store, SourceStore(Path(name))):
            assert reader.attempts("arxiv:1") == [*kept, added]
        assert path.read_bytes().startswith(left)
        assert path.read_bytes().endswith(b"\n")


def test_a_line_of_garbage_is_skipped_with_a_warning(
    store: SourceStore, caplog: pytest.LogCaptureFixture
) -> None:
    source = put(store, b"one")
    with store.ledger("arxiv:1").open("ab") as file:
        file.write(b"\xff\x00 garbage\n[]\nnull\n{}\n")
        file.write(ledger(store).replace(source.sha256.encode(), b"../../etc/passwd"))
        file.write(ledger(store).split(b"\n")[0].replace(b"arxiv:1", b"arxiv:2") + b"\n")
    failure = store.fail("arxiv:1", "there", "away")
    assert store.get("arxiv:1") == source
    assert store.attempts("arxiv:1")[1:] == [failure], "no entry of another source counts"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        (*_, last) = SourceStore(store.folder).attempts("arxiv:1")
    assert last == failure
    assert len([r for r in caplog.records if "no entry" in r.message]) == 5


def test_equal_bytes_are_kept_once(store: SourceStore) -> None:
    put(store, b"same", "arxiv:1")
    put(store, b"same", "arxiv:2")
    kept = [path.name for path in store.folder.iterdir() if path.is_file()]
    assert kept == [hashlib.sha256(b"same").hexdigest()]


def test_putting_the_newest_entry_again_writes_nothing_and_an_older_one_does(
    store: SourceStore,
) -> None:
    old, new = put(store, b"old"), put(store, b"new")
    before = ledger(store)
    assert put(store, b"new") == new
    assert ledger(store) == before
    put(store, b"old")
    assert store.get("arxiv:1") == old
    assert ledger(store).count(b"\n") == 3


def test_after_a_failure_the_older_bytes_stand_and_the_failure_shows(store: SourceStore) -> None:
    source = put(store, b"kept")
    assert store.failure("arxiv:1") is None
    attempt = store.fail("arxiv:1", "https://example.org", "away today")
    assert store.get("arxiv:1") == source
    assert store.failure("arxiv:1") == attempt
    put(store, b"kept")
    assert store.failure("arxiv:1") is None


def test_an_older_source_is_found_by_its_hash_and_stands_when_the_newest_bytes_are_lost(
    store: SourceStore,
) -> None:
    old, new = put(store, b"old"), put(store, b"new")
    assert store.find("arxiv:1", old.sha256) == old
    assert store.find("arxiv:2", old.sha256) is None
    (store.folder / new.sha256).unlink()
    assert store.get("arxiv:1") == old
    (store.folder / old.sha256).write_bytes(b"shorter or longer")
    assert store.get("arxiv:1") is None


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


def test_a_failure_needs_a_reason(store: SourceStore) -> None:
    with pytest.raises(ValueError, match="reason"):
        store.fail("arxiv:1", "there", "")


def test_a_deleted_ledger_is_noticed(store: SourceStore) -> None:
    source = put(store, b"one")
    store.ledger("arxiv:1").unlink()
    assert store.get("arxiv:1") is None
    assert put(store, b"one") == source == store.get("arxiv:1")


def _write_many(folder: Path, writer: int) -> None:
    store = SourceStore(folder)
    for number in range(100):
        # Long enough that a write in two parts would be cut by the other process's.
        store.fail("arxiv:1", "x" * 9000, f"away {writer}:{number}")
        store.put(f"{writer}:{number}", b"shared", media_type="text/plain", origin="o")


def test_two_processes_at_once_do_not_interleave_and_see_each_other(store: SourceStore) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(store.folder, n)) for n in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    reasons = [attempt.reason for attempt in store.attempts("arxiv:1")]
    for writer in (0, 1):
        own = [reason for reason in reasons if reason.startswith(f"away {writer}:")]
        assert own == [f"away {writer}:{number}" for number in range(100)]
        assert all(store.get(f"{writer}:{number}") for number in range(100))
    assert len(reasons) == 200


def test_no_source_reads_or_writes_the_ledger_of_another(store: SourceStore) -> None:
    for number in range(50):
        put(store, b"one", f"arxiv:{number}")
    other = [path for path in store.folder.glob("ledger/*/*") if path != store.ledger("arxiv:7")]
    assert len(other) == 49
    for path in other:
        path.unlink()
        path.mkdir()  # whoever reads it now fails
    assert put(store, b"two", "arxiv:7") == store.get("arxiv:7")
    assert len(read(store.ledger("arxiv:7"), Attempt.from_json)) == 2


def test_putting_sweeps_what_a_killed_process_left_half_written(store: SourceStore) -> None:
    parts = parts_of(store.folder)
    parts.mkdir(parents=True)
    (parts / ".a.part").write_bytes(b"half")
    os.utime(parts / ".a.part", (0, 0))
    put(store, b"whole")
    assert list(parts.iterdir()) == []


@given(st.binary())
def test_a_pdf_is_known_by_its_beginning(rest: bytes) -> None:
    assert pdf_error(b"%PDF-1.4\n" + rest) == ""


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "not a PDF: the file is empty"),
        (bytes(4000), "not a PDF: the file begins with zero bytes"),
        (b"\xef\xbb\xbf\n <!doctype HTML>%PDF-", "not a PDF: an HTML page came in its place"),
        (b"<html><body>Slow down", "not a PDF: an HTML page came in its place"),
        (b"PK\x03\x04", "not a PDF: it does not begin with %PDF-"),
        (b"x" * 1020 + b"%PDF-1.4", "not a PDF: it does not begin with %PDF-"),
        (b"x" * 1019 + b"%PDF-1.4", ""),
    ],
)
def test_the_error_of_what_is_no_pdf(data: bytes, error: str) -> None:
    assert pdf_error(data) == error


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"# Title", ""),
        ("# Überschrift".encode("latin-1"), ""),
        (b'<p align="center"><img src="logo.png"></p>\n# Title', ""),
        (b" \r\n\t", "the file is empty"),
        (b"<!DOCTYPE html>\n<title>404", "not plain text: it is an HTML page"),
        (b"GIF89a\0\0", "not plain text: it has zero bytes"),
    ],
)
def test_the_error_of_what_is_no_readme(data: bytes, error: str) -> None:
    assert text_error(data) == error


def test_too_much_is_refused() -> None:
    assert "larger than 100 MB" in pdf_error(b"%PDF-" + bytes(PDF_LIMIT))
    assert "larger than 5 MB" in text_error(b"x" * (README_LIMIT + 1))


def test_the_media_type_follows_the_ending() -> None:
    names = ["README.md", "readme.MARKDOWN", "README.rst", "README.org", "README", "README.zh"]
    types = ["markdown", "markdown", "x-rst", "org", "plain", "plain"]
    assert [media_type_of(name) for name in names] == [f"text/{kind}" for kind in types]
