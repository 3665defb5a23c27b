"""Annealed Langevin sampling of the stationary distribution (Eq. 13)."""

from collections.abc import Callable

import torch
from torch import Tensor

from lcd_core.drift import Drift, SamplingDrift
from lcd_core.settings import LEIMKUHLER_MATTHEWS, SamplerSettings


def sample_states(
    drift: Drift,
    membership: Tensor,
    settings: SamplerSettings,
    generator: torch.Generator,
    *,
    number: int | None = None,
) -> Tensor:
    """Draw one standardised state per row of ``membership``, or many of a single row.

    See :func:`anneal_`.

    Parameters
    ----------
    drift
        Trained drift.
    membership
        Multi-hot conditions, shape (n, targets); rows may differ.
    settings
        Scheme, step size and length; how many cells a state gives is up to the caller.
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
    x = torch.randn(rows, genes, generator=generator, device=like.device, dtype=like.dtype)
    noise = torch.empty_like(x)

    def draw() -> Tensor:
        return torch.randn(x.shape, generator=generator, out=noise)

    anneal_(drift.under(membership), x, x, settings, draw)
    return x


def anneal_(
    drift: SamplingDrift,
    x: Tensor,
    noisy: Tensor,
    settings: SamplerSettings,
    draw: Callable[[], Tensor],
) -> None:
    """Move states to the stationary distribution, in place, through falling noise levels.

    From the largest level alpha to the smallest, ``steps_per_level`` times with
    ``s = step_size * alpha^2`` and standard normal ``xi``. ``euler_maruyama`` (Eq. 13)::

        x <- x + s f(x; alpha) + sqrt(2 s) xi

    ``leimkuhler_matthews`` has half of the noise before the drift and the same half after it::

        x <- x + sqrt(s/2) xi;  x <- x + s f(x; alpha);  x <- x + sqrt(s/2) xi

    and another ``sqrt(s/2) xi`` at the end. Its stationary distribution is right to second order
    in s, and for a linear drift exact, where that of Euler and Maruyama is right to first order:
    for the same evaluations of the drift it can take larger steps, and so gets further (Leimkuhler
    and Matthews 2013, Appl. Math. Res. Express; in this form Vilmart 2015, SIAM J. Sci. Comput.).
    Without annealing as many steps at the smallest level.

    Parameters
    ----------
    drift
        Under the conditions of the rows.
    x
        States, shape (rows, d).
    noisy
        The same memory, of a shape to which noise can be added; (q, n, d) where conditions share
        it.
    settings
        Scheme, step size and length.
    draw
        Gives new standard normal numbers, (n, d), perhaps in the same memory each time.
    """
    alphas = drift.alphas
    levels = range(len(alphas)) if settings.annealing else [0] * len(alphas)
    split = settings.scheme == LEIMKUHLER_MATTHEWS
    scale = 0.0
    for level in reversed(levels):
        step = settings.step_size * alphas[level]
        scale = alphas[level] * ((0.5 if split else 2.0) * settings.step_size) ** 0.5
        for _ in range(settings.steps_per_level):
            if split:
                noise = draw()
                noisy.add_(noise, alpha=scale)
                drift.move_(x, level, step)
            else:
                drift.move_(x, level, step)
                noise = draw()
            noisy.add_(noise, alpha=scale)
    if split:
        noisy.add_(draw(), alpha=scale)
