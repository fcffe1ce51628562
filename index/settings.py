"""The few things a user may set, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Settings:
    """`data_dir` holds everything that is built; `mirror` is read before the network;
    `offline` never touches the network, not even for models."""

    data_dir: Path = Path("data")
    mirror: Path | None = None
    offline: bool = False
    encoder: str = DEFAULT_ENCODER
    pdf_seconds: float = 120.0
    pdf_memory_bytes: int = 2 << 30

    @property
    def sources(self) -> Path:
        """Bytes as they were fetched, and the ledger."""
        return self.data_dir / "sources"

    @property
    def documents(self) -> Path:
        """Extracted texts, named by the hash of bytes and extractor."""
        return self.data_dir / "documents"

    @property
    def index(self) -> Path:
        """Segments, named by content."""
        return self.data_dir / "index"
