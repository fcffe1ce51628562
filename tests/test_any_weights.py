"""With any weights the answer verifies: the whole line over real prompts, from the stored bytes
to `rag verify`, with models that were never trained, or can say nothing but one thing.

By default one answer for each of three prompts. `ANY_WEIGHTS=30 pytest tests/test_any_weights.py`
writes thirty for each of the seven shared prompts, whose papers it reads first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from index.settings import Settings
from rag.answer.compose import compose
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.prompt import read_prompt
from rag.writers import NOT_SAID
from rag.writers.extractive import ExtractiveWriter
from rag.writers.grammar import numbers_in, prose_error
from rag.writers.instruct import WritingSettings
from rag.writers.local import LoadedModel, LocalWriter, load_model
from tests.parts import SHARED
from tests.parts.tiny_models import (
    FixedChecker,
    bpe_tokenizer,
    llama,
    loaded,
    qwen,
    repeats,
    smollm2_tokenizer,
)

EACH = int(os.environ.get("ANY_WEIGHTS", "0"))
PATHS = sorted((SHARED / "prompts").glob("*.txt" if EACH else "00*.txt"))

if not SHARED.exists():
    pytest.skip("needs the shared prompts, papers and models", allow_module_level=True)


def model_of(turn: int) -> LoadedModel:
    """Another kind of model at every turn, and of each kind another one."""
    rows = len(bpe_tokenizer())
    kinds: list[Any] = [
        lambda: load_model(str(SHARED / "models/stories260K-hf"), offline=True),
        lambda: loaded(llama(rows, seed=turn)),
        lambda: loaded(qwen(rows, seed=turn)),
        lambda: loaded(repeats(llama(rows), turn * 7 % rows)),
        lambda: loaded(llama(49152, seed=turn), smollm2_tokenizer()),
        lambda: loaded(qwen(49280, seed=turn), smollm2_tokenizer()),
    ]
    model: LoadedModel = kinds[turn % len(kinds)]()
    return model


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data_dir"),
        mirror=SHARED / "mirror",
        offline=True,
        encoder=str(SHARED / "models/static-bge64-st"),
    )
    return Pipeline.of(settings, ExtractiveWriter())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_answer_verifies(path: Path, pipeline: Pipeline) -> None:
    evidence = pipeline.gather(read_prompt(path))
    numbers = numbers_in(" ".join(hit.text for hit in evidence.hits()))
    document_of, first = Reextraction(pipeline.settings), sum(map(ord, path.stem))
    for turn in range(first, first + max(1, EACH)):
        settings = WritingSettings(
            temperature=0.0 if turn % 3 == 2 else 1.5,
            seed=turn,
            tries=turn % 2,
            prose_tokens=8,
            statements=1 + turn % 2,
        )
        checker = FixedChecker(0.0 if turn % 5 == 4 else 1.0)
        writer = LocalWriter(model_of(turn), settings=settings, checker=checker)
        answer = compose(evidence, writer.write(evidence))
        verification = verify(answer, document_of)
        assert verification.verified, (turn, verification.failures)
        assert verification.quotes > 0
        assert all(answer.parts.values())
        for part, statement in answer.statements():
            if statement.quotes or not part.startswith("references"):
                assert not statement.text or prose_error(statement.text, numbers) == ""
                assert statement.quotes or statement.text == NOT_SAID
