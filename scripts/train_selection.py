"""Trains the selection of sentences: rag/selection/weights.safetensors.

    python -m scripts.train_selection \
        ../shared/explain/graded scripts/grades.jsonl scripts/summaries \
        --invented scripts/invented \
        --mirror ../shared/explain/corpus --mirror ../shared/mirror
    python -m scripts.train_selection … --folds 3        # cross-validate, write nothing

The first data set is the one that is cross-validated. Nothing is learned there from prompts that
share a question or a recommended work with a prompt that is tested, nor from any sentence that
stands in one; prompts marked "test" are never trained on. From works that were invented for it only
one of the reader's two adapters learns: regressions of words and place became worse by them.
The regressions are fitted to the end by L-BFGS; the reader's adapters by AdamW for a few epochs,
whose states are kept in --folder, by the graded data, so that an interrupted training goes on.
Deterministic by seed on one machine.
"""

from __future__ import annotations

import hashlib
import pickle  # only for the caches of this script, which nobody else writes
import random
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from tqdm import tqdm

from index.encoder import load_encoder
from rag.evaluation.relevance import (
    GradedPrompt,
    choose,
    floor,
    read_graded,
    relevance_measures,
)
from rag.selection.features import (
    HEADING_BUCKETS,
    WORD_BUCKETS,
    Candidate,
    candidates_in,
    features,
)
from rag.selection.grading import LEVELS, WEIGHTS, SelectionModel, SentenceScores
from rag.selection.reader import SentenceReader, States, half

PENALTY = 0.5
RATE, HEAD_RATE, EPOCHS, BATCH = 1e-3, 3e-3, 3, 32
UNGRADED_SHARE = 0.35
"""The share of the sentences graded 0 everywhere that an epoch sees; they count the more."""


@dataclass(eq=False)
class Rows:
    """The graded sentences of one prompt as they are learned from."""

    prompt: GradedPrompt
    candidates: tuple[Candidate, ...]
    matrix: np.ndarray
    grades: np.ndarray
    lower: list[Tensor]
    lengths: list[int]
    question: Tensor

    @property
    def targets(self) -> np.ndarray:
        """[n, 15]: whether each grade is at least 1, 2, 3."""
        levels = [self.grades >= level for level in range(1, LEVELS + 1)]
        return np.stack(levels, axis=2).reshape(len(self.grades), -1).astype(np.float32)


def rows_of(prompt: GradedPrompt, reader: SentenceReader) -> Rows:
    """Features and the states below the adapted layers, computed once."""
    everything = candidates_in(prompt.evidence)
    matrix = features(prompt.evidence, everything)
    chosen = [
        row for row, item in enumerate(everything) if (item.listing, item.span) in prompt.grades
    ]
    candidates = tuple(everything[row] for row in chosen)
    pairs = [reader.tokens(prompt.evidence, item) for item in candidates]
    lower: list[Any] = [None] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda row: sum(map(len, pairs[row])))
    with torch.no_grad(), half():
        for start in range(0, len(order), 64):
            batch = order[start : start + 64]
            states = reader.lower([pairs[row] for row in batch])
            for place, row in enumerate(batch):
                length = sum(map(len, pairs[row]))
                lower[row] = states.hidden[place, :length].to(torch.bfloat16)
        question = reader.question(prompt.evidence.prompt.question).float()
    grades = np.array([prompt.grades[item.listing, item.span] for item in candidates])
    own = [len(pair.sentence) for pair in pairs]
    return Rows(prompt, candidates, matrix[chosen], grades, lower, own, question)


def fit_linear(data: Sequence[Rows]) -> dict[str, Tensor]:
    """Fifteen logistic regressions at once, with an L2 penalty on the weights."""
    inputs = torch.tensor(np.vstack([each.matrix for each in data]))
    targets = torch.tensor(np.vstack([each.targets for each in data]))
    share = targets.mean(0).clamp(1e-4, 1 - 1e-4)
    weight = torch.zeros(inputs.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.log(share / (1 - share)).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = cross_entropy(inputs @ weight + bias, targets, reduction="sum")
        value = value + PENALTY * (weight**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return {"linear.weight": weight.detach(), "linear.bias": bias.detach()}


def fit_reader(data: Sequence[Rows], seed: int, folder: Path, label: str) -> dict[str, Tensor]:
    """One adapter's weights by name. An epoch that is done is not done again."""
    torch.manual_seed(seed)
    reader = SentenceReader()
    adapter = reader.adapter(data[0].matrix.shape[1] - WORD_BUCKETS - HEADING_BUCKETS)
    targets = torch.tensor(np.vstack([each.targets for each in data]))
    share = targets.mean(0).clamp(1e-4, 1 - 1e-4)
    cast("torch.nn.Linear", adapter["logits"]).bias.data = torch.log(share / (1 - share))
    learned = {name: p for name, p in adapter.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p], "lr": rate, "base": rate}
            for name, p in learned.items()
            for rate in [HEAD_RATE if name.startswith("logits") else RATE]
        ],
        weight_decay=0.01,
    )
    graded = [
        (each, row) for each in data for row in range(len(each.grades)) if each.grades[row].any()
    ]
    blank = [
        (each, row)
        for each in data
        for row in range(len(each.grades))
        if not each.grades[row].any()
    ]
    per_epoch = (len(graded) + int(UNGRADED_SHARE * len(blank)) + BATCH - 1) // BATCH
    kept = folder / f"{label}.pt"
    begin = 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        adapter.load_state_dict(state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        begin = state["epoch"]
    for epoch in range(begin, EPOCHS):
        generator = random.Random(f"{seed} {epoch}")
        torch.manual_seed(seed + epoch)
        sample = graded + generator.sample(blank, int(UNGRADED_SHARE * len(blank)))
        sample.sort(key=lambda item: len(item[0].lower[item[1]]) + generator.random() * 12)
        batches = [sample[start : start + BATCH] for start in range(0, len(sample), BATCH)]
        generator.shuffle(batches)
        adapter.train()
        for step, batch in enumerate(
            tqdm(batches, desc=f"{label} epoch {epoch + 1}/{EPOCHS}", mininterval=20)
        ):
            done = (epoch * per_epoch + step + 1) / (EPOCHS * per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * min(done / 0.1, max(0.02, (1 - done) / 0.9))
            loss = _loss(reader, adapter, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learned.values(), 1.0)
            optimizer.step()
        folder.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        torch.save(
            {
                "adapter": adapter.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": epoch + 1,
            },
            partial,
        )
        partial.replace(kept)
    return {name: p.detach() for name, p in learned.items()}


def _loss(reader: SentenceReader, adapter: Any, batch: Sequence[tuple[Rows, int]]) -> Tensor:
    hidden = torch.nn.utils.rnn.pad_sequence(
        [each.lower[row] for each, row in batch], batch_first=True
    ).float()
    mask, words = torch.zeros(hidden.shape[:2]), torch.zeros(hidden.shape[:2])
    for place, (each, row) in enumerate(batch):
        mask[place, : len(each.lower[row])] = 1
        words[place, 1 : each.lengths[row] - 1] = 1
    dense = torch.tensor(
        np.stack([each.matrix[row, : -WORD_BUCKETS - HEADING_BUCKETS] for each, row in batch])
    )
    questions = torch.stack([each.question for each, _ in batch])
    targets = torch.tensor(np.stack([each.targets[row] for each, row in batch]))
    weights = torch.tensor(
        [[1.0 if each.grades[row].any() else 1 / UNGRADED_SHARE] for each, row in batch]
    )
    with half():
        logits = reader.logits(adapter, States(hidden, mask, words), questions, dense)
    loss: Tensor = (cross_entropy(logits, targets, reduction="none") * weights).sum(1).mean()
    return loss


def fit(
    data: Sequence[Rows], invented: Sequence[Rows], seed: int, folder: Path, label: str
) -> dict[str, Tensor]:
    """All weights, in the precision in which they are kept; each adapter has a seed of its own,
    and the second has read the invented works too."""
    weights = fit_linear(data)
    for number, prompts in enumerate(([*data], [*data, *invented])):
        trained = fit_reader(prompts, seed + number, folder, f"{label}-{number}")
        weights |= {f"{number}.{name}": tensor for name, tensor in trained.items()}
    return {name: tensor.to(torch.float16).contiguous() for name, tensor in weights.items()}


def _digest(graded: Sequence[Path]) -> str:
    """Names the graded data, so that nothing is kept of what was learned from other data."""
    files = [file for path in graded for file in (sorted(path.glob("*")) or [path])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _subjects(rows: Rows) -> set[str]:
    """The question and the recommended works of a prompt."""
    prompt = rows.prompt.evidence.prompt
    names = (each.name for each in prompt.listings if each.role != "related")
    return {prompt.question, *names}


def without(rows: Rows, texts: Set[str]) -> Rows:
    """The rows without the sentences that are among `texts`."""
    kept = [row for row, item in enumerate(rows.candidates) if item.text not in texts]
    return replace(
        rows,
        candidates=tuple(rows.candidates[row] for row in kept),
        matrix=rows.matrix[kept],
        grades=rows.grades[kept],
        lower=[rows.lower[row] for row in kept],
        lengths=[rows.lengths[row] for row in kept],
    )


def main(
    graded: Annotated[list[Path], typer.Argument(help="Graded prompts; the first is validated.")],
    invented: Annotated[Path | None, typer.Option(help="Graded prompts over no real work.")] = None,
    mirror: Annotated[
        list[Path] | None, typer.Option(help="Folders with the graded works.")
    ] = None,
    folds: Annotated[int, typer.Option(help="Cross-validate by prompt instead of writing.")] = 0,
    only: Annotated[int, typer.Option(help="Only this fold.")] = -1,
    seed: int = 0,
    folder: Annotated[Path, typer.Option(help="Where training goes on from.")] = Path(
        "data/selection"
    ),
    out: Path = WEIGHTS,
) -> None:
    """Train on everything, or cross-validate."""
    reader, encoder = SentenceReader(), load_encoder()
    paths = [*graded, *([invented] if invented else [])]
    folder = folder / _digest(paths)
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder / "rows.pickle"
    if cache.is_file():
        sets = pickle.loads(cache.read_bytes())
    else:
        sets = [
            [
                rows_of(prompt, reader)
                for prompt in tqdm(read_graded(path, encoder, mirror or ()), desc=path.name)
            ]
            for path in paths
        ]
        cache.write_bytes(pickle.dumps(sets))
    written = sets.pop() if invented else []
    first, *others = sets
    others = [each for one in others for each in one if each.prompt.set != "test"]
    if not folds:
        weights = fit([*first, *others], written, seed, folder, "all")
        save_file(weights, out)
        typer.echo(f"{out}: {out.stat().st_size:,} bytes")
        return
    told = []
    for fold in range(folds):
        if only >= 0 and fold != only:
            continue
        tested = set().union(*(_subjects(each) for each in first[fold::folds]))
        texts = {item.text for each in first[fold::folds] for item in each.candidates}
        training = [
            without(each, texts) for each in [*first, *others] if tested.isdisjoint(_subjects(each))
        ]
        training = [each for each in training if each.candidates]
        weights = fit(training, written, seed, folder, f"fold{fold}")
        model = SelectionModel({name: tensor.numpy() for name, tensor in weights.items()})
        for each in first[fold::folds]:
            candidates = candidates_in(each.prompt.evidence)
            grades = model.grades(each.prompt.evidence, candidates)
            (folder / f"scores-{each.prompt.id}.npy").write_bytes(
                grades.astype(np.float32).tobytes()
            )
            told.append((each.prompt, choose(each.prompt, SentenceScores(candidates, grades))))
        for measure in relevance_measures(told):
            typer.echo(f"fold {fold} {measure.key}: {measure.estimate()}")
    for chooser in ("first sentences", "cosine"):
        for measure in relevance_measures(
            [(each.prompt, floor(each.prompt, chooser)) for each in first]
        ):
            typer.echo(f"{chooser} {measure.key}: {measure.estimate()}")


if __name__ == "__main__":
    typer.run(main)
