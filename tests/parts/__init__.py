"""What tests share: works, PDFs, servers, models, made by code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "../shared"
"""Material that may lie beside the project; tests that need it skip where it does not."""
