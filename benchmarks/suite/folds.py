"""A fold of a finished run: its training counts, and how predictions of a model score on it."""

from pathlib import Path

import numpy as np
import torch

from evaluation.distances import energy_distance, maximum_mean_discrepancy
from lcd_core.model import LCD
from lcd_core.settings import PRESETS
from pipeline.screen import counts_by_condition, lognorm, read_names, read_screen, targets_of
from pipeline.tables import read_tsv


class Fold:
    """Counts of the training cells by condition, and the held-out combinations."""

    def __init__(self, folder: Path) -> None:
        train = read_screen(folder / "data/train.h5ad")
        self.name, self.genes = folder.name, train.var_names.tolist()
        self.counts = {q: torch.from_numpy(own) for q, own in counts_by_condition(train).items()}
        self.sets = {q: targets_of(q) for q in self.counts}
        self.held_out = read_names(folder / "data/test_perturbations.txt")
        self._observed = counts_by_condition(read_screen(folder / "data/test.h5ad"))
        tests = read_tsv(folder / "data/test_differential_expression.tsv")
        self._top = {
            q: [self.genes.index(gene) for gene in own["gene"]]
            for q, own in tests[tests["rank"] <= 20].groupby("perturbation")
        }

    def scores(self, model: LCD, q: str, cells: int, seed: int) -> dict[str, float]:
        """Distances of so many predicted cells of a held-out combination to the observed ones."""
        drawn = model.sample(targets_of(q), cells, seed=seed, sampler=PRESETS["default"])
        own, other = (lognorm(np.asarray(c)).astype(float) for c in (drawn, self._observed[q]))
        own_top, other_top = own[:, self._top[q]], other[:, self._top[q]]
        difference = own_top.mean(axis=0) - other_top.mean(axis=0)
        return {
            "mmd_top_de": maximum_mean_discrepancy(own_top, other_top),
            "mmd_all": maximum_mean_discrepancy(own, other),
            "energy_distance_top_de": energy_distance(own_top, other_top),
            "rmse_top_de": float(np.sqrt(np.mean(difference**2))),
        }
