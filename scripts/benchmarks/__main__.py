"""`rag bench`: the benchmarks as commands, and the one that needs no module of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.main import main
from rag.cli.options import DATA_DIR, ENCODER, DataDir, EncoderName
from scripts.benchmarks import RAG, Stopwatch, ratio, report, run_python
from scripts.benchmarks.clients import serve
from scripts.benchmarks.decode import decode
from scripts.benchmarks.indexing import index
from scripts.benchmarks.search import add, scale

LOAD_ENCODER = (
    "import sys; from index.encoder import load_encoder; "
    "load_encoder(sys.argv[1], offline=True).encode_queries(['What is this?'])"
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure speed and memory, as ratios of one run.",
)
for command in (index, scale, add, decode, serve):
    app.command()(command)


@app.command()
def cold(
    prompt: Annotated[Path, typer.Argument(help="A prompt document whose works are indexed.")],
    repeats: Annotated[int, typer.Option(min=1, help="The best of so many counts.")] = 3,
    data_dir: DataDir = DATA_DIR,
    encoder: EncoderName = ENCODER,
) -> None:
    """`rag ask` from a cold start, against importing and loading the encoder and embedding one
    question; and `rag --help`. Whole processes, in turn."""
    options = ("--writer", "extractive", "--offline", "--data-dir", data_dir, "--encoder", encoder)
    commands = {
        "ask": (RAG, "ask", prompt, *options),
        "load": (LOAD_ENCODER, encoder),
        "help": (RAG, "--help"),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    # The first round brings files into the page cache and byte code onto the disk.
    for number in range(repeats + 1):
        for name, arguments in commands.items():
            with Stopwatch() as stopwatch:
                run_python(*map(str, arguments))
            runs[name] += [stopwatch.mean()] if number else []
    best = {
        name: {clock: min(run[clock] for run in timed) for clock in ("wall", "cpu")}
        for name, timed in runs.items()
    }
    ratios = {f"ask_over_load_{at}": ratio(best["ask"][at], best["load"][at]) for at in best["ask"]}
    report({"repeats": repeats, "seconds": best, **ratios})


if __name__ == "__main__":
    main(app)
