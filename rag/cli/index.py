"""`rag index`: download, read and embed the works of prompt documents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rag.cli.options import (
    DATA_DIR,
    ENCODER,
    DataDir,
    EncoderName,
    Mirror,
    Offline,
    Prompts,
    settings,
)
from rag.cli.terminal import Bars, say

if TYPE_CHECKING:
    from index.build import Estimate


def run(
    prompts: Prompts,
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Download, read and embed the works that PROMPT… list. What is there already is left alone;
    what could not be had is tried again. Where works have to be embedded anew, by another encoder,
    it says first what that will cost."""
    from index.build import build, estimate
    from index.catalog import Catalog
    from index.encoder import LazyEncoder
    from rag.prompt import read_prompt

    chosen = settings(data_dir, mirror, offline=offline, encoder=encoder)
    catalog = Catalog.of(item for path in prompts for item in read_prompt(path).listings)
    lazy_encoder = LazyEncoder(chosen)
    if cost := estimate(catalog, chosen, lazy_encoder):
        say(_describe(cost, encoder))
    began = time.monotonic()
    with Bars() as bars:
        built = build(catalog, chosen, lazy_encoder, notify=bars)
    for state in built.failed:
        say(f"not read: {state.source_id}: {state.reason}")
    for source_id in built.damaged:
        say(f"was damaged and is rebuilt: {source_id}")
    works = len({(listing.name, listing.source_ids) for listing in catalog.listings})
    usable = len(built.states) - len(built.failed)
    say(
        f"{works} works, {usable} of {len(built.states)} sources usable: "
        f"{built.fetched} fetched, {built.embedded} embedded ({built.passages} passages) "
        f"in {time.monotonic() - began:.1f} s"
    )


def _describe(cost: Estimate, encoder: str) -> str:
    others = ", ".join(cost.others)
    known = f"; this data directory was indexed with {others}" if others else ""
    return (
        f"{cost.sources} sources were read before and have to be embedded anew with {encoder}"
        f"{known}. That takes about {_duration(cost.seconds)} ({cost.passages} passages, "
        f"{cost.measured}) and about {_megabytes(cost.disk)} of disk. What is there stays, and "
        "vectors of two encoders are never mixed."
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _megabytes(size: int) -> str:
    return f"{max(1, round(size / 1e6))} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
