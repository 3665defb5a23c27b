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
    device = drift.embedding.device
    dtype = drift.embedding.dtype
    rows = len(membership) if number is None else number
    with torch.no_grad():
        first, second = drift.condition_features(membership.to(device))
        level_features = drift.level_features()
        x = torch.randn(rows, genes, generator=generator, device=device, dtype=dtype)
        noise = torch.empty_like(x)
        alphas = drift.alphas.to(dtype)
        sizes = alphas.tolist()  # once: a GPU is waited for
        levels = range(len(alphas)) if settings.annealing else [0] * len(alphas)
        for level in reversed(levels):
            step = settings.step_size * sizes[level]
            noise_scale = sizes[level] * (2.0 * settings.step_size) ** 0.5
            for _ in range(settings.steps_per_level):
                scaled = drift.scaled(x, first, second, level_features[level], alphas[level])
                torch.randn(x.shape, generator=generator, out=noise)
                x.add_(scaled, alpha=step).add_(noise, alpha=noise_scale)
    return x
