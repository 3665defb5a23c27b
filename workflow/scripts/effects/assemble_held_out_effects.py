"""Effects of held-out causes, each from the model that never saw it perturbed."""

from collections.abc import Hashable, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.edges import assemble_columns
from lcd_core.errors import InputError
from pipeline.effects import ranking, read_effects, square_effects
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv


def main(*, causes: str, fits: Sequence[str], effects: str, folds: Sequence[str]) -> None:
    """Write the re-assembled effects.

    Parameters
    ----------
    causes
        TSV of causes and their folds.
    fits
        Effects (h5ad, causes x effects) of the folds, in their order.
    effects
        Effects (h5ad) of the held-out causes alone on all genes.
    folds
        Names of the folds.
    """
    table = read_tsv(causes, dtype={"cause": str, "fold": str, "perturbations": str})
    genes: pd.Index | None = None
    matrices: dict[Hashable, NDArray[np.floating]] = {}
    scores: dict[Hashable, NDArray[np.floating]] = {}
    held_out: dict[Hashable, NDArray[np.int64]] = {}
    for fold, path in zip(folds, fits, strict=True):
        own = read_effects(path)
        genes = own.var_names if genes is None else genes
        names = table.loc[table["fold"] == fold, "cause"]
        seen = own.obs["perturbed"].reindex(names).to_numpy(dtype=bool)
        if list(own.var_names) != list(genes) or seen.any():
            raise InputError(
                "the model of a fold has other genes, or saw a held-out cause perturbed",
                where=str(path),
                found=names[seen] if seen.any() else "other genes",
                remedy="delete the fold and run again",
            )
        matrices[fold] = square_effects(own, str(path))
        scores[fold] = ranking(own)
        held_out[fold] = genes.get_indexer(names)
    assert genes is not None
    columns, index = assemble_columns(matrices, held_out)
    ranks, _ = assemble_columns(scores, held_out)
    fold_of = table.set_index("cause")["fold"].reindex(genes[index])
    write_h5ad(
        ad.AnnData(
            X=np.ascontiguousarray(columns.T),
            obs=pd.DataFrame(
                {"perturbed": False, "fold": fold_of.to_numpy(dtype=str)}, index=genes[index]
            ),
            var=pd.DataFrame(index=genes),
            layers={"score": np.ascontiguousarray(ranks.T)},
            uns={"causes": listed_perturbations(table)},
        ),
        effects,
    )


def listed_perturbations(table: pd.DataFrame) -> pd.DataFrame:
    """Cause and perturbation, a row for each that hits it alone."""
    rows = [
        (row.cause, name)
        for row in table.itertuples(index=False)
        for name in str(row.perturbations).split("+")
    ]
    return pd.DataFrame(rows, columns=["cause", "perturbation"], dtype=str)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
