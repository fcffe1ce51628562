"""The shape of the repository: what a reader may rely on when looking for something."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.parts import ROOT

MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for name in ("index", "rag", "scripts", "tests")
    for path in sorted((ROOT / name).rglob("*.py"))
}
PRODUCT = [name for name in MODULES if not name.startswith("tests/")]

HOMES = {
    "torch": ("index/encoder.py", "index/weights.py", "rag/selection/reader.py", "rag/support/",
              "rag/writers/decoding.py", "rag/writers/local.py"),
    "faiss": ("index/stores/",),
    "pymilvus": ("index/stores/milvus.py",),
    "ray": ("index/cluster.py",),
    "pypdf": ("index/documents/pdf/",),
    "pypdfium2": ("index/documents/pdf/ink.py", "rag/views/drawing.py"),
    "PIL": ("rag/views/drawing.py",),
    "langchain_core": ("rag/chain.py", "rag/writers/chat.py"),
    "pandas": ("rag/views/notebook/tables.py",),
    "matplotlib": ("rag/evaluation/", "rag/views/notebook/"),
}  # fmt: skip
"""The heavy libraries, and the only modules of `index` and `rag` that import them."""


def imports(name: str) -> set[str]:
    """The modules that this one imports anywhere."""
    nodes = list(ast.walk(MODULES[name]))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


def repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def test_no_two_modules_and_no_two_public_types_share_a_name() -> None:
    paths = (Path(name).name for name in PRODUCT if not name.startswith("rag/cli/"))
    assert not repeated(name for name in paths if not name.startswith("__"))
    nodes = (node for name in PRODUCT for node in MODULES[name].body)
    types = (node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert not repeated(name for name in types if not name.startswith("_"))


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {name: len((ROOT / name).read_text("utf-8").splitlines()) for name in PRODUCT}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_heavy_libraries_are_imported_where_they_belong() -> None:
    for name in PRODUCT:
        for library in {module.split(".")[0] for module in imports(name)} & set(HOMES):
            assert name.startswith((*HOMES[library], "scripts/")), f"{name} imports {library}"


def test_no_test_imports_another() -> None:
    for name in MODULES:
        assert not [module for module in imports(name) if re.match(r"(tests\.)?test_", module)]


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
