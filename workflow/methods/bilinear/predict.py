"""Control cells shifted by a linear function of gene and perturbation embeddings."""

import logging

import numpy as np

from methods.bilinear.model import fit_bilinear
from pipeline.mean_changes import read_mean_changes, seen_targets
from pipeline.predictions import read_test_perturbations, write_shifted_control
from pipeline.screen import measured_target_genes, targets_of
from pipeline.settings import read_settings


def main(
    *,
    train: str,
    test_perturbations: str,
    settings: str,
    prediction: str,
    n_cells: int,
    keep: str,
    seed: int,
) -> None:
    """Write control cells shifted as the bilinear model says (Ahlmann-Eltze et al. 2025).

    The embedding of a target is that of its gene (the mean of several). A target that is no
    modelled gene has the mean embedding of the others.
    """
    known, chosen = read_mean_changes(train), read_settings(settings)
    names = read_test_perturbations(test_perturbations)
    genes = measured_target_genes(known.cells, seen_targets(known, names))
    unknown = [target for target, own in genes.items() if not own]
    if unknown:
        logging.warning("no modelled gene, mean embedding for: %s", ", ".join(unknown))
    place = {gene: i for i, gene in enumerate(known.cells.var_names)}
    model = fit_bilinear(
        known.changes.to_numpy(),
        [targets_of(name) for name in known.changes.index],
        {target: [place[gene] for gene in own] for target, own in genes.items()},
        chosen["dimensions"],
        chosen["ridge"],
    )
    shifts = {name: np.asarray(model(targets_of(name))) for name in names}
    write_shifted_control(prediction, known.cells, shifts, n_cells, seed, keep=keep)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
