"""What a model's folder must have and may hold: nothing of it runs, is unpickled, or keeps a
machine busy, and what is damaged is a clear error."""

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
from index.errors import RagError
from index.weights import check_checkpoint, dtype_on
from rag.retrieval.retrieve import load_reranker
from rag.support.nli import CrossEncoderChecker
from rag.writers.instruct import WritingSettings
from rag.writers.local import LocalWriter, load_model
from tests.parts.tiny_encoders import write_encoder, write_reranker
from tests.parts.tiny_models import FixedChecker, check_draft, evidence, llama, saved
from tests.parts.works import write

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


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(folder / "sprung")))


def pickled_shard(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "shard.bin").write_bytes(pickle.dumps(Trap(folder / "sprung")))
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, "shard.bin")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pickled_module(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text())
    kind = "sentence_transformers.base.modules.dense.Dense"
    modules.append({"idx": 9, "name": "9", "path": "9_Dense", "type": kind})
    (folder / "modules.json").write_text(json.dumps(modules))
    size = {"in_features": 4, "out_features": 4, "bias": False}
    write(folder / "9_Dense/config.json", json.dumps(size))
    torch.save({"linear.weight": torch.eye(4)}, folder / "9_Dense/pytorch_model.bin")


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:4000])


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def spoilt(value: float) -> Damage:
    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        name = max(weights, key=lambda key: weights[key].numel())
        weights[name] = weights[name].clone()
        weights[name].view(-1)[-1] = value
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    return damage


def written(name: str, text: str) -> Damage:
    return lambda folder: (folder / name).write_text(text)


HUGE = {"hidden_size": 1 << 15, "intermediate_size": 1 << 17, "num_hidden_layers": 200}
DEEP = {"auto_map": {"AutoModel": "evil.Model"}}
INDEX, MODULE = "model.safetensors.index.json", '[{{"type": "x", "path": "{}"}}]'
CODE, ELSEWHERE, OTHER = "code of its own", "no safetensors file", "not of the form"
PICKLED = "pickled weights are never loaded"
DAMAGES: list[tuple[str, Damage, str]] = [
    ("code in config.json", with_code("config.json"), CODE),
    ("code in tokenizer_config.json", with_code("tokenizer_config.json"), CODE),
    ("code deep in a configuration", edited("config.json", text_config=DEEP), CODE),
    ("a kernel from the hub", edited("config.json", attn_implementation="evil/kernel"), CODE),
    ("an adapter", edited("adapter_config.json", base_model_name_or_path="a/b"), "adapter"),
    ("a pickle", pickled, PICKLED),
    ("a pickle behind the index", pickled_shard, ELSEWHERE),
    ("a pickle by name", edited("config.json", transformers_weights="a.bin"), ELSEWHERE),
    ("a shard elsewhere", edited(INDEX, weight_map={"a": "../../a.safetensors"}), ELSEWHERE),
    ("cut short", cut_short, "cannot be loaded"),
    ("no number", spoilt(float("nan")), "no numbers"),
    ("infinity", spoilt(float("-inf")), "no numbers"),
    ("a billion layers", edited("config.json", num_hidden_layers=10**9), "1000000000 layers"),
    ("experts without end", edited("config.json", num_local_experts=70_000), "of 70000 experts"),
    ("nested without end", written("config.json", "[" * 100_000), "not valid JSON"),
    ("a list", written("config.json", "[]"), OTHER),
    ("modules of another form", written("modules.json", '[{"type": "x"}]'), OTHER),
    ("a module elsewhere", written("modules.json", MODULE.format("../..")), "out of its folder"),
]
OWN_DAMAGES: list[tuple[str, str, Damage, str]] = [
    ("encoder", "the pickle of a module", pickled_module, PICKLED),
    ("writer", "lacks weights", without_a_weight, "lacks 1 of the model's weights"),
    ("writer", "another shape", edited("config.json", hidden_size=64), "cannot be loaded"),
    ("writer", "no tokenizer", without_tokenizer, "cannot be loaded|no tokenizer"),
    ("writer", "few rows", lambda folder: llama(200).save_pretrained(folder), "only 200 rows"),
    ("writer", "too large", edited("config.json", **HUGE), r"needs \d+\.\d GiB .* take a smaller"),
]
CASES = [(loader, *damage) for loader in LOADERS for damage in DAMAGES] + OWN_DAMAGES


@pytest.mark.parametrize(("loader", "name", "damage", "message"), CASES)
def test_a_folder_that_could_do_harm_or_is_damaged_is_refused_by_name_without_a_question(
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loader: str,
    name: str,
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


def test_a_list_of_training_sets_is_no_configuration(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["encoder"], tmp_path / "model")
    (folder / "data_config.json").write_text('[{"name": "a set", "weight": 1}]')
    assert check_checkpoint(folder) == folder


@pytest.mark.parametrize("loader", LOADERS)
def test_what_names_no_folder_and_no_model_of_this_machine_is_refused(loader: str) -> None:
    for name, message in (
        ("nowhere/at/all", "nowhere/at/all does not exist"),
        ("./nowhere", "./nowhere does not exist"),
        ("nobody/nothing", "nobody/nothing. is not on this machine"),
        *((name, None) for name in ("~nobody-of-this-name/x", "a\0b", "", "x" * 300)),
    ):
        with pytest.raises(RagError, match=message):
            LOADERS[loader][1](name)


def test_a_model_is_loaded_named_by_its_weights_and_writes_with_either_number_type(
    folders: dict[str, Path],
) -> None:
    model = load_model(str(folders["writer"]), offline=True)
    assert (model.model.dtype, model.context) == (dtype_on("cpu"), 4096)
    assert str(model.revision).startswith("sha256:")
    short = WritingSettings(prose_tokens=8, tries=0, statements=1)
    for dtype in (torch.float32, torch.bfloat16):
        model.model.to(dtype)
        writer = LocalWriter(model, settings=short, checker=FixedChecker(1.0))
        check_draft(evidence(), writer.write(evidence()))
