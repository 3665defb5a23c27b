"""Training cells of a fold of held-out causes: all but those in which a cause is perturbed."""

import logging
from pathlib import Path

import numpy as np

from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.screen import CONTROL, read_screen, target_genes, targets_of, write_cells
from pipeline.tables import read_tsv


def main(*, train: str, causes: str, held_out_train: str, held_out: str, fold: str) -> None:
    """Write the cells without the perturbations of the fold's causes, and the names of these.

    Parameters
    ----------
    train
        Training cells of all conditions.
    causes
        TSV of causes and their folds.
    held_out_train
        The remaining cells, of the same genes.
    held_out
        Text file: one held-out perturbation a line, combinations with a held-out cause included.
    fold
        Name of the fold in that table.
    """
    screen = read_screen(train)
    table = read_tsv(causes, dtype=str)
    own = set(table.loc[table["fold"] == fold, "cause"])
    labels = screen.obs["perturbation"].astype(str).to_numpy(dtype=str)
    genes = target_genes(screen)
    hit = {name: {gene for t in targets_of(name) for gene in genes[t]} for name in set(labels)}
    lost = sorted(name for name, of_it in hit.items() if own & of_it)
    left = ~np.isin(labels, lost)
    if set(labels[left]) <= {CONTROL}:
        raise InputError(
            "no perturbation is left to train on",
            where=f"{causes}, fold {fold}",
            found=sorted(own),
            remedy="raise effects.held_out_folds",
        )
    logging.info("%d perturbations and %d cells held out", len(lost), (~left).sum())
    write_cells(screen[left], held_out_train)
    with atomic(held_out) as temporary:
        Path(temporary).write_text("".join(f"{name}\n" for name in lost), encoding="utf-8")


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
