"""Score effects and modules of a simulated screen against its true graph and modules."""

import logging
from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from evaluation.agreement import adjusted_rand_index, auroc, average_precision
from evaluation.comparators import COMPARATORS
from evaluation.effect_scores import score_effects
from evaluation.modules import (
    UNASSIGNED,
    correlation_distances,
    cut_into,
    effect_distances,
    lone_clusters,
    module_tree,
)
from lcd_core.errors import InputError, shown
from lcd_core.evidence import Evidence
from pipeline.effects import module_distances, read_effects, square_effects
from pipeline.gene_sets import read_gmt
from pipeline.screen import lognorm, read_screen
from pipeline.tables import read_tsv, write_tsv
from simulation import linear_systems
from simulation.linear_systems import MODEL_SIGMA, orient, reversible_effects

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]

DIRECT_EFFECTS = "direct_effects"
LCD_CLIPR = "lcd_clipr"
FROM_CHANGES = ("oriented_z", "total_effects", "inspre")
CHANCE = "chance"
AUROCS = (
    "auroc",
    "auroc_positive_negative",
    "auroc_positive_absent",
    "auroc_negative_absent",
    "auroc_present",
)
LONGEST_CURVE = 200
RIDGE = 0.01  # share of the mean variance that makes a singular covariance regular


def main(
    *,
    effects: str,
    true_effects: str,
    true_modules: str,
    membership: str,
    differential_expression: str,
    train: str,
    recovery: str,
    curve: str,
    top: Sequence[int],
    seed_effects: Sequence[str],
    min_size: int,
    distance: str,
) -> None:
    """Write the scores of every estimator, and its precision against the number of effects.

    All estimators give effects of every modelled gene on every other one and are scored alike,
    over ``all`` ordered pairs of different modelled genes and over those whose cause was
    ``perturbed`` alone in training. True effects that involve another gene are left out.

    Parameters
    ----------
    effects
        Direct effects (h5ad, causes x effects); those of CLIPR as published are a layer, and
        changes of the genes, from which comparators start, others.
    true_effects
        TSV of the true effects: ``cause``, ``effect``, ``weight``.
    true_modules
        GMT of the true modules, which share no gene.
    membership
        TSV of the modules found in ``effects``: ``gene``, ``module``.
    differential_expression
        TSV of the tests of the training screen against control.
    train
        Training screen: raw counts of all modelled genes (h5ad).
    recovery
        TSV, one row per estimator, set of pairs and metric: ``estimator``, ``pairs``, ``metric``,
        ``k``, ``value``, ``base_rate``.
    curve
        TSV, one row per estimator, set of pairs and k from 1 to 200: ``estimator``, ``pairs``,
        ``k``, ``precision``, ``base_rate``.
    top
        Numbers of strongest effects at which ``recovery`` has the precision.
    seed_effects
        Effect matrices of single training seeds, scored as ``direct_effects_seed_1``, ...
    min_size
        Clusters of fewer genes are no modules, as in ``membership``.
    distance
        Of genes, from which ``membership`` was made.
    """
    matrix = read_effects(effects)
    genes = matrix.var_names.astype(str)
    top = sorted(set(top))
    if top and top[0] < 1:
        raise InputError("numbers of strongest effects must be at least 1", found=top)
    truth = read_true_effects(true_effects, genes)
    true_labels = read_true_modules(true_modules, genes)
    modules = read_modules(membership, genes)
    screen = read_screen(train)
    perturbed = perturbed_alone(screen, genes, train)

    paths = [seed_effects] if isinstance(seed_effects, str) else seed_effects
    estimates = {DIRECT_EFFECTS: square(matrix, effects)}
    for number, path in enumerate(paths, start=1):
        estimates[f"{DIRECT_EFFECTS}_seed_{number}"] = read_aligned(path, genes)
    if "clipr" in matrix.layers:
        estimates[LCD_CLIPR] = square_effects(matrix, effects, "clipr")
    estimates |= from_changes(matrix)
    estimates |= read_differential_expression(differential_expression, genes, perturbed)
    estimates["inverse_pooled_covariance"] = inverse_pooled_covariance(screen[:, genes])

    cause_perturbed = np.broadcast_to(genes.isin(perturbed), truth.shape)
    sets = {"all": np.ones_like(cause_perturbed), "perturbed": cause_perturbed}
    scores, curves = [], []
    for name, estimate in estimates.items():
        for pairs, mask in sets.items():
            scored, precision = score_pairs(estimate, truth, mask, top)
            scores.append(scored.assign(estimator=name, pairs=pairs))
            curves.append(precision.assign(estimator=name, pairs=pairs))
    chance = pd.concat(scores[: len(sets)])
    scores.append(chance.assign(estimator=CHANCE, value=chance["base_rate"]))
    distances = {name: effect_distances(own) for name, own in estimates.items()}
    distances[DIRECT_EFFECTS] = module_distances(matrix, distance, effects)
    if distance == "changes":  # of the seeds as of their mean; the others have effects alone
        for number, path in enumerate(paths, start=1):
            own = read_effects(path)[:, genes]
            distances[f"{DIRECT_EFFECTS}_seed_{number}"] = module_distances(own, distance, path)
    distances["expression_correlation"] = correlation_distances(lognorm(screen[:, genes].X))
    profiles = estimates["differential_expression"][:, genes.isin(perturbed)].T
    distances["differential_expression_profiles"] = correlation_distances(profiles)
    if modules.any():
        number = number_of_clusters(distances[DIRECT_EFFECTS], modules, min_size, membership)
        scores.append(score_modules(distances, true_labels, number, min_size))

    table = pd.concat(scores)
    log_scores(table)
    write_tsv(table[["estimator", "pairs", "metric", "k", "value", "base_rate"]], recovery)
    write_tsv(pd.concat(curves)[["estimator", "pairs", "k", "precision", "base_rate"]], curve)


def score_pairs(
    estimate: Matrix, truth: Matrix, mask: Mask, top: Sequence[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of one estimate over the pairs of ``mask``, and its precision at 1, 2, ... effects.

    The precision at k is undefined where there are fewer pairs, and where the estimate has fewer
    effects other than zero: ties at zero would be told apart by the order of the genes alone.
    """
    mask = mask & ~np.eye(len(truth), dtype=bool)
    magnitude, present = np.abs(estimate[mask]), truth[mask] != 0
    base_rate = float(present.mean())
    values = score_effects(estimate, truth, pairs=mask)
    values["auroc_present"] = auroc(present, magnitude)
    precision = precision_curve(present, magnitude)

    rows = [(name, pd.NA, values[name], 0.5) for name in AUROCS]
    linked = truth[mask] != 0
    agree = np.sign(estimate[mask][linked]) == np.sign(truth[mask][linked])
    rows.append(("sign_agreement", pd.NA, float(agree.mean()) if linked.any() else np.nan, 0.5))
    rows.append(("average_precision", pd.NA, average_precision(present, magnitude), base_rate))
    rows += [("precision@k", k, value, base_rate) for k, value in precision.reindex(top).items()]
    scores = pd.DataFrame(rows, columns=["metric", "k", "value", "base_rate"])
    asked = range(1, LONGEST_CURVE + 1)
    curve = pd.DataFrame(
        {"k": asked, "precision": precision.reindex(asked).to_numpy(), "base_rate": base_rate}
    )
    return scores.astype({"k": "Int64"}), curve


def precision_curve(present: Mask, magnitude: Matrix) -> pd.Series:
    """Share of true effects among the 1, 2, ... strongest, up to all that are not zero."""
    strongest = np.argsort(-magnitude, kind="stable")[: np.count_nonzero(magnitude)]
    k = np.arange(1, len(strongest) + 1)
    return pd.Series(np.cumsum(present[strongest]) / k, index=k)


def square(matrix: ad.AnnData, path: str) -> Matrix:
    """What effects are ranked by, (d, d)."""
    return square_effects(matrix, path, "score" if "score" in matrix.layers else None)


def from_changes(matrix: ad.AnnData) -> dict[str, Matrix]:
    """Comparators that start from the changes and errors in a file of effects."""
    if "change" not in matrix.layers:
        return {}
    own = matrix[matrix.obs["perturbed"].to_numpy(dtype=bool)]
    causes = matrix.var_names.get_indexer(own.obs_names)
    evidence = Evidence(
        np.asarray(own.layers["change"]).T,
        [(int(cause),) for cause in causes],
        errors=np.asarray(own.layers["change_error"]).T,
    )
    return {name: COMPARATORS[name].estimate(evidence).effects for name in FROM_CHANGES}


def score_modules(
    distances: Mapping[str, Matrix], true_labels: Labels, number: int, min_size: int
) -> pd.DataFrame:
    """Agreement of the modules that every distance gives with the true ones.

    Every tree is cut into the same number of clusters, small ones dropped; and, since that number
    comes from one of them, also where its own agreement is best, which takes the truth to know.
    Genes that belong to no true module say nothing and are left out. Among the others, one
    without an estimated module is a cluster of its own: the tree has put it together with too few
    genes, and to count all of these as one cluster would claim that they belong together.
    """
    members = true_labels != UNASSIGNED
    rows = []
    for name, own in distances.items():
        tree = module_tree(own)
        cuts = [
            adjusted_rand_index(
                lone_clusters(cut_into(tree, count, min_size))[members], true_labels[members]
            )
            for count in range(1, len(true_labels) + 1)
        ]
        rows.append((name, "adjusted_rand_index", cuts[number - 1], 0.0))
        rows.append((name, "adjusted_rand_index_best", max(cuts), np.nan))
    rows.append((CHANCE, "adjusted_rand_index", 0.0, 0.0))
    table = pd.DataFrame(rows, columns=["estimator", "metric", "value", "base_rate"])
    missing = pd.array([pd.NA] * len(rows), dtype="Int64")
    return table.assign(pairs="modules", k=missing)


def number_of_clusters(distances: Matrix, modules: Labels, min_size: int, where: str) -> int:
    """Smallest number of clusters, small ones counted, whose cut gives these modules."""
    tree = module_tree(distances)
    for number in range(1, len(modules) + 1):
        if np.array_equal(cut_into(tree, number, min_size), modules):
            return number
    raise InputError(
        "the modules are no cut of the tree of these effects",
        where=where,
        found=f"{modules.max()} modules, {np.count_nonzero(modules == UNASSIGNED)} genes without; "
        f"clusters of fewer than {min_size} genes dropped",
        remedy="find the modules in the effects that are scored, and drop clusters below the same "
        "size here and there",
    )


def inverse_pooled_covariance(screen: ad.AnnData) -> Matrix:
    """``-S^-1``, S the covariance of log-normalised expression within conditions, pooled.

    Every cell counts alike, whatever the size of its condition: the scatter around the means of
    the conditions over the number of cells less that of conditions. Should S be singular, which
    happens with few cells and where a gene never varies within a condition, 1% of the mean
    variance of the genes is added to every variance; S is taken as it is otherwise.
    """
    values = lognorm(screen.X).astype(np.float64)
    conditions = screen.obs["perturbation"].to_numpy(dtype=str)
    centred = values - pd.DataFrame(values).groupby(conditions).transform("mean").to_numpy()
    freedom = len(values) - len(np.unique(conditions))
    covariance = centred.T @ centred / max(freedom, 1)
    if np.linalg.matrix_rank(covariance, hermitian=True) < len(covariance):
        logging.warning(
            "the covariance within conditions is singular (%d genes, %d cells in %d conditions); "
            "its inverse is taken after adding %g of the mean variance to all",
            len(covariance),
            len(values),
            len(values) - freedom,
            RIDGE,
        )
        covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    effects = reversible_effects(covariance, MODEL_SIGMA)
    # exactly symmetric: rounding would otherwise decide which of two directions ranks higher
    return (effects + effects.T) / 2


def read_differential_expression(
    path: str, genes: pd.Index, perturbed: Sequence[str]
) -> dict[str, Matrix]:
    """Effects by differential expression: the response to the perturbation of gene j as column j.

    Changes of mean log-normalised expression as they are; the same signed by the change of the
    target itself; and, signed so too, the normal scores of the two-sided P values.
    """
    tests = read_tsv(
        path,
        usecols=["perturbation", "gene", "auroc", "log_fold_change", "p_value"],
        dtype={"perturbation": str, "gene": str},
    )
    own = tests[tests["perturbation"].isin(perturbed) & tests["gene"].isin(genes)]
    wide = own.pivot(index="gene", columns="perturbation").reindex(index=genes)
    missing = [name for name in perturbed if name not in set(own["perturbation"])]
    if missing or wide.isna().to_numpy().any():
        raise InputError(
            "tests of modelled genes under perturbations of the training screen are missing",
            where=path,
            found=f"perturbations without tests: {shown(missing) or 'none'}; "
            f"genes without: {shown(wide.index[wide.isna().any(axis=1)]) or 'none'}",
            remedy="test the screen that is given as training screen",
        )
    columns = {
        name: wide[name][list(perturbed)].to_numpy(dtype=np.float64)
        for name in ("auroc", "log_fold_change", "p_value")
    }
    # P values below the smallest number that can be written down count as that
    smallest = np.finfo(np.float64).tiny
    scores = norm.isf(np.maximum(columns["p_value"], smallest) / 2)
    scores *= np.sign(columns["auroc"] - 0.5)
    targets = genes.get_indexer(list(perturbed))
    changes, significance = (
        linear_systems.differential_expression(own, targets)
        for own in (columns["log_fold_change"], scores)
    )
    return {
        "differential_expression": changes,
        "oriented_differential_expression": orient(changes),
        "oriented_differential_expression_z": orient(significance),
    }


def perturbed_alone(screen: ad.AnnData, genes: pd.Index, where: str) -> list[str]:
    """Modelled genes, in their order, with a single perturbation in the screen."""
    missing = genes.difference(screen.var_names)
    if len(missing):
        raise InputError(
            "modelled genes are not in the training screen",
            where=f"{where}, var_names",
            found=missing,
            remedy="use the screen that the model was trained on",
        )
    names = set(screen.obs["perturbation"].astype(str))
    perturbed = [gene for gene in genes if gene in names]
    if not perturbed:
        raise InputError(
            "no modelled gene was perturbed alone",
            where=f"{where}, obs['perturbation']",
            found=f"modelled genes {shown(genes, 5)}; perturbations {shown(sorted(names), 5)}",
        )
    return perturbed


def read_aligned(path: str, genes: pd.Index) -> Matrix:
    """Effects of another matrix of the same genes, in the order of ``genes``."""
    matrix = read_effects(path)
    effects = square(matrix, path)
    if set(matrix.var_names) != set(genes):
        raise InputError(
            "the effects of a training seed are those of other genes",
            where=f"{path}, var_names",
            found=matrix.var_names.symmetric_difference(genes),
            remedy="give effects of the same fold",
        )
    order = matrix.var_names.get_indexer(genes)
    return effects[np.ix_(order, order)]


def read_true_effects(path: str, genes: pd.Index) -> Matrix:
    """True effects among the modelled genes, (d, d), ``[i, j]`` of gene j on gene i."""
    edges = read_tsv(path, dtype={"cause": str, "effect": str})
    cause, effect = genes.get_indexer(edges["cause"]), genes.get_indexer(edges["effect"])
    known = (cause >= 0) & (effect >= 0)
    if not known.any():
        others = pd.unique(edges[["cause", "effect"]].to_numpy().ravel())
        raise InputError(
            "no true effect is one between two modelled genes",
            where=path,
            found=f"modelled genes {shown(genes, 5)}; "
            f"{len(edges)} true effects, of genes {shown(others, 5) or '(none)'}",
            remedy="give the truth of the simulated screen that the effects were estimated from",
        )
    logging.info("%d of %d true effects are between modelled genes", known.sum(), len(edges))
    truth = np.zeros((len(genes), len(genes)))
    truth[effect[known], cause[known]] = edges["weight"].to_numpy(dtype=np.float64)[known]
    return truth


def read_true_modules(path: str, genes: pd.Index) -> Labels:
    """True module of every modelled gene, (d,): 1, 2, ..., and 0 for genes of none."""
    labels = np.full(len(genes), UNASSIGNED, dtype=np.int64)
    sets = read_gmt(path)
    for number, members in enumerate(sets.values(), start=1):
        own = genes.isin(members)
        if (labels[own] != UNASSIGNED).any():
            raise InputError(
                "true modules share genes",
                where=path,
                found=genes[own & (labels != UNASSIGNED)],
                remedy="give modules that divide their genes",
            )
        labels[own] = number
    if not labels.any():
        everything = sorted(frozenset().union(*sets.values()))
        raise InputError(
            "no modelled gene is in a true module",
            where=path,
            found=f"modelled genes {shown(genes, 5)}; true modules {shown(everything, 5)}",
            remedy="give the truth of the simulated screen that the effects were estimated from",
        )
    return labels


def read_modules(path: str, genes: pd.Index) -> Labels:
    """Estimated module of every modelled gene, (d,), 0 for none."""
    table = read_tsv(path, dtype={"gene": str, "module": "Int64"}).set_index("gene")["module"]
    if set(table.index) != set(genes):
        raise InputError(
            "the modules are those of other genes than the effects",
            where=path,
            found=table.index.symmetric_difference(genes),
            remedy="find the modules in the effects that are scored",
        )
    return table.reindex(genes).fillna(UNASSIGNED).to_numpy(dtype=np.int64)


def log_scores(table: pd.DataFrame) -> None:
    """Report the main score of every estimator."""
    main_scores = ("auroc", "all"), ("auroc", "perturbed"), ("adjusted_rand_index", "modules")
    for metric, pairs in main_scores:
        rows = table[(table["metric"] == metric) & (table["pairs"] == pairs)]
        values = ", ".join(f"{row.estimator} {row.value:.3f}" for row in rows.itertuples())
        logging.info("%s, %s: %s", metric, pairs, values)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
