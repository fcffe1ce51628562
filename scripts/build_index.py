"""Download the arXiv PDFs and GitHub READMEs that the prompts of `prompts/` list, and embed them
into a FAISS index: one checksummed file of vectors per source, under `data/index`. It is
`rag index` with these prompts, and takes its options and further prompts.

    python -m scripts.build_index [--data-dir DIR] [--mirror DIR] [--offline] [PROMPT…]
"""

import sys
from pathlib import Path

from rag.cli.main import main

PROMPTS = sorted((Path(__file__).parents[1] / "prompts").glob("*.txt"))

if __name__ == "__main__":
    sys.argv[1:] = ["index", *sys.argv[1:], *map(str, PROMPTS)]
    main()
