"""Compare the cells that one method predicts with the held-out cells of a fold."""

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison import Panel, Profile
from evaluation.metrics import score, score_panel
from evaluation.registry import check_metric_names, metrics_of
from lcd_core.errors import InputError
from pipeline.predictions import draw_rows, labels_of, mean_expression, read_prediction
from pipeline.screen import CONTROL, lognorm, read_names, read_screen, targets_of
from pipeline.tables import read_tsv, write_tsv

SIGNIFICANT = 0.05
"""Adjusted P value below which a gene counts as differentially expressed."""


def read_tests(path: str, genes: pd.Index, perturbations: list[str]) -> dict[str, pd.DataFrame]:
    """Read differential expression, for each perturbation one row per gene of the fold."""
    table = read_tsv(path, dtype={"perturbation": str, "gene": str})
    missing = sorted(set(perturbations) - set(table["perturbation"]))
    if missing:
        raise InputError(
            "held-out perturbations are missing", where=f"{path}, perturbation", found=missing
        )
    results = {}
    for name in perturbations:
        own = table[table["perturbation"] == name].set_index("gene")
        if own.index.has_duplicates or set(own.index) != set(genes):
            raise InputError(
                f"{name} needs one row for each gene of the fold",
                where=f"{path}, gene",
                found=own.index.symmetric_difference(genes).union(
                    own.index[own.index.duplicated()]
                ),
            )
        results[name] = own.loc[genes]
    return results


def main(
    *,
    train: str,
    test: str,
    test_perturbations: str,
    prediction: str,
    test_differential_expression: str,
    metrics_table: str,
    metrics: list[str],
    values: str | None = None,
    top_genes: int,
    max_cells: int | None,
    method: str,
    fold: str,
    seed: int,
) -> None:
    """Write one row per perturbation and metric.

    An observed cell whose name occurs in the prediction is left out of what is compared. Of either
    side at most ``max_cells`` cells are drawn (all if it is None).

    Parameters
    ----------
    train, test, test_perturbations, test_differential_expression
        Files of the fold.
    prediction
        The prediction (h5ad), see ``pipeline.predictions``.
    metrics_table
        TSV to write.
    metrics
        Names of metrics.
    values
        What the prediction's ``X`` holds; None reads it from the file.
    top_genes
        Genes of least P value that the ``top_de`` metrics compare.
    method, fold
        Names, for the table.
    """
    check_metric_names(metrics)
    trained, observed = read_screen(train), read_screen(test)
    genes = trained.var_names
    if not observed.var_names.equals(genes):
        raise InputError("genes differ from those of the training cells", where=test)
    if not 1 <= top_genes <= len(genes):
        raise InputError(
            "the number of top genes must lie between 1 and the number of genes",
            where="top_genes",
            found=f"{top_genes}, {len(genes)} genes",
        )
    labels = labels_of(observed)
    perturbations = sorted(read_names(test_perturbations))
    predicted = read_prediction(prediction, genes, perturbations, values)
    tests = read_tests(test_differential_expression, genes, perturbations)
    means = mean_expression(trained)
    control_mean = means.loc[CONTROL].to_numpy()
    training_mean = means.drop(index=CONTROL).mean().to_numpy()
    comparable = ~observed.obs_names.isin(predicted.names)
    over_one = metrics_of("perturbation", metrics, cells=predicted.has_cells)
    over_panel = metrics_of("panel", metrics, cells=predicted.has_cells)
    left_out = [name for name in metrics if name not in {*over_one, *over_panel}]
    if left_out:
        logging.info("no cells, but profiles: without %s", ", ".join(left_out))

    common: dict[str, dict[str, object]] = {}
    numbers: dict[str, dict[str, int]] = {}
    found: dict[str, dict[str, float]] = {}
    predicted_means, observed_means = [], []
    for name in perturbations:
        left = np.flatnonzero((labels == name) & comparable)
        if len(left) < 2:
            raise InputError(
                "fewer than two observed cells are left to compare with",
                where=f"{test}, obs['perturbation']",
                found=f"{name}: {len(left)} cells",
            )
        right = predicted.rows(name)
        if max_cells is not None:
            left = draw_rows(left, max_cells, seed, f"observed {name}")
            right = draw_rows(right, max_cells, seed, f"predicted {name}")
        predicted_cells, observed_cells = predicted.lognorm(right), lognorm(observed.X[left])
        predicted_means.append(predicted_cells.mean(axis=0, dtype=np.float64))
        observed_means.append(observed_cells.mean(axis=0, dtype=np.float64))
        found[name] = {}
        if over_one:
            found[name] = score(
                predicted_cells if predicted.has_cells else Profile(predicted_means[-1]),
                observed_cells,
                control_mean,
                training_mean,
                top_of(tests[name], top_genes),
                over_one,
                (tests[name]["p_adjusted"] < SIGNIFICANT).to_numpy(),
                additive_mean(means, name),
            )
        targets = targets_of(name)
        common[name] = {
            "fold": fold,
            "method": method,
            "perturbation": name,
            "n_targets": len(targets),
            "singles_measured": sum(target in means.index for target in targets),
        }
        n_predicted = int(predicted.n_cells[right].sum())
        numbers[name] = {"n_predicted": n_predicted, "n_observed": len(left)}
    trained_names = means.index.drop(CONTROL)
    panel = Panel(
        perturbations,
        np.stack(predicted_means),
        [*perturbations, *trained_names],
        np.vstack([observed_means, means.loc[trained_names]]),
        control_mean,
        training_mean,
    )
    for metric, column in score_panel(panel, over_panel).items():
        for name, value in zip(perturbations, column, strict=True):
            found[name][metric] = value

    rows = [
        common[name] | {"metric": metric, "value": found[name][metric]} | numbers[name]
        for name in perturbations
        for metric in metrics
        if metric in found[name]
    ]
    write_tsv(pd.DataFrame(rows), metrics_table)
    logging.info("%s, fold %s: %d perturbations", method, fold, len(perturbations))


def additive_mean(means: pd.DataFrame, name: str) -> NDArray[np.float64] | None:
    """Control with the changes under each target alone added, (d,); None if one is missing."""
    targets = list(targets_of(name))
    if len(targets) < 2 or not set(targets) <= set(means.index):
        return None
    changes = means.loc[targets] - means.loc[CONTROL]
    return (means.loc[CONTROL] + changes.sum()).to_numpy()


def top_of(tests: pd.DataFrame, number: int) -> NDArray[np.intp]:
    """Indices of the genes of least P value, in the order of genes given."""
    return np.argsort(tests["rank"].to_numpy(), kind="stable")[:number]


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
