"""Texts encoded without padding get the vectors that the library gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.encoder import ATTENTION, Packing, packing
from tests.parts.tiny_encoders import WORDS, write_encoder

PROMPT = "the text "
texts = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join),
    min_size=1,
    max_size=12,
)


def loaded(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("packing") / "tiny", prompts={"document": PROMPT})


@pytest.fixture(scope="module")
def packed(folder: Path) -> Packing:
    packed = packing(loaded(folder), PROMPT)
    assert packed is not None
    return packed


@pytest.fixture(scope="module")
def padded(folder: Path) -> Any:
    return loaded(folder)


@given(several=texts)
@settings(max_examples=40, deadline=None)
def test_vectors_are_those_of_the_padded_texts(
    packed: Packing, padded: Any, several: list[str]
) -> None:
    vectors = packed.vectors(packed.token_ids(several))
    assert np.allclose(vectors, padded.encode_document(several), atol=1e-5)


@given(several=texts, seed=st.randoms())
@settings(max_examples=20, deadline=None)
def test_a_vector_does_not_depend_on_its_company(
    packed: Packing, several: list[str], seed: Any
) -> None:
    ids = packed.token_ids(several)
    order = list(range(len(ids)))
    seed.shuffle(order)
    together = packed.vectors([ids[row] for row in order])
    for place, row in enumerate(order):
        assert np.allclose(together[place], packed.vectors([ids[row]])[0], atol=1e-5)


def test_a_text_is_cut_where_the_library_cuts_it(packed: Packing, padded: Any) -> None:
    (ids,) = packed.token_ids(["model " * 100])
    assert len(ids) == padded.max_seq_length == 32


def test_the_model_still_takes_padded_texts(folder: Path, padded: Any) -> None:
    model = loaded(folder)
    assert packing(model, PROMPT) is not None
    assert model[0].model.config._attn_implementation == ATTENTION
    several = ["a model", "we train a model and it maps the image to a vector"]
    assert np.allclose(model.encode_query(several), padded.encode_query(several), atol=1e-5)


def test_a_model_whose_vectors_would_differ_is_left_as_it_was(folder: Path, padded: Any) -> None:
    # Its documents get a prompt that this reading does not put before them.
    model = loaded(folder)
    assert packing(model, "") is None
    assert model[0].model.config._attn_implementation == "sdpa"
    assert np.allclose(
        model.encode_document(["a model"]), padded.encode_document(["a model"]), atol=1e-6
    )


def test_a_model_without_a_transformer_is_left_alone() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    from tests.parts.tiny_encoders import tokenizer

    static = StaticEmbedding(tokenizer().backend_tokenizer, embedding_dim=4)
    assert packing(SentenceTransformer(modules=[static], device="cpu"), "") is None
