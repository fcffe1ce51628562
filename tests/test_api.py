"""The public API: what `import rag` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from langchain_core._api import LangChainBetaWarning

import rag
from tests.parts import ROOT
from tests.parts.commands import run


def test_the_public_names_are_these() -> None:
    names = (
        "Answer ListedWorksRetriever Pipeline Prompt RagError Reextraction Settings Verification "
        "WriterChoice answer_chain ask look open_writer parse_prompt read_answer read_prompt "
        "to_html to_markdown verify"
    )
    assert rag.__all__ == names.split()
    assert set(rag.__all__) <= set(dir(rag))
    assert [getattr(rag, name).__name__ for name in rag.__all__] == rag.__all__
    assert not hasattr(rag, "nothing_of_this_name")


def test_importing_the_package_binds_index_and_loads_nothing_else() -> None:
    program = "import rag, sys; print([m for m in sys.modules if m.startswith(('rag.', 'index'))])"
    assert run(program=program).out == "['index']\n"


def test_the_ten_lines_of_the_readme_answer_and_verify(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = re.findall(
        r"```python\n(from pathlib .*?)```", (ROOT / "README.md").read_text(), re.S
    )
    code = code.replace('Path("data")', f"Path({str(tmp_path)!r}), offline=True")
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("# ")
    assert printed.endswith("\nTrue\n")
    (code,) = re.findall(r"```python\n(chain = .*?)```", (ROOT / "README.md").read_text(), re.S)
    with warnings.catch_warnings():  # LangChain calls `as_tool` beta, once a process
        warnings.simplefilter("ignore", LangChainBetaWarning)
        exec(compile(code, "README.md", "exec"), names)
    assert names["statements"] == list(names["answer"].statements())
    assert set(names["tool"].args) == {"question", "links"}
    assert names["tool"].invoke(names["asked"]) == rag.to_markdown(names["answer"])
    assert [document.metadata["page"] for document in names["found"]] == [None] * 3
