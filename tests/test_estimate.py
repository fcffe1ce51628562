"""What embedding anew will cost is said before it begins, and is near what it then costs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index.build import Estimate, Record, build, estimate
from index.encoder import Encoder, Vectors, load_encoder
from index.settings import Settings
from tests.parts.tiny_encoders import write_encoder
from tests.parts.works import LISTED, prompt, write

EVERYTHING = prompt("colour", sorted(LISTED), []).catalog
TEXTS = b'{"when":"","encoder":"","called":"","sources":1,"passages":1,"seconds":"1","disk":1}\n'
UNREAD = 1  # Willow's paper cannot be had


class Other:
    """Another encoder, which counts what it is asked to embed."""

    name = "other-24"
    dimension = 24
    max_tokens = 200
    embedded = 0

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        self.embedded += len(texts)
        found: Vectors = np.eye(1, self.dimension, dtype=np.float32).repeat(len(texts), axis=0)
        return found

    encode_queries = encode_passages

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture
def indexed(own_settings: Settings, encoder: Encoder) -> Settings:
    """The settings of a data directory where everything is indexed."""
    build(EVERYTHING, own_settings, encoder)
    return own_settings


def segments(settings: Settings) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in settings.index.glob("*.segment")}


def records(settings: Settings) -> Iterator[Record]:
    path = settings.index / "builds.jsonl"
    return map(Record.from_json, path.read_bytes().splitlines())


def test_a_home_that_is_up_to_date_or_empty_costs_nothing(
    indexed: Settings, encoder: Encoder, tmp_path: Path
) -> None:
    assert estimate(EVERYTHING, indexed, encoder) is None
    assert estimate(EVERYTHING, replace(indexed, data_dir=tmp_path / "empty"), Other()) is None


def test_another_encoder_costs_every_source_and_about_its_passages_and_disk(
    indexed: Settings, encoder: Encoder
) -> None:
    before = segments(indexed)
    other = Other()
    cost = estimate(EVERYTHING, indexed, other)
    assert isinstance(cost, Estimate)
    assert cost.sources == len(EVERYTHING.source_ids) - UNREAD
    assert cost.others == (indexed.encoder,)
    assert other.embedded <= 96 * 5, "the estimate itself embeds a first batch and no more"
    assert segments(indexed) == before
    built = build(EVERYTHING, indexed, other)
    new = [size for name, size in segments(indexed).items() if name not in before]
    assert cost.passages == pytest.approx(built.passages, rel=0.3)
    # Headers and the checksum of each file are no part of it.
    assert cost.disk == pytest.approx(sum(new) - 400 * len(new), rel=0.4)
    assert estimate(EVERYTHING, indexed, other) is None


def test_what_is_embedded_already_is_not_counted(indexed: Settings, encoder: Encoder) -> None:
    build(prompt("move", ["Kite"], []).catalog, indexed, Other())
    cost = estimate(EVERYTHING, indexed, Other())
    assert cost is not None
    assert cost.sources == len(EVERYTHING.source_ids) - UNREAD - 2


def test_the_speed_is_that_of_the_last_build_by_this_encoder_or_measured_now(
    indexed: Settings, encoder: Encoder
) -> None:
    cost = estimate(EVERYTHING, indexed, Other())
    assert cost is not None
    assert "of them just now" in cost.measured
    (record,) = records(indexed)
    known = replace(record, encoder=Other.name, called="other", passages=50, seconds=20.0)
    with (indexed.index / "builds.jsonl").open("ab") as file:
        for item in (replace(known, seconds=1.0), known):
            file.write(json.dumps({name: getattr(item, name) for name in item.__slots__}).encode())
            file.write(b"\n")
        file.write(b'{"torn')
    cost = estimate(EVERYTHING, indexed, Other())
    assert cost is not None
    assert cost.measured == "2 passages a second, measured in the last build"
    assert cost.seconds == pytest.approx(cost.passages / 2.5, rel=0.02)


def test_a_build_writes_down_what_it_embedded(indexed: Settings, encoder: Encoder) -> None:
    build(EVERYTHING, indexed, encoder)
    (record,) = records(indexed)
    assert (record.encoder, record.called) == (encoder.name, indexed.encoder)
    assert record.sources == len(segments(indexed))
    assert record.disk == sum(segments(indexed).values())
    assert record.seconds > 0


def test_lost_records_and_damaged_documents_cost_precision_and_nothing_else(
    indexed: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (indexed.index / "builds.jsonl").write_bytes(
        b"[1]\nnull\n{}\n" + b"[" * 100_000 + b"\n" + TEXTS
    )
    documents = sorted(indexed.documents.glob("*.document"))
    for path in documents[1:]:
        path.write_bytes(path.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        cost = estimate(EVERYTHING, indexed, Other())
    assert cost is not None
    assert cost.others == ()
    for path in documents:
        write(path, b"damaged")
    assert estimate(EVERYTHING, indexed, Other()) is None


def test_a_real_encoder_is_measured(indexed: Settings, tmp_path: Path) -> None:
    real = load_encoder(str(write_encoder(tmp_path / "encoder")), offline=True)
    cost = estimate(EVERYTHING, indexed, real)
    assert cost is not None
    assert cost.seconds > 0
