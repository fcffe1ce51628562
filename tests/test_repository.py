"""The shape of the repository: what a reader may rely on when looking for something."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.parts import ROOT

MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for name in ("index", "rag", "scripts", "tests")
    for path in sorted((ROOT / name).rglob("*.py"))
}
PRODUCT = [name for name in MODULES if not name.startswith("tests/")]

HOMES = {
    "torch": (
        "index/encoder.py",
        "index/weights.py",
        "rag/writers/decoding.py",
        "rag/writers/local.py",
        "rag/support/",
        "rag/selection/reader.py",
    ),
    "faiss": ("index/stores/",),
    "pymilvus": ("index/stores/milvus.py",),
    "ray": ("index/cluster.py",),
    "pypdf": ("index/documents/pdf/",),
    "pypdfium2": (
        "index/documents/pdf/ink.py",
        "rag/views/drawing.py",
    ),
    "PIL": ("rag/views/drawing.py",),
    "langchain_core": ("rag/chain.py", "rag/writers/chat.py"),
    "pandas": ("rag/views/notebook/tables.py",),
    "matplotlib": ("rag/evaluation/", "rag/views/notebook/"),
}
"""The heavy libraries, and the only modules of `index` and `rag` that import them."""


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def repeated(names: Iterator[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def test_no_two_modules_share_a_name() -> None:
    paths = (Path(name) for name in PRODUCT if not name.startswith("rag/cli/"))
    assert not repeated(path.name for path in paths if not path.name.startswith("__"))


def test_no_two_public_types_share_a_name() -> None:
    nodes = (node for name in PRODUCT for node in MODULES[name].body)
    types = (node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert not repeated(name for name in types if not name.startswith("_"))


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {name: len((ROOT / name).read_text("utf-8").splitlines()) for name in PRODUCT}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_heavy_libraries_are_imported_where_they_belong() -> None:
    for name in PRODUCT:
        for library in {module.split(".")[0] for module in imports(MODULES[name])} & set(HOMES):
            assert name.startswith((*HOMES[library], "scripts/")), f"{name} imports {library}"


def test_no_test_imports_another() -> None:
    importers = [
        name
        for name, tree in MODULES.items()
        if any(module.startswith(("tests.test_", "test_")) for module in imports(tree))
    ]
    assert importers == []


def test_the_wheel_holds_index_and_rag_with_all_their_data() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == ["index*", "rag*"]
    packaged = {
        path
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    folders = (ROOT / "index", ROOT / "rag")
    files = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in (".py", ".pyc")} == packaged
    # Setuptools finds no package in a folder without an __init__.py.
    assert all((ROOT / name).with_name("__init__.py").exists() for name in PRODUCT)


def test_documents_name_files_that_exist() -> None:
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        paths = re.findall(
            r"`((?:index|rag|scripts|tests|docs|notebooks)/[\w./]+)`", document.read_text()
        )
        gone = [path for path in paths if not (ROOT / path).exists()]
        assert not gone, f"{document.name} names {gone}"


def test_no_figure_is_left_out_of_the_documents() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        assert not re.findall(r"@[A-Z]+@", document.read_text()), document
