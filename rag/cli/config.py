"""`rag config`: show and change what holds where no option is given."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from index.errors import RagError
from index.settings import CONFIGURABLE, config_path, read_config, variable, write_config


def run(
    key: Annotated[str, typer.Argument(help="A setting.", show_default=False)] = "",
    value: Annotated[str, typer.Argument(help="Its new value.", show_default=False)] = "",
    unset: Annotated[bool, typer.Option("--unset", help="Forget this setting.")] = False,
) -> None:
    """Show what is set where no option is given, or set KEY to VALUE.

    That is done in a file of settings; the environment comes before it, an option before both."""
    if key and key not in CONFIGURABLE:
        raise RagError(f"there is no setting {key!r}; expected one of {', '.join(CONFIGURABLE)}")
    stored = read_config()
    if unset:
        stored.pop(key, None)
    elif value:
        stored[key] = value
    if unset or value:
        write_config(stored)
        stored = read_config()
    typer.echo(config_path())
    for name in [key] if key else CONFIGURABLE:
        shown = os.environ.get(variable(name)) or stored.get(name, "")
        where = variable(name) if os.environ.get(variable(name)) else "this file"
        typer.echo(
            f"  {name:<9} " + (f"{shown}  ({where})" if shown else f"– {CONFIGURABLE[name]}")
        )
