"""Choose the causes whose edges are validated by models that never saw them perturbed."""

import logging

import numpy as np
import pandas as pd

from evaluation.edges import strongest_edges
from lcd_core.errors import InputError
from pipeline.effects import perturbations_of, ranking, read_effects
from pipeline.tables import write_tsv


def main(*, effects: str, causes: str, k: int, folds: list[str], seed: int) -> None:
    """Draw the causes of the ``k`` strongest edges into folds.

    Parameters
    ----------
    effects
        Effects (h5ad, causes x effects) of the models of all conditions.
    causes
        TSV to write: ``cause``, ``fold``, ``edges`` (of the k strongest, from it),
        ``perturbations`` (that hit it alone, joined by ``+``).
    k
        Edges from perturbed causes whose causes are held out; self-effects do not count.
    folds
        Names of the folds, equal in size to within one.
    seed
        Decides the draw.
    """
    n_folds = len(folds)
    matrix = read_effects(effects)
    perturbed = matrix.obs["perturbed"].to_numpy(dtype=bool)
    eligible = np.tile(perturbed, (matrix.n_vars, 1))
    top = strongest_edges(
        ranking(matrix),
        k,
        causes=matrix.var_names.get_indexer(matrix.obs_names),
        eligible=eligible,
    )
    chosen, counts = np.unique(matrix.obs_names[top.cause].to_numpy(dtype=str), return_counts=True)
    if len(chosen) < n_folds:
        raise InputError(
            f"the {k} strongest edges come from fewer perturbed causes than there are folds",
            where="effects.held_out_folds",
            found=f"{n_folds} folds, causes {', '.join(chosen) or 'none'}",
            remedy="lower effects.held_out_folds (0 leaves this validation out) or raise "
            "effects.edges",
        )
    fold = np.empty(len(chosen), dtype=int)
    fold[np.random.default_rng(seed).permutation(len(chosen))] = np.arange(len(chosen)) % n_folds
    logging.info("%d causes of the %d strongest edges in %d folds", len(chosen), k, n_folds)
    alone = perturbations_of(matrix)
    table = pd.DataFrame({"cause": chosen, "fold": np.array(folds)[fold], "edges": counts})
    table["perturbations"] = ["+".join(alone[str(cause)]) for cause in chosen]
    write_tsv(table, causes)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
