"""Options that several sub-commands share, and the settings they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from index.settings import DEFAULT_ENCODER, Settings
from rag.cli.terminal import say

if TYPE_CHECKING:
    from rag.pipeline import Pipeline
    from rag.writers.choice import WriterChoice

DATA_DIR = Path("data")
ENCODER = DEFAULT_ENCODER

Prompts = Annotated[
    list[Path], typer.Argument(help="Prompt documents.", show_default=False, metavar="PROMPT…")
]
DataDir = Annotated[
    Path, typer.Option(envvar="RAG_DATA_DIR", help="Where everything that is built is stored.")
]
Mirror = Annotated[
    Path | None,
    typer.Option(
        envvar="RAG_MIRROR",
        help="A folder with arxiv/<id>.pdf and github/<owner>/<repo>/README*, read first.",
    ),
]
Offline = Annotated[
    bool, typer.Option("--offline", envvar="RAG_OFFLINE", help="Never use the network.")
]
EncoderName = Annotated[
    str, typer.Option("--encoder", help="A sentence-transformers model: name or folder.")
]
Writer = Annotated[
    Literal["auto", "local", "extractive", "chat"],
    typer.Option(
        help="Who writes: a local instruct model, a chat server, or no model at all; auto is "
        "local where a model can be loaded."
    ),
]
Model = Annotated[str, typer.Option(help="The instruct model: name or folder.")]
BaseUrl = Annotated[
    str | None, typer.Option(help="An OpenAI-compatible server, for --writer chat.")
]
Seed = Annotated[int, typer.Option(help="For sampling.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="0 is greedy.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="The support a written statement needs to stay; the checker's own if not given.",
        show_default=False,
    ),
]
Tries = Annotated[int, typer.Option(min=0, help="How often a statement is written again.")]


def settings(
    data_dir: Path, mirror: Path | None = None, *, offline: bool = False, encoder: str = ENCODER
) -> Settings:
    """The settings that these options add up to."""
    if mirror is not None and not mirror.is_dir():
        raise typer.BadParameter(f"{mirror} is not a folder", param_hint="--mirror")
    return Settings(data_dir=data_dir, mirror=mirror, offline=offline, encoder=encoder)


def open_pipeline(settings: Settings, choice: WriterChoice) -> Pipeline:
    """The pipeline with the writer of `choice`, announced on stderr."""
    from index.encoder import LazyEncoder
    from rag.pipeline import Pipeline
    from rag.writers.choice import open_writer

    # The encoder first: it fails at once where it is missing; a writer may be a large download.
    encoder = LazyEncoder(settings)
    return Pipeline(settings, encoder, open_writer(choice, announce=say))
