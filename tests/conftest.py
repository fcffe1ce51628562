"""Fixtures that tests share: a small encoder, a mirror of small works, a pipeline over them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest

from index.build import Build, build
from index.encoder import Encoder, load_encoder
from index.settings import Settings
from rag.answer import Answer
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from tests.parts import works
from tests.parts.tiny_encoders import write_static_encoder

# How long an example takes, and making it, depends on the machine and its load, not on it alone.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# The tests' models are small, and the workers of pytest share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Not the settings of whoever runs the tests.
os.environ["RAG_CONFIG"] = os.devnull


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sentence-transformers model: a random vector for every word of the small works."""
    texts = [str(work.get("summary")) for work in works.LISTED.values()]
    texts += [works.LANTERN_README, works.MOSAIC_README, *works.QUESTIONS.values()]
    return write_static_encoder(tmp_path_factory.mktemp("encoder"), " ".join(texts))


@pytest.fixture(scope="session")
def encoder(encoder_folder: Path) -> Encoder:
    return load_encoder(str(encoder_folder), offline=True)


@pytest.fixture(scope="session")
def small_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return works.write_mirror(tmp_path_factory.mktemp("mirror"))


@pytest.fixture(scope="session")
def prompt_files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return works.write_prompts(tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="session")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory,
    small_mirror: Path,
    encoder_folder: Path,
    encoder: Encoder,
) -> Pipeline:
    """One data directory for all prompts: what a prompt lists lies beside what it does not."""
    folder = tmp_path_factory.mktemp("data_dir")
    settings = Settings(folder, small_mirror, offline=True, encoder=str(encoder_folder))
    return Pipeline(settings, encoder, ExtractiveWriter())


@pytest.fixture(scope="session")
def answers(pipeline: Pipeline) -> Mapping[str, Answer]:
    """The answer to each of the small prompts."""
    return {name: pipeline.ask(prompt) for name, prompt in works.PROMPTS.items()}


@pytest.fixture(scope="session")
def whole_index(
    tmp_path_factory: pytest.TempPathFactory,
    small_mirror: Path,
    encoder_folder: Path,
    encoder: Encoder,
) -> tuple[Build, Settings]:
    """A build of all small works, and where it is: to be read, and changed by no test."""
    folder = tmp_path_factory.mktemp("whole_index")
    settings = Settings(folder, small_mirror, offline=True, encoder=str(encoder_folder))
    return build(works.EVERYTHING, settings, encoder), settings


@pytest.fixture
def copied_index(whole_index: tuple[Build, Settings], tmp_path: Path) -> Settings:
    """A copy of it that a test may change."""
    _, settings = whole_index
    return replace(settings, data_dir=shutil.copytree(settings.data_dir, tmp_path / "copied"))


@pytest.fixture
def own_settings(tmp_path: Path, small_mirror: Path, encoder_folder: Path) -> Settings:
    """Settings with an empty data directory that no other test writes to."""
    data_dir = tmp_path / "data_dir"
    return Settings(data_dir, small_mirror, offline=True, encoder=str(encoder_folder))
