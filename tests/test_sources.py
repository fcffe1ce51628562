"""Bytes are kept once under their hash; the ledger holds every attempt and survives a kill."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.errors import SourceError
from index.sources import Attempt, Source, SourceStore, Tier, read_ledger

ids = st.text(min_size=1, max_size=30)
tiers: st.SearchStrategy[Tier] = st.sampled_from(["full text", "readme", "summary"])
contents = st.binary(max_size=60)


@pytest.fixture
def store(tmp_path: Path) -> SourceStore:
    return SourceStore(tmp_path / "sources")


def put(
    store: SourceStore, data: bytes, source_id: str = "arxiv:1", origin: str = "here"
) -> Source:
    return store.put(source_id, data, tier="full text", media_type="application/pdf", origin=origin)


def ledger(store: SourceStore) -> bytes:
    return (store.folder / "ledger.jsonl").read_bytes()


@settings(deadline=None)
@given(ids, contents, tiers, ids, st.none() | ids)
def test_what_was_put_is_got_and_read_also_by_another_store(
    source_id: str, data: bytes, tier: Tier, origin: str, version: str | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = SourceStore(Path(folder)).put(
            source_id, data, tier=tier, media_type="text/plain", origin=origin, version=version
        )
        again = SourceStore(Path(folder))
        assert again.get(source_id) == source
        assert again.find(source_id, source.sha256) == source
        assert again.read(source) == data
        assert (source.sha256, source.size) == (hashlib.sha256(data).hexdigest(), len(data))


attempts = st.builds(
    lambda sid, when, origin, data, reason, tier, version: Attempt(
        sid,
        when,
        origin,
        reason,
        None
        if reason
        else Source(
            sid, tier, "text/plain", hashlib.sha256(data).hexdigest(), len(data), origin, version
        ),
    ),
    ids,
    ids,
    ids,
    contents,
    st.text(max_size=20),
    tiers,
    st.none() | ids,
)


@given(attempts)
def test_an_entry_survives_the_ledger(attempt: Attempt) -> None:
    assert Attempt.from_json(attempt.to_json()) == attempt


@settings(deadline=None)
@given(st.lists(attempts, min_size=1, max_size=4), st.data())
def test_a_ledger_cut_at_any_byte_keeps_every_whole_entry_and_is_mended_by_the_next(
    entries: list[Attempt], data: st.DataObject
) -> None:
    lines = [entry.to_json().encode() for entry in entries]
    whole = b"".join(line + b"\n" for line in lines)
    cut = data.draw(st.integers(0, len(whole)))
    # An entry is whole once its last brace is written, with or without the line end.
    ends = [len(b"\n".join(lines[: i + 1])) for i in range(len(lines))]
    kept = [entry for entry, end in zip(entries, ends, strict=True) if end <= cut]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ledger.jsonl").write_bytes(whole[:cut])
        store = SourceStore(folder)
        before = {entry.source_id: store.attempts(entry.source_id) for entry in entries}
        added = store.fail("new one", "nowhere", "no reason")
        for reader in (store, SourceStore(folder)):
            for source_id, seen in before.items():
                assert seen == tuple(e for e in kept if e.source_id == source_id)
                if source_id != "new one":
                    assert reader.attempts(source_id) == seen
            assert reader.attempts("new one")[-1] == added
        assert (folder / "ledger.jsonl").read_bytes().endswith(b"\n")
        assert (folder / "ledger.jsonl").read_bytes().startswith(whole[:cut])


def test_a_line_of_garbage_is_skipped_with_a_warning(
    store: SourceStore, caplog: pytest.LogCaptureFixture
) -> None:
    source = put(store, b"one")
    with (store.folder / "ledger.jsonl").open("ab") as file:
        file.write(b"\xff\x00 garbage\n[]\nnull\n{}\n")
        file.write(ledger(store).replace(source.sha256.encode(), b"../../etc/passwd"))
    failure = store.fail("arxiv:2", "there", "away")
    with caplog.at_level(logging.WARNING):
        again = SourceStore(store.folder)
        assert (again.get("arxiv:1"), again.failure("arxiv:2")) == (source, failure)
    assert len([r for r in caplog.records if "no entry" in r.message]) == 5


def test_equal_bytes_are_kept_once(store: SourceStore) -> None:
    put(store, b"same", "arxiv:1")
    put(store, b"same", "arxiv:2")
    sha256 = hashlib.sha256(b"same").hexdigest()
    assert sorted(path.name for path in store.folder.iterdir()) == sorted([sha256, "ledger.jsonl"])


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


def test_what_a_killed_process_left_half_written_is_swept_once_it_is_old(
    store: SourceStore,
) -> None:
    store.folder.mkdir()
    old, young = store.folder / "a.part", store.folder / "b.part"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    an_age_ago = time.time() - 7200
    os.utime(old, (an_age_ago, an_age_ago))
    put(store, b"whole")
    assert (old.exists(), young.exists()) == (False, True)


def test_a_deleted_ledger_is_noticed(store: SourceStore) -> None:
    put(store, b"one")
    (store.folder / "ledger.jsonl").unlink()
    assert store.get("arxiv:1") is None
    source = put(store, b"one")
    assert store.get("arxiv:1") == source


def _write_many(folder: Path, writer: int) -> None:
    store = SourceStore(folder)
    for number in range(100):
        # Long enough that a write in two parts would be cut by the other process's.
        store.fail(f"{writer}:{number}", "x" * 9000, "away")
        store.put(
            f"{writer}:{number}", b"shared", tier="readme", media_type="text/plain", origin="o"
        )


def test_two_processes_at_once_do_not_interleave_and_see_each_other(store: SourceStore) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write_many, args=(store.folder, n)) for n in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    entries, length = read_ledger(ledger(store))
    assert (len(entries), length) == (400, len(ledger(store)))
    for writer in (0, 1):
        assert all(len(store.attempts(f"{writer}:{number}")) == 2 for number in range(100))


def test_a_ledger_of_ten_thousand_entries_loads_in_a_moment(store: SourceStore) -> None:
    source = put(store, b"one", origin="https://export.arxiv.org/pdf/2404.13784v1")
    line = ledger(store)
    (store.folder / "ledger.jsonl").write_bytes(line * 10_000)
    start = time.perf_counter()
    assert SourceStore(store.folder).get("arxiv:1") == source
    assert time.perf_counter() - start < 30.0
