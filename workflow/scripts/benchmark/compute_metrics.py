"""Compare the cells that methods predict with the held-out cells of a fold."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from evaluation.comparison import Panel, Profile
from evaluation.metrics import score, score_panel
from evaluation.registry import check_metric_names, metrics_of
from lcd_core.errors import InputError
from lcd_core.streams import numpy_stream
from pipeline.predictions import (
    PredictedCells,
    draw_rows,
    labels_of,
    mean_expression,
    read_prediction,
)
from pipeline.screen import CONTROL, lognorm, read_names, read_screen, targets_of
from pipeline.tables import read_tsv, write_tsv

SIGNIFICANT = 0.05
"""Adjusted P value below which a gene counts as differentially expressed."""
FEWEST = 2
"""Cells without which a side cannot be compared."""
MOST_FOR_COMPONENTS = 5_000
"""Training cells of which principal components are taken."""

Indices = NDArray[np.intp]


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


class Moments(NamedTuple):
    """Number of cells, and mean and variance of every gene over them, (genes,)."""

    number: int
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """The held-out cells of a fold and what predictions of them are compared with.

    Attributes
    ----------
    observed
        The cells, with the genes of the fold.
    labels
        Perturbation of every cell.
    perturbations
        Held-out perturbations.
    tests
        For each, its differential expression, one row per gene.
    means
        Mean expression of every training condition, (conditions, genes).
    loadings
        Principal components of training cells, (genes, k); None where no metric needs them.
    trained
        The training cells.
    """

    observed: ad.AnnData
    labels: NDArray[Any]
    perturbations: list[str]
    tests: dict[str, pd.DataFrame]
    means: pd.DataFrame
    loadings: NDArray[np.float64] | None
    trained: ad.AnnData

    @cached_property
    def perturbed(self) -> Moments:
        """Moments of all perturbed training cells together."""
        labels = labels_of(self.trained)
        number, total, squares = 0, 0.0, 0.0
        for name in self.means.index.drop(CONTROL):
            cells = lognorm(self.trained.X[labels == name]).astype(np.float64)
            number += len(cells)
            total, squares = total + cells.sum(axis=0), squares + (cells**2).sum(axis=0)
        mean = np.asarray(total / number)
        variance = np.maximum(squares - number * mean**2, 0.0) / max(number - 1, 1)
        return Moments(number, mean, np.asarray(variance))


def read_fold(
    train: str,
    test: str,
    test_perturbations: str,
    test_differential_expression: str,
    components: int | None,
    seed: int,
) -> HeldOut:
    """Read the files of a fold; ``components`` is None where no metric needs them."""
    trained, observed = read_screen(train), read_screen(test)
    genes = trained.var_names
    if not observed.var_names.equals(genes):
        raise InputError("genes differ from those of the training cells", where=test)
    perturbations = sorted(read_names(test_perturbations))
    return HeldOut(
        observed,
        labels_of(observed),
        perturbations,
        read_tests(test_differential_expression, genes, perturbations),
        mean_expression(trained),
        None if components is None else principal_components(trained, components, seed),
        trained,
    )


def main(
    *,
    train: str,
    test: str,
    test_perturbations: str,
    predictions: Sequence[str],
    test_differential_expression: str,
    metrics_tables: Sequence[str],
    metrics: list[str],
    values: Sequence[str | None],
    top_genes: int,
    components: int,
    cells: str,
    splits: int,
    max_cells: int | None,
    methods: Sequence[str],
    fold: str,
    seed: int,
) -> None:
    """Write, of every method, one row per perturbation and metric.

    There is no value where the method does not predict the perturbation. With ``cells: equal``
    every value is a mean over ``splits`` random halves of the observed cells: a prediction is
    compared with one half, by as many predicted cells as there are in the other. The noise
    ceiling, which predicts the observed cells, has that other half, and so faces the same cells
    with the same number as every method. With ``all`` every predicted cell is compared with every
    observed one, and only predictions that hold observed cells are split. An observed cell is
    never compared with itself.

    Parameters
    ----------
    train, test, test_perturbations, test_differential_expression
        Files of the fold.
    predictions, metrics_tables, methods
        Of every method: the prediction (h5ad, see ``pipeline.predictions``), the TSV to write,
        and the name in it.
    values
        What a prediction's ``X`` holds; None reads it from the file.
    metrics
        Names of metrics.
    top_genes
        Genes of least P value that the ``top_de`` metrics compare.
    components
        Principal components of ``mmd_pca``.
    cells, splits
        See above.
    max_cells
        Most cells of either side, drawn at random; all if None.
    fold
        Its name, for the tables.
    """
    check_metric_names(metrics)
    held_out = read_fold(
        train,
        test,
        test_perturbations,
        test_differential_expression,
        components if "mmd_pca" in metrics else None,
        seed,
    )
    number = held_out.observed.n_vars
    if not 1 <= top_genes <= number:
        raise InputError(
            "the number of top genes must lie between 1 and the number of genes",
            where="top_genes",
            found=f"{top_genes}, {number} genes",
        )
    for method, prediction, holds, path in zip(
        methods, predictions, values, metrics_tables, strict=True
    ):
        table = score_prediction(
            prediction, held_out, metrics, holds, top_genes, cells, splits, max_cells, seed
        )
        table.insert(0, "fold", fold)
        table.insert(1, "method", method)
        write_tsv(table, path)
        scored = table.loc[table["n_predicted"] > 0, "perturbation"].nunique()
        logging.info("%s, fold %s: %d perturbations", method, fold, scored)


def score_prediction(
    prediction: str,
    held_out: HeldOut,
    metrics: list[str],
    values: str | None,
    top_genes: int,
    cells: str,
    splits: int,
    max_cells: int | None,
    seed: int,
) -> pd.DataFrame:
    """Metrics of one prediction, a row per perturbation and metric; see :func:`main`."""
    observed, labels, means = held_out.observed, held_out.labels, held_out.means
    everything = held_out.perturbations
    predicted = read_prediction(prediction, observed.var_names, everything, values)
    perturbations = predicted.predicted(everything)
    if not perturbations:
        raise InputError(
            "no perturbation is predicted",
            where=f"{prediction}, uns['not_predicted']",
            found=everything,
            remedy="predict at least one of them",
        )
    control_mean = means.loc[CONTROL].to_numpy()
    training_mean = means.drop(index=CONTROL).mean().to_numpy()
    over_one = metrics_of("perturbation", metrics, cells=predicted.has_cells)
    over_panel = metrics_of("panel", metrics, cells=predicted.has_cells)
    if not over_one and not over_panel:
        raise InputError(
            "all metrics compare cells, and the prediction has profiles alone",
            where="evaluation.metrics",
            found=f"{', '.join(metrics)}; {prediction}",
            remedy="name a metric of means, such as pearson_delta, or predict cells",
        )
    left_out = [name for name in metrics if name not in {*over_one, *over_panel}]
    if left_out:
        logging.info("%s has no cells, but profiles: without %s", prediction, ", ".join(left_out))

    found: dict[str, dict[str, list[float]]] = {name: {} for name in perturbations}
    numbers: dict[str, dict[str, int]] = {}
    sides: dict[str, list[tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for name in perturbations:
        own, theirs = np.flatnonzero(labels == name), predicted.rows(name)
        pairs = list(
            pairs_of_sides(
                name, observed.obs_names[own], predicted, theirs, cells, splits, max_cells, seed
            )
        )
        observed_cells, predicted_cells = lognorm(observed.X[own]), predicted.lognorm(theirs)
        described = held_out.tests[name]
        sides[name] = []
        for left, right in pairs:
            compared, prediction_of_it = observed_cells[left], predicted_cells[right]
            if predicted.drawn_to_mean:
                prediction_of_it = drawn_to_mean(
                    prediction_of_it, training_mean, held_out.perturbed
                )
            mean = prediction_of_it.mean(axis=0, dtype=np.float64)
            sides[name].append((mean, compared.mean(axis=0, dtype=np.float64)))
            if not over_one:
                continue
            values_of_it = score(
                prediction_of_it if predicted.has_cells else Profile(mean),
                compared,
                control_mean,
                training_mean,
                top_of(described, top_genes),
                over_one,
                differentially_expressed=(described["p_adjusted"] < SIGNIFICANT).to_numpy(),
                additive_mean=additive_mean(means, name),
                de_score=de_score(described),
                components=held_out.loadings,
            )
            for metric, value in values_of_it.items():
                found[name].setdefault(metric, []).append(value)
        left, right = pairs[0]
        numbers[name] = {
            "n_predicted": int(predicted.n_cells[theirs[right]].sum()),
            "n_observed": len(left),
        }
    trained_names = means.index.drop(CONTROL)
    for split in range(max(map(len, sides.values())) if over_panel else 0):
        # a perturbation whose cells are not split stands as it is beside those that are
        both = [sides[name][min(split, len(sides[name]) - 1)] for name in perturbations]
        panel = Panel(
            perturbations,
            np.stack([own for own, _ in both]),
            [*perturbations, *trained_names],
            np.vstack([*(own for _, own in both), means.loc[trained_names]]),
            control_mean,
            training_mean,
        )
        for metric, column in score_panel(panel, over_panel).items():
            for name, value in zip(perturbations, column, strict=True):
                found[name].setdefault(metric, []).append(value)

    rows = []
    for name in predicted.not_predicted:
        found[name] = {metric: [np.nan] for metric in (*over_one, *over_panel)}
        numbers[name] = {"n_predicted": 0, "n_observed": 0}
    for name in everything:
        targets = targets_of(name)
        common = {
            "perturbation": name,
            "n_targets": len(targets),
            "singles_measured": sum(target in means.index for target in targets),
        }
        rows += [
            common | {"metric": metric, "value": np.mean(found[name][metric])} | numbers[name]
            for metric in metrics
            if metric in found[name]
        ]
    if predicted.not_predicted:
        logging.warning("not predicted in %s: %s", prediction, ", ".join(predicted.not_predicted))
    return pd.DataFrame(rows)


def pairs_of_sides(
    name: str,
    observed: pd.Index,
    predicted: PredictedCells,
    rows: Indices,
    cells: str,
    splits: int,
    max_cells: int | None,
    seed: int,
) -> Iterator[tuple[Indices, Indices]]:
    """Cells of one perturbation that are compared with each other, as indices into either side.

    Parameters
    ----------
    name
        The perturbation.
    observed
        Names of its observed cells.
    predicted, rows
        The prediction, and the rows of the perturbation.
    cells, splits, max_cells, seed
        As in :func:`main`.
    """
    everyone = np.arange(len(observed))
    theirs = np.arange(len(rows))
    shared = predicted.names[rows].isin(observed)
    whole = not predicted.has_cells or (cells == "all" and not shared.any())
    n_half = len(observed) // 2
    if (len(observed) if whole and cells == "all" else n_half) < FEWEST:
        raise InputError(
            "too few observed cells to compare with; halves need two cells each",
            where="test cells, obs['perturbation']",
            found=f"{name}: {len(observed)} cells",
            remedy="raise quality_control.min_cells_per_perturbation",
        )
    if whole and cells == "all":
        yield (
            limited(everyone, max_cells, seed, f"observed {name}"),
            limited(theirs, max_cells, seed, f"predicted {name}"),
        )
        return
    for split in range(splits):
        left = draw_rows(everyone, n_half, seed, f"observed {name} {split}")
        left = limited(left, max_cells, seed, f"observed half {name} {split}")
        right = theirs
        if predicted.has_cells:
            others = theirs[~predicted.names[rows].isin(observed[left])]
            most = n_half if cells == "equal" or shared.any() else None
            right = limited(others, most, seed, f"predicted {name} {split}")
            right = limited(right, max_cells, seed, f"predicted half {name} {split}")
            if cells == "equal" and split == 0 and len(right) < min(n_half, max_cells or n_half):
                logging.warning(
                    "%s: %d predicted cells face halves of %d observed ones: metrics that depend "
                    "on numbers of cells (all but MMD, energy distance and those of means) do not "
                    "compare with those of other methods",
                    name,
                    len(right),
                    n_half,
                )
            if len(right) < FEWEST:
                raise InputError(
                    "fewer than two predicted cells are left, since they are observed ones",
                    where="prediction, obs_names",
                    found=f"{name}: {len(right)} cells",
                    remedy="predict all held-out cells, or cells of one's own",
                )
        yield left, right


def drawn_to_mean(
    cells: NDArray[np.float32], target: NDArray[np.float64], reference: Moments
) -> NDArray[np.float32]:
    """The interpolated duplicate of Miller et al. 2025: a half that keeps what it has of its own.

    The mean x of each gene becomes ``a x + (1 - a) m``, ``1 - a`` its P value (Welch, adjusted as
    Benjamini and Hochberg 1995) against all perturbed training cells. Every cell is shifted alike,
    for to interpolate each would shrink their spread too, which is no duplicate's; values end at 0.

    Parameters
    ----------
    cells
        Log-normalised expression of the half that is the prediction, (n, genes).
    target
        m, the mean over training perturbations of their means, (genes,).
    reference
        Moments of the perturbed training cells.
    """
    from scipy.stats import false_discovery_control, ttest_ind_from_stats  # slow to import

    own = cells.astype(np.float64)
    mean, variance = own.mean(axis=0), own.var(axis=0, ddof=1)
    other = reference.mean, np.sqrt(reference.variance), reference.number
    with np.errstate(divide="ignore", invalid="ignore"):
        found = ttest_ind_from_stats(mean, np.sqrt(variance), len(own), *other, equal_var=False)
    # where neither side varies there is no test: nothing is known of the gene but its mean
    adjusted = false_discovery_control(np.nan_to_num(found.pvalue, nan=1.0))
    return np.maximum(own + adjusted * (target - mean), 0.0).astype(np.float32)


def limited(rows: Indices, most: int | None, seed: int, label: str) -> Indices:
    """All rows, or so many drawn at random."""
    return rows if most is None or len(rows) <= most else draw_rows(rows, most, seed, label)


def principal_components(trained: ad.AnnData, number: int, seed: int) -> NDArray[np.float64]:
    """Loadings of the first principal components of log-normalised training cells, (d, k)."""
    rows = np.arange(trained.n_obs)
    if len(rows) > MOST_FOR_COMPONENTS:
        rows = np.sort(
            numpy_stream(seed, "components").choice(rows, MOST_FOR_COMPONENTS, replace=False)
        )
    values = lognorm(trained.X[rows]).astype(np.float64)
    _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(values, rowvar=False)))
    return np.ascontiguousarray(vectors[:, ::-1][:, :number])


def de_score(tests: pd.DataFrame) -> NDArray[np.float64]:
    """z values of two-sided P values, without a sign; at most that of the smallest double."""
    p = tests["p_value"].fillna(1.0).to_numpy(float)
    return np.asarray(-ndtri(np.maximum(p, np.finfo(float).tiny) / 2))


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
