"""A file is whole or absent, a changed byte anywhere is noticed, and a torn line costs one line."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import SegmentError
from index.files import (
    ABANDONED,
    parts_of,
    read_checksummed,
    sweep,
    write_atomically,
    write_checksummed,
    write_output,
)


@given(content=st.binary(max_size=300), data=st.data())
def test_a_checksummed_file_gives_back_its_content_and_any_damage_is_noticed(
    content: bytes, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "content.segment"
        write_checksummed(path, content)
        assert read_checksummed(path) == content
        assert list(parts_of(path.parent).iterdir()) == []
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        flipped = bytearray(whole)
        flipped[at] ^= data.draw(st.integers(1, 255))
        for damaged in (flipped, whole[:at], whole + data.draw(st.binary(min_size=1, max_size=80))):
            path.write_bytes(damaged)
            with pytest.raises(SegmentError, match=r"content\.segment is damaged.*rag index"):
                read_checksummed(path)


def test_a_file_is_replaced_whole_or_not_at_all_and_nothing_else_is_left(tmp_path: Path) -> None:
    ordinary, path = tmp_path / "ordinary", tmp_path / "folder" / "file"
    ordinary.write_bytes(b"")
    for data in (b"old", b"new"):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_mode == ordinary.stat().st_mode, "as the user gives them to any file"
    with pytest.raises(OSError, match="folder"):
        write_atomically(path.parent, b"a folder is in the way")
    assert sorted(tmp_path.rglob("*")) == [path.parent, path, ordinary]


def test_output_keeps_the_permissions_of_the_file_that_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "answer.md"
    path.write_bytes(b"old")
    for mode in (0o600, 0o640, 0o666):
        path.chmod(mode)
        write_output(path, b"new")
        assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", mode)


def test_output_follows_a_link_to_a_file_that_may_not_be_there_yet(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("folder/target")
    for data in (b"first", b"second"):
        write_output(link, data)
        assert (tmp_path / "folder" / "target").read_bytes() == data
    assert link.is_symlink()
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write_output(link, b"nowhere")


def test_output_goes_into_what_is_no_file_and_into_every_name_of_a_file(tmp_path: Path) -> None:
    pipe, link, second = (tmp_path / name for name in ("pipe", "link", "second"))
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for target in (pipe, link):
        read: list[bytes] = []
        reader = threading.Thread(target=lambda read=read: read.append(pipe.read_bytes()))
        reader.start()
        write_output(target, b"through")
        reader.join()
        assert read == [b"through"]
    assert pipe.is_fifo()
    master, device = os.openpty()
    try:
        write_output(Path(os.ttyname(device)), b"to a device")
        assert os.read(master, 20) == b"to a device"
    finally:
        os.close(master)
        os.close(device)
    first = tmp_path / "first"
    first.write_bytes(b"old and longer")
    second.hardlink_to(first)
    write_output(second, b"new")
    assert first.read_bytes() == b"new"
    assert not list(tmp_path.glob("*.part"))


def test_sweeping_removes_abandoned_parts_and_not_what_is_being_written(tmp_path: Path) -> None:
    parts = parts_of(tmp_path)
    parts.mkdir()
    beside, old, new = tmp_path / "kept.segment", parts / ".old.part", parts / ".new.part"
    long_ago = time.time() - ABANDONED - 1
    for path in (beside, old, new):
        path.write_bytes(b"")
    for path in (beside, old):
        os.utime(path, (long_ago, long_ago))
    sweep(tmp_path)
    sweep(tmp_path / "missing")
    assert [path.exists() for path in (beside, old, new)] == [True, False, True]
