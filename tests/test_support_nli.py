"""NLI cross-encoders as checkers, with tiny models of random weights made here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from index.errors import EncoderError
from rag.support.nli import CrossEncoderChecker

WORDS = "the model a small large fast slow cat sat on mat it was not . , one two three red"
LABELS: dict[str, dict[int, str]] = {
    "nli": {0: "contradiction", 1: "entailment", 2: "neutral"},
    "turned": {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"},
    "two": {0: "not_entailment", 1: "entailment"},
    "one": {0: "LABEL_0"},
    "unnamed": {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
}
LONG = ["the cat sat on the mat . " * 12, "the model was small . it was not slow . " * 8]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each of LABELS the folder of a BERT with random weights that knows WORDS, the same where
    they are as many."""
    folder = tmp_path_factory.mktemp("models")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    tokenizer = BertTokenizer({word: at for at, word in enumerate(words)}, model_max_length=64)
    for name, labels in LABELS.items():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=64, initializer_range=0.6,
            id2label=labels, label2id={label: at for at, label in labels.items()},
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def checkers(models: Path) -> Mapping[str, CrossEncoderChecker]:
    names = [name for name in LABELS if name != "unnamed"]
    return {name: CrossEncoderChecker(str(models / name)) for name in names}


@pytest.fixture(scope="module")
def checker(checkers: Mapping[str, CrossEncoderChecker]) -> CrossEncoderChecker:
    return checkers["nli"]


def test_the_probability_is_that_of_what_the_config_calls_entailment(
    checkers: Mapping[str, CrossEncoderChecker],
) -> None:
    pair = ("the cat sat on the mat .", "the cat sat")  # the evidence is the premise
    softmax, sigmoid = torch.nn.Softmax(dim=-1), torch.nn.Sigmoid()
    labels = {"nli": 1, "turned": 0, "two": 1, "one": None}
    for name, label in labels.items():
        checker = checkers[name]
        activation = sigmoid if label is None else softmax
        (scores,) = checker._model.predict([pair], activation_fn=activation)
        expected = scores if label is None else scores[label]
        probability = checker.check(pair[1], [pair[0]]).probability
        assert probability == pytest.approx(float(expected), abs=1e-5)
        assert label is None or abs(scores[0] - scores[1]) > 1e-3


def test_long_evidence_is_split_and_the_best_part_counts(checker: CrossEncoderChecker) -> None:
    statement = "the model was small"
    parts, _ = checker._parts(statement, LONG)
    assert len(parts) > 2
    room = 64 - 4 - len(statement.split())
    assert all(len(part.replace(".", " .").split()) <= room for part in parts)
    assert " ".join(parts).split() == " ".join(LONG).split()
    best = max(checker.check(statement, [part]).probability or 0 for part in parts)
    assert checker.check(statement, LONG).probability == pytest.approx(best, abs=1e-5)


def test_a_batch_gives_what_each_pair_gives_alone(checker: CrossEncoderChecker) -> None:
    pairs = [("the cat sat", LONG), ("", ["the cat ."]), ("a red mat", ["one . two ."]), ("it", [])]
    together = checker.check_all(pairs)
    for (statement, evidence), support in zip(pairs, together, strict=True):
        alone = checker.check(statement, evidence)
        assert support.reason == alone.reason
        assert support.probability == pytest.approx(alone.probability, abs=1e-5)


@pytest.mark.parametrize(
    ("statement", "evidence", "reason"),
    [
        (" ", ["the cat ."], "the statement is empty"),
        ("the cat", ["", " "], "there is no evidence"),
        ("the cat sat " * 30, ["the cat ."], "the statement fills the 64 tokens the model takes"),
    ],
)
def test_what_cannot_be_scored_is_not_scored(
    checker: CrossEncoderChecker, statement: str, evidence: list[str], reason: str
) -> None:
    support = checker.check(statement, evidence)
    assert (support.probability, support.reason) == (None, reason)


def test_a_lone_surrogate_is_read_as_the_replacement_character(
    checker: CrossEncoderChecker,
) -> None:
    odd, plain = (checker.check(f"the {it} cat", [f"a {it} cat sat ."]) for it in "\ud800\ufffd")
    assert odd == plain


def test_findings_by_rule_come_with_the_models_probability(checker: CrossEncoderChecker) -> None:
    support = checker.check("the cat sat on 3 mats", ["the cat sat on 4 mats ."])
    assert [finding.kind for finding in support.findings] == ["number"]
    assert support.probability is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [("unnamed", "none of them says entailment"), ("nothing", "cannot be loaded")],
)
def test_a_model_without_names_of_labels_or_without_files_is_refused(
    models: Path, name: str, message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        CrossEncoderChecker(str(models / name), offline=True)
