"""What each predicted combination does beyond its targets alone, by one fit."""

from dataclasses import asdict

import numpy as np
import pandas as pd
from tqdm import tqdm

from evaluation.interactions import Interaction, measure_interaction
from pipeline.profiles import References, read_profiles
from pipeline.screen import targets_of
from pipeline.tables import read_tsv, write_tsv

FEWEST_GENES = 3
"""By which an interaction can be measured."""

UNDEFINED = Interaction(*[np.nan] * 6)


def main(*, profiles: str, references: str, genes: str, measures: str) -> None:
    """Write one row per combination of a part.

    Parameters
    ----------
    profiles, references
        Predicted expression of the combinations, and of the control and the singles by the same
        fit.
    genes
        By which genes interactions are measured, and in which unit.
    measures
        TSV to write: length of the change, of the non-additivity and of what chance adds to it,
        and, of pairs, the metrics of their interaction against the model's own singles.
    """
    panel, own = read_profiles(profiles), References(read_profiles(references))
    table = read_tsv(genes, dtype={"gene": str})
    chosen = table["in_interactions"].to_numpy(dtype=bool)
    unit = table["unit"].to_numpy(dtype=np.float64)[chosen]
    normalised = own.change(panel, "normalised")[:, chosen] / unit
    rows = pd.DataFrame(
        {
            "perturbation": panel.names,
            "size": np.linalg.norm(own.change(panel), axis=1),
            "non_additivity": np.linalg.norm(own.beyond(panel), axis=1),
            "sampling_error": np.linalg.norm(own.beyond(panel, "half_difference"), axis=1),
        }
    )
    interactions = []
    for i, name in enumerate(tqdm(panel.names, desc="interactions", unit=" combinations")):
        targets = targets_of(name)
        found = UNDEFINED
        if len(targets) == 2 and chosen.sum() >= FEWEST_GENES:
            a, b = own.of_targets(targets, "normalised")[:, chosen] / unit
            found = measure_interaction(a, b, normalised[i])
        interactions.append(asdict(found))
    write_tsv(pd.concat([rows, pd.DataFrame(interactions)], axis=1), measures)


if __name__ == "__main__":
    from pipeline.job import run_job

    run_job(main, globals()["snakemake"])
