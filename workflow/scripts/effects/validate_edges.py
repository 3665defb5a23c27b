"""Validate predicted edges against observed differential expression."""

import logging
from collections.abc import Sequence
from dataclasses import asdict

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.edges import implication, strongest_edges, top_count
from lcd_core.errors import InputError, shown
from pipeline.effects import read_effects
from pipeline.seeds import derive_seed
from pipeline.tables import read_tsv, write_tsv


def main(
    *,
    effects: str,
    differential_expression: str,
    edges: str,
    validation: str,
    fractions: Sequence[float],
    seed: int,
    alpha: float,
    n_listed: int,
    n_resamples: int,
) -> None:
    """Write the strongest edges with what was observed, and how often they hold.

    An edge can be tested when its cause was perturbed alone in the screen and its effect gene
    was tested; ranking, top fractions and base rate are all taken over these edges, self-loops
    left out. An edge is validated when the adjusted P of its effect gene is below ``alpha``
    under the cause's perturbation.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects), or the re-assembled effects of held-out causes.
    differential_expression
        TSV of tests against control by perturbation and gene.
    edges
        TSV of the strongest edges that could be tested: ``rank``, ``cause``, ``effect``,
        ``value``, ``observed_lfc``, ``p_adjusted``, ``validated``.
    validation
        TSV with one row per fraction: ``fraction``, ``n_causes`` (of the predicted edges) and the
        fields of :class:`evaluation.edges.Implication`.
    fractions
        Top fractions of the edges that could be tested.
    seed
        Seed of the bootstrap.
    alpha
        False discovery rate of the differential expression.
    n_listed
        Edges in ``edges``.
    n_resamples
        Bootstrap resamples.
    """
    matrix = read_effects(effects)
    lfc, p_adjusted = observed(matrix, differential_expression)
    ranked = strongest_edges(
        matrix.X.T,
        causes=matrix.var_names.get_indexer(matrix.obs_names),
        eligible=np.isfinite(p_adjusted),
    )
    p_ranked = p_adjusted[ranked.effect, ranked.cause]
    validated = p_ranked < alpha

    rows = []
    for fraction in sorted(fractions):
        result = implication(
            validated,
            top_count(fraction, len(validated)),
            generator=np.random.default_rng(derive_seed(seed, bootstrap=fraction)),
            n_resamples=n_resamples,
        )
        n_causes = len(np.unique(ranked.cause[: result.k]))
        rows.append({"fraction": fraction, "n_causes": n_causes, **asdict(result)})
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(validated) + 1),
            "cause": matrix.obs_names[ranked.cause],
            "effect": matrix.var_names[ranked.effect],
            "value": ranked.value,
            "observed_lfc": lfc[ranked.effect, ranked.cause],
            "p_adjusted": p_ranked,
            "validated": validated,
        }
    )
    write_tsv(table.head(n_listed), edges)
    write_tsv(pd.DataFrame(rows), validation)


def observed(matrix: ad.AnnData, path: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log fold changes and adjusted P, genes x causes, NaN where the screen has no test."""
    tests = read_tsv(
        path,
        usecols=["perturbation", "gene", "log_fold_change", "p_adjusted"],
        dtype={"perturbation": str, "gene": str},
    )
    cause = matrix.obs_names.get_indexer(tests["perturbation"])
    effect = matrix.var_names.get_indexer(tests["gene"])
    known = (cause >= 0) & (effect >= 0)
    lfc = np.full((matrix.n_vars, matrix.n_obs), np.nan)
    p_adjusted = lfc.copy()
    lfc[effect[known], cause[known]] = tests["log_fold_change"].to_numpy()[known]
    p_adjusted[effect[known], cause[known]] = tests["p_adjusted"].to_numpy()[known]
    tested = np.isfinite(p_adjusted)
    if not (tested & (matrix.var_names.to_numpy()[:, None] != matrix.obs_names.to_numpy())).any():
        raise InputError(
            "none of the edges can be tested: no cause was perturbed alone and tested",
            where=path,
            found=f"causes {shown(matrix.obs_names, 5)}; "
            f"perturbations {shown(tests['perturbation'].unique(), 5)}",
            remedy="use the differential expression of the same screen",
        )
    logging.info(
        "%d of %d causes were perturbed alone and tested", tested.any(axis=0).sum(), matrix.n_obs
    )
    return lfc, p_adjusted


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
