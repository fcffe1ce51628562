"""The benchmarks run, at sizes that take a moment; their figures have the form that is promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from index.build import build
from index.errors import RagError
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks.__main__ import app
from scripts.benchmarks.catalogs import GrowingCatalog, RandomEncoder, invented
from scripts.benchmarks.clock import BenchError, Spent, ratio, spent


def bench(*arguments: object) -> dict[str, Any]:
    """What `rag bench` prints."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["machine"]["cores"]
    return found


def test_a_growing_catalog_is_a_home_like_any_other(tmp_path: Path) -> None:
    """A build finds nothing to do, and what is linked is found as what was written is."""
    catalog = GrowingCatalog(tmp_path, per_work=3, unique=2)
    catalog.grow(15)
    assert catalog.works == 5
    asked = catalog.prompt("What?", 5)
    built = build(asked.catalog, catalog.settings, catalog.encoder)
    assert (built.embedded, built.fetched, built.failed, built.damaged) == (0, 0, (), ())
    names = [state.segment for state in built.states.values()]
    assert len(set(names)) == 5
    evidence = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter()).gather(asked)
    assert [len(hits) for hits in evidence.works] == [3] * 5
    keys, vectors = catalog.vectors(2)
    assert vectors.shape == (len(keys), RandomEncoder.dimension) == (6, 384)


def test_invented_works_share_no_sentence_and_no_vector() -> None:
    sentences = [
        passage.text[start - passage.start : end - passage.start]
        for number in range(3)
        for passage in invented(number, 4)[1]
        for start, end in passage.sentences
    ]
    assert len(set(sentences)) == 24
    vectors = RandomEncoder().encode_passages(sentences)
    assert abs(vectors @ vectors.T - (vectors @ vectors.T).diagonal()).max() > 0.5
    assert len({vector.tobytes() for vector in vectors}) == 24


def test_search_has_all_of_the_brute_force_at_every_size() -> None:
    pytest.importorskip("langchain_community")
    found = bench("search", "--size", 1000, "--size", 1500, "--filtered", 10_000, "--queries", 2)
    assert [(row["passages"], row["works"]) for row in found["restricted"]] == [
        (1000, 10),
        (1500, 15),
    ]
    assert [row["recall"] for row in found["restricted"]] == [1.0, 1.0]
    assert found["last_over_first_wall"] > 0
    (filtered,) = found["langchain_filter"]
    assert filtered["fetch_all"]["recall"] == 1.0
    assert filtered["fetch_k_20"]["recall"] < 1.0


def test_adding_is_measured_alone_and_among_all() -> None:
    found = bench("add", "--works", 1, "--works", 3, "--repeats", 1)
    assert [row["works"] for row in found["adding"]] == [1, 3]
    assert all(row["one_listed_ms"] > 0 < row["all_listed_ms"] for row in found["adding"])


def test_memory_is_that_of_a_process_of_its_own_and_of_its_workers(
    small_mirror: Path, encoder_folder: Path
) -> None:
    found = bench(
        "index", "--mirror", small_mirror, "--documents", 4, "--short", "--encoder", encoder_folder
    )
    (run,) = found["runs"]
    peak = run["peak_mib"]
    assert run["passages"] > 0
    assert peak["together"] >= peak["main"] > 100 > peak["workers"] / 10 > 0


def test_indexing_is_compared_with_langchain(small_mirror: Path, encoder_folder: Path) -> None:
    for package in ("langchain_community", "langchain_huggingface", "langchain_text_splitters"):
        pytest.importorskip(package)
    found = bench("index", "--mirror", small_mirror, "--limit", 1, "--encoder", encoder_folder)
    assert found["documents"] == 1
    assert found["speedup_wall"] > 0
    assert set(found["stages_of_rag"]) == {"extraction", "splitting", "embedding"}


def test_a_mirror_without_papers_is_refused(tmp_path: Path) -> None:
    for more in ((), ("--documents", "2")):
        with pytest.raises(BenchError, match="holds no PDF"):
            bench("index", "--mirror", tmp_path, *more)


def test_a_cold_start_that_fails_is_no_quick_one(tmp_path: Path, encoder_folder: Path) -> None:
    with pytest.raises(BenchError, match=r"ended with 2: rag: .*missing.txt"):
        bench("cold", tmp_path / "missing.txt", "--data-dir", tmp_path, "--encoder", encoder_folder)


def test_the_clock_adds_up_and_a_ratio_to_nothing_is_none() -> None:
    total = Spent()
    for _ in range(2):
        with spent(total):
            sum(range(1000))
    assert total.wall > 0
    assert (ratio(3.0, 2.0), ratio(1.0, 0.0)) == (1.5, 0.0)
    assert issubclass(BenchError, RagError)
