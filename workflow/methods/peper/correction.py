"""The correction of PEPER: ``phi_2(sum_t phi_1(delta_t))``."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lcd_core.streams import stream
from pipeline.networks import minimise, perceptron


class Correction(nn.Module):
    """What is added to the sum of single effects (Gaudelet et al. 2024; Lorch et al. 2026).

    The last layer starts at zero, so that an untrained PEPER is SALT.
    """

    def __init__(self, genes: int, hidden: int, layers: int, seed: int) -> None:
        super().__init__()
        generator = stream(seed, "peper", "weights")
        width = [hidden] * layers
        self.inner = perceptron([genes, *width, hidden], generator)
        self.outer = perceptron([hidden, *width, genes], generator, zero_last=True)

    def forward(self, singles: Tensor) -> Tensor:
        """Corrections, (n, d), of combinations with the single effects (n, targets, d).

        Rows of NaN stand where a combination has fewer targets.
        """
        there = ~singles.isnan().any(dim=-1, keepdim=True)
        inner = self.inner(singles.nan_to_num()) * there
        corrections: Tensor = self.outer(inner.sum(dim=1))
        return corrections


def fit_correction(
    singles: Sequence[NDArray[np.float64]],
    changes: NDArray[np.float64],
    *,
    hidden: int,
    layers: int,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    batch: int,
    seed: int,
    device: torch.device,
) -> Correction:
    """Learn the correction from combinations.

    The published loss is the central moment discrepancy (Zellinger et al. 2017) between shifted
    control cells and observed cells. A shift moves the mean alone, so of its terms only the first
    one has a gradient, the Euclidean distance of the means; this is what is minimised, between the
    means of all cells.

    Parameters
    ----------
    singles
        For each combination the changes under its targets alone, (targets, d).
    changes
        Changes under the combinations, (n, d).
    hidden, layers, steps, learning_rate, weight_decay, batch
        Settings of the method.
    """
    most, genes = max(len(own) for own in singles), changes.shape[1]
    padded = np.full((len(singles), most, genes), np.nan)
    for row, own in enumerate(singles):
        padded[row, : len(own)] = own
    inputs = torch.as_tensor(padded, dtype=torch.float32, device=device)
    wanted = torch.as_tensor(changes, dtype=torch.float32, device=device)
    wanted = wanted - inputs.nan_to_num().sum(dim=1)
    model = Correction(genes, hidden, layers, seed).to(device)
    draws, n = stream(seed, "peper", "batches"), len(singles)

    def loss() -> Tensor:
        rows = torch.randperm(n, generator=draws)[:batch].to(device) if batch < n else slice(None)
        return torch.linalg.vector_norm(model(inputs[rows]) - wanted[rows], dim=1).mean()

    minimise(
        loss,
        list(model.parameters()),
        steps=steps,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        name="PEPER",
    )
    return model
