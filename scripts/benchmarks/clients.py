"""How long many clients at once wait for their answers from `rag serve`, by the number of its
worker processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer

from index.errors import RagError
from index.settings import Settings
from rag.answer import Answer
from rag.cli.options import say, settings, with_options_of
from rag.pipeline import Pipeline
from rag.prompt import Prompt, read_prompt
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks import RAG, Stopwatch, report

PAUSE = 1.0
"""Seconds after which a client that was told to wait asks again."""


@with_options_of(settings)
def serve(
    open_settings: Callable[[], Settings],
    prompts: Annotated[list[Path], typer.Argument(help="Prompt documents, asked in turn.")],
    workers: Annotated[
        list[int] | None, typer.Option(help="Worker processes; may be repeated.")
    ] = None,
    questions: Annotated[int, typer.Option(min=1)] = 200,
    clients: Annotated[int, typer.Option(min=1, help="Each asks one question at a time.")] = 50,
    queue: Annotated[int, typer.Option(min=1, help="How many questions may wait.")] = 40,
) -> None:
    """Questions by many clients at once to `rag serve` with the extractive writer. Every answer is
    compared with that of the pipeline alone. The works are indexed first where they are not."""
    chosen = open_settings()
    asked = [read_prompt(path) for path in prompts]
    expected = list(Pipeline.of(chosen, ExtractiveWriter()).ask_all(asked))
    pairs = list(zip(asked, expected, strict=True))
    numbers = range(questions)
    rows: list[dict[str, Any]] = []
    for count in workers or [1, 2]:
        say(f"{questions} questions by {clients} clients to {count} worker(s)")
        limits = httpx.Limits(max_connections=clients)
        with (
            _served(chosen, count, queue) as address,
            httpx.Client(base_url=address, timeout=600, limits=limits) as client,
            ThreadPoolExecutor(clients) as pool,
        ):
            for asking in (0, 1):  # The first round loads the models.
                results: Counter[str] = Counter()
                many = numbers if asking else range(count)
                tasks = [(client, *pairs[number % len(pairs)], results) for number in many]
                with Stopwatch() as stopwatch:
                    seconds = list(pool.map(_ask, *zip(*tasks, strict=True)))
        p50, p95 = np.percentile(seconds, [50, 95]).round(1).tolist()
        rows.append(
            {"workers": count, "p50_s": p50, "p95_s": p95, "wall_s": round(stopwatch.wall, 1)}
            | {name: results[name] for name in ("right", "wrong", "told_to_wait")}
        )
    report({"questions": questions, "clients": clients, "queue": queue, "runs": rows})


@contextmanager
def _served(chosen: Settings, workers: int, queue: int) -> Iterator[str]:
    """The address of `rag serve` in a process of its own."""
    options: Sequence[object] = (
        *("--data-dir", chosen.data_dir, "--encoder", chosen.encoder, "--store", chosen.store),
        *("--offline", "--writer", "extractive", "--port", 0),
        *("--workers", workers, "--queue", queue),
        # It is named in what is said of a source that it has not.
        *(("--mirror", chosen.mirror) if chosen.mirror else ()),
    )
    command = [sys.executable, "-c", RAG, "serve", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RagError("rag serve did not start; what it said stands above")
            yield address
        finally:
            process.terminate()


def _ask(client: httpx.Client, prompt: Prompt, expected: Answer, results: Counter[str]) -> float:
    """Seconds until the answer, as long as it takes; counts what came."""
    began = time.perf_counter()
    while (sent := client.post("/document", files={"text": (None, prompt.text)})).is_error:
        if sent.status_code != 503:
            raise RagError(f"rag serve answered {sent.status_code}")
        results["told_to_wait"] += 1
        time.sleep(PAUSE)
    path = sent.headers["location"]
    with client.stream("GET", f"{path}/events") as events:
        for _ in events.iter_lines():
            pass
    seconds = time.perf_counter() - began
    answer = client.get(f"{path}/answer.json")
    is_right = answer.is_success and Answer.from_json(answer.text) == expected
    results["right" if is_right else "wrong"] += 1
    return seconds
