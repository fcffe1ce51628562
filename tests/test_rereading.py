"""Verification reads a source again from its bytes, and says what became of them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from index.build import build
from index.encoder import Encoder
from index.errors import SourceError
from index.settings import Settings
from index.sources.store import SourceStore, source_type_of
from index.stores.segments import SegmentStore
from rag.answer.model import SourceRecord
from rag.answer.reextraction import Reextraction
from tests.parts.works import PROMPTS

PAPER, README = "arxiv:2401.00001v2", "github:lantern-lab/lantern"


@pytest.fixture
def records(own_settings: Settings, encoder: Encoder) -> dict[str, SourceRecord]:
    """What an answer would say of each source, in a data directory that nobody else writes to."""
    built = build(PROMPTS["colour"].catalog, own_settings, encoder)
    store, found = SegmentStore(own_settings.index), {}
    for source_id, state in built.states.items():
        if state.source is not None:
            segment = store.load(state.segment)
            found[source_id] = SourceRecord(
                source_id,
                source_type_of(source_id),
                state.source.sha256,
                segment.extractor,
                segment.document,
                state.source.version,
                "",
            )
    return found


def test_the_text_is_the_one_that_was_indexed(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    reextraction = Reextraction(own_settings)
    for record in records.values():
        document = reextraction(record)
        assert document.sha256 == record.document_sha256
        assert document.extractor == record.extractor


def test_it_is_read_once_and_from_nothing_but_the_kept_bytes(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    for folder in (own_settings.documents, own_settings.index):
        shutil.rmtree(folder)
    reextraction = Reextraction(own_settings)
    assert reextraction(records[PAPER]) is reextraction(records[PAPER])


def test_bytes_that_are_gone_changed_or_of_another_version_are_named(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    record = records[PAPER]
    with pytest.raises(SourceError, match=r"its version is v2, not 'v1'"):
        Reextraction(own_settings)(replace(record, version="v1"))
    with pytest.raises(
        SourceError, match=f"{PAPER}: no bytes with the recorded hash .* --data-dir"
    ):
        Reextraction(own_settings)(replace(record, sha256="0" * 64))
    kept = own_settings.sources / record.sha256
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    with pytest.raises(SourceError, match="changed on disk"):
        Reextraction(own_settings)(record)
    kept.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        Reextraction(own_settings)(record)


def test_the_same_bytes_may_be_those_of_several_versions(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    store = SourceStore(own_settings.sources)
    data = (own_settings.sources / records[README].sha256).read_bytes()
    for commit in ("a" * 40, "b" * 40):
        store.put(
            README,
            data,
            media_type="text/markdown",
            origin="https://api.github.com",
            version=commit,
        )
    for version in (None, "a" * 40, "b" * 40):
        assert Reextraction(own_settings)(replace(records[README], version=version)).text
    with pytest.raises(SourceError, match="not 'cccc"):
        Reextraction(own_settings)(replace(records[README], version="c" * 40))


def test_what_cannot_be_read_stays_refused(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    source = SourceStore(own_settings.sources).put(
        PAPER,
        b"%PDF-1.5 and no more",
        media_type="application/pdf",
        origin="x",
    )
    reextraction = Reextraction(own_settings)
    for _ in range(2):
        with pytest.raises(SourceError, match=PAPER):
            reextraction(replace(records[PAPER], sha256=source.sha256, version=None))


def test_a_ledger_that_cannot_be_read_proves_nothing(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    ledger = SourceStore(own_settings.sources).ledger(PAPER)
    ledger.unlink()
    ledger.mkdir()
    with pytest.raises(SourceError, match=f"{PAPER}: the ledger cannot be read"):
        Reextraction(own_settings)(records[PAPER])


def test_what_is_read_ahead_is_what_is_read_one_by_one(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    lost = replace(records[PAPER], sha256="0" * 64)
    wanted = [*records.values(), *records.values(), lost]
    together, alone = Reextraction(own_settings).ahead(wanted), Reextraction(own_settings)
    for path in own_settings.sources.iterdir():
        if path.is_file() and path.name in {record.sha256 for record in records.values()}:
            assert alone(next(r for r in records.values() if r.sha256 == path.name))
            path.unlink()  # what was read ahead needs the bytes no more
    for record in records.values():
        assert together(record) == alone(record)
    with pytest.raises(SourceError, match=r"no bytes with the recorded hash"):
        together(lost)


def test_a_file_that_cannot_be_read_ahead_costs_nothing_else(
    records: dict[str, SourceRecord], own_settings: Settings
) -> None:
    bad = SourceStore(own_settings.sources).put(
        "arxiv:2401.99999v1",
        b"%PDF-1.5 and no more",
        media_type="application/pdf",
        origin="a test",
        version="v1",
    )
    wanted = replace(records[PAPER], id=bad.id, sha256=bad.sha256, version="v1")
    reextraction = Reextraction(own_settings).ahead([wanted, records[PAPER]])
    assert reextraction(records[PAPER]).text
    with pytest.raises(SourceError, match=r"2401\.99999v1.*broken"):
        reextraction(wanted)
