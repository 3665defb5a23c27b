"""Predicted combinations over all fits: profiles, interactions, and what to measure next."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd

from evaluation.interaction_types import MEASURES, TYPES, calibrated, types_of
from pipeline.annotations import read_annotations
from pipeline.panel import REFERENCES
from pipeline.profiles import MEAN, Matrix, References, read_profiles
from pipeline.screen import write_h5ad
from pipeline.tables import read_tsv, write_tsv

OF_PAIRS = ("c_a", "c_b", *MEASURES)
CHANGE, NON_ADDITIVE = "change", "non_additivity"
REASONS = ("non_additive", "uncertain", "wanted")
TOP_COLUMNS = [
    "perturbation", "by", "rank", "gene", "change", "change_sd", "additive", "non_additivity",
    "non_additivity_sd",
]  # fmt: skip
NEXT_COLUMNS = [
    "reason", "rank", "perturbation", "value", "sd", "additive", "measured", "measured_cells",
    "genes",
]  # fmt: skip


def main(
    *,
    combinations: str,
    genes: str,
    references: list[str],
    profiles: list[str],
    measures: list[str],
    predictions: str,
    mean_profiles: str,
    top: str,
    candidates: str,
    thresholds: str,
    published: Mapping[str, float],
    n_fits: int,
    n_states: int,
    nearest_by: str,
    top_genes: int,
    listed: int,
    annotations: str | None = None,
) -> None:
    """Bring the parts of a panel by all fits together.

    Parameters
    ----------
    combinations, genes
        The panel, and the wanted change.
    references
        Control and singles, by each fit.
    profiles, measures
        The parts by each fit: all parts of the first fit, then of the second, and so on.
    predictions, mean_profiles, top, candidates, thresholds
        Files to write: a row per combination; profiles over fits; strongest genes; what to
        measure next; thresholds of the types.
    published
        Thresholds of the types.
    n_fits, n_states
        Fits, and states that each drew of a combination.
    nearest_by
        ``cosine`` or ``distance``.
    top_genes
        Genes listed of each combination, by change and by non-additivity each.
    listed
        Combinations listed for each reason to measure them.
    annotations
        Pairs of known type by which thresholds are calibrated.
    """
    panel = read_tsv(combinations, dtype={"perturbation": str, "part": str})
    of_genes = read_tsv(genes, dtype={"gene": str})
    wanted = of_genes["wanted"].to_numpy(dtype=np.float64)
    parts = len(profiles) // n_fits
    by_fit = [profiles[fit * parts : (fit + 1) * parts] for fit in range(n_fits)]
    blocks = [combined(references, references, wanted)]
    blocks += [combined(own, references, wanted) for own in zip(*by_fit, strict=True)]

    mean = {key: np.concatenate([block.mean[key] for block in blocks]) for key in blocks[0].mean}
    names = [name for block in blocks for name in block.names]
    panel = panel.set_index("perturbation").loc[names].reset_index()
    write_h5ad(
        mean_anndata(mean, panel, of_genes["gene"].tolist(), n_fits * n_states), mean_profiles
    )

    table = pd.concat([block.table for block in blocks], ignore_index=True)
    table = pd.concat([panel.drop(columns="part"), table.drop(columns="perturbation")], axis=1)
    kept = (panel["part"] != REFERENCES).to_numpy()
    table = table[kept].reset_index(drop=True)
    of_fits = pd.concat([read_tsv(path, dtype={"perturbation": str}) for path in measures])
    table = with_measures(table, of_fits, n_fits)
    limits = thresholds_of(table, annotations, published)
    table = with_types(table, of_fits, limits)

    strongest = top_table({key: own[kept] for key, own in mean.items()}, table, of_genes, top_genes)
    for by, column in ((CHANGE, "strongest_genes"), (NON_ADDITIVE, "non_additive_genes")):
        own = strongest[strongest["by"] == by].groupby("perturbation")["gene"].agg(", ".join)
        table[column] = table["perturbation"].map(own)
    write_tsv(table, predictions)
    write_tsv(strongest, top)
    write_tsv(next_table(table, nearest_by, listed), candidates)
    write_tsv(limits.rename_axis("type").reset_index(), thresholds)


@dataclass(frozen=True)
class Block:
    """One part over all fits: names, means by kind (n, d) float32, and a row per combination."""

    names: list[str]
    mean: dict[str, np.ndarray]
    table: pd.DataFrame


def combined(paths: Sequence[str], references: Sequence[str], wanted: Matrix) -> Block:
    """Bring one part of the panel, by each fit, together."""
    fits = [
        (read_profiles(path), References(read_profiles(own)))
        for path, own in zip(paths, references, strict=True)
    ]
    names = fits[0][0].names
    change = np.stack([own.change(part) for part, own in fits])
    beyond = np.stack([own.beyond(part) for part, own in fits])
    spread, beyond_sd = deviation(change), deviation(beyond)
    found = {
        MEAN: np.mean([part.values[MEAN] for part, _ in fits], axis=0),
        "variance": np.mean([part.values["variance"] for part, _ in fits], axis=0),
        CHANGE: change.mean(axis=0),
        "change_sd": spread,
        NON_ADDITIVE: beyond.mean(axis=0),
        "non_additivity_sd": beyond_sd,
    }
    table = pd.DataFrame({"perturbation": names})
    table["size"] = np.linalg.norm(found[CHANGE], axis=1)
    table["spread"] = np.linalg.norm(spread, axis=1)
    table[NON_ADDITIVE] = np.linalg.norm(found[NON_ADDITIVE], axis=1)
    table["non_additivity_sd"] = deviation(np.linalg.norm(beyond, axis=2))
    additive = found[CHANGE] - found[NON_ADDITIVE]
    table["additive_size"] = np.linalg.norm(additive, axis=1)
    for name, measure in (("cosine", cosine), ("distance", distance)):
        table[name] = measure(found[CHANGE], wanted)
        table[f"{name}_sd"] = deviation(np.stack([measure(own, wanted) for own in change]))
        table[f"additive_{name}"] = measure(additive, wanted)
    return Block(names, {k: v.astype(np.float32) for k, v in found.items()}, table)


def deviation(values: Matrix) -> Matrix:
    """Standard deviation over fits, the first axis; NaN of a single one."""
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(values.std(axis=0, ddof=1))


def cosine(changes: Matrix, wanted: Matrix) -> Matrix:
    """Cosine of the angle to a wanted change, over the genes of which one is wanted; or NaN."""
    said = np.isfinite(wanted)
    own, goal = changes[:, said], wanted[said]
    # of any unit: squares of very large or small changes are no numbers, or 0
    largest = np.abs(goal).max(initial=0)
    goal = goal / largest if largest > 0 else goal
    size = np.linalg.norm(own, axis=1) * np.linalg.norm(goal)
    return np.divide(own @ goal, size, out=np.full(len(own), np.nan), where=size > 0)


def distance(changes: Matrix, wanted: Matrix) -> Matrix:
    """Euclidean distance to a wanted change over the same genes; or NaN."""
    said = np.isfinite(wanted)
    if not said.any():
        return np.full(len(changes), np.nan)
    return np.asarray(np.linalg.norm(changes[:, said] - wanted[said], axis=1))


def mean_anndata(
    mean: Mapping[str, np.ndarray], panel: pd.DataFrame, genes: Sequence[str], n_states: int
) -> ad.AnnData:
    """Profiles over fits, also a prediction as the evaluation reads it (`profile`)."""
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(panel["perturbation"]),
            "n_cells": n_states,
            "n_targets": panel["n_targets"].to_numpy(),
            "measured_cells": panel["measured_cells"].to_numpy(),
        },
        index=panel["perturbation"].astype(str).to_numpy(),
    )
    layers = {key: own for key, own in mean.items() if key != MEAN}
    return ad.AnnData(
        X=mean[MEAN],
        obs=obs,
        var=pd.DataFrame(index=list(genes)),
        layers=layers,
        uns={"values": "profile"},
    )


def with_measures(table: pd.DataFrame, of_fits: pd.DataFrame, n_fits: int) -> pd.DataFrame:
    """Add what is measured by each fit: means, and the spread of the magnitude."""
    grouped = of_fits.groupby("perturbation")
    mean = grouped[["sampling_error", *OF_PAIRS]].mean()
    # independent of each other they are not, since fits share random numbers
    table = table.join(mean, on="perturbation")
    sd = grouped["magnitude"].std(ddof=1) if n_fits > 1 else mean["magnitude"] * np.nan
    table["magnitude_sd"] = table["perturbation"].map(sd)
    return table


def thresholds_of(
    table: pd.DataFrame, annotations: str | None, published: Mapping[str, float]
) -> pd.DataFrame:
    """Thresholds of the types, calibrated by annotated pairs of the panel where there are such."""
    measured = table.set_index("perturbation")[list(MEASURES)].dropna()
    known = read_annotations(annotations) if annotations else {}
    return calibrated(measured, known, published)


def with_types(
    table: pd.DataFrame, of_fits: pd.DataFrame, thresholds: pd.DataFrame
) -> pd.DataFrame:
    """Add the types of pairs by their mean metrics, and the share of fits that agree in them."""
    limits = thresholds["threshold"].to_dict()
    found = types_of(table, limits)
    single = types_of(of_fits, limits)
    single["perturbation"] = of_fits["perturbation"]
    share = single.groupby("perturbation")[list(TYPES)].mean()
    agreement = share.loc[table["perturbation"]].to_numpy()
    agreement = np.where(found.to_numpy(), agreement, 1 - agreement).min(axis=1)
    pair = table["magnitude"].notna().to_numpy()
    table["types"] = [
        ", ".join(name for name in TYPES if own[name]) if known else np.nan
        for own, known in zip(found.to_dict("records"), pair, strict=True)
    ]
    several = of_fits.groupby("perturbation").size().max() > 1 if len(of_fits) else False
    table["type_agreement"] = np.where(pair & several, agreement, np.nan)
    return table


def top_table(
    mean: Mapping[str, np.ndarray], table: pd.DataFrame, genes: pd.DataFrame, most: int
) -> pd.DataFrame:
    """Strongest genes of each combination, by change and by non-additivity."""
    names = genes["gene"].to_numpy(dtype=str)
    most = min(most, len(names))
    rows = []
    for by in (CHANGE, NON_ADDITIVE):
        order = np.argsort(-np.abs(mean[by]), axis=1, kind="stable")[:, :most]
        own = {key: np.take_along_axis(values, order, axis=1) for key, values in mean.items()}
        rows.append(
            pd.DataFrame(
                {
                    "perturbation": np.repeat(table["perturbation"].to_numpy(), most),
                    "by": by,
                    "rank": np.tile(np.arange(1, most + 1), len(table)),
                    "gene": names[order].ravel(),
                    "change": own[CHANGE].ravel(),
                    "change_sd": own["change_sd"].ravel(),
                    "additive": (own[CHANGE] - own[NON_ADDITIVE]).ravel(),
                    "non_additivity": own[NON_ADDITIVE].ravel(),
                    "non_additivity_sd": own["non_additivity_sd"].ravel(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)[TOP_COLUMNS]


def next_table(table: pd.DataFrame, nearest_by: str, listed: int) -> pd.DataFrame:
    """What to measure next, and why: most non-additive, most uncertain, nearest to what is wanted.

    Fits disagree by chance alone where there are two or three of them: neighbours in rank are no
    different.
    """
    columns = {
        "non_additive": (NON_ADDITIVE, "non_additivity_sd", None, False),
        "uncertain": ("spread", None, None, False),
        "wanted": (
            nearest_by, f"{nearest_by}_sd", f"additive_{nearest_by}", nearest_by == "distance",
        ),
    }  # fmt: skip
    found = []
    for reason in REASONS:
        value, sd, additive, ascending = columns[reason]
        own = table.dropna(subset=[value])
        if own.empty:
            continue
        own = own.sort_values(value, ascending=ascending, kind="stable").head(listed)
        genes = "non_additive_genes" if reason == "non_additive" else "strongest_genes"
        found.append(
            pd.DataFrame(
                {
                    "reason": reason,
                    "rank": range(1, len(own) + 1),
                    "perturbation": own["perturbation"].to_numpy(),
                    "value": own[value].to_numpy(),
                    "sd": own[sd].to_numpy() if sd else np.nan,
                    "additive": own[additive].to_numpy() if additive else np.nan,
                    "measured": (own["measured_cells"] > 0).to_numpy(),
                    "measured_cells": own["measured_cells"].to_numpy(),
                    "genes": own[genes].to_numpy(),
                }
            )
        )
        logging.info("%s: first %s", reason, ", ".join(own["perturbation"].head(5)))
    return pd.concat(found, ignore_index=True)[NEXT_COLUMNS]


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
