"""Download the arXiv PDFs and GitHub READMEs that prompts list, and embed them into a FAISS index:
one checksummed file of vectors per source, under `data/index`. It is `rag index` over `prompts/`.

    python -m scripts.build_index [PROMPT…] [--data-dir DIR] [--mirror DIR] [--offline]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli import index
from rag.cli.main import main
from rag.cli.options import DATA_DIR, ENCODER, DataDir, EncoderName, Mirror, Offline

PROMPTS = Path(__file__).parents[1] / "prompts"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def build_index(
    prompts: Annotated[
        list[Path] | None,
        typer.Argument(help="Prompt documents; all of prompts/ if not given.", metavar="PROMPT…"),
    ] = None,
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Download, read and embed the works that prompt documents list."""
    index.run(prompts or sorted(PROMPTS.glob("*.txt")), data_dir, mirror, offline, encoder)


if __name__ == "__main__":
    main(app)
