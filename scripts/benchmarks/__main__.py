"""`rag bench`: the benchmarks as commands, and the two that need no module of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.main import main
from rag.cli.options import DATA_DIR, ENCODER, DataDir, EncoderName, Mirror, Offline, settings
from scripts.benchmarks import Stopwatch, ratio, report, run_python
from scripts.benchmarks.indexing import index
from scripts.benchmarks.search import add, search

LOAD_ENCODER = (
    "import sys; from index.encoder import load_encoder; "
    "load_encoder(sys.argv[1], offline=True).encode_queries(['What is this?'])"
)
RAG = "from rag.cli.main import main; main()"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure speed and memory, as ratios of one run.",
)
for command in (index, search, add):
    app.command()(command)


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
    from scripts.benchmarks.decode import bench_decode

    pipeline = Pipeline.of(settings(data_dir, mirror, offline=offline), ExtractiveWriter())
    evidence = pipeline.gather(read_prompt(prompt))
    report(bench_decode(load_model(model, offline=offline), evidence, statements=statements))


@app.command()
def cold(
    prompt: Annotated[Path, typer.Argument(help="A prompt document whose works are indexed.")],
    repeats: Annotated[int, typer.Option(min=1, help="The best of so many counts.")] = 3,
    data_dir: DataDir = DATA_DIR,
    encoder: EncoderName = ENCODER,
) -> None:
    """`rag ask` from a cold start, against importing and loading the encoder and embedding one
    question; and `rag --help`. Whole processes, in turn."""
    ask = ("ask", str(prompt), "--writer", "extractive", "--offline", "--data-dir", str(data_dir))
    commands = {
        "ask": (RAG, *ask, "--encoder", encoder),
        "load": (LOAD_ENCODER, encoder),
        "help": (RAG, "--help"),
    }
    runs: dict[str, list[Stopwatch]] = {name: [] for name in commands}
    for _ in range(repeats + 1):
        for name, arguments in commands.items():
            with Stopwatch() as stopwatch:
                run_python(*arguments)
            runs[name].append(stopwatch)
    best = {
        # The first run brings files into the page cache and byte code onto the disk.
        name: {"wall": min(run.wall for run in timed), "cpu": min(run.cpu for run in timed)}
        for name, (_, *timed) in runs.items()
    }
    report(
        {
            "repeats": repeats,
            "seconds": {
                name: {key: round(value, 3) for key, value in seconds.items()}
                for name, seconds in best.items()
            },
            "ask_over_load_wall": ratio(best["ask"]["wall"], best["load"]["wall"]),
            "ask_over_load_cpu": ratio(best["ask"]["cpu"], best["load"]["cpu"]),
        }
    )


if __name__ == "__main__":
    main(app)
