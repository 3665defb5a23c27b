"""Many conditions from the same random numbers, and what their cells express on average.

Two conditions whose states start from the same noise differ by what the drift says of them, and
hardly by chance: differences of their means, and what is left of a combination beyond its parts,
need far fewer states than independent draws would.
"""

import math

import torch
from torch import Tensor

from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.sampling import anneal_
from lcd_core.settings import SamplerSettings
from lcd_core.streams import stream

TARGET_SUM = 1e4
"""Counts per cell to which expression is scaled."""

NODES = torch.arange(-22.0, 4.0, 0.6, dtype=torch.float64)
"""Of the integral of :func:`expected_expression`, logarithms of its variable."""


def coupled_states(
    drift: Drift, membership: Tensor, n: int, *, seed: int, sampler: SamplerSettings | None = None
) -> Tensor:
    """Draw ``n`` standardised states of every condition, all from the same random numbers.

    A state depends on its condition, its number and the seed alone, and not on which other
    conditions are drawn with it.

    Parameters
    ----------
    drift
        Trained drift.
    membership
        Multi-hot conditions, shape (q, targets).
    n
        States of each.
    seed
        Seed of the noise that all conditions share.
    sampler
        Annealing, as in :func:`lcd_core.sampling.sample_states`. None follows the probability flow
        instead: the noise of the first level is led to the data by an ordinary differential
        equation, which needs one evaluation of the drift at each noise level, and one to begin.

    Returns
    -------
    Tensor
        Shape (q, n, d), in the model's standardised coordinates.

    Raises
    ------
    InputError
        If ``n`` is below 1.
    """
    if n < 1:
        raise InputError("n must be at least 1", found=str(n))
    generator = stream(seed, "coupled", device=drift.embedding.device)
    if sampler is None:
        return _flow(drift, membership, n, generator)
    return _annealed(drift, membership, n, sampler, generator)


class _Conditions:
    """Drift of n states of each of q conditions, kept as rows (q n, d), and their noise."""

    def __init__(self, drift: Drift, membership: Tensor, n: int, generator: torch.Generator):
        self.q, self.n, self.generator = len(membership), n, generator
        self.like, self.genes = drift.embedding, drift.output.out_features
        self.drift = drift.under(membership, copies=n)
        self.alphas = self.drift.alphas

    def noise(self) -> Tensor:
        """Standard normal numbers that all conditions share, (q n, d)."""
        return self.noise_of_one().repeat(self.q, 1)

    def noise_of_one(self) -> Tensor:
        """Standard normal numbers of one condition, (n, d)."""
        return torch.randn(
            self.n,
            self.genes,
            generator=self.generator,
            device=self.like.device,
            dtype=self.like.dtype,
        )

    def by_condition(self, x: Tensor) -> Tensor:
        """Rows as (q, n, d)."""
        return x.view(self.q, self.n, -1)


def _annealed(
    drift: Drift, membership: Tensor, n: int, settings: SamplerSettings, generator: torch.Generator
) -> Tensor:
    """Annealed sampling with the noise of every step shared (Eq. 13)."""
    own = _Conditions(drift, membership, n, generator)
    x = own.noise()
    anneal_(own.drift, x, own.by_condition(x), settings, own.noise_of_one)
    return own.by_condition(x)


def _flow(drift: Drift, membership: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """The probability flow ``dx = -alpha f(x; alpha) d alpha`` from the largest level to zero.

    ``f`` is the score of the states with noise of standard deviation alpha, so that the flow has
    their distribution at every level (Song et al. 2021). In the exact linear part of the equation
    and with ``x + alpha^2 f``, the mean of the states without noise, extrapolated from the two last
    levels: DPM-Solver++(2M) of Lu et al. 2022.
    """
    own = _Conditions(drift, membership, n, generator)
    alphas = own.alphas
    # A start around the wrong mean would be shrunk with the noise, but not to nothing; at the
    # largest level the mean without noise is the condition's, whatever the noise.
    noise = alphas[-1] * own.noise()
    x = noise + (noise + alphas[-1] * own.drift.scaled(noise, len(alphas) - 1))
    before: tuple[Tensor, float] | None = None  # mean without noise, and length of the step
    for level in range(len(alphas) - 1, 0, -1):
        alpha, following = alphas[level], alphas[level - 1]
        clean = x + alpha * own.drift.scaled(x, level)
        step = math.log(alpha / following)
        used = clean
        if before is not None:
            half = step / (2.0 * before[1])
            used = (1.0 + half) * clean - half * before[0]
        x = (following / alpha) * x - math.expm1(-step) * used
        before = clean, step
    return own.by_condition(x + alphas[0] * own.drift.scaled(x, 0))


def expected_expression(rate: Tensor, zero_probability: Tensor) -> Tensor:
    """Mean of log1p(counts per 10,000) of cells with given rates, without drawing their counts.

    For ``Y ~ Poisson(r)``, ``E log1p(c Y) = int_0^inf (1 - exp(-r (1 - exp(-c t)))) exp(-t)/t dt``,
    by the trapezoidal rule in log t (to about 1e-5). ``c`` is 10,000 over the expected total of a
    cell. That totals vary around it is left out: by counting, a share of about 1/(2 total), in all
    conditions alike; by zeros, more where a gene that is often zero holds much of the total, see
    :func:`moved_by_zeros`.

    Parameters
    ----------
    rate
        Poisson rates, shape (..., d).
    zero_probability
        ``pi``, shape (d,).

    Returns
    -------
    Tensor
        Shape (..., d), natural logarithm.
    """
    seen = 1.0 - zero_probability.to(rate)
    scale = TARGET_SUM / (seen * rate).sum(dim=-1, keepdim=True).clamp(min=1e-12)
    total = torch.zeros_like(rate)
    width = float(NODES[1] - NODES[0])
    for node in NODES.exp().tolist():
        inner = torch.expm1(-scale * node)  # one number per cell
        total -= math.exp(-node) * width * torch.expm1(rate * inner)
    return seen * total


def moved_by_zeros(rate: Tensor, zero_probability: Tensor) -> Tensor:
    """How much the zeros of each gene alone move the totals of cells, (d,).

    ``pi`` times the gene's share of the expected total, the largest over cells: where it is not
    small, :func:`expected_expression` and :func:`expected_fractions` are biased. A gene of nine
    tenths of all counts with ``pi`` of 0.02, a value of 0.02, makes other genes 0.02 too low.
    Arguments as in :func:`expected_expression`.
    """
    pi = zero_probability.to(rate)
    share = rate / rate.sum(dim=-1, keepdim=True).clamp(min=1e-12)
    return (pi * share).reshape(-1, rate.shape[-1]).amax(dim=0)


def expected_fractions(rate: Tensor, zero_probability: Tensor) -> Tensor:
    """Expected counts per 10,000 of cells with given rates, without drawing their counts.

    Poisson counts of a given total are multinomial, so these are the shares of the rates; zeros
    enter by their mean. Arguments and shape as in :func:`expected_expression`.
    """
    kept = (1.0 - zero_probability.to(rate)) * rate
    return TARGET_SUM * kept / kept.sum(dim=-1, keepdim=True).clamp(min=1e-12)
