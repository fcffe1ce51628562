"""Trains what the support checker reads pairs with: rag/support/weights.safetensors.

    python -m scripts.train_entailment ../shared/eval/support_train \
        --text ../shared/explain/corpus --dev ../shared/eval/support

Pairs of statement and evidence with a label, and pairs generated from the texts by
`rag.evaluation.perturbation`: true sentences, and the same with a number, name, direction or
negation changed. Each step draws its pairs set by set, as often supported as not. The state is
kept in --folder every 250 steps, and training goes on from there. Deterministic by seed on one
machine, but for where it was interrupted; some 70 minutes on two cores that do little else.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from tqdm import tqdm

from index.encoder import batches
from index.settings import DEFAULT_ENCODER
from index.weights import locate
from rag.evaluation.perturbation import PERTURBED, perturbation_set
from rag.evaluation.support import LabelledClaim, read_labelled_claims
from rag.support import sentences
from rag.support.entailment import WEIGHTS, EntailmentReader, PairTokens, collate, learned, window

STEPS, RATE = 2_900, 1e-3
"""How many steps, and the learning rate, which falls to 0 linearly."""
SHARES = {
    "fever_nli": 10, "fever_symmetric": 1.5, "mnli_dev": 7, "snli_dev": 2, "scitail_test": 1.2,
    "cad_nli": 3, "scone": 0.5, "negation_nli": 0.7, "monotonicity_med_help": 0.4,
    "breaking_nli": 0.4,
    "evidence_inference": 1.5, "expertqa": 1.2, "attributionbench_idtest500": 0.5,
    "factcheck_gpt": 2.5, "check_covid": 2, "fool_me_twice": 4, "summedits": 1.5,
    "wice_partial_train": 0.5, "defacto": 2.5, "generated": 4,
}  # fmt: skip
"""How often each set is drawn from: none of the claims' sets more than some four times in all.
Of paws_wiki and citation_integrity nothing was learned in earlier runs."""
GENERATED = 900
"""Generated pairs of each kind."""
WARM_UP, BATCH_TOKENS, DRAWN = 200, 4_096, 1_024
KEPT_EVERY = 250
DISTRACTED = 0.3
"""The share of pairs to whose evidence that of another pair is added, if there is room."""


class Drawn(NamedTuple):
    """A pair as the network sees it."""

    tokens: PairTokens
    supported: bool


Groups = Mapping[tuple[str, bool], Sequence[PairTokens]]
"""The pairs to learn from by set and label."""


def labelled(folder: Path) -> Iterator[LabelledClaim]:
    """The claims of every JSON-lines file, plain or gzipped, under the name of its file; those
    without a split are not to learn from."""
    for path in sorted(folder.glob("*.jsonl*")):
        name = path.name.partition(".")[0]
        for claim in read_labelled_claims(path):
            yield replace(claim, source=name, split=claim.split or "dev")


def generated(folder: Path, seed: int) -> Iterator[LabelledClaim]:
    """Sentences of the texts in the folder, changed and unchanged."""
    works = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (".md", ".txt"):
            text = path.read_text(encoding="utf-8", errors="replace")
            own = [" ".join(sentence.split()) for sentence in sentences([text])]
            works[path.stem + path.parent.name] = own
    for claim in perturbation_set(works, per_kind=GENERATED, seed=seed):
        yield LabelledClaim(
            claim.statement,
            claim.evidence,
            supported=claim.kind not in PERTURBED,
            source="generated",
            split="train",
        )


def draws(keys: Sequence[tuple[str, bool]]) -> list[float]:
    """How often each set and label is drawn from, both labels as often in all."""
    weights = [
        SHARES.get(name, 0.0) * (1.0 if (name, not label) in keys else 0.5) for name, label in keys
    ]
    total = {
        label: sum(weight for key, weight in zip(keys, weights, strict=True) if key[1] == label)
        for label in (False, True)
    }
    return [weight / total[key[1]] for key, weight in zip(keys, weights, strict=True)]


def drawn(groups: Groups, rng: random.Random) -> list[list[Drawn]]:
    """Batches of pairs of like length."""
    keys = list(groups)
    pairs = []
    for key in rng.choices(keys, draws(keys), k=DRAWN):
        pair, other = rng.choice(groups[key]), rng.choice(groups[key])
        fits = pair.length + len(other.evidence) < 200 and other.statement != pair.statement
        if fits and rng.random() < DISTRACTED:
            both = [pair.evidence, other.evidence]
            rng.shuffle(both)
            pair = pair._replace(evidence=[*chain.from_iterable(both)])
        pairs.append(Drawn(pair, key[1]))
    rows = batches([pair.tokens.length for pair in pairs], BATCH_TOKENS)
    rng.shuffle(rows)
    return [[pairs[row] for row in batch] for batch in rows]


def train(network: Any, groups: Groups, steps: int, seed: int, kept: Path) -> None:
    """Train in place, on the device of the network, from where `kept` says it stopped."""
    device = next(network.parameters()).device
    parameters = learned(network)
    optimizer = torch.optim.AdamW(parameters.values(), weight_decay=0.01, betas=(0.9, 0.98))
    done = 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True, map_location=device)
        network.load_state_dict(state["network"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        done = state["step"]
    rng = random.Random(f"{seed} {done}")
    torch.manual_seed(seed + done)
    network.train()
    with tqdm(total=steps, initial=done) as bar:
        while done < steps:
            for batch in drawn(groups, rng)[: steps - done]:
                for group in optimizer.param_groups:
                    group["lr"] = RATE * min((done + 1) / WARM_UP, 1 - done / steps)
                inputs = [each.to(device) for each in collate([pair.tokens for pair in batch])]
                labels = torch.tensor([float(pair.supported) for pair in batch], device=device)
                loss = cross_entropy(network(*inputs), labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
                optimizer.step()
                done += 1
                bar.update()
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
                if done % KEPT_EVERY == 0 or done == steps:
                    _keep(kept, parameters, optimizer, done)


def _keep(
    kept: Path, parameters: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, step: int
) -> None:
    own = {name: tensor.detach() for name, tensor in parameters.items()}
    partial = kept.with_suffix(".partial")
    torch.save({"network": own, "optimizer": optimizer.state_dict(), "step": step}, partial)
    partial.replace(kept)


def main(
    pairs: Annotated[Path, typer.Argument(help="Folder of labelled pairs.")],
    text: Annotated[Path, typer.Option(help="Folder of texts to generate pairs from.")],
    dev: Annotated[Path, typer.Option(help="Folder of labelled pairs to report on alone.")],
    seed: int = 0,
    device: str = "",
    folder: Annotated[Path, typer.Option(help="Where training goes on from.")] = Path(
        "data/support"
    ),
    out: Path = WEIGHTS,
) -> None:
    """Train on everything and write the weights; report on what is held out."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    reader = EntailmentReader(locate(DEFAULT_ENCODER, offline=False), device)
    network = reader.untrained()
    examples = [*labelled(pairs), *generated(text, seed), *labelled(dev)]
    texts = [window(each.claim, each.evidence) for each in examples]
    read = reader.tokens([(it.claim, text) for it, text in zip(examples, texts, strict=True)])
    groups: dict[tuple[str, bool], list[PairTokens]] = defaultdict(list)
    held: dict[str, list[Drawn]] = defaultdict(list)
    for example, tokens in zip(examples, read, strict=True):
        if tokens.statement and tokens.evidence:
            if example.split == "train":
                groups[example.source or "", example.supported].append(tokens)
            else:
                held[example.source or ""].append(Drawn(tokens, example.supported))
    train(network, groups, STEPS, seed, folder / "entailment.pt")
    weights = {name: p.detach().half().cpu().contiguous() for name, p in learned(network).items()}
    save_file(weights, out)
    network.eval()
    typer.echo(f"{out}: {out.stat().st_size:,} bytes")
    for name, rows in sorted(held.items()):
        scores = reader.score(network, [row.tokens for row in rows])
        typer.echo(f"{name}: AUROC {roc_auc_score([row.supported for row in rows], scores):.3f}")


if __name__ == "__main__":
    typer.run(main)
