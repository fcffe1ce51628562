"""`rag bench`: each command prints its figures as JSON. On a busy machine ratios mean more than
times."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rag.cli.main import main
from rag.cli.options import DATA_DIR, ENCODER, DataDir, EncoderName, Mirror, Offline, settings
from rag.cli.terminal import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure speed and memory, as ratios of one run.",
)


def _print(figures: dict[str, Any]) -> None:
    typer.echo(json.dumps(figures, indent=2))


@app.command()
def decode(
    prompt: Annotated[Path, typer.Argument(help="A prompt document; its works are the evidence.")],
    model: Annotated[str, typer.Option(help="A causal model: name or folder.")],
    statements: Annotated[int, typer.Option(min=1, help="How many statements are written.")] = 4,
    data_dir: DataDir = DATA_DIR,
    mirror: Mirror = None,
    offline: Offline = False,
) -> None:
    """Quote-bound decoding with forced text fed at once, against the same text token by token
    through `model.generate`, and against as much unconstrained text."""
    from rag.pipeline import Pipeline
    from rag.prompt import read_prompt
    from rag.writers.extractive import ExtractiveWriter
    from rag.writers.local.loading import load_model
    from scripts.benchmarks.decoding import bench_decode

    pipeline = Pipeline.of(settings(data_dir, mirror, offline=offline), ExtractiveWriter())
    evidence = pipeline.gather(read_prompt(prompt))
    figures = bench_decode(load_model(model, offline=offline), evidence, statements=statements)
    ratios = {
        "steps_per_quoted_token": figures.steps_per_quoted_token,
        "speedup_over_stepwise": figures.speedup,
        "cost_against_unconstrained": figures.cost,
        "tokens_per_second": figures.tokens_per_second,
    }
    _print({**asdict(figures), **ratios})


@app.command()
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
    from scripts.benchmarks.indexing import bench_index, bench_memory

    if documents:
        _print(bench_memory(mirror, documents=documents, short=short, encoder=encoder, say=say))
    else:
        _print(bench_index(mirror, encoder=encoder, repeats=repeats, limit=limit, say=say))


@app.command()
def search(
    size: Annotated[
        list[int] | None, typer.Option(help="Passages in the catalog; may be repeated.")
    ] = None,
    filtered: Annotated[
        list[int] | None, typer.Option(help="Sizes for LangChain's FAISS with a filter.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="How many queries at each size.")] = 20,
) -> None:
    """Retrieval for a prompt of ten works while the catalog grows, and against LangChain's FAISS
    with a metadata filter. The works are synthetic. Needs the extra `bench`."""
    from scripts.benchmarks.search import bench_search

    sizes, filtered_sizes = size or [10**3, 10**5, 10**7], filtered or [10**3, 10**5]
    _print(bench_search(sizes, filtered_sizes=filtered_sizes, queries=queries, say=say))


@app.command()
def add(
    works: Annotated[
        list[int] | None, typer.Option(help="Works in the data directory; may be repeated.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Works added in each way.")] = 5,
) -> None:
    """Adding one work to a data directory of ten works and of ten thousand, all synthetic."""
    from scripts.benchmarks.search import bench_add

    _print(bench_add(works or [10, 10_000], repeats=repeats, say=say))


@app.command()
def cold(
    prompt: Annotated[Path, typer.Argument(help="A prompt document whose works are indexed.")],
    repeats: Annotated[int, typer.Option(min=1, help="The best of so many counts.")] = 3,
    data_dir: DataDir = DATA_DIR,
    encoder: EncoderName = ENCODER,
) -> None:
    """`rag ask` from a cold start, against importing and loading the encoder alone."""
    from scripts.benchmarks.cold import bench_cold

    _print(bench_cold(prompt, data_dir, encoder=encoder, repeats=repeats))


if __name__ == "__main__":
    main(app)
