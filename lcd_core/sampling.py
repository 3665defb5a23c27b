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
) -> Tensor:
    """Draw one standardised state per row of ``membership``.

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

    Returns
    -------
    Tensor
        Shape (n, d), in the model's standardised coordinates.
    """
    genes = drift.output.out_features
    device = drift.embedding.device
    dtype = drift.embedding.dtype
    with torch.no_grad():
        first, second = drift.condition_features(membership.to(device))
        level_features = drift.level_features()
        x = torch.randn(len(membership), genes, generator=generator, device=device, dtype=dtype)
        levels = range(len(drift.alphas)) if settings.annealing else [0] * len(drift.alphas)
        for level in reversed(levels):
            alpha = drift.alphas[level].to(dtype)
            noise_scale = alpha * (2.0 * settings.step_size) ** 0.5
            for _ in range(settings.steps_per_level):
                scaled = drift.scaled(x, first, second, level_features[level], alpha)
                noise = torch.randn(x.shape, generator=generator, device=device, dtype=dtype)
                x = x + (settings.step_size * alpha) * scaled + noise_scale * noise
    return x
