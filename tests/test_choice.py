"""Which writer is opened, what it would download first, and why another writes in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from index.errors import WriterError
from rag.support.builtin import shared_checker
from rag.writers import Writer
from rag.writers.chat import ChatWriter
from rag.writers.choice import AutoWriter, WriterChoice, needed_download, open_writer
from rag.writers.extractive import ExtractiveWriter
from rag.writers.local import LocalWriter
from tests.parts.servers import Reply, Server
from tests.parts.tiny_models import check_draft, evidence, saved


def opened(**choice: Any) -> tuple[Writer, list[str]]:
    """The writer, and what was announced."""
    lines: list[str] = []
    return open_writer(WriterChoice(**choice), announce=lines.append), lines


def test_auto_takes_the_local_model_and_writes_without_it_where_the_context_is_too_small(
    tmp_path: Path,
) -> None:
    folder = str(saved(tmp_path, context=130))
    writer, lines = opened(model=folder, seed=3, tries=1)
    assert isinstance(writer, AutoWriter)
    assert isinstance(writer.model_writer, LocalWriter)
    settings = writer.model_writer.settings
    assert (settings.seed, settings.tries) == (3, 1)
    assert lines == []
    draft = writer.write(evidence())
    check_draft(evidence(), draft)
    assert "too small for one sentence" in draft.record.note
    assert len(lines) == 1
    with pytest.raises(WriterError, match="too small"):
        opened(kind="local", model=folder)[0].write(evidence())


def test_auto_does_without_a_model_and_says_why_in_one_line(tmp_path: Path) -> None:
    saved(tmp_path).joinpath("model.safetensors").write_bytes(b"x" * 3000)
    for choice, why in (
        ({"offline": True, "model": "nobody/nothing"}, "'nobody/nothing' is not on this machine"),
        ({"model": str(tmp_path)}, "no instruct model writes here: "),
    ):
        writer, (line,) = opened(**choice)
        assert isinstance(writer, ExtractiveWriter)
        assert why in line
        assert "\n" not in line
        assert writer.note in line


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"kind": "local", "offline": True, "model": "nobody/nothing"}, "forbids fetching"),
        ({"kind": "local", "model": "not an/id"}, "neither a folder nor the id"),
        ({"kind": "local", "model": "./nowhere"}, "^./nowhere does not exist"),
        ({"kind": "Local"}, "no writer 'Local'; expected one of auto"),
        ({"kind": "chat"}, "needs --model"),
        ({"kind": "chat", "model": "nobody:nothing"}, "no chat model"),
        (
            {"kind": "chat", "model": "x", "base_url": "https://api.example/v1", "offline": True},
            "offline",
        ),
    ],
)
def test_a_writer_asked_for_by_name_that_cannot_run_is_a_clear_error(
    choice: dict[str, Any], message: str
) -> None:
    with pytest.raises(WriterError, match=message):
        opened(**choice)


def test_writers_asked_for_by_name() -> None:
    pytest.importorskip("langchain_openai", reason="needs the extra `chat`")
    choice = WriterChoice("chat", "x", "http://127.0.0.1:9/v1", offline=True)
    local = open_writer(choice, announce=print)
    assert isinstance(local, ChatWriter)
    # It checks what it writes by the checker that warns of an answer's statements.
    assert vars(local)["checker"] is shared_checker(offline=True, announce=print, device="")
    assert isinstance(opened(kind="extractive")[0], ExtractiveWriter)


FILES = {
    "config.json": 700,
    "model-00001-of-00002.safetensors": 3 << 30,
    "model-00002-of-00002.safetensors": 1 << 30,
    "model.safetensors.index.json": 9000,
    "tokenizer.json": 11 << 20,
    "README.md": 5000,
    "onnx/model.onnx": 9 << 30,
    "pytorch_model.bin": 4 << 30,
}


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a model hub that knows one model with weights, and one without."""
    with Server() as server:
        for name, files in (("some/model", FILES), ("no/weights", {"config.json": 5})):
            siblings = [{"rfilename": file, "size": size} for file, size in files.items()]
            info = {"id": name, "sha": "a" * 40, "siblings": siblings}
            headers = {"Content-Type": "application/json"}
            server.tell(f"/api/models/{name}", Reply(200, json.dumps(info).encode(), headers))
        yield server.url


def test_what_is_downloaded_is_known_before_anything_is_fetched(hub: str) -> None:
    assert needed_download("some/model", endpoint=hub) == "some/model: 5 files, 4.01 GiB"
    for model, endpoint, message in (
        ("other/model", hub, "the hub does not give it"),
        ("no/weights", hub, "no safetensors"),
        ("some/model", "http://127.0.0.1:9", "the hub does not give it"),
    ):
        with pytest.raises(WriterError, match=message):
            needed_download(model, endpoint=endpoint)
