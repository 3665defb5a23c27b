"""Changes of expression that were observed, as a matrix."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.tables import read_tsv


def read_changes(path: str, genes: Sequence[str]) -> pd.DataFrame:
    """Log fold changes, perturbations x genes, NaN where there is no test."""
    tests = read_tsv(
        path,
        usecols=["perturbation", "gene", "log_fold_change"],
        dtype={"perturbation": "category", "gene": "category"},
    )
    rows, columns = tests["perturbation"].cat, tests["gene"].cat
    values = np.full((len(rows.categories), len(columns.categories)), np.nan)
    values[rows.codes, columns.codes] = tests["log_fold_change"]
    table = pd.DataFrame(values, list(rows.categories), list(columns.categories))
    return table.reindex(columns=list(genes))
