"""Conditions of a screen: named sets of perturbation targets."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lcd_core.errors import InputError


class Conditions:
    """Named conditions and the targets each of them perturbs; the control is the empty set.

    Parameters
    ----------
    target_sets
        Condition name -> its targets, any number of them. Order is kept.

    Attributes
    ----------
    names
        Condition names.
    targets
        All targets, sorted.
    membership
        Multi-hot float32 matrix, shape (conditions, targets).
    """

    def __init__(self, target_sets: Mapping[str, Sequence[str]]) -> None:
        if not target_sets:
            raise InputError("there are no conditions")
        repeated = [name for name, t in target_sets.items() if len(set(t)) != len(t)]
        if repeated:
            raise InputError("a target appears twice in one condition", found=repeated)
        self.target_sets = {name: tuple(t) for name, t in target_sets.items()}
        self.names = list(self.target_sets)
        self.targets = sorted({target for t in self.target_sets.values() for target in t})
        self.membership = multi_hot(list(self.target_sets.values()), self.targets)

    def __len__(self) -> int:
        return len(self.names)

    def single_targets(self) -> list[str]:
        """Targets that are perturbed alone in some condition, sorted."""
        return sorted({t[0] for t in self.target_sets.values() if len(t) == 1})


def multi_hot(target_sets: Sequence[Sequence[str]], targets: Sequence[str]) -> Tensor:
    """Multi-hot rows, shape (len(target_sets), len(targets)).

    Raises
    ------
    InputError
        If a set holds a name that is not among ``targets``.
    """
    column = {target: i for i, target in enumerate(targets)}
    unknown = sorted({t for names in target_sets for t in names} - column.keys())
    if unknown:
        raise InputError(
            "unknown perturbation targets",
            found=unknown,
            remedy=f"use targets the model was trained on, such as {', '.join(targets[:5])}",
        )
    matrix = torch.zeros(len(target_sets), len(targets))
    for row, names in enumerate(target_sets):
        for name in names:
            matrix[row, column[name]] = 1.0
    return matrix
