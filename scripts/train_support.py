"""Fits the coefficients of the built-in checker of support: the recipe behind coefficients.json.

    python -m scripts.train_support --wice WICE.jsonl --encoder FOLDER \
        --out rag/support/coefficients.json [--measure LABELLED.jsonl …]

Reads only data whose licence allows it: WiCE (Kamoi et al. 2023, arXiv 2303.01432; ODC-BY, text
CC BY-SA). What is given to `--measure` is measured after the fit and never trained on.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.evaluation.classification import auroc, balanced_accuracy
from rag.evaluation.support import read_labelled
from rag.support.builtin import LEXICAL, SOFT, SentenceTransformerTokens, TokenEncoder, features_of
from rag.support.text import content_stems, words

VERSION = "1"
FOLDS = 5
# The strength of the L2 penalty on standardised weights; 0.3 to 30 give the same to 0.003 AUROC.
PENALTY = 3.0

# What soft alignment says better: with them beside it, both are worse out of fold.
SUPERSEDED = ("window", "bigrams")

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """A pair to learn from. Examples of one group share text and never stand in two folds."""

    claim: str
    evidence: tuple[str, ...]
    supported: bool
    group: str
    kind: str


def wice_examples(path: Path, rng: random.Random) -> Iterator[Example]:
    """Every claim against its whole article and, as a writer's statements have only a few
    sentences for evidence, against short pieces of it: the sentences people marked, with none or
    three others beside them, and the likest sentences that people did not mark."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        claim, article, name = row["claim"], row["evidence"], row["id"]
        supported = bool(row["supported"])
        yield Example(claim, tuple(article), supported, name, "article")
        marked = [places for places in row["supporting_sentences"] if places]
        every = {at for places in marked for at in places}
        others = [at for at in range(len(article)) if at not in every]
        if marked:
            for beside in (0, 3):
                drawn = rng.sample(others, min(beside, len(others)))
                kept = sorted({*min(marked, key=len), *drawn})
                text = " ".join(article[at] for at in kept)
                yield Example(claim, (text,), supported, name, "marked")
        if supported or not marked:
            wanted = set(content_stems(words(claim)))
            others.sort(key=lambda at: -len(wanted & set(content_stems(words(article[at])))))
            for length in (3, 8):
                text = " ".join(article[at] for at in sorted(others[:length]))
                yield Example(claim, (text,), False, name, "unmarked")


def table(examples: Sequence[Example], encoder: TokenEncoder | None) -> list[dict[str, float]]:
    """The features of every example, by name."""
    rows = []
    for at, example in enumerate(examples):
        features, _ = features_of(example.claim, example.evidence, encoder)
        rows.append(features)
        if at % 200 == 0:
            sys.stderr.write(f"{at} of {len(examples)}\n")
    return rows


def columns(rows: Sequence[dict[str, float]], soft: bool) -> Array:
    """The features of one set, shape (n, len(names(soft)))."""
    return np.array([[row[name] for name in names(soft)] for row in rows], dtype=np.float64)


def names(soft: bool) -> tuple[str, ...]:
    """The features of a set, in the order of the columns."""
    if not soft:
        return LEXICAL
    return (*(name for name in LEXICAL if name not in SUPERSEDED), SOFT)


def fit(features: Array, labels: NDArray[np.bool_], weights: Array) -> tuple[float, Array]:
    """Intercept and weights of an L2-penalised logistic regression, by Newton's method."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    design = np.hstack([np.ones((len(features), 1)), (features - mean) / spread])
    penalty = PENALTY * np.diag([0.0, *np.ones(features.shape[1])])
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        said = 1 / (1 + np.exp(-design @ solution))
        slope = design.T @ (weights * (said - labels)) + penalty @ solution
        curve = (design * (weights * said * (1 - said))[:, None]).T @ design + penalty
        step = np.linalg.solve(curve, slope)
        solution -= step
        if np.abs(step).max() < 1e-9:
            break
    coefficients = solution[1:] / spread
    return float(solution[0] - coefficients @ mean), coefficients


def balanced(labels: NDArray[np.bool_]) -> Array:
    """Weights under which each class counts the same, 1 on average."""
    share = np.where(labels, labels.mean(), 1 - labels.mean())
    return np.asarray(0.5 / share, dtype=np.float64)


def out_of_fold(features: Array, examples: Sequence[Example]) -> Array:
    """Every example scored by a fit that saw nothing of its group."""
    groups = sorted({example.group for example in examples})
    random.Random(0).shuffle(groups)
    fold_of = {group: at % FOLDS for at, group in enumerate(groups)}
    folds = np.array([fold_of[example.group] for example in examples])
    labels = np.array([example.supported for example in examples])
    weights = balanced(labels)
    scores = np.zeros(len(examples))
    for fold in range(FOLDS):
        train = folds != fold
        intercept, coefficients = fit(features[train], labels[train], weights[train])
        scores[~train] = intercept + features[~train] @ coefficients
    return 1 / (1 + np.exp(-scores))


def fitted(features: Array, examples: Sequence[Example], soft: bool) -> dict[str, Any]:
    """One set of coefficients with its threshold and out-of-fold figures."""
    labels = np.array([example.supported for example in examples])
    kinds = np.array([example.kind for example in examples])
    scores = out_of_fold(features, examples)
    whole = kinds == "article"
    short = ~whole
    options = np.round(np.arange(0.2, 0.8, 0.01), 2)
    threshold = max(options, key=lambda at: balanced_accuracy(float(at))(labels, scores) or 0.0)
    intercept, weights = fit(features, labels, balanced(labels))
    return {
        "threshold": float(threshold),
        "intercept": round(intercept, 5),
        "weights": {
            name: round(float(weight), 5) for name, weight in zip(names(soft), weights, strict=True)
        },
        "out_of_fold": {
            "AUROC, whole articles": round(auroc(labels[whole], scores[whole]) or 0.0, 4),
            "AUROC, short evidence": round(auroc(labels[short], scores[short]) or 0.0, 4),
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits both sets, writes them, and measures them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wice", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--measure", type=Path, nargs="*", default=[])
    asked = parser.parse_args(arguments)
    encoder = SentenceTransformerTokens.load(asked.encoder) if asked.encoder else None
    examples = list(wice_examples(asked.wice, random.Random(0)))
    rows = table(examples, encoder)
    read: dict[str, Any] = {"version": VERSION, "examples": len(examples)}
    sets = ["lexical", "soft"] if encoder else ["lexical"]
    for name in sets:
        read[name] = fitted(columns(rows, name == "soft"), examples, name == "soft")
    asked.out.write_text(json.dumps(read, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(asked.out.read_text(encoding="utf-8"))
    for path in asked.measure:
        claims = read_labelled(path)
        measured = table(
            [Example(claim.claim, claim.evidence, claim.supported, "", "") for claim in claims],
            encoder,
        )
        labels = np.array([claim.supported for claim in claims])
        for name in sets:
            weights = np.array(list(read[name]["weights"].values()))
            scores = read[name]["intercept"] + columns(measured, name == "soft") @ weights
            sys.stdout.write(f"{path.name}: {name}: AUROC {auroc(labels, scores)}\n")


if __name__ == "__main__":
    main()
