"""The adapted encoder that reads a statement and its evidence together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import AutoModel

from index.errors import EncoderError
from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.support import entailment
from rag.support.entailment import (
    PAIR_TOKENS,
    STATEMENT_TOKENS,
    WINDOW,
    EntailmentReader,
    PairTokens,
    collate,
    window,
)

FILLER = [f"Water number {number} runs over stones and through fields." for number in range(40)]
ANIMALS = "A brown dog is chasing a black cat across the garden."


@pytest.fixture(scope="module")
def folder() -> Path:
    return locate(DEFAULT_ENCODER, offline=True)


@pytest.fixture(scope="module")
def reader(folder: Path) -> EntailmentReader:
    return EntailmentReader(folder, "cpu")


def test_of_long_evidence_the_window_with_the_statements_words_is_read() -> None:
    evidence = [*FILLER[:20], "Deep models learn.", *FILLER[20:], "The models are deep."]
    read = window("Deep models learn slowly.", evidence)
    assert "Deep models learn." in read
    assert WINDOW - len(FILLER[0]) <= len(read) <= WINDOW
    assert read in " ".join(evidence)
    assert window("Models of number 39.", evidence).endswith("The models are deep.")
    assert window("Deep models.", ["Models  learn. ", "", "So do we."]) == "Models learn. So do we."
    long = "We learn " + "and rest " * 90
    assert window("Learn.", ["Water runs. " * 90, long]) == long.strip()
    assert window("Deep models learn.", []) == ""


def test_a_pair_is_bounded_by_special_tokens_and_padded() -> None:
    ids, types, mask = collate([PairTokens([7], [8, 9]), PairTokens([7], [])])
    assert ids.tolist() == [[101, 7, 102, 8, 9, 102], [101, 7, 102, 102, 0, 0]]
    assert types.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0]]
    assert mask.sum(1).tolist() == [6, 4]


def test_an_untrained_network_leaves_the_encoder_as_it_is(
    reader: EntailmentReader, folder: Path
) -> None:
    plain = AutoModel.from_pretrained(str(folder)).eval()
    network = reader.untrained().eval()
    ids, types, mask = collate([PairTokens([2003, 2023], [2023, 2003, 2009])])
    inputs = {"input_ids": ids, "token_type_ids": types, "attention_mask": mask}
    with torch.inference_mode():
        states = network.get_submodule("encoder")(**inputs).last_hidden_state.float()
        cosines = torch.cosine_similarity(states, plain(**inputs).last_hidden_state, dim=-1)
    assert cosines.min() > 0.99


def test_it_knows_what_follows_also_of_a_batch(reader: EntailmentReader) -> None:
    pairs = [
        ("A dog chases a cat.", ANIMALS),
        ("Antibodies bind to the spike protein.", " ".join(FILLER)),
        ("No dog is chasing a cat.", ANIMALS),
        ("A dog chases a cat because it is hungry.", ANIMALS),
    ]
    follows, *others = logits = reader.logits(pairs)
    assert follows > 0 > max(others)
    alone = [reader.logits([pair])[0] for pair in pairs]
    assert logits == pytest.approx(alone, abs=0.1)
    assert reader.logits([]) == []


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=3))
def test_any_pair_fits_the_network(
    reader: EntailmentReader, statement: str, evidence: list[str]
) -> None:
    for text in (statement * 9, f"{statement} water" * 200):
        (tokens,) = reader.tokens([(text, window(statement, evidence * 9))])
        assert tokens.length <= PAIR_TOKENS
        assert len(tokens.statement) <= STATEMENT_TOKENS


def test_damaged_weights_and_those_of_another_encoder_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EncoderError, match=r"the encoder in .* cannot be loaded"):
        EntailmentReader(tmp_path, "cpu").untrained()
    weights = load_file(entailment.WEIGHTS)
    save_file({f"encoder.{name}": weights[name] for name in weights}, tmp_path / "other")
    monkeypatch.setattr(entailment, "WEIGHTS", tmp_path / "other")
    with pytest.raises(EncoderError, match="install the package anew"):
        EntailmentReader(folder, "cpu").logits([("Dogs run.", ANIMALS)])
