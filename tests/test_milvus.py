"""Milvus in place of files: the embedded one and a server, both real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from index.build import Build, build
from index.encoder import Encoder
from index.errors import SegmentError, StoreError
from index.settings import Settings
from index.stores import Store, open_store
from index.stores.milvus import PASSAGES, PIECES, MilvusStore
from index.stores.segments import Segment, without_vectors
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.retrieval.retrieve import MANY, NEAREST, search_data_dir
from rag.writers.extractive import ExtractiveWriter
from tests.parts.commands import Output, invoke, run
from tests.parts.indexed import segment
from tests.parts.milvus import MilvusServer
from tests.parts.works import LISTED, PROMPTS, prompt

pymilvus = pytest.importorskip("pymilvus", reason="the extra `milvus` is not installed")
pytest.importorskip("milvus_lite", reason="the extra `milvus` is not installed")

EVERYTHING = prompt("colour", sorted(LISTED), []).catalog
READABLE = len(EVERYTHING.source_ids) - 1


@pytest.fixture(scope="module")
def chosen(
    tmp_path_factory: pytest.TempPathFactory, small_mirror: Path, encoder_folder: Path
) -> Iterator[Settings]:
    """A data directory whose segments are on a server."""
    folder = tmp_path_factory.mktemp("milvus")
    with MilvusServer(folder / "server") as server:
        settings = Settings(folder / "data", small_mirror, True, str(encoder_folder))
        yield replace(settings, store=server.address)


@pytest.fixture(scope="module")
def built(chosen: Settings, encoder: Encoder) -> Build:
    return build(EVERYTHING, chosen, encoder)


def content(one: Segment) -> tuple[bytes, bytes]:
    return without_vectors(one), one.vectors.tobytes()


def client_of(store: Store) -> Any:
    return pymilvus.MilvusClient(cast(Any, store).address)


@pytest.mark.parametrize("kind", ["server", "embedded"])
def test_a_segment_comes_back_bit_by_bit(chosen: Settings, tmp_path: Path, kind: str) -> None:
    embedded = replace(chosen, store=str(tmp_path / "folder" / "embedded.db"))
    store = open_store(chosen if kind == "server" else embedded)
    saved = [
        segment(["A red fox runs.", "Ünï çödé \U0001f600."], name="1" * 32, heading="h" * 100_000),
        segment([f"Sentence {n} of many." for n in range(1_200)], name="2" * 32),
        segment([], name="3" * 32),
    ]
    for one in saved:
        store.save(one)
    names = [one.name for one in saved]
    assert store.known([*names, "4" * 32]) == set(names)
    found = dict(store.load_all([*reversed(names), "4" * 32]))
    assert [name for name in found if name in names] == names[::-1]
    assert [content(cast(Segment, found[name])) for name in names] == list(map(content, saved))
    assert isinstance(found["4" * 32], SegmentError)
    with pytest.raises(SegmentError, match=r"no segment 4444.*rag index"):
        store.load("4" * 32)


def test_what_is_deleted_is_gone_with_every_row_and_the_rest_stays(chosen: Settings) -> None:
    store, client = open_store(chosen), client_of(open_store(chosen))
    saved = [segment([f"Fox {n}.", "It runs."], name=f"{n}" * 32) for n in range(5, 9)]
    for one in saved:
        store.save(one)
    half, whole, *stay = (one.name for one in saved)
    client.delete(PIECES, ids=[f"{half}-0"])  # as a deletion that died leaves it
    store.delete([half, whole, "4" * 32])
    tables = [table for table in client.list_collections() if table.startswith("grounded_rag")]
    assert len(tables) > 1
    for table in tables:
        assert not client.query(table, filter=f'segment in ["{half}", "{whole}"]')
    assert [content(store.load(name)) for name in stay] == list(map(content, saved[2:]))
    store.delete(stay)


def test_a_second_build_embeds_and_writes_nothing(
    built: Build, chosen: Settings, encoder: Encoder
) -> None:
    assert built.embedded == built.added == READABLE
    assert not list(chosen.index.glob("*.segment"))
    name_only = cast(Encoder, SimpleNamespace(name=encoder.name))
    again = build(EVERYTHING, chosen, name_only)
    assert (again.added, again.embedded, again.damaged) == (0, 0, ())
    assert again.states == built.states


def test_evidence_and_search_are_those_of_the_segments(
    built: Build, chosen: Settings, encoder: Encoder, pipeline: Pipeline, tmp_path: Path
) -> None:
    there = Pipeline(chosen, encoder, ExtractiveWriter())
    for asked in PROMPTS.values():
        assert there.gather(asked) == pipeline.gather(asked)
    files = replace(chosen, store="segments", data_dir=tmp_path)
    build(EVERYTHING, files, encoder)
    hits = [search_data_dir("What colours a photograph?", 50, s, encoder) for s in (chosen, files)]
    assert hits[0] == hits[1]
    assert len(hits[0]) > 5


def test_of_many_works_those_that_milvus_finds_nearest_are_searched(
    chosen: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    """Every work has a word of its own."""
    works = [
        {"model": f"Model {n}", "summary": f"It paints with the brush number{n} on a canvas."}
        for n in range(MANY + 10)
    ]
    catalog = Prompt.build("Who paints?", recommended=works).catalog
    settings = replace(chosen, data_dir=tmp_path)
    built = build(catalog, settings, encoder)
    names = {state.segment for state in built.states.values()}
    query = "Which model paints with number77?"
    (vector,) = encoder.encode_queries([query])
    store = open_store(settings)
    few = store.nearest(names, query, vector, 3)
    assert 0 < len(few) <= 6
    assert store.nearest(few, query, vector, 3) == few
    assert len(store.nearest(names, query, vector, NEAREST)) <= 2 * NEAREST < len(names)
    hits = search_data_dir(query, 5, settings, encoder)
    assert "number77" in hits[0].text
    (named,) = {hit.source_id for hit in hits[:1]}
    assert search_data_dir(query, 5, settings, encoder, works=[named])[0].text == hits[0].text


def test_every_command_works_with_an_embedded_one(
    own_settings: Settings, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    common = ["--data-dir", own_settings.data_dir, "--encoder", own_settings.encoder]
    fetching = [*common, "--mirror", own_settings.mirror, "--offline"]
    store = ["--store", tmp_path / "embedded.db"]
    answer = tmp_path / "answer.json"
    prompt = prompt_files["move"]
    assert "usable" in invoke("index", prompt, *fetching, *store).err
    invoke("ask", prompt, "--writer", "extractive", "--output", answer, *fetching, *store)
    invoke("verify", "--strict", answer, *common, *store)
    assert "full text" in invoke("catalog", prompt, *common[:2]).out
    search = ["search", "What moves?", prompt, "--json", *fetching]
    found = invoke(*search, *store).out
    assert found == invoke(*search).out
    assert json.loads(found.splitlines()[0])["title"]


def test_a_new_file_is_made_without_a_traceback_of_its_library(tmp_path: Path) -> None:
    program = (
        "from index.stores.milvus import MilvusStore; from tests.parts.indexed import segment\n"
        f"MilvusStore({str(tmp_path / 'new.db')!r}).save(segment(['A fox.'], name='1' * 32))"
    )
    assert run(program=program) == Output("", "")


def test_what_a_build_did_not_finish_or_someone_changed_is_made_anew(
    built: Build, chosen: Settings, encoder: Encoder
) -> None:
    store = open_store(chosen)
    client = client_of(store)
    unfinished, changed, lost = [s.segment for s in built.states.values() if s.segment][:3]
    before = {name: content(store.load(name)) for name in (unfinished, changed, lost)}
    client.delete(PIECES, ids=[f"{unfinished}-0"])
    (table,) = [t for t in client.list_collections() if t.endswith(f"_{encoder.dimension}")]
    (row,) = client.query(table, ids=[f"{changed}-0"], output_fields=["*"])
    del row["words"]  # Milvus makes it of the text.
    client.upsert(table, [row | {"text": row["text"].swapcase()}])
    client.delete(table, ids=[f"{lost}-0"])
    assert store.known([unfinished]) == frozenset()
    for name in (changed, lost):
        with pytest.raises(SegmentError, match="damaged: its checksum does not match"):
            store.load(name)
    again = build(EVERYTHING, chosen, encoder, load=True)
    assert again.embedded == 3
    assert len(again.damaged) == 2
    assert {name: content(store.load(name)) for name in before} == before


def test_a_server_that_dies_in_a_build_is_named_and_the_next_build_goes_on(
    tmp_path: Path, own_settings: Settings, encoder: Encoder
) -> None:
    with MilvusServer(tmp_path / "server") as server:
        settings = replace(own_settings, store=server.address.replace("//", "//root:secret@"))

        def notify(stage: str, done: int, total: int, what: str) -> None:
            if (stage, done) == ("read and embed", 2):
                server.kill()

        with pytest.raises(StoreError, match=r"Milvus at http://127.*start it") as raised:
            build(EVERYTHING, settings, encoder, notify=notify)
        assert "secret" not in str(raised.value)
        server.start()
        again = build(EVERYTHING, settings, encoder, load=True)
        assert (again.embedded, again.damaged) == (READABLE - 2, ())
        assert len(again.segments) == READABLE


def test_several_that_begin_at_once_on_an_empty_server_make_its_tables_together(
    tmp_path: Path,
) -> None:
    saved = [segment([f"Fox {n} runs.", "It rests."], name=f"{n}" * 32) for n in range(6)]
    with MilvusServer(tmp_path) as server, ThreadPoolExecutor(len(saved)) as pool:
        store = MilvusStore(server.address)
        list(pool.map(store.save, saved))
        loaded = dict(store.load_all([one.name for one in saved]))
    assert [content(cast(Segment, loaded[one.name])) for one in saved] == list(map(content, saved))


def test_a_table_that_lacks_an_index_is_completed_by_whoever_asks_next(chosen: Settings) -> None:
    store, one = open_store(chosen), segment(["A red fox runs.", "It rests."], name="a" * 32)
    client = client_of(store)
    store.save(one)
    steps: list[Callable[[], object]] = [
        lambda: store.save(one),
        lambda: store.known([one.name]),
        lambda: store.nearest([one.name], "fox", one.vectors[0], 3),
        lambda: store.load(one.name),
        lambda: store.delete([one.name]),
    ]
    for step in steps:
        for table in (PIECES, PASSAGES.format(dimension=one.vectors.shape[1])):
            if client.list_indexes(table, "segment"):
                client.release_collection(table)
                client.drop_index(table, "segment")
        step()
    client.load_collection(PIECES)
    assert not client.query(PIECES, filter=f'segment == "{one.name}"')


def test_no_server_and_a_file_that_is_in_use_are_named(tmp_path: Path) -> None:
    def ask(store: str) -> None:
        open_store(Settings(tmp_path, store=store)).known(["1" * 32])

    with MilvusServer(tmp_path / "used.db") as server:
        with pytest.raises(StoreError, match="one process at a time"):
            ask(str(server.folder))
        server.kill()
        with pytest.raises(StoreError, match=f"Milvus at {server.address} did not answer"):
            ask(server.address)
    with pytest.raises(StoreError, match="expected `segments`, the address of a Milvus server"):
        ask("elsewhere")
