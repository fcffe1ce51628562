"""Options that several sub-commands share, and the settings they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from index.settings import DEFAULT_ENCODER, Settings

Prompts = Annotated[
    list[Path], typer.Argument(help="Prompt documents.", show_default=False, metavar="PROMPT…")
]
Home = Annotated[Path, typer.Option(help="Where everything that is built is kept.")]
Mirror = Annotated[
    Path | None,
    typer.Option(
        help="A folder with arxiv/<id>.pdf and github/<owner>/<repo>/README*, read first."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never touch the network.")]
EncoderName = Annotated[
    str, typer.Option("--encoder", help="A sentence-transformers model: name or folder.")
]

HOME = Path("data")
ENCODER = DEFAULT_ENCODER


def settings(
    home: Path, mirror: Path | None = None, *, offline: bool = False, encoder: str = ENCODER
) -> Settings:
    """The settings that these options add up to."""
    if mirror is not None and not mirror.is_dir():
        raise typer.BadParameter(f"{mirror} is not a folder", param_hint="--mirror")
    return Settings(home=home, mirror=mirror, offline=offline, encoder=encoder)
