"""Loading a model: what a checkpoint must have, and a clear error for one that has it not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from index.errors import WriterError
from rag.writers.instruct import WritingSettings
from rag.writers.local import LocalWriter, load_model
from tests.parts.tiny_models import FixedChecker, check_draft, evidence, llama, saved


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_folder_is_loaded_named_by_its_weights_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr("rag.writers.local.dtype_on", lambda _: getattr(torch, dtype))
    model = load_model(str(saved(tmp_path)), offline=True)
    assert (model.model.dtype, model.context) == (getattr(torch, dtype), 4096)
    assert str(model.revision).startswith("sha256:")
    short = WritingSettings(prose_tokens=8, tries=0, statements=1)
    writer = LocalWriter(model, settings=short, checker=FixedChecker(1.0))
    check_draft(evidence(), writer.write(evidence()))


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def configured(**changes: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return change


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


HUGE = {"hidden_size": 1 << 15, "intermediate_size": 1 << 17, "num_hidden_layers": 200}
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (
        lambda folder: (folder / "model.safetensors").write_bytes(
            (folder / "model.safetensors").read_bytes()[:4000]
        ),
        "cannot be loaded",
    ),
    "lacks weights": (without_a_weight, "lacks 1 of the model's weights"),
    "another shape": (configured(hidden_size=64), "cannot be loaded"),
    "pickled": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "pickled weights are never loaded",
    ),
    "config is no JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        "config.json: not valid JSON .* fetch the model again",
    ),
    "no tokenizer": (without_tokenizer, "cannot be loaded|no tokenizer"),
    "embedding too small": (lambda folder: llama(200).save_pretrained(folder), "only 200 rows"),
    "larger than the memory": (
        configured(**HUGE),
        r"needs \d+\.\d GiB .* take a smaller model",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_a_clear_error(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(saved(tmp_path))
    with pytest.raises(WriterError, match=message):
        load_model(str(tmp_path), offline=True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/at/all", "nowhere/at/all does not exist"),
        ("./nowhere", "./nowhere does not exist"),
        ("nobody/nothing", "nobody/nothing. is not on this machine"),
    ],
)
def test_an_unknown_model_is_a_clear_error(name: str, message: str) -> None:
    with pytest.raises(WriterError, match=message):
        load_model(name, offline=True)
