"""`rag bench`: ratios, both sides in one run. Times on a busy machine mean little; ratios more."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from scripts.options import HOME, Home, Mirror, Offline, settings

app = typer.Typer(no_args_is_help=True, help="Measure speed, as ratios of one run.")


@app.callback()
def benches() -> None:
    """Measure speed, as ratios of one run."""


@app.command("decode")
def decode(
    prompt: Annotated[Path, typer.Argument(help="A prompt document; its works are the evidence.")],
    model: Annotated[str, typer.Option(help="A causal model: name or folder.")],
    statements: Annotated[int, typer.Option(min=1, help="How many statements are written.")] = 4,
    home: Home = HOME,
    mirror: Mirror = None,
    offline: Offline = False,
) -> None:
    """Quote-bound decoding with forced text fed at once, against the same text token by token
    through `model.generate`, and against as much unconstrained text."""
    from rag.pipeline import Pipeline
    from rag.prompt import read_prompt
    from rag.writers.bench_decode import bench_decode
    from rag.writers.extractive import ExtractiveWriter
    from rag.writers.loading import load_model

    pipeline = Pipeline.of(settings(home, mirror, offline=offline), ExtractiveWriter())
    evidence = pipeline.gather(read_prompt(prompt))
    found = bench_decode(load_model(model, offline=offline), evidence, statements=statements)
    ratios = {
        "steps_per_quoted_token": found.steps_per_quoted_token,
        "speedup_over_stepwise": found.speedup,
        "cost_against_unconstrained": found.cost,
        "tokens_per_second": found.tokens_per_second,
    }
    typer.echo(json.dumps({**asdict(found), **ratios}, indent=2))
