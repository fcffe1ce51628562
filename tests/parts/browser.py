"""The machine's own Chromium, without a window; tests that need it skip where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from scripts.make_pictures import CHROMIUM


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; every test opens contexts of its own in it."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        # The sandbox wants rights that a container does not have; only our own pages are opened.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
