"""Cells as other people's evaluators read them: cell-eval and scPertEval.

Both want two h5ad files, observed and predicted, with the same genes in the same order, the same
labels, the real control cells in both, and log1p of counts per 10,000 as float32.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from lcd_core.atomic import atomic
from pipeline.screen import CONTROL

LABELS = "perturbation"
CONTROL_LABEL = CONTROL
"""Column of labels, and the label of the control."""


def write_export(
    path: str | Path, genes: pd.Index, blocks: Iterable[tuple[str, NDArray[np.float32]]]
) -> None:
    """Write log-normalised cells, one block (n, d) per perturbation; cells bear numbers."""
    labels: list[str] = []
    matrices = []
    for name, values in blocks:
        labels += [name] * len(values)
        matrices.append(sparse.csr_matrix(values, dtype=np.float32))
    cells = ad.AnnData(
        X=sparse.vstack(matrices, format="csr"),
        obs=pd.DataFrame(
            {LABELS: pd.Categorical(labels)}, index=[f"cell_{i}" for i in range(len(labels))]
        ),
        var=pd.DataFrame(index=genes),
    )
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        ad.io.write_elem(file, "/", cells, dataset_kwargs={"compression": "gzip"})
    with atomic(path) as temporary, open(temporary, "wb") as output:
        output.write(image.getbuffer())
