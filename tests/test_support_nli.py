"""NLI cross-encoders as checkers, with tiny models of random weights made here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from index.errors import EncoderError
from rag.support.nli import CrossEncoderChecker

WORDS = ("the model a small large fast slow cat sat on mat it was not . ,", "one two three red")


def save_model(folder: Path, labels: dict[int, str], *, positions: int = 64) -> Path:
    """A BERT with two layers of random weights that knows WORDS, saved with these labels."""
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *" ".join(WORDS).split()]
    vocabulary = {word: at for at, word in enumerate(words)}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=positions,
        id2label=labels, label2id={label: at for at, label in labels.items()},
        initializer_range=0.6,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(vocab=vocabulary, model_max_length=positions).save_pretrained(folder)
    return folder


NLI = {0: "contradiction", 1: "entailment", 2: "neutral"}
LONG = ["the cat sat on the mat . " * 12, "the model was small . it was not slow . " * 8]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_model(folder / "nli", NLI)
    save_model(folder / "turned", {0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"})
    save_model(folder / "two", {0: "not_entailment", 1: "entailment"})
    save_model(folder / "one", {0: "LABEL_0"})
    save_model(folder / "unnamed", {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    return folder


def test_the_probability_is_that_of_the_label_the_config_calls_entailment(models: Path) -> None:
    pair = ("the cat sat", ["the cat sat on the mat ."])
    probabilities = {}
    for name in ("nli", "turned"):
        checker = CrossEncoderChecker(str(models / name))
        probability = checker.check(*pair).probability
        assert probability is not None
        logits = checker._model.predict(
            [(pair[1][0], pair[0])], activation_fn=torch.nn.Softmax(dim=-1)
        )[0]
        probabilities[name] = probability
        assert probability == pytest.approx(float(logits[1 if name == "nli" else 0]), abs=1e-5)
    assert probabilities["nli"] != pytest.approx(probabilities["turned"], abs=1e-3)


@pytest.mark.parametrize("name", ["two", "one"])
def test_models_with_two_labels_or_one_score_can_be_used(models: Path, name: str) -> None:
    support = CrossEncoderChecker(str(models / name)).check("the cat", ["the cat sat ."])
    assert 0 <= (support.probability or -1) <= 1
    assert support.checker.endswith(name)


def test_long_evidence_is_split_and_the_best_part_counts(models: Path) -> None:
    checker = CrossEncoderChecker(str(models / "nli"))
    statement = "the model was small"
    parts, _ = checker._parts(statement, LONG)
    assert len(parts) > 2
    room = 64 - 4 - len(statement.split())
    assert all(len(part.replace(".", " .").split()) <= room for part in parts)
    assert " ".join(parts).split() == " ".join(LONG).split()
    best = max(checker.check(statement, [part]).probability or 0 for part in parts)
    assert checker.check(statement, LONG).probability == pytest.approx(best, abs=1e-5)


def test_a_batch_gives_what_each_pair_gives_alone(models: Path) -> None:
    checker = CrossEncoderChecker(str(models / "nli"))
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
    models: Path, statement: str, evidence: list[str], reason: str
) -> None:
    support = CrossEncoderChecker(str(models / "nli")).check(statement, evidence)
    assert support.probability is None
    assert support.reason == reason
    assert support.holds(0.5) is None


def test_findings_by_rule_come_with_the_models_probability(models: Path) -> None:
    support = CrossEncoderChecker(str(models / "nli")).check(
        "the cat sat on 3 mats", ["the cat sat on 4 mats ."]
    )
    assert [finding.kind for finding in support.findings] == ["number"]
    assert support.holds(0.0) is False


@pytest.mark.parametrize(
    ("name", "message"),
    [("unnamed", "none of them says entailment"), ("nothing", "cannot be loaded")],
)
def test_a_model_without_names_of_labels_or_without_files_is_refused(
    models: Path, name: str, message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        CrossEncoderChecker(str(models / name), offline=True)
