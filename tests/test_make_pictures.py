"""The pictures in the README: there, small, and made by `make pictures`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.make_pictures import CHROMIUM, run
from tests.parts import ROOT

PICTURES = ("notebook.png", "page.png")


@pytest.mark.parametrize("name", PICTURES)
def test_the_readme_shows_it_and_it_is_small(name: str) -> None:
    path = ROOT / "docs" / "pictures" / name
    assert f"(docs/pictures/{name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert image.mode == "P"


@pytest.mark.skipif(not any(map(shutil.which, CHROMIUM)), reason="no Chromium on this machine")
def test_the_command_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    run(tmp_path / "pictures")
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == set(PICTURES)
    for name in PICTURES:
        with Image.open(tmp_path / "pictures" / name) as made:
            pixels = np.asarray(made.convert("RGB"), dtype=int)
        # The yellow of a highlighted quote.
        red, green, blue = np.moveaxis(pixels, -1, 0)
        assert ((red > 230) & (green > 190) & (green < 235) & (blue < 110)).sum() > 500
