"""Fits the coefficients of the built-in support checker, rag/support/coefficients.json.

    python -m scripts.train_support ../shared/eval/support/wice_dev.jsonl \
        --pairs ../shared/eval/support_train

What reads pairs (`scripts.train_entailment`) is trained before, without these pairs. On WiCE (Kamoi
et al. 2023, arXiv 2303.01432; ODC-BY, text CC BY-SA), whose evidence is long, and the parts held
back of sets whose evidence is short (docs/model-card.md has their licences). `rag evaluate support`
measures the result on other data.
"""

from __future__ import annotations

import json
import random
from collections import Counter
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
from tqdm import tqdm

from index.encoder import LazyEncoder
from index.settings import Settings
from rag.evaluation.support import read_labelled_claims
from rag.retrieval.scoring import terms
from rag.support.builtin import (
    COEFFICIENTS,
    LEXICAL,
    READ,
    READ_LONG,
    SOFT,
    features_of,
    soft_alignments,
)
from rag.support.entailment import EntailmentReader, window

VERSION = "3"
FOLDS = 5
WICE = "wice"
PAIRS = (
    "fever_nli", "fool_me_twice", "factcheck_gpt", "check_covid", "defacto", "evidence_inference",
    "expertqa", "scitail_test", "mnli_dev", "snli_dev", "cad_nli", "fever_symmetric",
)  # fmt: skip
MOST, PAIRS_WEIGHT = 300, 0.5
"""Pairs of each set, and how much all these sets count beside WiCE."""
# The strength of the L2 penalty on standardised weights; 0.3 to 30 give the same to 0.003 AUROC.
PENALTY = 3.0
# Beside soft alignment, which expresses the same better, "window" does harm.
SETS = {"lexical": LEXICAL, READ: (*LEXICAL[1:], SOFT, READ, READ_LONG)}


class Example(NamedTuple):
    """A pair to learn from. Examples of one group share text and never stand in two folds."""

    claim: str
    evidence: tuple[str, ...]
    supported: bool
    group: str
    set: str = WICE
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
            content = set(terms(claim))
            others.sort(key=lambda at: -len(content.intersection(terms(article[at]))))
            for length in (3, 8):
                text = " ".join(article[at] for at in sorted(others[:length]))
                yield Example(claim, (text,), False, group)


def held_back(folder: Path, rng: random.Random) -> Iterator[Example]:
    """Pairs that the reader was not trained on."""
    for name in PAIRS:
        claims = read_labelled_claims(folder / f"{name}.jsonl.gz", "dev")
        for claim in rng.sample(claims, min(MOST, len(claims))):
            group = f"{name} {claim.evidence}"
            yield Example(claim.claim, claim.evidence, claim.supported, group, name)


def weights_of(examples: Sequence[Example]) -> Any:
    """[n]: both labels of a set count as much."""
    counts = Counter((it.set, it.supported) for it in examples)
    share = dict.fromkeys(PAIRS, PAIRS_WEIGHT / len(PAIRS)) | {WICE: 1.0}
    own = [share[it.set] / counts[it.set, it.supported] / 2 for it in examples]
    return np.array(own) * sum(it.set == WICE for it in examples)


def fit(matrix: Any, examples: Sequence[Example], names: Sequence[str]) -> dict[str, Any]:
    """Coefficients over the raw features, a threshold, and AUROCs out of fold. `matrix` has the
    features as columns, shape (examples, names)."""
    labels = np.array([example.supported for example in examples])
    sets = np.array([example.set for example in examples])
    whole = np.array([example.whole_article for example in examples])
    short = (sets == WICE) & ~whole
    groups = sorted({example.group for example in examples})
    random.Random(0).shuffle(groups)
    fold_of = {group: at % FOLDS for at, group in enumerate(groups)}
    folds = [fold_of[example.group] for example in examples]
    regression = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-8)
    model = make_pipeline(StandardScaler(), regression)
    own = weights_of(examples)
    weights = {"logisticregression__sample_weight": own}
    scores = cross_val_predict(
        model, matrix, labels, cv=PredefinedSplit(folds), method="predict_proba", params=weights
    )[:, 1]
    options = np.round(np.arange(0.2, 0.8, 0.01), 2)
    threshold = max(
        options, key=lambda at: balanced_accuracy_score(labels, scores >= at, sample_weight=own)
    )
    aurocs = [roc_auc_score(labels[sets == name], scores[sets == name]) for name in PAIRS]
    scaler, regression = model.fit(matrix, labels, **weights)
    coefficients = regression.coef_[0] / scaler.scale_
    intercept = regression.intercept_[0] - coefficients @ scaler.mean_
    return {
        "threshold": float(threshold),
        "intercept": round(float(intercept), 5),
        "weights": dict(zip(names, coefficients.round(5).tolist(), strict=True)),
        "out_of_fold": {
            "AUROC, whole articles": round(roc_auc_score(labels[whole], scores[whole]), 4),
            "AUROC, short evidence": round(roc_auc_score(labels[short], scores[short]), 4),
            "AUROC, mean of the other sets": round(float(np.mean(aurocs)), 4),
        },
    }


def main(
    wice: Annotated[Path, typer.Argument(help="WiCE's claims, JSON lines.")],
    pairs: Annotated[Path, typer.Option(help="Folder of labelled pairs with a held-back part.")],
    out: Path = COEFFICIENTS,
) -> None:
    """Fit both sets of features and write their coefficients."""
    encoder = LazyEncoder(Settings())
    reader = EntailmentReader(encoder.folder)
    examples = [*wice_examples(wice, random.Random(0)), *held_back(pairs, random.Random(0))]
    rows = []
    for example in tqdm(examples):
        pair = example.claim, window(example.claim, example.evidence)
        (soft,), (read,) = soft_alignments(encoder.token_states, [pair]), reader.logits([pair])
        rows.append(features_of(example.claim, example.evidence, soft=soft, read=read)[0])
    result: dict[str, Any] = {"version": VERSION, "examples": len(examples)}
    for name, features in SETS.items():
        matrix = np.array([[row[feature] for feature in features] for row in rows])
        result[name] = fit(matrix, examples, features)
    text = json.dumps(result, indent=2)
    out.write_text(text + "\n", encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
