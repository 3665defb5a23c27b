"""Means of the latent states of every condition, with standard errors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcd_core.errors import InputError
from lcd_core.measurement import rates
from lcd_core.prior import ImplicitPriors
from lcd_core.settings import StateSettings
from lcd_core.streams import stream

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class LatentMeans:
    """Latent log rates of conditions, ``u = log(mu + pseudocount)``.

    Attributes
    ----------
    names
        Conditions.
    means
        Mean of ``u`` over each condition's prior, shape (conditions, d).
    errors
        Their standard errors, see :func:`shift_error`; likewise.
    covariance
        Covariance of ``u`` within conditions, pooled with every condition counting alike, (d, d).
    """

    names: list[str]
    means: Matrix
    errors: Matrix
    covariance: Matrix


def latent_means(
    priors: ImplicitPriors,
    counts: Mapping[str, Tensor],
    *,
    samples: int,
    pseudocount: float = StateSettings.pseudocount,
    seed: int,
) -> LatentMeans:
    """Means of latent log rates under fitted priors, and how well the cells determine them.

    Parameters
    ----------
    priors
        Fitted priors of all conditions.
    counts
        Condition -> counts of the cells they were fitted to, shape (n_q, d).
    samples
        States drawn from each prior, at least 2.
    pseudocount
        Rate below which differences no longer matter, in counts.
    seed
        Seed of the draws.

    Raises
    ------
    InputError
        If counts of a condition are missing, or samples are fewer than 2.
    """
    missing = [name for name in priors.names if name not in counts]
    if missing:
        raise InputError("conditions of the priors have no counts", found=missing)
    if samples < 2:
        raise InputError("a covariance needs at least two samples", found=str(samples))
    means, errors, covariance = [], [], 0.0
    for name in priors.names:
        states = priors.sample_states(name, samples, stream(seed, "latent means", name))
        rate = rates(states, priors.eta).double()
        u = torch.log(rate + pseudocount)
        means.append(u.mean(dim=0).cpu().numpy())
        errors.append(shift_error(counts[name], rate, priors.pi, pseudocount))
        covariance = covariance + torch.cov(u.T).cpu().numpy()
    pooled: Matrix = covariance / len(priors.names)  # type: ignore[operator]
    return LatentMeans(list(priors.names), np.stack(means), np.stack(errors), pooled)


def shift_error(counts: Tensor, rate: Tensor, pi: Tensor, pseudocount: float) -> Matrix:
    """Standard errors of mean latent log rates, from the curvature of the evidence; shape (d,).

    How far could the rates of a gene be multiplied by ``e^delta`` in all states of a prior before
    its cells object? With ``l_n(delta) = log mean_s p(y_n | mu_s e^delta)``, the evidence of gene
    g alone, the information about ``delta`` at 0 is ``I = sum_n (dl_n / d delta)^2``, and a shift
    moves the mean of ``log(mu + pseudocount)`` by ``r = mean_s mu_s / (mu_s + pseudocount)``: its
    standard error is ``r / sqrt(I)``. The spread of the states enters through the mixture, few
    cells and few counts through the sum. The spread of prior samples over the square root of the
    number of cells is not it: states cannot be seen, only counts.

    Parameters
    ----------
    counts
        Counts of n cells of a condition, shape (n, d).
    rate
        Poisson rates of M states of its prior, shape (M, d).
    pi
        Zero probabilities, shape (d,).
    pseudocount
        See :func:`latent_means`.
    """
    rate, zero = rate.double().cpu(), pi.double().cpu()
    errors = np.empty(rate.shape[1])
    for g in range(rate.shape[1]):
        values, cells = torch.unique(counts[:, g].cpu(), return_counts=True)
        y, mu = values.double()[:, None], rate[:, g][None, :]  # (values, 1), (1, M)
        log_p = y * torch.log(mu) - mu - torch.lgamma(y + 1.0)
        slope = y - mu  # d log p / d delta
        none = (y == 0).expand_as(slope)
        at_zero = torch.logaddexp(zero[g].log(), torch.log1p(-zero[g]) - mu).expand_as(slope)
        share = torch.exp(torch.log1p(-zero[g]) - mu - at_zero)  # of zeros that are Poisson's
        log_p = torch.where(none, at_zero, log_p)
        slope = torch.where(none, -mu * share, slope)
        weights = torch.softmax(log_p, dim=1)
        score = (weights * slope).sum(dim=1)
        information = float((cells * score.square()).sum())
        reach = float((rate[:, g] / (rate[:, g] + pseudocount)).mean())
        errors[g] = reach / max(information, np.finfo(np.float64).tiny) ** 0.5
    return errors
