"""Which combinations are predicted, and by which genes they are compared; checked before fits."""

import logging
from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcd_core.errors import InputError, shown
from pipeline.labels import suggestion
from pipeline.mean_changes import MeanChanges, read_mean_changes
from pipeline.panel import panel_of, panel_table, read_combinations, read_signature
from pipeline.predictions import labels_of
from pipeline.screen import CONTROL, SEPARATOR, lognorm, targets_of
from pipeline.tables import write_tsv

FEWEST_GENES = 3
"""Genes by which a type of interaction can be measured, and a change compared."""

FEW_MODELLED = 0.5
"""Share of a wanted signature below which what is compared may not be what was meant."""

LARGE_PART = 1000
"""Combinations of a part above which an interruption costs much."""


def main(
    *,
    train: str,
    combinations: str,
    genes: str,
    named: Sequence[str],
    cells_of: Sequence[str],
    targets: Sequence[str],
    up_to: int,
    all_pairs: bool,
    max_combinations: int,
    parts: int,
    wanted_condition: str | None,
    interaction_genes: int,
    min_count: float,
    scale: str,
    where: str,
    combinations_file: str | None = None,
    signature: str | None = None,
) -> None:
    """Write the panel, and what its genes are compared by.

    Parameters
    ----------
    train
        Cells of all conditions, the modelled genes.
    combinations, genes
        TSVs to write: the panel (:func:`pipeline.panel.panel_table`); and per gene its mean count,
        whether interactions are measured by it, the unit of changes there, and the wanted change.
    named, cells_of, targets, up_to, all_pairs, max_combinations
        The panel, see :func:`pipeline.panel.panel_of`.
    parts
        Number of parts.
    wanted_condition
        Perturbation of the screen whose change is wanted.
    interaction_genes
        Most genes by which interactions are measured.
    min_count, scale
        As in the benchmark: least mean count of these, and unit of changes.
    where
        Where the section `predictions` comes from, for messages.
    combinations_file, signature
        The user's file of combinations, and of the wanted change.

    Raises
    ------
    InputError
        If the panel, the signature or the condition does not fit the screen.
    """
    known = read_mean_changes(train)
    labels = labels_of(known.cells)
    cells = {str(name): int(n) for name, n in pd.Series(labels).value_counts().items()}
    panel = panel_of(
        named,
        cells_of,
        read_combinations(combinations_file) if combinations_file else [],
        targets,
        up_to,
        all_pairs=all_pairs,
        conditions=list(cells),
        most=max_combinations,
        where=where,
    )
    if parts > len(panel):
        raise InputError(
            "more parts than combinations",
            where=f"{where}.parts",
            found=f"{parts} parts, {len(panel)} combinations",
            remedy="lower it",
        )
    table = panel_table(panel, cells, parts)
    of_genes = gene_table(known, min_count, interaction_genes, scale)
    of_genes["wanted"] = wanted_change(known, signature, wanted_condition, where)
    tell(table, parts)
    write_tsv(table, combinations)
    write_tsv(of_genes, genes)


def tell(table: pd.DataFrame, parts: int) -> None:
    """Say what is predicted, and what of it has no basis in singles."""
    panel = table[table["n_targets"] > 1]
    logging.info(
        "%d combinations of %d targets, %d of them measured; %d parts",
        len(panel),
        int((table["n_targets"] == 1).sum()),
        int((panel["measured_cells"] > 0).sum()),
        parts,
    )
    unseen = table.loc[(table["n_targets"] == 1) & (table["measured_cells"] == 0), "perturbation"]
    if len(unseen):
        logging.warning(
            "never measured alone, so that the model knows their single effects from combinations "
            "only: %s",
            shown(unseen),
        )
    if len(panel) > LARGE_PART * parts:
        logging.warning(
            "%d combinations a part: what an interruption loses; predictions.parts: %d would make "
            "them smaller",
            len(panel) // parts,
            -(-len(panel) // LARGE_PART),
        )


def gene_table(known: MeanChanges, min_count: float, most: int, scale: str) -> pd.DataFrame:
    """Mean count of each gene, and whether and in which unit interactions are measured by it.

    Of the genes with enough counts these are the ones whose mean normalised counts change most
    under any perturbation of the screen.
    """
    cells = known.cells
    mean_count = np.asarray(cells.X.mean(axis=0)).ravel()
    labels = labels_of(cells)
    control = normalised(cells, labels == CONTROL)
    unit = np.ones(len(mean_count))
    if scale == "control_sd":
        unit = control.std(axis=0, ddof=1)
    largest = np.zeros(len(mean_count))
    for name in known.changes.index:
        change = normalised(cells, labels == name).mean(axis=0) - control.mean(axis=0)
        largest = np.maximum(largest, np.abs(change))
    largest = np.divide(largest, unit, out=np.zeros_like(largest), where=unit > 0)
    enough = (mean_count >= min_count) & (unit > 0)
    strongest = np.argsort(-np.where(enough, largest, -1.0), kind="stable")[:most]
    chosen = np.zeros(len(mean_count), dtype=bool)
    chosen[strongest] = True
    chosen &= enough
    if chosen.sum() < FEWEST_GENES:
        logging.warning(
            "%d genes have a mean count of interactions.min_count, %g, or more: too few to measure "
            "types of interaction",
            chosen.sum(),
            min_count,
        )
    return pd.DataFrame(
        {
            "gene": list(cells.var_names),
            "mean_count": mean_count,
            "in_interactions": chosen,
            "unit": unit,
        }
    )


def normalised(cells: ad.AnnData, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Counts per 10,000 of some cells, (n, d)."""
    return np.expm1(lognorm(cells.X[rows]).astype(np.float64))


def wanted_change(
    known: MeanChanges, signature: str | None, condition: str | None, where: str
) -> NDArray[np.float64]:
    """Wanted change of every gene, NaN where nothing is said of it.

    Raises
    ------
    InputError
        If fewer than three genes of a signature are modelled, or there is no such condition.
    """
    genes = list(known.cells.var_names)
    if signature:
        wanted = read_signature(signature)
        common = wanted.reindex(genes)
        if common.notna().sum() < FEWEST_GENES or not common.fillna(0).any():
            raise InputError(
                f"fewer than {FEWEST_GENES} genes of the wanted signature are modelled, or none "
                "that is to change",
                where=f"{signature} ({where}.wanted_signature)",
                found=f"{len(wanted)} genes, {common.notna().sum()} of them modelled; the "
                f"signature has {shown(wanted.index, 5)}, the model {shown(genes, 5)}",
                remedy="name genes as the screen does",
            )
        logging.info("wanted: %d of %d genes are modelled", common.notna().sum(), len(wanted))
        if common.notna().sum() < FEW_MODELLED * len(wanted):
            logging.warning(
                "%s: %d of %d genes are modelled, by which alone combinations are compared; not "
                "modelled are %s. Raise genes.count if they are genes of the screen, or name them "
                "as it does",
                signature,
                common.notna().sum(),
                len(wanted),
                shown(wanted.index.difference(genes, sort=False), 5),
            )
        return common.to_numpy(dtype=np.float64)
    if condition is None:
        return np.full(len(genes), np.nan)
    name = SEPARATOR.join(sorted(targets_of(condition)))
    if name not in known.changes.index:
        raise InputError(
            f"the screen has no such perturbation{suggestion(name, known.changes.index)}",
            where=f"{where}.wanted_condition",
            found=condition,
            remedy="name one that passed quality control (screen/conditions.tsv)",
        )
    return known.changes.loc[name].to_numpy(dtype=np.float64)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
