"""Fits the coefficients of the built-in support checker, rag/support/coefficients.json.

    python -m scripts.train_support ../shared/eval/support/wice_dev.jsonl

What reads pairs (`scripts.train_entailment`) is trained before.

Reads only data whose licence allows it: WiCE (Kamoi et al. 2023, arXiv 2303.01432; ODC-BY, text
CC BY-SA). `rag evaluate support` measures the result on other data.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from tqdm import tqdm

from index.encoder import LazyEncoder
from index.settings import Settings
from rag.support.builtin import (
    COEFFICIENTS,
    LEXICAL,
    READ,
    SOFT,
    CachedTokenStates,
    features_of,
)
from rag.support.entailment import EntailmentReader
from rag.support.text import content_stems

VERSION = "2"
FOLDS = 5
# The strength of the L2 penalty on standardised weights; 0.3 to 30 give the same to 0.003 AUROC.
PENALTY = 3.0
# Beside soft alignment, which expresses the same better, "window" and "bigrams" do harm.
SETS = {
    "lexical": LEXICAL,
    READ: (*(name for name in LEXICAL if name not in ("window", "bigrams")), SOFT, READ),
}


class Example(NamedTuple):
    """A pair to learn from. Examples of one group share text and never stand in two folds."""

    claim: str
    evidence: tuple[str, ...]
    supported: bool
    group: str
    whole_article: bool = False


def wice_examples(path: Path, rng: random.Random) -> Iterator[Example]:
    """Every claim against its whole article and, as a writer's statements have only a few
    sentences for evidence, against short pieces of it: the sentences people marked, with none or
    three others beside them, and the likest sentences that people did not mark."""
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        claim, article, group = row["claim"], row["evidence"], row["id"]
        supported = bool(row["supported"])
        yield Example(claim, tuple(article), supported, group, whole_article=True)
        marked = [places for places in row["supporting_sentences"] if places]
        others = sorted(set(range(len(article))).difference(*marked))
        for beside in (0, 3) if marked else ():
            drawn = rng.sample(others, min(beside, len(others)))
            kept = sorted({*min(marked, key=len), *drawn})
            yield Example(claim, (" ".join(article[at] for at in kept),), supported, group)
        if supported or not marked:
            content = content_stems(claim)
            others.sort(key=lambda at: -len(content & content_stems(article[at])))
            for length in (3, 8):
                text = " ".join(article[at] for at in sorted(others[:length]))
                yield Example(claim, (text,), False, group)


def fit(matrix: Any, examples: Sequence[Example], names: Sequence[str]) -> dict[str, Any]:
    """Coefficients over the raw features, a threshold, and the AUROC out of fold. `matrix` has
    the features as columns, shape (examples, names)."""
    labels = np.array([example.supported for example in examples])
    whole = np.array([example.whole_article for example in examples])
    groups = sorted({example.group for example in examples})
    random.Random(0).shuffle(groups)
    folds = [groups.index(example.group) % FOLDS for example in examples]
    regression = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-8)
    model = make_pipeline(StandardScaler(), regression)
    weights = {"logisticregression__sample_weight": compute_sample_weight("balanced", labels)}
    scores = cross_val_predict(
        model, matrix, labels, cv=PredefinedSplit(folds), method="predict_proba", params=weights
    )[:, 1]
    options = np.round(np.arange(0.2, 0.8, 0.01), 2)
    threshold = max(options, key=lambda at: balanced_accuracy_score(labels, scores >= at))
    scaler, regression = model.fit(matrix, labels, **weights)
    coefficients = regression.coef_[0] / scaler.scale_
    intercept = regression.intercept_[0] - coefficients @ scaler.mean_
    return {
        "threshold": float(threshold),
        "intercept": round(float(intercept), 5),
        "weights": dict(zip(names, coefficients.round(5).tolist(), strict=True)),
        "out_of_fold": {
            "AUROC, whole articles": round(roc_auc_score(labels[whole], scores[whole]), 4),
            "AUROC, short evidence": round(roc_auc_score(labels[~whole], scores[~whole]), 4),
        },
    }


def main(
    wice: Annotated[Path, typer.Argument(help="WiCE's claims, JSON lines.")],
    out: Path = COEFFICIENTS,
) -> None:
    """Fit both sets of features and write their coefficients."""
    states = CachedTokenStates(LazyEncoder(Settings()))
    examples = list(wice_examples(wice, random.Random(0)))
    rows = [features_of(it.claim, it.evidence, states)[0] for it in tqdm(examples)]
    logits = EntailmentReader().logits([(it.claim, it.evidence) for it in examples])
    for row, logit in zip(rows, logits, strict=True):
        row[READ] = logit
    result: dict[str, Any] = {"version": VERSION, "examples": len(examples)}
    for name, features in SETS.items():
        matrix = np.array([[row[feature] for feature in features] for row in rows])
        result[name] = fit(matrix, examples, features)
    text = json.dumps(result, indent=2)
    out.write_text(text + "\n", encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
