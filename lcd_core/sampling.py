"""Annealed Langevin sampling of the stationary distribution (Eq. 13)."""

import torch
from torch import Tensor

from lcd_core.drift import Drift
from lcd_core.settings import SamplerSettings


def sample_states(
    drift: Drift,
    membership: Tensor,
    settings: SamplerSettings,
    generator: torch.Generator,
    *,
    number: int | None = None,
) -> Tensor:
    """Draw one standardised state per row of ``membership``, or many of a single row.

    From the largest noise level to the smallest, ``steps_per_level`` times
    ``x <- x + s f(x; alpha) + sqrt(2 s) xi`` with ``s = step_size * alpha^2``. Without annealing
    as many steps at the smallest.

    Parameters
    ----------
    drift
        Trained drift.
    membership
        Multi-hot conditions, shape (n, targets); rows may differ.
    settings
        Step size and length; how many cells a state gives is up to the caller.
    generator
        Source of randomness on the drift's device.
    number
        States to draw under the one condition that ``membership`` then has; by default as many as
        it has rows. What a condition adds to the network is then a row and not a matrix.

    Returns
    -------
    Tensor
        Shape (n, d), in the model's standardised coordinates.
    """
    genes = drift.output.out_features
    like = drift.embedding
    rows = len(membership) if number is None else number
    conditioned = drift.under(membership)
    alphas = conditioned.alphas
    x = torch.randn(rows, genes, generator=generator, device=like.device, dtype=like.dtype)
    noise = torch.empty_like(x)
    levels = range(len(alphas)) if settings.annealing else [0] * len(alphas)
    for level in reversed(levels):
        step = settings.step_size * alphas[level]
        noise_scale = alphas[level] * (2.0 * settings.step_size) ** 0.5
        for _ in range(settings.steps_per_level):
            conditioned.move_(x, level, step)
            torch.randn(x.shape, generator=generator, out=noise)
            x.add_(noise, alpha=noise_scale)
    return x
