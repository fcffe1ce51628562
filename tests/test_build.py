"""What is there is left alone, what is missing is made, and what is wrong is named."""

from __future__ import annotations

import random
import shutil
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
from tests.parts.works import LISTED, TIDE, prompt, write

EVERYTHING = prompt("colour", sorted(LISTED), []).catalog
UNREAD = "arxiv:2401.00004v1"
NO_PDF = b"%PDF-1.5\n" + bytes(2000)


def segments(settings: Settings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in settings.index.glob("*.segment")}


def touched(folder: Path) -> dict[str, tuple[int, int]]:
    """Which files there are, and what shows that one was written again."""
    stats = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {str(path): (state.st_ino, state.st_mtime_ns) for path, state in stats}


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    small_mirror: Path,
    encoder_folder: Path,
    encoder: Encoder,
) -> tuple[Build, Settings]:
    """A build of everything, and its data directory, which no test changes."""
    data_dir = tmp_path_factory.mktemp("whole")
    settings = Settings(data_dir, small_mirror, offline=True, encoder=str(encoder_folder))
    return build(EVERYTHING, settings, encoder), settings


@pytest.fixture
def built(whole: tuple[Build, Settings]) -> Build:
    return whole[0]


@pytest.fixture
def copied(whole: tuple[Build, Settings], tmp_path: Path) -> Settings:
    """A copy of what was built, which a test may change."""
    return replace(whole[1], data_dir=shutil.copytree(whole[1].data_dir, tmp_path / "copied"))


def test_every_source_has_a_segment_with_its_vectors_or_a_reason(
    whole: tuple[Build, Settings], encoder: Encoder
) -> None:
    built, settings = whole
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
    whole: tuple[Build, Settings], encoder: Encoder
) -> None:
    built, settings = whole
    before = touched(settings.data_dir)
    again = build(EVERYTHING, settings, cast(Encoder, SimpleNamespace(name=encoder.name)))
    assert touched(settings.data_dir) == before
    assert (again.added, again.embedded, again.damaged) == (0, 0, ())
    assert again.states == built.states


def test_the_order_of_the_catalog_changes_no_segment(
    whole: tuple[Build, Settings], encoder: Encoder, tmp_path: Path
) -> None:
    listings = list(EVERYTHING.listings)
    random.Random(0).shuffle(listings)
    other = replace(whole[1], data_dir=tmp_path)
    for half in (listings[:2], listings[2:]):
        build(Catalog(tuple(half)), other, encoder)
    assert segments(other) == segments(whole[1])


def test_a_flipped_byte_is_found_named_and_rebuilt(
    built: Build, copied: Settings, encoder: Encoder
) -> None:
    before = segments(copied)
    damaged = [state for state in built.states.values() if state.segment]
    for number, state in enumerate(damaged):
        path = SegmentStore(copied.index).path(state.segment)
        data = bytearray(path.read_bytes())
        data[number * (len(data) - 1) // (len(damaged) - 1)] ^= 1  # the first, …, the last
        path.write_bytes(data)
    again = build(EVERYTHING, copied, encoder)
    assert list(again.damaged) == [state.source_id for state in damaged]
    assert (again.embedded, again.added) == (len(damaged), 0)
    assert segments(copied) == before


@pytest.mark.parametrize("damage", [False, True])
def test_a_lost_segment_is_made_of_the_cached_document_and_a_damaged_one_of_the_bytes(
    built: Build, copied: Settings, encoder: Encoder, damage: bool
) -> None:
    before = segments(copied)
    for path in copied.documents.glob("*.document") if damage else ():
        path.write_bytes(path.read_bytes()[:-1])
    for path in copied.index.glob("*.segment"):
        path.unlink()
    documents = touched(copied.documents)
    assert build(EVERYTHING, copied, encoder).embedded == built.embedded
    assert segments(copied) == before
    assert (touched(copied.documents) != documents) is damage


@pytest.mark.parametrize("in_mirror", [True, False])
def test_changed_bytes_are_fetched_anew_or_cost_one_source(
    built: Build, copied: Settings, encoder: Encoder, tmp_path: Path, in_mirror: bool
) -> None:
    source_id, state = next(item for item in built.states.items() if item[1].source)
    assert state.source is not None
    (copied.sources / state.source.sha256).write_bytes(b"?" * state.source.size)
    SegmentStore(copied.index).path(state.segment).unlink()
    (tmp_path / "empty").mkdir()
    settings = copied if in_mirror else replace(copied, mirror=tmp_path / "empty")
    again = build(EVERYTHING, settings, encoder)
    reasons = {failed.source_id: failed.reason for failed in again.failed}
    assert reasons == dict.fromkeys(
        [UNREAD] if in_mirror else [source_id, UNREAD], "offline, and not in the mirror"
    )
    assert again.embedded == in_mirror


def test_another_encoder_makes_other_segments(
    built: Build, copied: Settings, encoder: Encoder
) -> None:
    renamed = LazyEncoder(copied)
    renamed.name = "another"
    before = segments(copied)
    assert outdated(EVERYTHING, copied, encoder.name) == ()
    assert len(outdated(EVERYTHING, copied, renamed.name)) == built.embedded
    assert build(EVERYTHING, copied, renamed).embedded == built.embedded
    assert outdated(EVERYTHING, copied, renamed.name) == ()
    assert before.items() < segments(copied).items()
    assert len(segments(copied)) == 2 * len(before)


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
