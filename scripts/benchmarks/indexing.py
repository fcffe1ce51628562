"""Indexing a folder of PDFs: its time against the index a user would write with LangChain, and
its memory.

Both sides read the same files from disk, with the same weights, and end with vectors in FAISS
(ours in checksummed files, LangChain's in memory). Each starts from nothing; loading the weights
counts on neither side.
"""

from __future__ import annotations

import json
import tempfile
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from index.build import build
from index.catalog import ArxivLink, Catalog, GithubLink, Listing
from index.documents.extract import extract
from index.encoder import Encoder, embed, load_encoder
from index.passages import split
from index.settings import Settings
from index.weights import locate
from rag.cli.options import ENCODER, EncoderName
from rag.cli.terminal import say
from scripts.benchmarks import BenchmarkError, Stopwatch, not_installed, ratio, report, run_python
from scripts.benchmarks.catalogs import invented

CHUNK_SIZE, CHUNK_OVERLAP = 1000, 200
WARM_UP = "A first text: what is loaded lazily is loaded now."


def _papers(mirror: Path, limit: int | None = None) -> list[Path]:
    papers = sorted((mirror / "arxiv").glob("*.pdf"))[:limit]
    if not papers:
        raise BenchmarkError(f"{mirror}/arxiv holds no PDF: name a mirror with --mirror")
    return papers


def _listing(paper: Path) -> Listing:
    number, _, version = paper.stem.partition("v")
    link = ArxivLink(paper.stem, number, int(version) if version else None)
    return Listing(paper.stem, "recommended", paper=link)


def _build(catalog: Catalog, settings: Settings, encoder: Encoder) -> int:
    """The number of passages. Raises BenchmarkError where a work cannot be read."""
    built = build(catalog, settings, encoder)
    if built.failed:
        raise BenchmarkError(f"{built.failed[0].source_id}: {built.failed[0].reason}")
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
    papers = _papers(mirror, limit)
    if documents:
        report(_memory(papers, documents, short=short, encoder=encoder))
    else:
        report(_time(papers, mirror, encoder, repeats))


def _time(papers: Sequence[Path], mirror: Path, encoder: str, repeats: int) -> dict[str, Any]:
    """Both pipelines in turn, `repeats` times, and our stages one after another."""
    catalog = Catalog.of(map(_listing, papers))
    index_with_langchain = _langchain(encoder)
    loaded = load_encoder(encoder, offline=True)
    loaded.encode_passages([WARM_UP])
    ours, theirs = Stopwatch(), Stopwatch()
    passages = chunks = 0
    for number in range(1, repeats + 1):
        say(f"round {number} of {repeats}: rag")
        with tempfile.TemporaryDirectory() as data_dir, ours:
            passages = _build(catalog, Settings(Path(data_dir), mirror, offline=True), loaded)
        say(f"round {number} of {repeats}: langchain")
        with theirs:
            chunks = index_with_langchain(papers)
    say("stages, one after another")
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
    extraction, splitting, embedding = Stopwatch(), Stopwatch(), Stopwatch()
    pages = sentences = tokens = 0
    for path in papers:
        with extraction:
            document = extract(f"arxiv:{path.stem}", path.read_bytes(), "application/pdf")
        with splitting:
            passages = split(
                document, fits=lambda text: encoder.count_tokens(text) <= encoder.max_tokens
            )
        with embedding:
            embed(encoder, passages)
        texts = [document.text[slice(*span)] for item in passages for span in item.sentences]
        pages += len(document.page_starts)
        sentences += len(texts)
        tokens += sum(min(encoder.count_tokens(text), encoder.max_tokens) for text in texts)
    return {
        "pages": pages,
        "sentences": sentences,
        "tokens": tokens,
        "tokens_per_cpu_second": round(ratio(tokens, embedding.cpu)),
        "stages_of_rag": {
            "extraction": extraction.mean(),
            "splitting": splitting.mean(),
            "embedding": embedding.mean(),
        },
    }


def _langchain(encoder: str) -> Callable[[Sequence[Path]], int]:
    """Load the weights as LangChain does; return the function that indexes PDFs and counts
    chunks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # importing langchain-community warns of its end
            from langchain_community.document_loaders import PyPDFLoader
            from langchain_community.vectorstores import FAISS
            from langchain_huggingface import HuggingFaceEmbeddings
            from langchain_text_splitters import RecursiveCharacterTextSplitter
    except ImportError as error:
        raise not_installed(error) from error
    embeddings = HuggingFaceEmbeddings(
        model_name=str(locate(encoder, offline=True)), model_kwargs={"device": "cpu"}
    )
    embeddings.embed_documents([WARM_UP])
    splitter = RecursiveCharacterTextSplitter(chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP)

    def index(paths: Sequence[Path]) -> int:
        pages = [page for path in paths for page in PyPDFLoader(str(path)).load()]
        chunks = splitter.split_documents(pages)
        return int(FAISS.from_documents(chunks, embeddings).index.ntotal)

    return index


def _memory(
    papers: Sequence[Path], documents: Sequence[int], *, short: bool, encoder: str
) -> dict[str, Any]:
    """Index so many documents each time, from nothing and in a new process: copies of the papers,
    each made another by some bytes behind its end. With `short` each paper stands there once, and
    the other documents are invented READMEs of ten passages."""
    rows = []
    for count in documents:
        say(f"indexing {count} documents")
        with tempfile.TemporaryDirectory() as folder:
            for number in range(count):
                if short and number >= len(papers):
                    name = f"github/bench/w{number}/README.md"
                    data = invented(number, 10)[0].text.encode()
                else:
                    name = f"arxiv/2401.{number:05}.pdf"
                    data = papers[number % len(papers)].read_bytes() + b"\n%% copy %d\n" % number
                path = Path(folder, "mirror", name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            code = f"from {__name__} import measure_memory as run; import sys; run(*sys.argv[1:])"
            figures = json.loads(run_python(code, folder, encoder).splitlines()[-1])
        rows.append({"documents": count, **figures})
        say(json.dumps(rows[-1]))
    peaks = [row["peak_mib"]["together"] for row in rows]
    return {
        "documents": f"{len(papers)} papers and READMEs" if short else "papers",
        "runs": rows,
        "last_over_first": ratio(peaks[-1], peaks[0]),
    }


def measure_memory(folder: str, encoder: str) -> None:
    """Index the mirror in `folder`, and print the peaks of this process and of its workers."""
    mirror = Path(folder) / "mirror"
    readmes = [GithubLink(path.name, "bench", path.name) for path in mirror.glob("github/bench/*")]
    listings = [Listing(link.name, "related", github=link) for link in readmes]
    catalog = Catalog.of([*map(_listing, _papers(mirror)), *listings])
    settings = Settings(Path(folder) / "data_dir", mirror, offline=True)
    with Stopwatch() as stopwatch, PeakMemory() as memory:
        passages = _build(catalog, settings, load_encoder(encoder, offline=True))
    figures = {
        "passages": passages,
        **stopwatch.mean(),
        "peak_mib": {
            "main": memory.own >> 10,
            "workers": memory.workers >> 10,
            "together": (memory.own + memory.workers) >> 10,
        },
    }
    print(json.dumps(figures))  # noqa: T201


class PeakMemory:
    """The most memory that this process and its children were seen to hold, in KiB: the sum of
    each one's own peak, which is no less than the peak of the sum. Reads `/proc`: the resource
    usage of children counts what they were forked from."""

    own = workers = 0

    def __enter__(self) -> PeakMemory:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _poll(self) -> None:
        while True:
            tasks = Path("/proc/self/task").glob("*/children")
            children = {child for task in tasks for child in _read(task).split()}
            self.own = max(self.own, _peak("self"))
            self.workers = max(self.workers, sum(map(_peak, children)))
            if self._ended.wait(0.1):
                return


def _peak(process: str) -> int:
    """KiB; 0 for a process that has ended."""
    lines = _read(Path("/proc", process, "status")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has just ended
        return ""
