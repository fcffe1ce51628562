"""`rag index`: download, read and embed the works of prompt documents."""

from __future__ import annotations

import time

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


def run(
    prompts: Prompts,
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Download, read and embed the works that PROMPT… list. What is there already is left alone;
    what could not be had is tried again. Where works have to be embedded anew, for another
    encoder or by a newer version of this program, it says so first."""
    from index.build import build, outdated
    from index.catalog import Catalog
    from index.encoder import LazyEncoder
    from rag.prompt import read_prompt

    chosen = settings(data_dir, mirror, offline=offline, encoder=encoder)
    catalog = Catalog.of(item for path in prompts for item in read_prompt(path).listings)
    lazy_encoder = LazyEncoder(chosen)
    if (chosen.sources / "ledger.jsonl").exists():
        say("the ledger of an older version is not read: its sources are fetched anew")
    if stored := outdated(catalog, chosen, lazy_encoder.name):
        say(
            f"{len(stored)} stored sources have no segment by this encoder and this version of the "
            "program: they are embedded now, and what is there stays"
        )
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
