"""Notebooks run in a real kernel, as JupyterLab would run them, in folders of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.parts import ROOT


def executed(
    notebook: Any, folder: Path, *, cwd: Path, errors: bool = False, **environment: str
) -> list[Any]:
    """The code cells of `notebook` after a run, with their outputs. `folder` takes whatever the
    kernel writes besides the data directory; with `errors` the run goes on after one."""
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
    paths = filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH")))
    client.execute(
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("RAG_")},
            "PYTHONPATH": os.pathsep.join(paths),
            "IPYTHONDIR": str(folder / "ipython"),
            "MPLCONFIGDIR": str(folder / "matplotlib"),
            "RAG_OFFLINE": "1",
            **environment,
        }
    )
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def of_cells(*sources: str) -> Any:
    """A notebook of these code cells."""
    notebook: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]  # type: ignore[no-untyped-call]
    return notebook


def shown(cell: Any, form: str) -> list[str]:
    """What a cell shows in one form, in order."""
    outputs = [output["data"] for output in cell.outputs if "data" in output]
    return [data[form] for data in outputs if form in data]


def streamed(cells: list[Any], name: str) -> str:
    """What the cells wrote on a stream."""
    return "".join(
        output["text"]
        for cell in cells
        for output in cell.outputs
        if output["output_type"] == "stream" and output["name"] == name
    )
