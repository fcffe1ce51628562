"""`rag evaluate`: how far answers, retrieval and the checker of support can be trusted."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scripts import judge
from scripts.options import ENCODER, EncoderName, Offline
from scripts.terminal import Bars, say

app = typer.Typer(
    no_args_is_help=True, help="Measure answers, retrieval and the checker of support."
)
for command in (judge.answers, judge.compare, judge.writers, judge.sheet, judge.convert):
    app.command(command.__name__)(command)


class Baseline(StrEnum):
    """What retrieval is compared with, in the same run."""

    LANGCHAIN = "langchain"
    BM25 = "bm25"


@app.command("retrieval")
def retrieval(
    folder: Annotated[Path, typer.Argument(help="documents.jsonl and questions.jsonl.")],
    baseline: Annotated[
        list[Baseline] | None, typer.Option(help="Run this beside it; may be repeated.")
    ] = None,
    reranker: Annotated[
        str, typer.Option(help="A cross-encoder to rerank with: name or folder.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="Where <set>.json and <set>.png are written.")
    ] = None,
    encoder: EncoderName = ENCODER,
    offline: Offline = False,
) -> None:
    """Measure how well passages that answer a question are found, with intervals clustered by
    document and a paired test against each baseline."""
    from index.encoder import load_encoder
    from index.sealed import write_atomically
    from rag.evaluation_set import read_evaluation_set
    from rag.reranker import load_reranker
    from rag.retrieval_evaluation import evaluate_retrieval, plot

    data = read_evaluation_set(folder)
    with Bars() as bars:
        report = evaluate_retrieval(
            data,
            load_encoder(encoder, offline=offline),
            baselines=[item.value for item in baseline or ()],
            reranker=load_reranker(reranker, offline=offline) if reranker else None,
            progress=lambda what, done, total: bars(what, done, total, ""),
        )
    typer.echo(report.table())
    if output is not None:
        write_atomically(output / f"{data.name}.json", report.to_json().encode())
        drawn = plot(report, output / f"{data.name}.png")
        say(f"written to {output}" + ("" if drawn else " (no plot: matplotlib is not installed)"))


@app.command("support")
def support(
    files: Annotated[
        list[Path], typer.Argument(help="Labelled claims: JSON lines.", metavar="FILE…")
    ],
    checker: Annotated[
        str, typer.Option(help="An NLI cross-encoder, name or folder; else the one built in.")
    ] = "",
    offline: Offline = False,
    output: Annotated[Path | None, typer.Option(help="Also written here, as JSON.")] = None,
) -> None:
    """Measure the checker of support on claims that people labelled: AUROC, and balanced accuracy
    and F1 at a threshold that was fixed on other data."""
    from index.sealed import write_atomically
    from rag.support.evaluation import evaluate_labels, read_labelled, render_json, render_markdown
    from rag.support.opening import open_checker

    chosen = open_checker(checker, offline=offline)
    reports = [evaluate_labels(chosen, read_labelled(path), data=path.stem) for path in files]
    typer.echo(render_markdown(reports))
    if output is not None:
        write_atomically(output, render_json(reports).encode())
