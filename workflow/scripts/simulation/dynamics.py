"""Cells run to stationarity by the chemical Langevin equation [1]_.

    dx_i  = (s_i p_i - gamma_i x_i) dt + cv sqrt(s_i p_i + gamma_i x_i) dW_i

with the production ``p_i`` of :mod:`simulation.network` and ``s_i`` the product of the
perturbation's fold change and of the cell's own lognormal factor (extrinsic noise). Noise is that
of birth and death in bursts, scaled such that an unregulated gene has the stationary coefficient
of variation ``cv``.

References
----------
.. [1] Gillespie 2000, The chemical Langevin equation.
"""

import numpy as np
from numpy.typing import NDArray

from simulation.network import Float, RegulatoryNetwork

LOWEST_LEVEL = np.float32(1e-3)  # where noise that would lead below zero is stopped


def simulate_levels(
    network: RegulatoryNetwork,
    factors: Float,
    rng: np.random.Generator,
    *,
    intrinsic_noise: float = 0.25,
    duration: float = 20.0,
    step: float = 0.1,
    initial: Float | None = None,
) -> NDArray[np.float32]:
    """Run cells independently by the chemical Langevin equation (Euler-Maruyama).

    Parameters
    ----------
    network
        The regulatory network of ``d`` genes.
    factors
        Factors on the production of each gene in each cell, d x cells, > 0.
    rng
        Source of randomness.
    intrinsic_noise
        Stationary coefficient of variation of an unregulated gene.
    duration, step
        Simulated time and time step; decay rates are 0.7 to 1.4 per unit of time.
    initial
        Levels at time 0, d x cells; the factors where not given.

    Returns
    -------
    Levels at the end, d x cells, relative to the unperturbed steady state.
    """
    levels = np.array(factors if initial is None else initial, dtype=np.float32)
    for start in range(0, levels.shape[1], 500):  # blocks of cells that fit the processor's cache
        block = slice(start, start + 500)
        levels[:, block] = _run_cells(
            network,
            levels[:, block],
            np.asarray(factors[:, block], dtype=np.float32),
            rng,
            intrinsic_noise,
            round(duration / step),
            step,
        )
    return levels


def _run_cells(
    network: RegulatoryNetwork,
    levels: Float,
    factors: Float,
    rng: np.random.Generator,
    intrinsic_noise: float,
    steps: int,
    step: float,
) -> Float:
    decay = network.decay.astype(np.float32)[:, None]
    scale = np.float32(intrinsic_noise * np.sqrt(step))
    for _ in range(steps):
        birth = network.production(levels) * factors
        death = decay * levels
        noise = rng.standard_normal(levels.shape, dtype=np.float32)
        levels = (
            levels + np.float32(step) * (birth - death) + scale * np.sqrt(birth + death) * noise
        )
        np.maximum(levels, LOWEST_LEVEL, out=levels)
    return levels
