"""Small screens for the tests of scripts."""

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike
from scipy import sparse

from pipeline.differential_expression import differential_expression, tidy
from pipeline.screen import CONTROL, read_screen, write_h5ad
from pipeline.tables import write_tsv

LABELS = ("control", "A", "B", "C", "A+B", "A+C", "B+C")


def counts_and_labels(
    labels: tuple[str, ...] = LABELS, n_cells: int = 8, n_genes: int = 12, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw Poisson counts, cells x genes, ``n_cells`` for each label."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(1.0, 3.0, (len(labels), n_genes)) + 0.2
    counts = rng.poisson(np.repeat(rates, n_cells, axis=0))
    return counts, np.repeat(labels, n_cells)


def user_file(
    path: Path,
    x: object = None,
    labels: ArrayLike | None = None,
    *,
    layers: dict[str, object] | None = None,
    column: str = "perturbation",
    cells: list[str] | None = None,
    genes: list[str] | None = None,
    obs: dict[str, object] | None = None,
    var: dict[str, object] | None = None,
) -> str:
    """Write an h5ad file as a user may have it, and return its path."""
    if x is None:
        x, drawn = counts_and_labels()
        labels = drawn if labels is None else labels
    n, d = x.shape  # type: ignore[attr-defined]
    cells = cells or [f"cell{i}" for i in range(n)]
    genes = genes or [f"G{j}" for j in range(d)]
    adata = ad.AnnData(
        X=x,
        obs=pd.DataFrame({column: labels, **(obs or {})}, index=cells),
        var=pd.DataFrame(var or {}, index=genes),
        layers=layers,
    )
    adata.write_h5ad(path)
    return str(path)


def canonical_screen(
    path: Path,
    counts: np.ndarray,
    labels: ArrayLike,
    genes: list[str] | None = None,
    library_size: ArrayLike | None = None,
) -> str:
    """Write an imported screen and return its path."""
    genes = genes or [f"G{j}" for j in range(counts.shape[1])]
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(labels),
            "library_size": counts.sum(axis=1, dtype=float)
            if library_size is None
            else library_size,
        },
        index=[f"cell{i}" for i in range(len(counts))],
    )
    x = sparse.csr_matrix(counts.astype(np.int32))
    write_h5ad(ad.AnnData(x, obs=obs, var=pd.DataFrame(index=genes)), path)
    return str(path)


def shared_data(name: str) -> str:
    """Return the path of a real file, or skip the test where there is none."""
    folder = Path(os.environ.get("LCD_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / name).exists():
        pytest.skip(f"{folder / name} is not there; LCD_SHARED_DATA names the folder")
    return str(folder / name)


def write_tests(screen: str | Path, table: str | Path, *others: str | Path) -> None:
    """Write the tests of a screen's perturbations as the data of a fold have them.

    Of more than one screen, the tests of the last against the control cells of the first.
    """
    cells = read_screen(screen)
    for other in others:
        cells = ad.concat([cells[cells.obs["perturbation"] == CONTROL], read_screen(other)])
    write_tsv(tidy(differential_expression(cells, n_threads=1)), table)
