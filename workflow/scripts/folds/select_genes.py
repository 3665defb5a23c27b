"""Select the genes of a fold from its training cells, and split the screen accordingly."""

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control

from lcd_core.atomic import atomic
from lcd_core.errors import InputError
from pipeline.differential_expression import read_differential_expression, tidy
from pipeline.module_markers import require_markers
from pipeline.screen import (
    CONTROL,
    SEPARATOR,
    library_sizes,
    measured_target_genes,
    read_screen,
    scaled_log1p,
    targets_of,
    targets_of_genes,
    write_cells,
)
from pipeline.tables import read_tsv, write_tsv

MARKER_COLUMNS = [
    "perturbation",
    "rank",
    "gene",
    "statistic",
    "p_value",
    "p_adjusted",
    "log_fold_change",
]
EVERY = "all"  # reason of a gene where no selection was made


def main(
    *,
    screen: str,
    tests: str,
    folds: str | None = None,
    genes: str,
    markers: str,
    differential_expression: str,
    test_differential_expression: str,
    train: str,
    test: str,
    test_perturbations: str,
    fold: str,
    n_genes: int | None,
    markers_per_perturbation: int,
    module_markers: Sequence[str],
    held_out_folds: int,
) -> None:
    """Select genes and marker genes on a fold's training cells and write its two screens.

    Genes are taken in this order: those of the targets of test perturbations, those of training
    perturbations, genes that are markers of many training perturbations, highly variable genes
    by Seurat's dispersion over control and single-perturbation cells. Counts are scaled to the
    median library size of the control cells and log1p-transformed. Of the test perturbations
    only the names are used.

    Parameters
    ----------
    screen
        The filtered screen.
    tests
        Differential expression of the screen. Of the training perturbations it decides the
        markers; that of the test perturbations is passed on to the evaluation, and not looked at.
    folds
        Table of folds; without it all conditions are trained on.
    genes
        TSV to write: gene, rank, reason, n_marker_perturbations, dispersion, mean_control,
        targets.
    markers
        TSV to write: perturbation, rank, gene, statistic, p_value, p_adjusted, log_fold_change.
    differential_expression, test_differential_expression
        TSV to write: the tests of the modelled genes, one row per perturbation and gene, of the
        training perturbations and of the held-out ones.
    train, test
        Screens to write: training and held-out cells, genes in the order of their rank.
    test_perturbations
        Text file to write: one test perturbation a line.
    fold
        Name of the fold.
    n_genes
        Genes to select; None, or more than there are, for all.
    markers_per_perturbation
        Genes of least P value (Mann-Whitney U against control) that are a perturbation's markers.
    module_markers
        Names or patterns of the genes by which the modules of the effects will be cut, two of
        which have to be among the selected ones; none where the fold is not asked for them.

    Raises
    ------
    InputError
        If the fold is not in the table, its perturbations not in the screen, or markers of the
        modules not among the selected genes: said here, and not after all fits.
    """
    cells = read_screen(screen)
    labels = cells.obs["perturbation"].to_numpy(dtype=str)
    training, held_out = roles(folds, fold, sorted(set(labels)), screen)
    train_cells = cells[np.isin(labels, training)].copy()
    test_cells = cells[np.isin(labels, held_out)].copy()
    del cells  # whole screens are large

    tested = read_differential_expression(tests)
    marker_table = find_markers(only(tested, training), markers_per_perturbation)
    table = rank_genes(train_cells, held_out, marker_table)
    if n_genes is None or n_genes >= len(table):
        table["reason"] = EVERY
    else:
        n_targets = int(table["reason"].str.endswith("target").sum())
        if n_targets > n_genes:
            logging.warning("%d targets are measured, but only %d genes", n_targets, n_genes)
        table = table.head(n_genes)
    logging.info("genes by reason: %s", table["reason"].value_counts().to_dict())
    report_targets(table, [*training, *held_out])
    selected = table["gene"].to_numpy()
    if module_markers:
        require_markers(selected, module_markers, screen, measured=train_cells.var_names)
    if held_out_folds:
        require_causes(train_cells, selected, held_out_folds, screen)

    write_tsv(table, genes)
    write_tsv(marker_table, markers)
    with atomic(test_perturbations) as temporary:
        names = "".join(f"{name}\n" for name in held_out)
        Path(temporary).write_text(names, encoding="utf-8")
    modelled = tested[:, selected]
    write_tsv(tidy(only(modelled, training)), differential_expression)
    write_tsv(tidy(only(modelled, held_out)), test_differential_expression)
    write_cells(train_cells[:, selected], train)
    write_cells(test_cells[:, selected], test)


def roles(
    folds: str | None, fold: str, perturbations: list[str], screen: str
) -> tuple[list[str], list[str]]:
    """Return the training conditions (control included) and the test perturbations of a fold."""
    if not folds:
        return perturbations, []
    table = read_tsv(folds, dtype=str)
    own = table[table["fold"] == fold]
    if own.empty:
        raise InputError(
            f"there is no fold {fold!r}",
            where=f"{folds}",
            found=f"folds {', '.join(table['fold'].unique()) or 'none'}",
            remedy="ask for one of these folds",
        )
    unknown = sorted(set(own["perturbation"]) - set(perturbations))
    if unknown:
        raise InputError(
            "perturbations of the fold are not in the screen",
            where=f"{folds}",
            found=unknown,
            remedy=f"make the folds again from the conditions of {screen}",
        )
    by_role = own.groupby("role")["perturbation"].agg(list)
    return by_role.get("train", []), by_role.get("test", [])


def rank_genes(train: ad.AnnData, held_out: list[str], markers: pd.DataFrame) -> pd.DataFrame:
    """Return all genes in the order of selection.

    Parameters
    ----------
    train
        Training cells.
    held_out
        Names of the test perturbations.
    markers
        Marker genes of the training perturbations.
    """
    labels = train.obs["perturbation"].to_numpy(dtype=str)
    library_size = library_sizes(train)
    control = labels == CONTROL
    target_sum = float(np.median(library_size[control]))
    names = np.unique(labels[~control])
    one_target = np.array([len(targets_of(name)) <= 1 for name in labels])
    base = scaled_log1p(train.X[one_target], library_size[one_target], target_sum)
    test_targets = {target for name in held_out for target in targets_of(name)}
    training_targets = {target for name in names for target in targets_of(name)}
    targets = targets_of_genes(measured_target_genes(train, test_targets | training_targets))
    times_marker = Counter(markers["gene"])

    table = pd.DataFrame({"gene": train.var_names.to_numpy(dtype=object)})
    table["n_marker_perturbations"] = [times_marker[gene] for gene in table["gene"]]
    table["dispersion"] = normalised_dispersion(base, train.var_names)
    table["mean_control"] = np.asarray(train.X[control].mean(axis=0, dtype=np.float64)).ravel()
    table["reason"] = np.select(
        [
            [not test_targets.isdisjoint(targets.get(gene, ())) for gene in table["gene"]],
            table["gene"].isin(list(targets)),
            table["n_marker_perturbations"] > 0,
        ],
        ["test target", "training target", "marker"],
        "dispersion",
    )
    priority = table["reason"].map({"test target": 0, "training target": 1}).fillna(2)
    table["targets"] = [SEPARATOR.join(targets.get(gene, ())) or None for gene in table["gene"]]
    # Stable: genes equal in everything keep the order of the screen.
    order = np.lexsort(
        (-table["dispersion"].fillna(-np.inf), -table["n_marker_perturbations"], priority)
    )
    table = table.iloc[order].reset_index(drop=True)
    table.insert(1, "rank", np.arange(1, len(table) + 1))
    table.insert(2, "reason", table.pop("reason"))
    return table


def report_targets(table: pd.DataFrame, perturbations: Sequence[str]) -> None:
    """Log how many targets have a modelled gene, which the effects of genes are read from."""
    targets = {target for name in perturbations for target in targets_of(name)}
    modelled = {target for own in table["targets"].dropna() for target in targets_of(own)}
    logging.log(
        logging.INFO if modelled else logging.WARNING,
        "%d of %d targets have genes among the %d modelled ones",
        len(modelled),
        len(targets),
        len(table),
    )


def normalised_dispersion(log_values: sparse.csr_matrix, genes: pd.Index) -> NDArray[np.float64]:
    """Seurat's dispersion of each gene, standardised among genes of similar mean (20 bins).

    Missing for genes that these cells do not express.
    """
    import scanpy as sc  # takes seconds to import

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="invalid value encountered in log")
        result = sc.pp.highly_variable_genes(
            ad.AnnData(log_values, var=pd.DataFrame(index=genes)), flavor="seurat", inplace=False
        )
    return result["dispersions_norm"].to_numpy(dtype=np.float64)


def only(tests: ad.AnnData, perturbations: list[str]) -> ad.AnnData:
    """Tests of some perturbations; the control among them has none."""
    return tests[tests.obs_names.isin(perturbations)]


def find_markers(tests: ad.AnnData, number: int) -> pd.DataFrame:
    """Return the ``number`` genes of each perturbation that differ most from control.

    Parameters
    ----------
    tests
        Tests of the training perturbations, all genes of the screen.
    number
        Markers of each perturbation.
    """
    tables = [pd.DataFrame(columns=MARKER_COLUMNS)]
    for row, name in enumerate(tests.obs_names):
        p_value, change = tests.layers["p_value"][row], np.asarray(tests.X)[row]
        best = np.lexsort((-np.abs(change), p_value))[:number]
        own = pd.DataFrame(
            {
                "perturbation": name,
                "rank": np.arange(1, len(best) + 1),
                "gene": tests.var_names[best],
                "statistic": tests.layers["statistic"][row, best],
                "p_value": p_value[best],
                "p_adjusted": false_discovery_control(p_value)[best],
                "log_fold_change": change[best],
            }
        )
        tables.append(own)
    tables = [table for table in tables if len(table)] or tables
    return pd.concat(tables, ignore_index=True)


def require_causes(
    cells: ad.AnnData, selected: NDArray[np.str_], held_out_folds: int, where: str
) -> None:
    """Raise InputError if fewer modelled genes were perturbed alone than there are folds."""
    alone = [name for name in set(cells.obs["perturbation"].astype(str)) if SEPARATOR not in name]
    hit = measured_target_genes(cells[:, selected], set(alone) - {CONTROL})
    causes = sorted({own[0] for own in hit.values() if len(own) == 1})
    if len(causes) < held_out_folds:
        raise InputError(
            "fewer modelled genes were perturbed alone than causes are to be held out in folds",
            where=f"{where}; effects.held_out_folds",
            found=f"{held_out_folds} folds, perturbed genes {', '.join(causes) or 'none'}",
            remedy="lower effects.held_out_folds (0 leaves this validation out), or name the "
            "genes of targets in screen.target_genes or screen.gene_symbols",
        )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
