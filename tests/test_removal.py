"""`rag remove`: what only these works need goes, also after a kill, and all else stays."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from index.build import build, remove
from index.catalog import Catalog
from index.documents.extract import cache_document, cached_document, document_path, extract
from index.encoder import Encoder
from index.errors import SegmentError, SourceError
from index.settings import Settings
from index.sources import SourceStore
from index.stores import open_store
from rag.prompt import works_at
from tests.parts.commands import invoke
from tests.parts.indexed import ENCODER, IndexedWorks
from tests.parts.works import PROMPTS

COLOUR = PROMPTS["colour"].catalog
LANTERN = "arxiv:2401.00001v2"
STORES = ("segments", "passages.db")


@pytest.fixture(params=STORES)
def chosen(
    request: pytest.FixtureRequest, tmp_path: Path, small_mirror: Path, encoder_folder: Path
) -> Settings:
    """An empty data directory, with segments as files or in an embedded Milvus."""
    store = request.param
    if store != "segments":
        pytest.importorskip("pymilvus", reason="the extra `milvus` is not installed")
        pytest.importorskip("milvus_lite", reason="the extra `milvus` is not installed")
        store = str(tmp_path / store)
    data = tmp_path / "data"
    return Settings(data, small_mirror, offline=True, encoder=str(encoder_folder), store=store)


def options(chosen: Settings) -> tuple[object, ...]:
    return ("--data-dir", chosen.data_dir, "--encoder", chosen.encoder, "--store", chosen.store)


def test_a_work_goes_with_all_that_was_made_of_it_and_comes_back(
    chosen: Settings, encoder: Encoder, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    built = build(COLOUR, chosen, encoder)
    answer = tmp_path / "answer.json"
    fetching = (*options(chosen), "--mirror", chosen.mirror, "--offline")
    ask = ("ask", prompt_files["colour"], "--writer", "extractive", "--output", answer)
    invoke(*ask, *fetching)
    before = {path: path.read_bytes() for path in chosen.data_dir.rglob("*") if path.is_file()}

    gone = ("arxiv:2401.00001v2", "github:lantern-lab/lantern")
    links = ("2401.00001v2", "Lantern-Lab/lantern", "2409.00009")
    shown = invoke("remove", *links, *options(chosen))
    assert shown.out.splitlines() == [
        "removed: arXiv 2401.00001 (1 source, 1 segment)",
        "removed: Lantern-Lab/lantern (1 source, 1 segment)",
        "nothing is stored: arXiv 2409.00009",
    ]
    store, segments = SourceStore(chosen.sources), open_store(chosen)
    names = {source_id: state.segment for source_id, state in built.states.items()}
    assert not any(store.attempts(source_id) for source_id in gone)
    for source_id, state in built.states.items():
        if state.source:
            stays = source_id not in gone
            assert (store.get(source_id) == state.source) is stays
            assert (chosen.sources / state.source.sha256).exists() is stays
            assert document_path(state.source, chosen).exists() is stays
            assert (names[source_id] in segments.known([names[source_id]])) is stays
    said = invoke("verify", answer, "--data-dir", chosen.data_dir, code=1).err
    assert said.count("no bytes with the recorded hash are in") == len(gone)

    assert invoke("remove", *links, *options(chosen), code=1).out.count("nothing is stored") == 3
    again = build(COLOUR, chosen, encoder)
    assert (again.added, again.embedded) == (len(gone), len(gone))
    assert {path: path.read_bytes() for path in before if "ledger" not in path.parts} == {
        path: data for path, data in before.items() if "ledger" not in path.parts
    }
    assert invoke("verify", answer, "--data-dir", chosen.data_dir).out.startswith("verified")


@pytest.mark.parametrize("steps", range(4))
def test_a_removal_that_was_killed_is_finished_by_the_next(
    chosen: Settings, encoder: Encoder, steps: int
) -> None:
    """Killed before the first of its steps, the second, …"""
    built = build(COLOUR, chosen, encoder)
    state = built.states[LANTERN]
    assert state.source is not None
    document, data = document_path(state.source, chosen), chosen.sources / state.source.sha256
    if steps > 0:
        open_store(chosen).delete([state.segment])
    for path in (document, data)[: max(0, steps - 1)]:
        path.unlink()
    segment = "no segment" if steps else "1 segment"
    shown = invoke("remove", "2401.00001v2", *options(chosen)).out
    assert shown == f"removed: arXiv 2401.00001 (1 source, {segment})\n"
    assert not document.exists()
    assert not data.exists()
    assert not SourceStore(chosen.sources).ledger(LANTERN).exists()
    others = {s.segment for s in built.states.values() if s.segment} - {state.segment}
    assert open_store(chosen).known([state.segment, *others]) == others


ids = st.sampled_from([f"arxiv:2401.0000{number}" for number in range(1, 6)])
texts = st.sampled_from(["It paints.", "It draws lines.", "It colours a photo."])


@configured(max_examples=40)
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
    source = works.add("arxiv:2401.00001", ["It paints."])
    assert works.sources.get(source.id) == source
    assert works.segments.load(works.name(source)).passages


def test_a_file_is_removed_by_its_name_and_hash_when_it_is_gone(
    chosen: Settings, encoder: Encoder, small_mirror: Path, tmp_path: Path
) -> None:
    """A paper of arXiv with the same bytes keeps what it needs."""
    (paper,) = small_mirror.rglob("2401.00002*.pdf")
    (copy := tmp_path / "mine.pdf").write_bytes(paper.read_bytes())
    built = build(COLOUR, chosen, encoder)
    (listing,) = works_at([copy])
    build(Catalog((listing,)), chosen, encoder)
    copy.unlink()
    assert listing.paper is not None
    shown = invoke("remove", listing.paper.written, *options(chosen)).out
    assert shown == "removed: mine.pdf (1 source, no segment)\n"
    state = built.states["arxiv:2401.00002"]
    assert state.source is not None
    assert open_store(chosen).load(state.segment).title
    assert SourceStore(chosen.sources).read(state.source)


def test_a_prompt_document_names_all_of_its_works(
    chosen: Settings, encoder: Encoder, prompt_files: Mapping[str, Path]
) -> None:
    build(COLOUR, chosen, encoder)
    lines = invoke("remove", prompt_files["colour"], *options(chosen)).out.splitlines()
    assert "removed: Lantern: Colouring Grey Photographs (3 sources, 3 segments)" in lines
    assert len(lines) == 3
    left = [path for path in chosen.data_dir.rglob("*") if path.is_file()]
    assert left == []


def test_where_nothing_is_nothing_is_made(
    chosen: Settings, prompt_files: Mapping[str, Path]
) -> None:
    shown = invoke("remove", prompt_files["move"], *options(chosen), code=1)
    assert shown.out == "nothing is stored: Kite: Moving Pictures from One Frame\n"
    assert not chosen.data_dir.exists()
    assert chosen.store == "segments" or not Path(chosen.store).exists()
