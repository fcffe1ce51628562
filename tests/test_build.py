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
from tests.parts.works import EVERYTHING, TIDE, UNREAD, prompt, write

NO_PDF = b"%PDF-1.5\n" + bytes(2000)


def segments(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in settings.index.glob("*.segment")}


def touched(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files there are, and what shows that one was written again."""
    stats = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {str(path): (state.st_ino, state.st_mtime_ns) for path, state in stats}


@pytest.fixture
def built(whole_index: tuple[Build, Settings]) -> Build:
    return whole_index[0]


def test_every_source_has_a_segment_with_its_vectors_or_a_reason(
    whole_index: tuple[Build, Settings], encoder: Encoder
) -> None:
    built, settings = whole_index
    assert list(built.states) == list(EVERYTHING.source_ids)
    assert [(state.source_id, state.source, state.reason) for state in built.failed] == [
        (UNREAD, None, "offline, and not in the mirror")
    ]
    names = [state.segment for state in built.states.values() if not state.reason]
    made = [SegmentStore(settings.index).load(name) for name in names]
    assert [segment.name for segment in made] == names
    assert built.added == built.embedded == len(made) == len(EVERYTHING.source_ids) - 1
    assert built.passages == sum(len(segment.passages) for segment in made)
    for segment in made:
        assert segment.vectors.tobytes() == embed(encoder, segment.passages)[0].tobytes()


def test_a_second_build_writes_nothing_and_asks_the_encoder_for_its_name_alone(
    whole_index: tuple[Build, Settings], encoder: Encoder
) -> None:
    built, settings = whole_index
    before = touched(settings.data_dir)
    again = build(EVERYTHING, settings, cast(Encoder, SimpleNamespace(name=encoder.name)))
    assert touched(settings.data_dir) == before
    assert (again.added, again.embedded, again.damaged) == (0, 0, ())
    assert again.states == built.states


def test_the_order_of_the_catalog_changes_no_segment(
    whole_index: tuple[Build, Settings], encoder: Encoder, tmp_path: Path
) -> None:
    listings = list(EVERYTHING.listings)
    random.Random(0).shuffle(listings)
    other = replace(whole_index[1], data_dir=tmp_path)
    for half in (listings[:2], listings[2:]):
        build(Catalog(tuple(half)), other, encoder)
    assert segments(other) == segments(whole_index[1])


def test_a_flipped_byte_is_found_named_and_rebuilt(
    built: Build, copied_index: Settings, encoder: Encoder
) -> None:
    before = segments(copied_index)
    damaged = [state for state in built.states.values() if state.segment]
    for number, state in enumerate(damaged):
        path = SegmentStore(copied_index.index).path(state.segment)
        data = bytearray(path.read_bytes())
        data[number * (len(data) - 1) // (len(damaged) - 1)] ^= 1  # the first, …, the last
        path.write_bytes(data)
    again = build(EVERYTHING, copied_index, encoder)
    assert list(again.damaged) == [state.source_id for state in damaged]
    assert (again.embedded, again.added) == (len(damaged), 0)
    assert segments(copied_index) == before


@pytest.mark.parametrize("damage", [False, True])
def test_a_lost_segment_is_made_of_the_cached_document_and_a_damaged_one_of_the_bytes(
    built: Build, copied_index: Settings, encoder: Encoder, damage: bool
) -> None:
    before = segments(copied_index)
    for path in copied_index.documents.glob("*.document") if damage else ():
        path.write_bytes(path.read_bytes()[:-1])
    for path in copied_index.index.glob("*.segment"):
        path.unlink()
    documents = touched(copied_index.documents)
    assert build(EVERYTHING, copied_index, encoder).embedded == built.embedded
    assert segments(copied_index) == before
    assert (touched(copied_index.documents) != documents) is damage


@pytest.mark.parametrize("in_mirror", [True, False])
def test_changed_bytes_are_fetched_anew_or_cost_one_source(
    built: Build, copied_index: Settings, encoder: Encoder, tmp_path: Path, in_mirror: bool
) -> None:
    source_id, state = next(item for item in built.states.items() if item[1].source)
    assert state.source is not None
    (copied_index.sources / state.source.sha256).write_bytes(b"?" * state.source.size)
    SegmentStore(copied_index.index).path(state.segment).unlink()
    (tmp_path / "empty").mkdir()
    settings = copied_index if in_mirror else replace(copied_index, mirror=tmp_path / "empty")
    again = build(EVERYTHING, settings, encoder)
    reasons = {failed.source_id: failed.reason for failed in again.failed}
    assert reasons == dict.fromkeys(
        [UNREAD] if in_mirror else [source_id, UNREAD], "offline, and not in the mirror"
    )
    assert again.embedded == in_mirror


def test_another_encoder_makes_other_segments(
    built: Build, copied_index: Settings, encoder: Encoder
) -> None:
    renamed = LazyEncoder(copied_index)
    renamed.name = "another"
    before = segments(copied_index)
    assert outdated(EVERYTHING, copied_index, encoder.name) == ()
    assert len(outdated(EVERYTHING, copied_index, renamed.name)) == built.embedded
    assert build(EVERYTHING, copied_index, renamed).embedded == built.embedded
    assert outdated(EVERYTHING, copied_index, renamed.name) == ()
    assert before.items() < segments(copied_index).items()
    assert len(segments(copied_index)) == 2 * len(before)


@pytest.fixture
def doubled(own_settings: Settings, tmp_path: Path) -> Settings:
    """A mirror in which two papers have the same bytes, and two have the same that are no PDF."""
    for name, data in (("2", TIDE), ("3v1", TIDE), ("1v2", NO_PDF), ("4v1", NO_PDF)):
        write(tmp_path / f"mirror/arxiv/2401.0000{name}.pdf", data)
    return replace(own_settings, mirror=tmp_path / "mirror")


DOUBLED = prompt("colour", ["Tide", "Kite", "Lantern", "Willow"], []).catalog


def test_equal_bytes_are_one_segment_or_the_failure_of_each_id(
    doubled: Settings, encoder: Encoder
) -> None:
    for embedded in (1 + 3, 0):  # a paper and three summaries
        built = build(DOUBLED, doubled, encoder)
        assert built.embedded == embedded
        (name,) = {built.states[f"arxiv:2401.0000{number}"].segment for number in ("2", "3v1")}
        assert SegmentStore(doubled.index).load(name).title
        failed = {state.source_id: state for state in built.failed if state.source}
        assert failed.keys() == {"arxiv:2401.00001v2", UNREAD}
        for source_id, state in failed.items():
            assert state.source is not None
            assert state.source.id == source_id
            newest = SourceStore(doubled.sources).failure(source_id)
            assert newest is not None
            assert newest.reason == state.reason


def test_progress_names_each_source_once_a_stage(doubled: Settings, encoder: Encoder) -> None:
    events: list[tuple[str, int, int, str]] = []
    build(DOUBLED, doubled, encoder, notify=lambda *event: events.append(event))
    for stage, total in (("find sources", 8), ("read and embed", 5)):
        steps = [event for event in events if event[0] == stage]
        assert [step[1:3] for step in steps] == [(done, total) for done in range(total + 1)]
        told = {step[3].split(" (")[0] for step in steps} - {""}
        assert len(told) == total
        assert told <= set(DOUBLED.names.values())


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
