"""The benchmarks run, at sizes that take a moment; their figures have the documented form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.build import build
from index.errors import RagError
from index.stores import open_store
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks import import_langchain
from scripts.benchmarks.__main__ import app
from scripts.benchmarks.search import SyntheticCatalog, filtered_search
from tests.parts.commands import invoke, run
from tests.parts.tiny_models import saved


def bench(*arguments: object) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(invoke(*arguments, commands=app).out)
    assert figures["machine"]["cores"]
    return figures


def test_rag_bench_hands_its_arguments_to_the_benchmarks(tmp_path: Path) -> None:
    listed = run("bench", "-h").out
    assert "Usage: rag bench [OPTIONS] COMMAND" in listed
    assert "--quiet" in invoke("cold", "-h", commands=app).out
    assert all(
        command in listed for command in ("index", "scale", "add", "cold", "decode", "serve")
    )
    assert run("bench", "index", "--mirror", tmp_path, code=2).err == (
        f"rag: {tmp_path}/arxiv holds no PDF: name a mirror with --mirror\n"
    )


def test_a_synthetic_catalog_is_a_data_directory_like_any_other(tmp_path: Path) -> None:
    """A build finds nothing to do, what was repeated is read like what was built, and no two
    passages have the same vector."""
    catalog = SyntheticCatalog(tmp_path, 5, per_work=3, unique=2)
    prompt = catalog.prompt("What?", 5)
    built = build(prompt.catalog, catalog.settings, catalog.encoder)
    assert (built.embedded, built.added, built.failed, built.damaged) == (0, 0, (), ())
    assert len({state.segment for state in built.states.values()}) == 5
    evidence = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter()).gather(prompt)
    assert [len(hits) for hits in evidence.works] == [3] * 5
    vectors = np.concatenate([catalog.vectors(number) for number in range(5)])
    assert len({vector.tobytes() for vector in vectors}) == catalog.saved + 6 == 15
    stored = [open_store(catalog.settings).load(state.segment) for state in built.states.values()]
    assert np.array_equal(np.concatenate([one.vectors for one in stored]), vectors)


@pytest.mark.parametrize("store", ["segments", "milvus"])
def test_each_store_finds_what_brute_force_finds(store: str) -> None:
    pytest.importorskip("milvus_lite", reason="the extra `milvus` is not installed")
    figures = bench("scale", "--size", 2200, "--store", store, "--queries", 1)[store]
    (row,) = figures["sizes"]
    assert (row["passages"], row["works"]) == (2200, 22)
    assert row["recall_ten_works"] == row["recall_everything"] == 1.0
    assert min(row["saved_per_second"]["wall"], row["peak_mib"], row["disk_mib"]) > 0
    assert figures["last_over_first_wall"] == 1.0


def test_a_filter_after_the_search_loses_what_is_listed() -> None:
    pytest.importorskip("langchain_community")
    (store_type,) = import_langchain("langchain_community.vectorstores.FAISS")
    filtered = filtered_search(store_type, 10_000, ["What is question 1?"])
    assert filtered["fetch_all"]["recall"] == 1.0 > filtered["fetch_k_20"]["recall"]


def test_many_clients_are_all_answered_rightly(
    small_mirror: Path, encoder_folder: Path, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    """Four clients where one question is answered and one may wait: some are told to wait."""
    options = ("--data-dir", tmp_path, "--mirror", small_mirror, "--encoder", encoder_folder)
    asking = ("--offline", "--questions", 4, "--clients", 4, "--queue", 1, "--workers", 1)
    (row,) = bench("serve", *prompt_files.values(), *options, *asking)["runs"]
    assert (row["right"], row["wrong"], row["workers"]) == (4, 0, 1)
    assert row["told_to_wait"] > 0 < row["p50_s"] <= row["p95_s"]


def test_adding_is_timed_alone_and_beside_all_works() -> None:
    figures = bench("add", "--works", 1, "--works", 3, "--repeats", 1)
    assert [row["works"] for row in figures["adding"]] == [1, 3]
    assert all(row["one_listed_ms"] > 0 < row["all_listed_ms"] for row in figures["adding"])


def test_memory_is_that_of_a_process_of_its_own_and_of_its_workers(
    small_mirror: Path, encoder_folder: Path
) -> None:
    options = ("--mirror", small_mirror, "--limit", 1, "--encoder", encoder_folder)
    (row,) = bench("index", "--documents", 2, "--short", *options)["runs"]
    peak = row["peak_mib"]
    assert row["passages"] > 0
    assert peak["together"] >= peak["main"] > 100 > peak["workers"] / 10 > 0


def test_indexing_is_compared_with_langchain(small_mirror: Path, encoder_folder: Path) -> None:
    for package in ("langchain_community", "langchain_huggingface", "langchain_text_splitters"):
        pytest.importorskip(package)
    figures = bench("index", "--mirror", small_mirror, "--limit", 1, "--encoder", encoder_folder)
    assert figures["documents"] == 1
    assert figures["speedup_wall"] > 0
    assert set(figures["stages_of_rag"]) == {"extraction", "splitting", "embedding"}


def test_decoding_is_timed_against_steps_and_free_text(
    small_mirror: Path, prompt_files: Mapping[str, Path], tmp_path: Path
) -> None:
    model = saved(tmp_path / "model", context=1500)
    options = ("--data-dir", tmp_path, "--mirror", small_mirror, "--offline", "--statements", 1)
    figures = bench("decode", prompt_files["colour"], "--model", model, *options)
    assert figures["steps_per_quoted_token"] < 1
    assert min(figures[side] for side in ("bound", "stepwise", "free")) > 0


def test_a_cold_start_that_fails_is_an_error(tmp_path: Path, encoder_folder: Path) -> None:
    with pytest.raises(RagError, match=r"ended with 2: rag: .*missing.txt"):
        bench("cold", tmp_path / "missing.txt", "--data-dir", tmp_path, "--encoder", encoder_folder)
