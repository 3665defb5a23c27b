"""Annealed Langevin sampling of the stationary distribution (Eq. 13)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lcd_core.drift import Drift


@dataclass(frozen=True)
class SamplerSettings:
    """Step size and length of the annealed sampler.

    From the largest noise level to the smallest, ``steps_per_level`` times
    ``x <- x + s f(x; alpha) + sqrt(2 s) xi`` with ``s = step_size * alpha^2``.
    """

    step_size: float = 1.0
    steps_per_level: int = 20


# "released" is the released code's step, 1e-6 (alpha / alpha_1)^2. The text's 1e-4 read as a step
# of 1e-4 alpha^2 does not mix (see the closed form below) and is not offered.
# The default is where the curve of MMD to a long run against drift evaluations flattens, below the
# error of the fit (benchmarks/sampler_curve.py).
PRESETS = {
    "released": SamplerSettings(step_size=0.01, steps_per_level=500),
    "fine": SamplerSettings(step_size=0.1, steps_per_level=100),
    "default": SamplerSettings(step_size=1.0, steps_per_level=10),
    "fast": SamplerSettings(step_size=1.0, steps_per_level=5),
}


def sample_states(
    drift: Drift,
    membership: Tensor,
    settings: SamplerSettings,
    generator: torch.Generator,
) -> Tensor:
    """Draw one standardised state per row of ``membership``.

    Parameters
    ----------
    drift
        Trained drift.
    membership
        Multi-hot conditions, shape (n, targets); rows may differ.
    settings
        See :class:`SamplerSettings`.
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
        for level in reversed(range(len(drift.alphas))):
            alpha = drift.alphas[level].to(dtype)
            noise_scale = alpha * (2.0 * settings.step_size) ** 0.5
            for _ in range(settings.steps_per_level):
                scaled = drift.scaled(x, first, second, level_features[level], alpha)
                noise = torch.randn(x.shape, generator=generator, device=device, dtype=dtype)
                x = x + (settings.step_size * alpha) * scaled + noise_scale * noise
    return x


def gaussian_moments(
    mean: float, variance: float, alphas: Tensor, settings: SamplerSettings
) -> tuple[float, float]:
    """Exact mean and variance of the sampler's output for data N(mean, variance) and exact scores.

    With ``f = -(x - mean) / (variance + alpha^2)`` each step is an affine map of x, so both
    moments follow a recursion. Used to judge step sizes without training anything.
    """
    m, v = 0.0, 1.0
    for alpha in reversed(alphas.tolist()):
        step = settings.step_size * alpha**2
        pull = step / (variance + alpha**2)
        for _ in range(settings.steps_per_level):
            m = m + pull * (mean - m)
            v = (1.0 - pull) ** 2 * v + 2.0 * step
    return m, v
