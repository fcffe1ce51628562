"""Notebooks run in a real kernel, as JupyterLab would run them, in folders of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


def executed(
    notebook: Any, folder: Path, *, cwd: Path, errors: bool = False, **told: str
) -> list[Any]:
    """The code cells of `notebook` after a run, with their outputs. `folder` takes whatever the
    kernel writes beside its data_dir; `told` are environment variables. With `errors` the run goes on
    after one."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAG_")},
        "PYTHONPATH": os.pathsep.join(
            filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH")))
        ),
        "IPYTHONDIR": str(folder / "ipython"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "RAG_OFFLINE": "1",
        **told,
    }
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        allow_errors=errors,
        resources={"metadata": {"path": str(cwd)}},
    )
    kernel = client.create_kernel_manager()
    # By files of its own: nobody else on this machine can talk to it.
    kernel.transport = "ipc"
    kernel.ip = str(folder / "kernel")
    client.execute(env=environment)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def of_cells(*sources: str) -> Any:
    """A notebook of these code cells."""
    made: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    made.cells = [nbformat.v4.new_code_cell(source) for source in sources]  # type: ignore[no-untyped-call]
    return made


def shown(cell: Any, form: str) -> list[str]:
    """What a cell shows in one form, in order."""
    found: list[Mapping[str, Any]] = [output for output in cell.outputs if "data" in output]
    return [output["data"][form] for output in found if form in output["data"]]


def streamed(cells: list[Any], name: str) -> str:
    """What the cells wrote on a stream."""
    return "".join(
        output["text"]
        for cell in cells
        for output in cell.outputs
        if output["output_type"] == "stream" and output["name"] == name
    )
