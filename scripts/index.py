"""`rag index`: download, read and embed the works of prompt documents."""

from __future__ import annotations

import time

from scripts.options import ENCODER, HOME, EncoderName, Home, Mirror, Offline, Prompts, settings
from scripts.terminal import Bars, say


def run(
    prompts: Prompts,
    home: Home = HOME,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Download, read and embed the works that PROMPT… list. What is there already is left alone;
    what could not be had is tried again."""
    from index.build import build
    from index.catalog import Catalog
    from index.late import LateEncoder
    from rag.prompt import read_prompt

    chosen = settings(home, mirror, offline=offline, encoder=encoder)
    read = [read_prompt(path) for path in prompts]
    catalog = Catalog.of(listing for prompt in read for listing in prompt.listings)
    began = time.monotonic()
    with Bars() as bars:
        built = build(catalog, chosen, LateEncoder(chosen), notify=bars)
    for state in built.failed:
        say(f"not read: {state.source_id}: {state.reason}")
    for source_id in built.damaged:
        say(f"was damaged and is rebuilt: {source_id}")
    usable = len(built.states) - len(built.failed)
    say(
        f"{len(catalog.listings)} works, {usable} of {len(built.states)} sources usable: "
        f"{built.fetched} fetched, {built.embedded} embedded ({built.passages} passages) "
        f"in {time.monotonic() - began:.1f} s"
    )
