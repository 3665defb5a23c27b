"""Coefficients of single effects in combinations, by ridge regression."""

import numpy as np

from pipeline.mean_changes import MeanChanges
from pipeline.screen import targets_of


def fit_coefficients(known: MeanChanges, shrinkage: float) -> tuple[float, dict[str, float]]:
    """Fit the coefficients of the targets of training combinations.

    With ``delta_q`` the change under a combination q and ``delta_t`` under its targets alone,
    minimises ``sum_q ||delta_q - sum_t c_t delta_t||^2 + shrinkage s sum_t (c_t - c)^2``, where c
    is the one coefficient that fits best for all targets, and s the mean of ``||delta_t||^2``.

    Returns
    -------
    float, dict
        The shared coefficient, which is that of targets in no training combination; and those of
        the others. 1 and none if there are no combinations.
    """
    names = known.combinations
    if not names:
        return 1.0, {}
    targets = sorted({target for name in names for target in targets_of(name)})
    place = {target: i for i, target in enumerate(targets)}
    gram, right = np.zeros((len(targets), len(targets))), np.zeros(len(targets))
    for name in names:
        own = [place[target] for target in targets_of(name)]
        singles = known.singles(name)
        gram[np.ix_(own, own)] += singles @ singles.T
        right[own] += singles @ known.changes.loc[name].to_numpy()
    size = gram.sum()  # of all sums of single effects
    shared = float(right.sum() / size) if size > 0 else 1.0
    effects = np.concatenate([known.singles(name) for name in names])
    weight = shrinkage * float((effects**2).sum(axis=1).mean())
    if weight == 0:
        return shared, {}
    solved = np.linalg.solve(gram + weight * np.eye(len(targets)), right + weight * shared)
    return shared, dict(zip(targets, solved.tolist(), strict=True))
