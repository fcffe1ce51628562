"""Small real parts that tests share: an encoder made on the spot, works, a pipeline over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest

from index.encoder import Encoder, load_encoder
from index.settings import Settings
from rag.answer.model import Answer
from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from tests.parts import works

# How long an example takes says more of the machine and its other work than of the example.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# The tests' models are small: more threads would only stand in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sentence-transformers model: a random vector for every word of the small works."""
    return make_encoder(tmp_path_factory.mktemp("encoder"))


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
    """Over one data directory for all works; what one prompt lists is indexed beside what it does not."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data_dir"),
        mirror=small_mirror,
        offline=True,
        encoder=str(encoder_folder),
    )
    return Pipeline(settings, encoder, ExtractiveWriter())


@pytest.fixture(scope="session")
def answers(pipeline: Pipeline) -> Mapping[str, Answer]:
    """The answer to each of the small prompts."""
    return {name: pipeline.ask(prompt) for name, prompt in works.PROMPTS.items()}


@pytest.fixture
def own_settings(tmp_path: Path, small_mirror: Path, encoder_folder: Path) -> Settings:
    """Settings with a data directory that nobody else writes to, empty at first."""
    return Settings(
        data_dir=tmp_path / "data_dir",
        mirror=small_mirror,
        offline=True,
        encoder=str(encoder_folder),
    )


def make_encoder(folder: Path) -> Path:
    """Save the model; equal words give equal weights, wherever and whenever."""
    import re

    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    read = [str(work.get("summary")) for work in works.LISTED.values()]
    read += [works.LANTERN_README, works.MOSAIC_README, *works.QUESTIONS.values()]
    words = sorted(set(re.findall(r"[a-z]+", " ".join(read).lower())))
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", *letters, *(f"##{letter}" for letter in letters)]
    vocabulary += [word for word in words if len(word) > 1]
    tokenizer = Tokenizer(
        models.WordPiece(
            vocab={token: number for number, token in enumerate(vocabulary)}, unk_token="[UNK]"
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(len(vocabulary), 32, generator=generator)
    model = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights.numpy())], device="cpu"
    )
    model.save(str(folder), create_model_card=False)
    return folder
