"""A small fold with known effects, for the tests of predictions and metrics."""

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from pipeline.screen import CONTROL, write_h5ad

GENES = [f"G{i}" for i in range(12)]
TRAINED = [CONTROL, "A", "B", "C", "A+C", "B+C"]
HELD_OUT = ["A+B", "A+B+C", "A+X"]  # X is never measured alone


@dataclass(frozen=True)
class Fold:
    """Paths of the inputs of the methods and of the evaluation."""

    train: str
    test: str
    test_perturbations: str


def cells_of(perturbations, seed, cells_each=30):
    """Poisson counts; target i multiplies genes i and i + 4, combinations multiply."""
    rng = np.random.default_rng(seed)
    base = np.linspace(2, 9, len(GENES))
    counts, labels = [], []
    for name in perturbations:
        rate = base.copy()
        for target in () if name == CONTROL else name.split("+"):
            i = "ABCX".index(target)
            rate[[i, i + 4]] *= 3.0
        counts.append(rng.poisson(rate, (cells_each, len(GENES))))
        labels += [name] * cells_each
    matrix = np.concatenate(counts)
    names = [f"cell{seed}-{i}" for i in range(len(labels))]
    return ad.AnnData(
        X=sparse.csr_matrix(matrix.astype(np.int32)),
        obs=pd.DataFrame(
            {
                "perturbation": pd.Categorical(labels),
                "library_size": matrix.sum(axis=1).astype(float),
            },
            index=names,
        ),
        var=pd.DataFrame(index=GENES),
    )


def write_fold(folder: Path, trained=TRAINED, held_out=HELD_OUT) -> Fold:
    """Write a fold's training cells, held-out cells and names to predict."""
    fold = Fold(
        *(str(folder / name) for name in ("train.h5ad", "test.h5ad", "test_perturbations.txt"))
    )
    write_h5ad(cells_of(trained, seed=1), fold.train)
    write_h5ad(cells_of(held_out, seed=2), fold.test)
    Path(fold.test_perturbations).write_text("".join(f"{name}\n" for name in held_out))
    return fold
