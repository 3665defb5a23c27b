"""Conditions of a screen: sets of perturbation targets, the control being the empty one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lcd_core.errors import InputError

CONTROL = "control"
SEPARATOR = "+"


def targets_of(name: str) -> tuple[str, ...]:
    """Targets that a condition's name joins by ``+``; the control has none."""
    return () if name == CONTROL else tuple(name.split(SEPARATOR))


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
