"""What is there is left alone, what is missing is made, and what is wrong is named."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from index.build import Build, build, outdated
from index.catalog import Catalog
from index.encoder import Encoder, LazyEncoder, Vectors, embed
from index.settings import Settings
from index.sources import SourceStore
from index.stores.segments import SegmentStore
from tests.parts.tiny_encoders import WordEncoder
from tests.parts.works import LISTED, PROMPTS, prompt, write

EVERYTHING = prompt("colour", sorted(LISTED), []).catalog
UNREAD = "arxiv:2401.00004v1"


def segments(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in settings.index.glob("*.segment")}


def touched(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files there are, and what shows that one was written again."""
    stats = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {str(path): (state.st_ino, state.st_mtime_ns) for path, state in stats}


@pytest.fixture
def built(own_settings: Settings, encoder: Encoder) -> Build:
    return build(EVERYTHING, own_settings, encoder)


def test_every_source_has_a_segment_or_a_reason(built: Build, own_settings: Settings) -> None:
    assert list(built.states) == list(EVERYTHING.source_ids)
    store = SegmentStore(own_settings.index)
    for state in built.states.values():
        assert bool(state.reason) == (state.source is None)
        if state.source is not None:
            assert store.load(state.segment).name == state.segment
    assert [state.source_id for state in built.failed] == [UNREAD]
    assert built.failed[0].reason == "offline, and not in the mirror"
    assert built.added == built.embedded == len(EVERYTHING.source_ids) - 1
    assert built.passages == sum(
        len(store.load(Path(name).stem).passages) for name in segments(own_settings)
    )


def test_passages_are_slices_of_the_document_and_vectors_are_theirs(
    built: Build, own_settings: Settings, encoder: Encoder
) -> None:
    store = SegmentStore(own_settings.index)
    for name in [state.segment for state in built.states.values() if not state.reason]:
        segment = store.load(name)
        again = embed(encoder, segment.passages)[0]
        assert segment.vectors.tobytes() == again.tobytes()


def test_a_second_build_writes_nothing_and_asks_the_encoder_for_its_name_alone(
    built: Build, own_settings: Settings, encoder: Encoder
) -> None:
    before = touched(own_settings.data_dir)
    name_only = cast(Encoder, SimpleNamespace(name=encoder.name))
    again = build(EVERYTHING, own_settings, name_only)
    assert touched(own_settings.data_dir) == before
    assert (again.added, again.embedded, again.damaged) == (0, 0, ())
    assert again.states == built.states


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_catalog_changes_no_segment(
    built: Build, own_settings: Settings, encoder: Encoder, tmp_path: Path, seed: int
) -> None:
    listings = list(EVERYTHING.listings)
    random.Random(seed).shuffle(listings)
    other = replace(own_settings, data_dir=tmp_path / "other")
    for half in (listings[:2], listings[2:]):
        build(Catalog(tuple(half)), other, encoder)
    assert segments(other) == segments(own_settings)


@pytest.mark.parametrize("place", [0, 0.3, 0.6, 0.999])
def test_a_flipped_byte_is_found_named_and_rebuilt(
    built: Build, own_settings: Settings, encoder: Encoder, place: float
) -> None:
    before = segments(own_settings)
    for state in built.states.values():
        if state.source_id.startswith("arxiv:") and state.segment:
            path = SegmentStore(own_settings.index).path(state.segment)
            data = bytearray(path.read_bytes())
            data[int(place * len(data))] ^= 1
            path.write_bytes(data)
    again = build(EVERYTHING, own_settings, encoder)
    damaged = [sid for sid in EVERYTHING.source_ids if sid.startswith("arxiv:") and sid != UNREAD]
    assert list(again.damaged) == damaged
    assert (again.embedded, again.added) == (len(damaged), 0)
    assert segments(own_settings) == before


@pytest.mark.parametrize("damage", [False, True])
def test_a_lost_segment_is_made_of_the_cached_document_and_a_damaged_one_of_the_bytes(
    built: Build, own_settings: Settings, encoder: Encoder, damage: bool
) -> None:
    before = segments(own_settings)
    for path in own_settings.documents.glob("*.document") if damage else ():
        path.write_bytes(path.read_bytes()[:-1])
    for path in own_settings.index.glob("*.segment"):
        path.unlink()
    documents = touched(own_settings.documents)
    assert build(EVERYTHING, own_settings, encoder).embedded == built.embedded
    assert segments(own_settings) == before
    assert (touched(own_settings.documents) != documents) is damage


@pytest.mark.parametrize("in_mirror", [True, False])
def test_changed_bytes_are_fetched_anew_or_cost_one_source(
    built: Build, own_settings: Settings, encoder: Encoder, tmp_path: Path, in_mirror: bool
) -> None:
    source_id, state = next(item for item in built.states.items() if item[1].source)
    assert state.source is not None
    path = own_settings.sources / state.source.sha256
    path.write_bytes(b"?" * state.source.size)
    for made in (*own_settings.index.glob("*.segment"), *own_settings.documents.glob("*.document")):
        made.unlink()
    (tmp_path / "empty").mkdir()
    settings = own_settings if in_mirror else replace(own_settings, mirror=tmp_path / "empty")
    again = build(EVERYTHING, settings, encoder)
    reasons = {failed.source_id: failed.reason for failed in again.failed}
    assert reasons.keys() == ({UNREAD} if in_mirror else {source_id, UNREAD})
    assert in_mirror or "not in the mirror" in reasons[source_id]
    assert again.embedded == built.embedded - (not in_mirror)


def test_another_encoder_makes_other_segments(
    built: Build, own_settings: Settings, encoder: Encoder
) -> None:
    renamed = LazyEncoder(own_settings)
    renamed.name = "another"
    before = segments(own_settings)
    assert outdated(EVERYTHING, own_settings, encoder.name) == ()
    assert len(outdated(EVERYTHING, own_settings, renamed.name)) == built.embedded
    again = build(EVERYTHING, own_settings, renamed)
    assert again.embedded == built.embedded
    assert outdated(EVERYTHING, own_settings, renamed.name) == ()
    assert before.items() < segments(own_settings).items()
    assert len(segments(own_settings)) == 2 * len(before)


def test_a_pdf_that_cannot_be_read_is_a_ledger_entry_and_is_tried_again(
    own_settings: Settings, encoder: Encoder, tmp_path: Path, small_mirror: Path
) -> None:
    mirror = tmp_path / "mirror"
    write(mirror / "arxiv/2401.00002.pdf", b"%PDF-1.5\n" + bytes(2000))
    write(mirror / "arxiv/2401.00001v2.pdf", (small_mirror / "arxiv/2401.00001v2.pdf").read_bytes())
    chosen = replace(own_settings, mirror=mirror)
    asked = prompt("colour", ["Lantern"], ["Tide"])
    for _ in range(2):
        built = build(asked.catalog, chosen, encoder)
        state = built.states["arxiv:2401.00002"]
        assert state.source is not None
        assert state.reason
        failure = SourceStore(chosen.sources).failure("arxiv:2401.00002")
        assert failure is not None
        assert failure.reason == state.reason
        assert not built.states["arxiv:2401.00001v2"].reason


def test_equal_bytes_under_two_ids_are_one_segment(
    own_settings: Settings, encoder: Encoder, tmp_path: Path, small_mirror: Path
) -> None:
    mirror = tmp_path / "mirror"
    data = (small_mirror / "arxiv/2401.00002.pdf").read_bytes()
    for name in ("2401.00002", "2401.00003v1"):
        write(mirror / f"arxiv/{name}.pdf", data)
    asked = prompt("move", ["Tide", "Kite"], [])
    built = build(asked.catalog, replace(own_settings, mirror=mirror), encoder)
    papers = [state for sid, state in built.states.items() if sid.startswith("arxiv:")]
    assert not any(state.reason for state in papers)
    assert len({state.segment for state in papers}) == 1
    assert built.embedded == 2  # the one paper, and Kite's summary


def test_equal_bytes_that_cannot_be_read_are_each_id_s_own(
    own_settings: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    for name in ("2401.00002", "2401.00003v1"):
        write(mirror / f"arxiv/{name}.pdf", b"%PDF-1.5\n" + bytes(2000))
    asked = prompt("move", ["Tide", "Kite"], [])
    built = build(asked.catalog, replace(own_settings, mirror=mirror), encoder)
    failed = {state.source_id: state.source for state in built.failed}
    assert len(failed) == 2
    assert all(source and source.id == source_id for source_id, source in failed.items())


class SameVectors(WordEncoder):
    """Quick: the same vector for every text."""

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        return np.full((len(texts), self.dimension), self.dimension**-0.5, dtype=np.float32)


def test_of_a_source_that_is_too_long_the_first_passages_are_embedded_and_it_says_so_before(
    own_settings: Settings, tmp_path: Path
) -> None:
    sentence = f"It was seen {'again and ' * 33}again in this year.\n\n"
    write(tmp_path / "mirror/github/mosaic-makers/mosaic/README.txt", sentence * 4_100)
    chosen = replace(own_settings, mirror=tmp_path / "mirror")
    events: list[str] = []
    catalog, encoder = prompt("colour", ["Mosaic"], []).catalog, SameVectors()
    result = build(catalog, chosen, encoder, notify=lambda *event: events.append(event[3]))
    ((source_id, much),) = result.shortened.items()
    assert much == "only the first 4,000 of 4,100 passages are embedded"
    assert events[-2:] == [f"{catalog.names[source_id]}: {much}", catalog.names[source_id]]
    assert result.passages == 4_000

    # A kill between the segment and the end of its parts leaves them: the next run removes them.
    name = result.states[source_id].segment
    left = write(chosen.index / f"unfinished/{name}-0.vectors", b"x")
    other = write(chosen.index / "unfinished/other-0.vectors", b"x")
    build(catalog, chosen, encoder)
    assert not left.exists()
    assert other.exists()


def test_progress_names_each_source_once_a_stage(
    own_settings: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    write(mirror / "arxiv/2401.00003.pdf", b"%PDF-1.5\n" + bytes(2000))  # cannot be read
    chosen = replace(own_settings, mirror=mirror)
    events: list[tuple[str, int, int, str]] = []
    build(PROMPTS["move"].catalog, chosen, encoder, notify=lambda *event: events.append(event))
    for stage in ("find sources", "read and embed"):
        steps = [event for event in events if event[0] == stage]
        assert [(done, total) for _, done, total, _ in steps] == [(0, 2), (1, 2), (2, 2)]
        told = [what for *_, what in steps]
        names = PROMPTS["move"].catalog.names.values()
        assert sorted(name for name in names for what in told if what.startswith(name)) == sorted(
            names
        )
        assert told.count("") == 1
