"""`rag remove`: what only these works need goes, also after a kill, and all else stays."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from index.build import Build, build, remove
from index.catalog import Catalog
from index.documents.extract import cache_document, cached_document, document_path, extract
from index.encoder import Encoder
from index.errors import SegmentError, SourceError
from index.settings import Settings
from index.sources import SourceStore
from index.stores import open_store
from index.stores.segments import SegmentStore
from rag.prompt import works_at
from tests.parts.commands import invoke
from tests.parts.indexed import ENCODER, IndexedWorks
from tests.parts.works import LISTED, PROMPTS, TIDE, write

COLOUR = PROMPTS["colour"].catalog
LANTERN = "arxiv:2401.00001v2"
README = "github:lantern-lab/lantern"


@pytest.fixture(params=["segments", "passages.db"])
def empty(request: pytest.FixtureRequest, own_settings: Settings, tmp_path: Path) -> Settings:
    """An empty data directory, for segments as files or in an embedded Milvus."""
    if request.param == "segments":
        return own_settings
    pytest.importorskip("pymilvus", reason="the extra `milvus` is not installed")
    pytest.importorskip("milvus_lite", reason="the extra `milvus` is not installed")
    return replace(own_settings, store=str(tmp_path / request.param))


def rm(settings: Settings, *links: object, code: int = 0) -> list[str]:
    options = ("--data-dir", settings.data_dir, "--encoder", settings.encoder)
    return invoke("remove", *links, *options, "--store", settings.store, code=code).out.splitlines()


def files(settings: Settings) -> dict[Path, bytes]:
    """All but the ledger, which tells the time."""
    paths = (path for path in settings.data_dir.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in paths if "ledger" not in path.parts}


def test_a_work_goes_with_all_that_was_made_of_it_and_comes_back(
    empty: Settings, encoder: Encoder
) -> None:
    built, before = build(COLOUR, empty, encoder), files(empty)
    links, gone = ("2401.00001v2", "Lantern-Lab/lantern", "2409.00009"), (LANTERN, README)
    assert rm(empty, *links) == [
        "removed: arXiv 2401.00001 (1 source, 1 segment)",
        "removed: Lantern-Lab/lantern (1 source, 1 segment)",
        "nothing is stored: arXiv 2409.00009",
    ]
    store, segments = SourceStore(empty.sources), open_store(empty)
    for source_id, state in built.states.items():
        if state.source:
            stays = source_id not in gone
            assert bool(store.attempts(source_id)) is stays
            assert (empty.sources / state.source.sha256).exists() is stays
            assert document_path(state.source, empty).exists() is stays
            assert (state.segment in segments.known([state.segment])) is stays
    assert len(rm(empty, *links, code=1)) == len(links)
    again = build(COLOUR, empty, encoder)
    assert (again.added, again.embedded) == (len(gone), len(gone))
    assert files(empty) == before


@pytest.mark.parametrize("steps", range(4))
def test_a_removal_that_was_killed_is_finished_by_the_next(
    whole_index: tuple[Build, Settings], copied_index: Settings, steps: int
) -> None:
    """Killed before the first of its steps, the second, …"""
    states = whole_index[0].states
    source, segment = states[LANTERN].source, states[LANTERN].segment
    assert source is not None
    here = [
        SegmentStore(copied_index.index).path(segment),
        document_path(source, copied_index),
        copied_index.sources / source.sha256,
        SourceStore(copied_index.sources).ledger(LANTERN),
    ]
    for path in here[:steps]:
        path.unlink()
    count = "no segment" if steps else "1 segment"
    assert rm(copied_index, "2401.00001v2") == [f"removed: arXiv 2401.00001 (1 source, {count})"]
    assert not any(path.exists() for path in here)
    others = {state.segment for state in states.values()} - {segment, ""}
    assert open_store(copied_index).known(others) == others


ids = st.sampled_from([f"arxiv:2401.0000{number}" for number in range(1, 6)])
texts = st.sampled_from(["It paints.", "It draws lines.", "It colours a photo."])


@configured(max_examples=25)
@given(st.lists(st.tuples(ids, texts), max_size=12), st.sets(ids))
def test_what_other_sources_need_is_untouched_and_nothing_else_is_left(
    puts: list[tuple[str, str]], unwanted: set[str]
) -> None:
    """Sources share bytes, and have older ones."""
    with tempfile.TemporaryDirectory() as folder:
        works = IndexedWorks(Path(folder))
        sources = {(each, words): works.add(each, [words]) for each, words in puts}
        for source in sources.values():
            document = extract(source.id, works.sources.read(source), source.media_type)
            cache_document(document, source, works.settings)
        ledgers = {each: works.sources.attempts(each) for each, _ in puts}
        removed = remove(unwanted, works.settings, ENCODER.name)
        assert removed.keys() == unwanted & ledgers.keys()
        stays = [source for (each, _), source in sources.items() if each not in unwanted]
        for source in stays:
            assert works.sources.read(source)
            assert works.segments.load(works.name(source))
        for each, attempts in ledgers.items():
            assert works.sources.attempts(each) == ([] if each in unwanted else attempts)
        for suffix, expected in (
            ("sources/" + "[0-9a-f]" * 64, {source.sha256 for source in stays}),
            ("index/*.segment", {f"{works.name(source)}.segment" for source in stays}),
            ("documents/*", {document_path(source, works.settings).name for source in stays}),
        ):
            assert {path.name for path in Path(folder).glob(suffix) if path.is_file()} == expected


def _remove_often(folder: Path) -> None:
    for _ in range(200):
        remove({"arxiv:2401.00001"}, Settings(folder, offline=True), ENCODER.name)


def test_another_process_may_write_and_read_what_is_removed(tmp_path: Path) -> None:
    works = IndexedWorks(tmp_path)
    other = works.add("arxiv:2401.00002", ["It draws lines."])
    remover = multiprocessing.get_context("spawn").Process(target=_remove_often, args=(tmp_path,))
    remover.start()
    while remover.is_alive():
        source = works.add("arxiv:2401.00001", ["It paints."])
        with contextlib.suppress(SourceError, SegmentError):
            document = extract(source.id, works.sources.read(source), source.media_type)
            cache_document(document, source, works.settings)
            assert cached_document(source, works.settings) in (None, document)
            assert works.segments.load(works.name(source)).passages
        assert works.sources.get(source.id) in (None, source)
        assert works.sources.read(other) == b"It draws lines."
        assert works.segments.load(works.name(other)).passages
    assert remover.exitcode == 0


def test_a_file_is_removed_by_its_name_and_hash_when_it_is_gone(
    whole_index: tuple[Build, Settings], copied_index: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    """A paper of arXiv with the same bytes keeps what it needs."""
    copy = write(tmp_path / "mine.pdf", TIDE)
    (listing,) = works_at([copy])
    build(Catalog((listing,)), copied_index, encoder)
    copy.unlink()
    assert listing.paper is not None
    assert rm(copied_index, listing.paper.written) == ["removed: mine.pdf (1 source, no segment)"]
    state = whole_index[0].states["arxiv:2401.00002"]
    assert state.source is not None
    assert open_store(copied_index).load(state.segment).title
    assert SourceStore(copied_index.sources).read(state.source) == TIDE


def test_prompt_documents_name_all_of_their_works(
    copied_index: Settings, prompt_files: Mapping[str, Path]
) -> None:
    lines = rm(copied_index, *prompt_files.values())
    assert "removed: Lantern: Colouring Grey Photographs (3 sources, 3 segments)" in lines
    assert len(lines) == len(LISTED)
    assert [path for path in copied_index.data_dir.rglob("*") if path.is_file()] == []


def test_where_nothing_is_nothing_is_made(
    empty: Settings, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    shown = rm(empty, prompt_files["move"], code=1)
    assert shown == ["nothing is stored: Kite: Moving Pictures from One Frame"]
    assert list(tmp_path.iterdir()) == []
