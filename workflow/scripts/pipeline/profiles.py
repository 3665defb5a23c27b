"""Predicted profiles of combinations, and what they are compared with: the model's own singles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.screen import CONTROL, read_anndata, targets_of

LAYERS = ("variance", "half_difference", "normalised")
MEAN = "mean"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Profiles:
    """Predicted expression, conditions x genes.

    Attributes
    ----------
    names, genes
        Of rows and columns.
    values
        By name: ``mean`` and ``variance`` of log1p(counts per 10,000), ``half_difference`` of the
        means over two halves of the states, halved, and ``normalised`` counts per 10,000.
    """

    names: list[str]
    genes: list[str]
    values: dict[str, Matrix]


def read_profiles(path: str | Path) -> Profiles:
    """Read a part of a panel."""
    cells = read_anndata(path)
    values = {MEAN: np.asarray(cells.X, dtype=np.float64)}
    values |= {layer: np.asarray(cells.layers[layer], dtype=np.float64) for layer in LAYERS}
    return Profiles(list(cells.obs_names), list(cells.var_names), values)


class References:
    """The control and the singles as a model predicts them.

    Parameters
    ----------
    profiles
        Among them those of the control and of every target asked for.
    """

    def __init__(self, profiles: Profiles) -> None:
        self.profiles = profiles
        self.row = {name: i for i, name in enumerate(profiles.names)}

    def change(self, profiles: Profiles, kind: str = MEAN) -> Matrix:
        """Changes of conditions from the control, (n, d)."""
        return profiles.values[kind] - self.profiles.values[kind][self.row[CONTROL]]

    def of_targets(self, targets: Sequence[str], kind: str = MEAN) -> Matrix:
        """Changes under targets alone, (targets, d)."""
        rows = [self.row[target] for target in targets]
        return self.change(self.profiles, kind)[rows]

    def additive(self, names: Sequence[str], kind: str = MEAN) -> Matrix:
        """Sum of the changes under the targets of each combination alone, (n, d)."""
        singles = self.change(self.profiles, kind)
        return np.stack([singles[[self.row[t] for t in targets_of(q)]].sum(axis=0) for q in names])

    def beyond(self, profiles: Profiles, kind: str = MEAN) -> Matrix:
        """Non-additivity: changes less the sum of those under the targets alone, (n, d)."""
        return self.change(profiles, kind) - self.additive(profiles.names, kind)
