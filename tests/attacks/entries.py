"""Every attack with its counts, and the target that is made for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from index.encoder import LazyEncoder
from index.settings import Settings
from rag.pipeline import Pipeline
from rag.retrieval import Evidence
from rag.writers import Draft
from rag.writers.extractive import ExtractiveWriter
from tests.attacks import Entry, Target
from tests.attacks.on_answers import forgeries, page_requests
from tests.attacks.on_documents import hidden_text, structural_pdfs
from tests.attacks.on_files import flips, kills, mutated_prompts
from tests.attacks.on_network import server_faults
from tests.parts.hiding import HIDDEN
from tests.parts.tiny_encoders import write_static_encoder
from tests.parts.works import PROMPTS, write_mirror

# The short form of the kills, which have to load all libraries first, is test_interrupted_index.py,
# that of the hidden text test_hidden_text.py, which tries all of it.
ENTRIES = {
    "kills": Entry(kills, 0, 1_000),
    "flipped bits": Entry(flips, 4, 1_000),
    "mutated prompts": Entry(mutated_prompts, 100, 20_000),
    "hidden text": Entry(hidden_text, 0, len(HIDDEN)),
    "structural PDFs": Entry(structural_pdfs, 4, 64),
    "server faults": Entry(server_faults, 5, 60),
    "forged answers": Entry(forgeries, 40, 2_000),
    "requests": Entry(page_requests, 100, 3_000),
}


class RememberingWriter:
    """The extractive writer, which gives equal drafts for equal evidence, and is asked only once
    for it: most of what damage leaves is what there was before."""

    def __init__(self) -> None:
        self._writer = ExtractiveWriter()
        self._drafts: list[tuple[Evidence, Draft]] = []

    def write(self, evidence: Evidence, *, stream: Callable[[str], None] | None = None) -> Draft:
        """See Writer."""
        for known, draft in self._drafts:
            if known == evidence:
                return draft
        self._drafts.append((evidence, self._writer.write(evidence)))
        return self._drafts[-1][1]


def target_in(folder: Path) -> Target:
    """A target that nothing else uses."""
    texts = " ".join(prompt.text for prompt in PROMPTS.values())
    encoder = write_static_encoder(folder / "encoder", texts)
    settings = Settings(folder / "data", write_mirror(folder / "mirror"), True, str(encoder))
    pipeline = Pipeline(settings, LazyEncoder(settings), RememberingWriter())
    return Target(pipeline, pipeline.ask(PROMPTS["colour"]), folder)
