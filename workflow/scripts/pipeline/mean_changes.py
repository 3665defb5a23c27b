"""Mean changes of expression from control: what baselines that shift control cells start from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lcd_core.errors import InputError
from pipeline.predictions import mean_expression, read_test_perturbations
from pipeline.screen import CONTROL, read_screen, targets_of

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class MeanChanges:
    """Mean changes of log-normalised expression from control, over the cells of a condition.

    Attributes
    ----------
    cells
        Training cells.
    changes
        Training perturbations x genes.
    """

    cells: ad.AnnData
    changes: pd.DataFrame

    @property
    def mean(self) -> Vector:
        """Mean over training perturbations, (d,)."""
        return np.asarray(self.changes.mean())

    @property
    def combinations(self) -> list[str]:
        """Training perturbations of several targets."""
        return [name for name in self.changes.index if len(targets_of(name)) > 1]

    def singles(self, perturbation: str) -> Vector:
        """Changes under each target of a perturbation alone, (targets, d).

        A target without a single perturbation in training has the mean over training perturbations.
        """
        own, mean = [], self.mean
        for target in targets_of(perturbation):
            known = target in self.changes.index
            own.append(self.changes.loc[target].to_numpy() if known else mean)
            if not known:
                logging.info("%s: mean effect for %s, not measured alone", perturbation, target)
        return np.stack(own)


def read_mean_changes(train: str) -> MeanChanges:
    """Read training cells and compute their mean changes.

    Raises
    ------
    InputError
        If there are no control cells, or nothing but these.
    """
    cells = read_screen(train)
    means = mean_expression(cells)
    if CONTROL not in means.index or len(means) < 2:
        raise InputError(
            "control cells and at least one perturbation are needed",
            where=f"{train}, obs['perturbation']",
            found=means.index,
        )
    return MeanChanges(cells, means.drop(index=CONTROL) - means.loc[CONTROL])


def additive(known: MeanChanges, test_perturbations: str) -> dict[str, Vector]:
    """Sum of the single effects of each test perturbation: SALT (Gaudelet et al. 2024)."""
    names = read_test_perturbations(test_perturbations)
    return {name: known.singles(name).sum(axis=0) for name in names}


def seen_targets(known: MeanChanges, names: Sequence[str]) -> list[str]:
    """Targets of training perturbations and of ``names``, sorted."""
    return sorted(
        {target for name in [*known.changes.index, *names] for target in targets_of(name)}
    )
