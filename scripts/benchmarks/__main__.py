"""`rag bench`: the benchmarks as commands. Those of an answer are here: from a cold start, for many
clients at once, and with quotes that are decoded by a model."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer

from index.errors import RagError
from index.settings import Settings
from rag.answer import Answer
from rag.cli.main import main
from rag.cli.options import (
    DATA_DIR,
    ENCODER,
    DataDir,
    EncoderName,
    OpenSettings,
    say,
    settings,
    with_options_of,
    with_verbosity,
)
from rag.pipeline import Pipeline
from rag.prompt import Prompt, read_prompt
from rag.selection.grading import trained_model
from rag.writers.decoding import Tally
from rag.writers.extractive import ExtractiveWriter
from rag.writers.grammar import candidates_of, closing, numbers_in, statement_grammar
from rag.writers.local import PLANS, LoadedModel, LocalWriter, load_model
from rag.writers.messages import PartRequest, choose_sentences
from scripts.benchmarks import Stopwatch, ratio, report, run_python
from scripts.benchmarks.indexing import index
from scripts.benchmarks.search import add, scale

RAG = "from rag.cli.main import main; main()"
"""The command, as `python -c` runs it."""
LOAD_ENCODER = (
    "import sys; from index.encoder import load_encoder; "
    "load_encoder(sys.argv[1], offline=True).encode_queries(['What is this?'])"
)
PAUSE = 1.0
"""Seconds after which a client that was told to wait asks again."""
SENTENCES = 12
"""Shown to a model at most, in a third of its context."""
PROSE_TOKENS = 32
"""Prose before a quote: a model without training never ends it."""


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


@with_options_of(settings)
def serve(
    open_settings: OpenSettings,
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
    rows: list[dict[str, Any]] = []
    for count in workers or [1, 2]:
        say(f"{questions} questions by {clients} clients to {count} worker(s)")
        limits = httpx.Limits(max_connections=clients)
        with (
            _served(chosen, count, queue) as address,
            httpx.Client(base_url=address, timeout=600, limits=limits) as client,
            ThreadPoolExecutor(clients) as pool,
        ):
            for many in (count, questions):  # The first round loads the models.
                results: Counter[str] = Counter()
                tasks = [(client, *pairs[n % len(pairs)], results) for n in range(many)]
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
        # An answer names the mirror where it lacks a source: both sides need the same.
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


@with_options_of(settings)
def decode(
    open_settings: OpenSettings,
    prompt: Annotated[Path, typer.Argument(help="A prompt document; its works are the evidence.")],
    model: Annotated[str, typer.Option(help="A causal model: name or folder.")],
    statements: Annotated[int, typer.Option(min=1, help="How many statements are written.")] = 4,
) -> None:
    """Quote-bound decoding with forced text fed at once, against the same text token by token
    through `model.generate`, and against as much unconstrained text."""
    # Times are of decoding without the prompt, in seconds: with the grammar and forced text at
    # once (`bound`), the same tokens with the same grammar one by one (`stepwise`), and as many
    # tokens of free text (`free`). `steps` are forward passes after the prompt's.
    pipeline = Pipeline.of(open_settings(), ExtractiveWriter())
    evidence = pipeline.gather(read_prompt(prompt))
    loaded = load_model(model, offline=pipeline.settings.offline)
    writer, vocabulary = LocalWriter(loaded), loaded.vocabulary
    choice = choose_sentences(
        trained_model().scores(evidence),
        evidence.hits(),
        room=loaded.context // 3,
        most=SENTENCES,
        cost=lambda hit, text: len(vocabulary.plain(text)),
    )
    candidates = candidates_of(choice.shown)
    numbers = numbers_in("\n".join(item.text for item in choice.shown))
    plan = next(plan for plan in PLANS if plan.brief is (loaded.context < 2048))
    request = writer.suffix(PartRequest("task", "task"), plan)
    ids = [*writer.prefix(evidence, choice, plan), *request]
    grammar = partial(statement_grammar, candidates, numbers, silence=False)
    decoder = writer.decoder
    decoder.hold(ids)
    # The first passes pay for allocations, and the tokenizer's trie is built at the first mask.
    decoder.decode(ids, grammar(), budget=8)
    decoder.tally = tally = Tally()
    began = time.perf_counter()
    texts: list[tuple[int, ...]] = []
    quoted = quoted_steps = 0
    for seed in range(statements):
        decoded = decoder.decode(
            ids,
            grammar(),
            budget=max(64, loaded.context - len(ids)),
            closing=lambda text: closing(text, lambda most: grammar(characters=most)),
            closing_after=PROSE_TOKENS,
            seed=seed,
        )
        spelled = [vocabulary.tokens[token] for token in decoded.ids]
        begins = next((n for n, token in enumerate(spelled) if b'"' in token), len(spelled))
        texts.append(decoded.ids)
        quoted += len(spelled) - begins
        quoted_steps += sum(position >= begins for position in decoded.chosen)
    tokens = sum(map(len, texts))
    bound = time.perf_counter() - began
    stepwise = sum(_generate(loaded, ids, text, grammar()) for text in texts)
    free = sum(_generate(loaded, ids, text, "") for text in texts)
    report(
        {
            "model": loaded.name,
            "device": str(loaded.model.device),
            "dtype": str(loaded.model.dtype),
            "vocabulary": vocabulary.size,
            "prompt_tokens": len(ids),
            "candidates": len(candidates),
            "statements": statements,
            "tokens": tokens,
            "quoted_tokens": quoted,
            "steps": tally.steps,
            "quoted_steps": quoted_steps,
            "mask_ms": 1e3 * tally.mask_seconds / max(1, tally.masks),
            "mask_ms_per_token": 1e3 * tally.mask_seconds / max(1, tokens),
            "bound": bound,
            "stepwise": stepwise,
            "free": free,
            "steps_per_quoted_token": quoted_steps / max(1, quoted),
            "speedup_over_stepwise": stepwise / bound,
            "cost_against_unconstrained": bound / free,
            "tokens_per_second": tokens / bound,
        }
    )


def _generate(loaded: LoadedModel, ids: Sequence[int], text: Sequence[int], grammar: str) -> float:
    """Seconds that `model.generate` takes for as many tokens as `text` after the prompt, less
    what the prompt and the first token take. With a grammar its mask is made at every step, as
    the logits processors of constrained generation do, and the token taken is that of `text`."""
    import torch
    from llguidance import LLMatcher

    def replay(matcher: Any, written: Any, scores: Any) -> Any:
        token = text[written.shape[1] - len(ids)]
        bias = bytearray(matcher.compute_logit_bias())
        allowed = torch.frombuffer(bias, dtype=torch.uint8)[: scores.shape[1]].to(scores.device)
        scores[:, : len(allowed)].masked_fill_(allowed == 0, float("-inf"))
        matcher.consume_token(token)
        scores.fill_(float("-inf"))
        scores[:, token] = 0.0
        return scores

    def run(length: int) -> float:
        began = time.perf_counter()
        matcher = LLMatcher(loaded.vocabulary.matching, grammar, log_level=0) if grammar else None
        prompt = torch.tensor([list(ids)], device=loaded.model.device)
        with torch.inference_mode():
            loaded.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                min_new_tokens=length,
                max_new_tokens=length,
                do_sample=False,
                pad_token_id=0,
                logits_processor=[partial(replay, matcher)] if matcher else None,
            )
        if loaded.model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    first = run(1)
    return max(1e-9, (run(len(text)) - first) * len(text) / max(1, len(text) - 1))


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure speed and memory, as ratios of one run.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (index, scale, add, decode, serve, cold):
    app.command()(with_verbosity(command))

if __name__ == "__main__":
    main(partial(app, prog_name="rag bench"))
