"""Indexing a folder of PDFs: its time against the index a user would write with LangChain, and
its memory.

Both sides read the same files from disk, with the same weights, and end with vectors in FAISS
(ours in checksummed files, LangChain's in memory). Each starts from nothing; loading the weights
counts on neither side.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from index.build import build, passages_to_embed
from index.catalog import ArxivLink, Catalog, GithubLink, Listing
from index.documents.extract import extract
from index.encoder import Encoder, embed, load_encoder
from index.errors import RagError
from index.settings import Settings
from index.weights import locate
from rag.cli.options import ENCODER, EncoderName, say
from scripts.benchmarks import Stopwatch, import_langchain, peak, ratio, report, run_python
from scripts.benchmarks.search import invented

WARM_UP = "A first text: what is loaded lazily is loaded now."


def _build(mirror: Path, papers: Sequence[Path], data_dir: Path, encoder: Encoder) -> int:
    """Index papers and all READMEs of a mirror; return the number of passages. Raises RagError
    where one cannot be read."""
    listings = []
    for paper in papers:
        number, _, version = paper.stem.partition("v")
        link = ArxivLink(paper.stem, number, int(version) if version else None)
        listings.append(Listing(paper.stem, "recommended", paper=link))
    names = (folder.name for folder in mirror.glob("github/bench/*"))
    listings += [Listing(name, "related", github=GithubLink(name, "bench", name)) for name in names]
    built = build(Catalog.of(listings), Settings(data_dir, mirror, offline=True), encoder)
    if built.failed:
        raise RagError(f"{built.failed[0].source_id}: {built.failed[0].reason}")
    return built.passages


def index(
    mirror: Annotated[Path, typer.Option(help="A folder with arxiv/<id>.pdf.")],
    repeats: Annotated[int, typer.Option(min=1, help="Both sides in turn, so often.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many papers.")] = None,
    documents: Annotated[
        list[int] | None,
        typer.Option(
            help="Measure memory instead, over so many copies of the papers; may be repeated.",
            show_default=False,
        ),
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="Each paper once, the other documents short READMEs.")
    ] = False,
    encoder: EncoderName = ENCODER,
) -> None:
    """Indexing the papers of a mirror, against LangChain's PyPDFLoader, recursive splitter
    1000/200, HuggingFaceEmbeddings and FAISS with the same weights. Needs the extra `bench`.
    With --documents: the memory that indexing takes, without the other side."""
    papers = sorted(mirror.glob("arxiv/*.pdf"))[:limit]
    if not papers:
        raise RagError(f"{mirror}/arxiv holds no PDF: name a mirror with --mirror")
    if not documents:
        report(_time(papers, mirror, encoder, repeats))
        return
    rows = [_memory(papers, count, short=short, encoder=encoder) for count in documents]
    peaks = [row["peak_mib"]["together"] for row in rows]
    kind = f"{len(papers)} papers and READMEs" if short else "papers"
    report({"documents": kind, "runs": rows, "last_over_first": ratio(peaks[-1], peaks[0])})


def _time(papers: Sequence[Path], mirror: Path, encoder: str, repeats: int) -> dict[str, Any]:
    """Both pipelines in turn, `repeats` times, and our stages one after another."""
    index_with_langchain = _langchain(encoder)
    loaded = load_encoder(encoder, offline=True)
    loaded.encode_passages([WARM_UP])
    ours, theirs = Stopwatch(), Stopwatch()
    for number in range(1, repeats + 1):
        say(f"round {number} of {repeats}: rag, then langchain")
        with tempfile.TemporaryDirectory() as data_dir, ours:
            passages = _build(mirror, papers, Path(data_dir), loaded)
        with theirs:
            chunks = index_with_langchain(papers)
    stages = _stages(loaded, papers)
    return {
        "documents": len(papers),
        "rag": {**ours.mean(repeats), "passages": passages},
        "langchain": {**theirs.mean(repeats), "chunks": chunks},
        "speedup_wall": ratio(theirs.wall, ours.wall),
        "speedup_cpu": ratio(theirs.cpu, ours.cpu),
        "pages_per_second": ratio(stages["pages"] * repeats, ours.wall),
        **stages,
    }


def _stages(encoder: Encoder, papers: Sequence[Path]) -> dict[str, Any]:
    """The seconds of each stage in this process alone, and what they were spent on."""
    stages = {name: Stopwatch() for name in ("extraction", "splitting", "embedding")}
    pages = tokens = 0
    for path in papers:
        with stages["extraction"]:
            document = extract(f"arxiv:{path.stem}", path.read_bytes(), "application/pdf")
        with stages["splitting"]:
            passages, _ = passages_to_embed(document, encoder)
        with stages["embedding"]:
            embed(encoder, passages)
        texts = [document.text[slice(*span)] for item in passages for span in item.sentences]
        pages += len(document.page_starts)
        tokens += sum(min(encoder.count_tokens(text), encoder.max_tokens) for text in texts)
    return {
        "pages": pages,
        "tokens": tokens,
        "tokens_per_cpu_second": round(ratio(tokens, stages["embedding"].cpu)),
        "stages_of_rag": {name: stopwatch.mean() for name, stopwatch in stages.items()},
    }


def _langchain(encoder: str) -> Callable[[Sequence[Path]], int]:
    """Load the weights as LangChain does; return the function that indexes PDFs and counts
    chunks."""
    load_pdf, faiss, embeddings_type, splitter_type = import_langchain(
        "langchain_community.document_loaders.PyPDFLoader",
        "langchain_community.vectorstores.FAISS",
        "langchain_huggingface.HuggingFaceEmbeddings",
        "langchain_text_splitters.RecursiveCharacterTextSplitter",
    )
    weights = str(locate(encoder, offline=True))
    embeddings = embeddings_type(model_name=weights, model_kwargs={"device": "cpu"})
    embeddings.embed_documents([WARM_UP])
    splitter = splitter_type(chunk_size=1000, chunk_overlap=200)

    def index(paths: Sequence[Path]) -> int:
        pages = [page for path in paths for page in load_pdf(str(path)).load()]
        chunks = splitter.split_documents(pages)
        return int(faiss.from_documents(chunks, embeddings).index.ntotal)

    return index


def _memory(papers: Sequence[Path], count: int, *, short: bool, encoder: str) -> dict[str, Any]:
    """Index `count` documents from nothing and in a new process: copies of the papers, each made
    another by some bytes behind its end. With `short` each paper stands there once, and the other
    documents are invented READMEs of ten passages."""
    say(f"indexing {count} documents")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            if short and number >= len(papers):
                name = f"github/bench/w{number}/README.md"
                data = invented(number, 10).encode()
            else:
                name = f"arxiv/2401.{number:05}.pdf"
                data = papers[number % len(papers)].read_bytes() + b"\n%% copy %d\n" % number
            path = Path(folder, "mirror", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        code = f"from {__name__} import measure_memory as run; import sys; run(*sys.argv[1:])"
        figures = json.loads(run_python(code, folder, encoder).splitlines()[-1])
    return {"documents": count, **figures}


def measure_memory(folder: str, encoder: str) -> None:
    """Index the mirror in `folder`, and print the peak of this process, and the greatest sum of
    its workers' peaks."""
    mirror, data_dir = Path(folder, "mirror"), Path(folder, "data_dir")
    papers = sorted(mirror.glob("arxiv/*.pdf"))
    loaded = load_encoder(encoder, offline=True)
    workers = 0
    with Stopwatch() as stopwatch, ThreadPoolExecutor() as pool:
        building = pool.submit(_build, mirror, papers, data_dir, loaded)
        while wait([building], timeout=0.1).not_done:
            with suppress(OSError):  # a thread has just ended
                tasks = Path("/proc/self/task").glob("*/children")
                children = " ".join(task.read_text() for task in tasks).split()
                workers = max(workers, sum(map(peak, children)))
    peaks = {"main": peak("self"), "workers": workers, "together": peak("self") + workers}
    figures = {"passages": building.result(), **stopwatch.mean(), "peak_mib": peaks}
    print(json.dumps(figures))  # noqa: T201
