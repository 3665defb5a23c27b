"""Validate predicted edges against observed differential expression."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.edges import (
    Edges,
    Implication,
    SignAgreement,
    WithinCauses,
    implication,
    sign_agreement,
    strongest_edges,
    top_count,
    within_causes,
)
from pipeline.effects import perturbations_of, ranking, read_effects
from pipeline.seeds import derive_seed
from pipeline.tables import read_tsv, write_tsv

Matrix = NDArray[np.float64]

FAILED = ("did not move", "moved against the others")
COLUMNS = [
    "fraction",
    "n_causes",
    *(own.name for part in (Implication, WithinCauses) for own in fields(part)),
    *SignAgreement._fields,
]


def main(
    *,
    effects: str,
    differential_expression: str,
    targets: str,
    edges: str,
    validation: str,
    fractions: Sequence[float],
    seed: int,
    alpha: float,
    n_listed: int,
    n_resamples: int,
    leave_out_failed: bool,
) -> None:
    """Write the strongest edges with what was observed, and how often they hold.

    An edge can be tested when its cause was perturbed alone in the screen and its effect gene
    was tested; ranking, top fractions and base rate are all taken over these edges, self-loops
    left out. An edge is validated when the adjusted P of its effect gene is below ``alpha``
    under the cause's perturbation. Its sign agrees when the gene went where the predicted effect
    and the change of the cause itself lead: under a knock-down a positive effect is a fall.

    Parameters
    ----------
    effects
        Effect matrix (h5ad, causes x effects), or the re-assembled effects of held-out causes.
    differential_expression
        TSV of tests against control by perturbation and gene.
    targets
        TSV of the own genes of perturbations, with their ``status``.
    edges
        TSV of the strongest edges that could be tested: ``rank``, ``cause``, ``effect``,
        ``value``, ``score``, ``observed_lfc``, ``own_lfc`` (of the cause), ``p_adjusted``,
        ``validated``, ``sign_agrees``, ``target_status``.
    validation
        TSV with one row per fraction: ``fraction``, ``n_causes`` (of the predicted edges) and the
        fields of :class:`evaluation.edges.Implication`, :class:`evaluation.edges.WithinCauses`
        and :class:`evaluation.edges.SignAgreement`.
    fractions
        Top fractions of the edges that could be tested.
    seed
        Seed of the bootstrap and the permutations.
    alpha
        False discovery rate of the differential expression.
    n_listed
        Edges in ``edges``.
    n_resamples
        Bootstrap resamples, and permutations.
    leave_out_failed
        Whether edges of causes whose perturbation did not move its own gene, or moved it against
        the others, are left out.
    """
    matrix = read_effects(effects)
    seen = observed(matrix, differential_expression)
    status = statuses(matrix, targets)
    eligible = np.isfinite(seen.p_adjusted)
    if leave_out_failed:
        eligible &= ~np.isin(status, FAILED)
    eligible[matrix.var_names.get_indexer(matrix.obs_names), np.arange(matrix.n_obs)] = False
    if not eligible.any():
        logging.warning(
            "none of the edges can be tested: no modelled gene was perturbed alone and tested%s; "
            "the tables of validation are empty",
            ", or all of these failed" if leave_out_failed else "",
        )
    ranked = strongest_edges(
        ranking(matrix), causes=matrix.var_names.get_indexer(matrix.obs_names), eligible=eligible
    )
    table = edge_table(matrix, ranked, seen, status, alpha)
    validated = table["validated"].to_numpy(dtype=bool)
    agrees = np.where(
        validated, table["sign_agrees"].to_numpy(dtype=float, na_value=np.nan), np.nan
    )

    rows = []
    for fraction in sorted(fractions) if len(validated) else ():
        k = top_count(fraction, len(validated))
        draws = {
            purpose: np.random.default_rng(derive_seed(seed, **{purpose: fraction}))
            for purpose in ("bootstrap", "permutation")
        }
        held = implication(validated, k, generator=draws["bootstrap"], n_resamples=n_resamples)
        null = within_causes(
            validated, ranked, k, generator=draws["permutation"], n_permutations=n_resamples
        )
        n_causes = len(np.unique(ranked.cause[:k]))
        row = {"fraction": fraction, "n_causes": n_causes, **asdict(held), **asdict(null)}
        rows.append(row | sign_agreement(agrees[:k])._asdict())
    write_tsv(table.head(n_listed), edges)
    write_tsv(pd.DataFrame(rows, columns=COLUMNS), validation)


@dataclass(frozen=True)
class Observed:
    """What the screen shows of each cause, genes x causes, NaN where it has no test.

    ``own`` is the change of the cause itself under its perturbation, (causes,).
    """

    lfc: Matrix
    p_adjusted: Matrix
    own: Matrix


def observed(matrix: ad.AnnData, path: str) -> Observed:
    """Log fold changes and adjusted P by cause.

    Of several perturbations of one cause alone the mean change, and the smallest P times their
    number.
    """
    tests = read_tsv(
        path,
        usecols=["perturbation", "gene", "log_fold_change", "p_adjusted"],
        dtype={"perturbation": str, "gene": str},
    )
    causes = perturbations_of(matrix)
    cause_of = {name: cause for cause, names in causes.items() for name in names}
    tests = tests.assign(cause=tests["perturbation"].map(cause_of)).dropna(
        subset=["cause", "p_adjusted"]
    )
    tests = tests[tests["gene"].isin(matrix.var_names) & tests["cause"].isin(matrix.obs_names)]
    by_edge = tests.groupby(["gene", "cause"], observed=True)
    lowest = (by_edge["p_adjusted"].min() * by_edge.size()).clip(upper=1.0)

    def square(values: pd.Series) -> Matrix:
        wide = values.unstack("cause").reindex(index=matrix.var_names, columns=matrix.obs_names)
        return wide.to_numpy(dtype=np.float64)

    lfc, p_adjusted = square(by_edge["log_fold_change"].mean()), square(lowest)
    logging.info(
        "%d of %d causes were perturbed alone and tested",
        np.isfinite(p_adjusted).any(axis=0).sum(),
        matrix.n_obs,
    )
    own = lfc[matrix.var_names.get_indexer(matrix.obs_names), np.arange(matrix.n_obs)]
    return Observed(lfc, p_adjusted, own)


def statuses(matrix: ad.AnnData, path: str) -> NDArray[np.str_]:
    """Whether the perturbations of each cause moved its own expression, (causes,)."""
    table = read_tsv(path, dtype={"perturbation": str, "gene": str, "status": str})
    by_pair = table.set_index(["perturbation", "gene"])["status"].to_dict()
    perturbations, found = perturbations_of(matrix), []
    for cause in map(str, matrix.obs_names):
        names = perturbations[cause]
        own = {by_pair.get((name, cause), "") for name in names} - {""}
        found.append(", ".join(sorted(own)))
    return np.array(found)


def edge_table(
    matrix: ad.AnnData, ranked: Edges, seen: Observed, status: NDArray[np.str_], alpha: float
) -> pd.DataFrame:
    """One row per edge, strongest first."""
    at = ranked.effect, ranked.cause
    value = np.asarray(matrix.X, dtype=np.float64).T[at]
    expected = np.sign(ranked.value) * np.sign(seen.own[ranked.cause])
    change = np.sign(seen.lfc[at])
    known = np.isfinite(expected * change) & (expected * change != 0)
    agrees = pd.array(expected == change, dtype="boolean")
    agrees[~known] = pd.NA
    return pd.DataFrame(
        {
            "rank": np.arange(1, len(value) + 1),
            "cause": matrix.obs_names[ranked.cause],
            "effect": matrix.var_names[ranked.effect],
            "value": value,
            "score": ranked.value,
            "observed_lfc": seen.lfc[at],
            "own_lfc": seen.own[ranked.cause],
            "p_adjusted": seen.p_adjusted[at],
            "validated": seen.p_adjusted[at] < alpha,
            "sign_agrees": agrees,
            "target_status": status[ranked.cause],
        }
    )


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
