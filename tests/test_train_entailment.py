"""Training the reader of the support checker, on a tiny encoder and pairs of numbers."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel

from rag.support.entailment import PairTokens, collate, entailment_network, learned
from scripts import train_entailment
from scripts.train_entailment import DRAWN, drawn, generated, train

# A statement is supported where its number stands in the evidence.
GROUPS = {
    (name, label): [
        PairTokens([own], [own if label else own + 20, *other])
        for own in range(1_000, 1_020)
        for other in ([2_000, 2_001], [2_002])
    ]
    for name in ("fever_nli", "generated")
    for label in (False, True)
}


def tiny_network() -> Any:
    torch.manual_seed(0)
    sizes: Any = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    return entailment_network(BertModel(BertConfig(vocab_size=3_000, num_hidden_layers=1, **sizes)))


def right(network: Any) -> float:
    """The share of the pairs whose logit has the right sign."""
    network.eval()
    signs = [
        (network(*collate(pairs)) > 0).eq(label).float().mean()
        for (_, label), pairs in GROUPS.items()
    ]
    return float(torch.stack(signs).mean())


def test_both_labels_are_drawn_as_often_and_kept_when_other_evidence_is_added() -> None:
    three = {key: pairs for key, pairs in GROUPS.items() if key != ("generated", True)}
    pairs = [pair for batch in drawn(three, random.Random(0)) for pair in batch]
    assert len(pairs) == DRAWN
    assert sum(pair.supported for pair in pairs) == pytest.approx(DRAWN / 2, rel=0.1)
    for tokens, supported in pairs:
        number = tokens.statement[0] if supported else tokens.statement[0] + 20
        assert number in tokens.evidence
    assert any(len(pair.tokens.evidence) > 3 for pair in pairs)


def test_it_learns_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"RATE": 2e-2, "WARM_UP": 5, "KEPT_EVERY": 10, "BATCH_TOKENS": 400}
    for name, value in sizes.items():
        monkeypatch.setattr(train_entailment, name, value)
    kept = tmp_path / "state.pt"
    network, batches_read = tiny_network(), count()

    def interrupt(*_: object) -> None:
        if next(batches_read) == 25:
            raise KeyboardInterrupt

    network.register_forward_pre_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(network, GROUPS, 60, 0, kept)
    assert torch.load(kept, weights_only=True)["step"] == 20
    assert not kept.with_suffix(".partial").exists()
    network = tiny_network()
    before = right(network)
    train(network, GROUPS, 60, 0, kept)
    assert torch.load(kept, weights_only=True)["step"] == 60
    assert right(network) > max(before, 0.8)
    after = {name: tensor.clone() for name, tensor in learned(network).items()}
    train(network, GROUPS, 60, 0, kept)
    assert all(after[name].equal(tensor) for name, tensor in learned(network).items())


def test_sentences_of_texts_are_changed_and_left_as_they_are(tmp_path: Path) -> None:
    sentences = [f"Model {n} was trained on {n + 3} graphics cards for 12 days." for n in range(30)]
    (tmp_path / "work.md").write_text("# Work\n\n" + " ".join(sentences), encoding="utf-8")
    made = list(generated(tmp_path, seed=0))
    assert {example.supported for example in made} == {True, False}
    assert all(example.supported for example in made if example.claim in example.evidence)
    assert {example.source for example in made} == {"generated"}
    assert made == list(generated(tmp_path, seed=0))
