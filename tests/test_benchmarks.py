"""The benchmarks run, at sizes that take a moment; their figures have the documented form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from index.build import build
from index.documents.extract import extract
from index.errors import RagError
from index.passages import split
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks import Stopwatch, ratio
from scripts.benchmarks.__main__ import app
from scripts.benchmarks.search import GrowingCatalog, RandomEncoder, invented
from tests.parts.commands import invoke, run
from tests.parts.tiny_models import saved


def bench(*arguments: object) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(invoke(*arguments, commands=app).out)
    assert figures["machine"]["cores"]
    return figures


def test_rag_bench_hands_its_arguments_to_the_benchmarks(tmp_path: Path) -> None:
    listed = run("bench", "--help").out
    assert all(command in listed for command in ("index", "search", "add", "cold", "decode"))
    assert run("bench", "index", "--mirror", tmp_path, code=2).err == (
        f"rag: {tmp_path}/arxiv holds no PDF: name a mirror with --mirror\n"
    )


def test_a_growing_catalog_is_a_data_directory_like_any_other(tmp_path: Path) -> None:
    """A build finds nothing to do, and hard links are read like files that were written."""
    catalog = GrowingCatalog(tmp_path, per_work=3, unique=2)
    catalog.grow(15)
    assert catalog.works == 5
    prompt = catalog.prompt("What?", 5)
    built = build(prompt.catalog, catalog.settings, catalog.encoder)
    assert (built.embedded, built.added, built.failed, built.damaged) == (0, 0, (), ())
    assert len({state.segment for state in built.states.values()}) == 5
    evidence = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter()).gather(prompt)
    assert [len(hits) for hits in evidence.works] == [3] * 5
    keys, vectors = catalog.vectors(2)
    assert vectors.shape == (len(keys), RandomEncoder.dimension) == (6, 384)


def test_invented_works_share_no_sentence_and_no_vector() -> None:
    texts = [invented(number, 4) for number in range(3)]
    works = [split(extract("github:bench/w", text.encode(), "text/markdown")) for text in texts]
    assert [[len(passage.sentences) for passage in passages] for passages in works] == [[2] * 4] * 3
    sentences = [
        text[slice(*span)]
        for text, passages in zip(texts, works, strict=True)
        for passage in passages
        for span in passage.sentences
    ]
    vectors = RandomEncoder().encode_passages(sentences)
    assert len(set(sentences)) == len({vector.tobytes() for vector in vectors}) == 24


def test_search_finds_what_brute_force_finds_at_every_size() -> None:
    pytest.importorskip("langchain_community")
    figures = bench("search", "--size", 1000, "--size", 1500, "--filtered", 10_000, "--queries", 2)
    rows = [(row["passages"], row["works"], row["recall"]) for row in figures["restricted"]]
    assert rows == [(1000, 10, 1.0), (1500, 15, 1.0)]
    assert figures["last_over_first_wall"] > 0 < figures["restricted"][0]["everything_s"]
    (filtered,) = figures["langchain_filter"]
    assert filtered["fetch_all"]["recall"] == 1.0 > filtered["fetch_k_20"]["recall"]


def test_adding_is_timed_alone_and_beside_all_works() -> None:
    figures = bench("add", "--works", 1, "--works", 3, "--repeats", 1)
    assert [row["works"] for row in figures["adding"]] == [1, 3]
    assert all(row["one_listed_ms"] > 0 < row["all_listed_ms"] for row in figures["adding"])


def test_memory_is_that_of_a_process_of_its_own_and_of_its_workers(
    small_mirror: Path, encoder_folder: Path
) -> None:
    options = ("--mirror", small_mirror, "--encoder", encoder_folder)
    (row,) = bench("index", "--documents", 4, "--short", *options)["runs"]
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
    model = saved(tmp_path / "model")
    options = ("--data-dir", tmp_path, "--mirror", small_mirror, "--offline", "--statements", 1)
    figures = bench("decode", prompt_files["colour"], "--model", model, *options)
    assert figures["steps_per_quoted_token"] < 1
    assert min(figures[side] for side in ("bound", "stepwise", "free")) > 0


def test_a_cold_start_that_fails_is_an_error(tmp_path: Path, encoder_folder: Path) -> None:
    with pytest.raises(RagError, match=r"ended with 2: rag: .*missing.txt"):
        bench("cold", tmp_path / "missing.txt", "--data-dir", tmp_path, "--encoder", encoder_folder)


def test_a_stopwatch_sums_its_blocks_and_a_ratio_to_zero_is_zero() -> None:
    stopwatch = Stopwatch()
    with stopwatch:
        sum(range(1000))
    first = stopwatch.wall
    with stopwatch:
        sum(range(1000))
    assert stopwatch.wall > first > 0
    assert (ratio(3.0, 2.0), ratio(1.0, 0.0)) == (1.5, 0.0)
