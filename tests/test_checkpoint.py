"""What a model's folder may hold: nothing of it runs, is unpickled, or keeps a machine busy."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from index.encoder import load_encoder
from index.errors import EncoderError, RagError
from index.weights import check_checkpoint
from rag.retrieval.retrieve import load_reranker
from rag.support.nli import CrossEncoderChecker
from rag.writers.local import load_model
from tests.parts.tiny_encoders import write_encoder, write_reranker
from tests.parts.tiny_models import saved

Damage = Callable[[Path], object]


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (self.sprung,)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "writer").mkdir()
    return {
        "writer": saved(folder / "writer"),
        "encoder": write_encoder(folder / "encoder"),
        "reranker": write_reranker(folder / "reranker"),
    }


LOADERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "writer": ("writer", lambda name: load_model(name, offline=True)),
    "encoder": ("encoder", lambda name: load_encoder(name, offline=True)),
    "reranker": ("reranker", lambda name: load_reranker(name, offline=True)),
    "support": ("reranker", lambda name: CrossEncoderChecker(name, offline=True)),
}


def edited(name: str, **entries: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        values = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**values, **entries}))

    return damage


def with_code(name: str) -> Damage:
    own = {"auto_map": {"AutoConfig": "evil.Config", "AutoTokenizer": ["evil.Slow", None]}}

    def damage(folder: Path) -> None:
        edited(name, **own)(folder)
        (folder / "evil.py").write_text(f"open({str(folder / 'sprung')!r}, 'w')")

    return damage


def pickled_shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "shard.bin").write_bytes(pickle.dumps(Trap(folder / "sprung")))
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "shard.bin")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def spoilt(value: float) -> Damage:
    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        name = max(weights, key=lambda key: weights[key].numel())
        weights[name] = weights[name].clone()
        weights[name].view(-1)[-1] = value
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return damage


DAMAGES: dict[str, tuple[Damage, str]] = {
    "code in config.json": (with_code("config.json"), "code of its own"),
    "code in tokenizer_config.json": (with_code("tokenizer_config.json"), "code of its own"),
    "code deep in a configuration": (
        edited("config.json", text_config={"auto_map": {"AutoModel": "evil.Model"}}),
        "code of its own",
    ),
    "a kernel from the hub": (
        edited("config.json", attn_implementation="evil/kernel"),
        "code of its own",
    ),
    "an adapter": (edited("adapter_config.json", base_model_name_or_path="a/b"), "adapter"),
    "a pickle behind the index": (pickled_shard, "no safetensors file"),
    "a shard elsewhere": (
        edited("model.safetensors.index.json", weight_map={"a": "../../model.safetensors"}),
        "no safetensors file",
    ),
    "a pickle named by the configuration": (
        edited("config.json", transformers_weights="adapter_model.bin"),
        "no safetensors file",
    ),
    "no number": (spoilt(float("nan")), "no numbers"),
    "infinity": (spoilt(float("-inf")), "no numbers"),
    "a billion layers": (
        edited("config.json", num_hidden_layers=10**9, n_layer=10**9),
        "1000000000 layers",
    ),
    "experts without end": (
        edited("config.json", num_local_experts=70_000),
        "of 70000 experts",
    ),
    "nested without end": (
        lambda folder: (folder / "config.json").write_text("[" * 100_000),
        "not valid JSON",
    ),
    "a list": (lambda folder: (folder / "config.json").write_text("[]"), "not of the form"),
    "modules of another form": (
        lambda folder: (folder / "modules.json").write_text('[{"type": "x"}]'),
        "not of the form",
    ),
    "a module elsewhere": (
        lambda folder: (folder / "modules.json").write_text('[{"type": "x", "path": "../.."}]'),
        "leads out of its folder",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("loader", LOADERS)
def test_a_folder_that_could_do_harm_is_refused_by_name_without_a_question(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loader: str,
    damage: Damage,
    message: str,
) -> None:
    kind, load = LOADERS[loader]
    folder = shutil.copytree(folders[kind], tmp_path / "model")
    damage(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with pytest.raises(RagError, match=message) as refused:
        load(str(folder))
    assert str(folder) in str(refused.value)
    assert not (folder / "sprung").exists()


def test_the_pickle_of_a_module_is_not_opened(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["encoder"], tmp_path / "model")
    dense = folder / "9_Dense"
    dense.mkdir()
    modules = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.base.modules.dense.Dense"
    modules.append({"idx": 9, "name": "9", "path": "9_Dense", "type": kind})
    (folder / "modules.json").write_text(json.dumps(modules))
    size = {"in_features": 4, "out_features": 4, "bias": False}
    (dense / "config.json").write_text(json.dumps(size))
    torch.save({"linear.weight": torch.eye(4)}, dense / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickled weights are never loaded"):
        load_encoder(str(folder), offline=True)


def test_a_list_of_training_sets_is_no_configuration(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["encoder"], tmp_path / "model")
    (folder / "data_config.json").write_text('[{"name": "a set", "weight": 1}]')
    assert check_checkpoint(folder) == folder


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "a\0b", "", "x" * 300])
def test_what_can_name_no_folder_is_refused(name: str) -> None:
    for _, load in LOADERS.values():
        with pytest.raises(RagError):
            load(name)
