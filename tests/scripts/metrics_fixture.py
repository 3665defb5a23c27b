"""Metrics of a benchmark that nobody ran."""

import numpy as np
import pandas as pd

from benchmark import aggregate_metrics

METHODS = ("lcd", "control", "random_perturbed", "salt", "mean_combination", "ceiling")
LEVELS = {
    "ceiling": 0.0004,
    "lcd": 0.005,
    "random_perturbed": 0.007,
    "salt": 0.008,
    "mean_combination": 0.009,
    "control": 0.01,
}


def metrics_table(perturbations, methods=METHODS, seed=0):
    """Values as :mod:`compute_metrics` writes them; ``perturbations`` maps folds to names."""
    rng = np.random.default_rng(seed)
    rows = []
    for fold, names in perturbations.items():
        for name in names:
            difficulty = rng.lognormal(0, 0.5)
            for method in methods:
                level = LEVELS[method]
                value = level * difficulty * rng.lognormal(0, 0.3) + rng.normal(0, 3e-4)
                correlation = 1 - level * rng.lognormal(0, 0.2)
                values = {
                    "mmd_top_de": value,
                    "rmse_top_de": np.sqrt(abs(value)) * 3,
                    "pearson_mean": correlation,
                }
                rows += [
                    (fold, method, name, 2, 2, metric, number, 50, 50)
                    for metric, number in values.items()
                ]
    return pd.DataFrame(rows, columns=aggregate_metrics.COLUMNS)
