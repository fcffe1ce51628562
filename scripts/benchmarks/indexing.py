"""Our index of a folder of PDFs against the one a user would write with LangChain.

Both sides read the same files from disk, with the same weights, and end with vectors in FAISS
(ours on disk, sealed; LangChain's in memory). Each starts from nothing; loading the weights is
counted on neither side.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index.build import build
from index.catalog import ArxivLink, Catalog, Listing
from index.documents.extract import extract
from index.encoder import Encoder, embed, load_encoder
from index.passages import Passage, split
from index.settings import Settings
from index.weights import locate
from scripts.benchmarks.clock import BenchError, Spent, machine, missing, ratio, spent

CHUNK_SIZE, CHUNK_OVERLAP = 1000, 200
PEAK_SIZE = 1536  # of square matrices: large enough that moving them is not what takes long
Say = Callable[[str], None]


def mirror_catalog(mirror: Path, limit: int | None = None) -> Catalog:
    """The papers of a mirror as a catalog. Raises BenchError where there are none."""
    files = sorted((mirror / "arxiv").glob("*.pdf"))[:limit]
    if not files:
        raise BenchError(f"{mirror}/arxiv holds no PDF: name a mirror with --mirror")
    return Catalog.of(
        Listing(name=path.stem, role="recommended", paper=_link(path.stem)) for path in files
    )


def _link(stem: str) -> ArxivLink:
    number, _, version = stem.partition("v")
    return ArxivLink(written=stem, id=number, version=int(version) if version else None)


def bench_index(
    mirror: Path, *, encoder: str, repeats: int = 1, limit: int | None = None, say: Say
) -> dict[str, Any]:
    """Both pipelines in turn, `repeats` times, and our stages one after another."""
    catalog = mirror_catalog(mirror, limit)
    langchain = _langchain(encoder)
    paths = [mirror / "arxiv" / f"{listing.name}.pdf" for listing in catalog.listings]
    ours = load_encoder(encoder, offline=True)
    ours.encode_passages(["What is loaded late is loaded now."])
    mine, theirs = Spent(), Spent()
    passages = chunks = 0
    for round_ in range(repeats):
        say(f"round {round_ + 1} of {repeats}: rag")
        with tempfile.TemporaryDirectory() as data_dir, spent(mine):
            built = build(catalog, Settings(Path(data_dir), mirror, offline=True), ours)
        if built.failed:
            raise BenchError(f"{built.failed[0].source_id}: {built.failed[0].reason}")
        passages = built.passages
        say(f"round {round_ + 1} of {repeats}: langchain")
        with spent(theirs):
            chunks = langchain(paths)
    say("stages, one after another")
    stages, pages, sentences, tokens = _stages(ours, paths)
    peak = _peaks()
    rate = tokens / max(stages["embedding"].cpu, 1e-9)
    arithmetic = 2 * _parameters(ours) * rate / 1e9
    return {
        "machine": machine(),
        "documents": len(paths),
        "pages": pages,
        "rag": {**_seconds(mine, repeats), "passages": passages, "sentences": sentences},
        "langchain": {**_seconds(theirs, repeats), "chunks": chunks},
        "speedup_wall": ratio(theirs.wall, mine.wall),
        "speedup_cpu": ratio(theirs.cpu, mine.cpu),
        "pages_per_second": ratio(pages * repeats, mine.wall),
        "stages_of_rag": {name: _seconds(stage, 1) for name, stage in stages.items()},
        "encoder": {
            "tokens": tokens,
            "tokens_per_cpu_second": round(rate),
            "gflops_per_cpu_second": round(arithmetic, 1),
            "peak_gflops_per_cpu_second": peak,
            "share_of_peak": ratio(arithmetic, max(peak.values())),
        },
    }


def _seconds(total: Spent, repeats: int) -> dict[str, float]:
    return {"wall": round(total.wall / repeats, 2), "cpu": round(total.cpu / repeats, 2)}


def _stages(encoder: Encoder, paths: list[Path]) -> tuple[dict[str, Spent], int, int, int]:
    """The seconds of each stage in this process alone; pages, sentences and tokens."""
    stages = {name: Spent() for name in ("extraction", "splitting", "embedding")}
    pages = sentences = tokens = 0

    def fits(text: str) -> bool:
        return encoder.count_tokens(text) <= encoder.max_tokens

    for path in paths:
        with spent(stages["extraction"]):
            document = extract(f"arxiv:{path.stem}", path.read_bytes(), "application/pdf")
        with spent(stages["splitting"]):
            cut = split(document, fits=fits)
        with spent(stages["embedding"]):
            embed(encoder, cut)
        pages += len(document.page_starts)
        sentences += sum(len(passage.sentences) for passage in cut)
        tokens += sum(min(encoder.count_tokens(text), encoder.max_tokens) for text in _texts(cut))
    return stages, pages, sentences, tokens


def _texts(passages: tuple[Passage, ...]) -> list[str]:
    return [
        passage.text[start - passage.start : end - passage.start]
        for passage in passages
        for start, end in passage.sentences
    ]


def _parameters(encoder: Encoder) -> int:
    """Weights that every token is multiplied with: matrices but embeddings. Attention itself is
    left out, which for sentences of thirty tokens is a hundredth."""
    model = getattr(encoder, "_model", None)
    if model is None:
        return 0
    return sum(
        weights.numel()
        for name, weights in model.named_parameters()
        if weights.ndim == 2 and "embeddings" not in name and "pooler" not in name
    )


def _peaks() -> dict[str, float]:
    """GFLOP in a processor second of one core, by precision, for a matrix product."""
    import torch

    found = {}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        left, right = (torch.randn(PEAK_SIZE, PEAK_SIZE).to(dtype) for _ in range(2))
        left @ right
        with spent() as taken:
            for _ in range(8):
                left @ right
        found[name] = round(8 * 2 * PEAK_SIZE**3 / taken.cpu / 1e9, 1)
    torch.set_num_threads(before)
    return found


def _langchain(encoder: str) -> Callable[[list[Path]], int]:
    """Load the weights as LangChain does; the function that indexes files and counts chunks."""
    try:
        with warnings.catch_warnings():
            # langchain-community says at import that it is to be replaced, and not by what.
            warnings.simplefilter("ignore")
            from langchain_community.document_loaders import PyPDFLoader
            from langchain_community.vectorstores import FAISS
            from langchain_huggingface import HuggingFaceEmbeddings
            from langchain_text_splitters import RecursiveCharacterTextSplitter
    except ImportError as error:
        raise missing(error) from error
    embeddings = HuggingFaceEmbeddings(
        model_name=str(locate(encoder, offline=True)), model_kwargs={"device": "cpu"}
    )
    embeddings.embed_documents(["What is loaded late is loaded now."])
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)

    def index(paths: list[Path]) -> int:
        pages = []
        for path in paths:
            pages += PyPDFLoader(str(path)).load()
        chunks = splitter.split_documents(pages)
        return int(FAISS.from_documents(chunks, embeddings).index.ntotal)

    return index
