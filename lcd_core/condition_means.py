"""Means of log rates of every condition with standard errors: from priors, or from counts alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcd_core.conditions import CONTROL
from lcd_core.errors import InputError
from lcd_core.evidence import Evidence
from lcd_core.measurement import rates
from lcd_core.prior import ImplicitPriors
from lcd_core.settings import StateSettings
from lcd_core.streams import stream

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class ConditionMeans:
    """Log rates of conditions, ``u = log(mu + pseudocount)``.

    Attributes
    ----------
    names
        Conditions.
    means
        Mean of ``u`` of each condition, shape (conditions, d).
    errors
        Their standard errors; likewise.
    covariance
        Covariance of ``u`` within conditions, pooled with every condition counting alike, (d, d).
    """

    names: list[str]
    means: Matrix
    errors: Matrix
    covariance: Matrix

    def evidence(self, targets: Mapping[str, Sequence[int]]) -> Evidence:
        """Changes from the control with their errors.

        Parameters
        ----------
        targets
            Perturbation -> positions of the genes it hits. Perturbations that are not named stay
            out: one that hits no modelled gene may act on any of them, and says nothing about
            which.

        Raises
        ------
        InputError
            If the control, or a named perturbation, has no mean; or none is named.
        """
        missing = [name for name in (CONTROL, *targets) if name not in self.names]
        if missing or not targets:
            raise InputError(
                "changes need means of the control and of at least one perturbation",
                found=missing or "no perturbation of a modelled gene",
            )
        control = self.names.index(CONTROL)
        rows = [self.names.index(name) for name in targets]
        changes = (self.means[rows] - self.means[control]).T
        errors = np.sqrt(self.errors[rows] ** 2 + self.errors[control] ** 2).T
        return Evidence(
            changes, [tuple(own) for own in targets.values()], errors=errors,
            covariance=self.covariance,
        )  # fmt: skip


def latent_means(
    priors: ImplicitPriors,
    counts: Mapping[str, Tensor],
    *,
    samples: int,
    pseudocount: float = StateSettings.pseudocount,
    seed: int,
) -> ConditionMeans:
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
    means, errors, covariances = [], [], []
    for name in priors.names:
        states = priors.sample_states(name, samples, stream(seed, "latent means", name))
        rate = rates(states, priors.eta).double()
        u = torch.log(rate + pseudocount)
        means.append(u.mean(dim=0).cpu().numpy())
        errors.append(shift_error(counts[name], rate, priors.pi, pseudocount))
        covariances.append(torch.cov(u.T).cpu().numpy())
    pooled = np.atleast_2d(np.mean(covariances, axis=0))
    return ConditionMeans(list(priors.names), np.stack(means), np.stack(errors), pooled)


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


def count_means(
    counts: Mapping[str, Matrix], *, pseudocount: float = StateSettings.pseudocount
) -> ConditionMeans:
    """Logarithms of mean counts: what the cells say without a model.

    ``u = log(m + pseudocount)`` of the mean count m of a gene in a condition; its standard error
    by the delta method, ``sd / (sqrt(n) (m + pseudocount))``, with a variance no smaller than
    that of Poisson counts with half a count more than were seen, so that a gene that was never
    seen has an error. The covariance is that of ``log(y + pseudocount)`` of single cells.

    Parameters
    ----------
    counts
        Condition -> counts, in units of one library size, shape (n_q, d), n_q at least 2.
    pseudocount
        See :func:`latent_means`.

    Raises
    ------
    InputError
        If a condition has fewer than two cells.
    """
    few = [name for name, own in counts.items() if len(own) < 2]
    if few:
        raise InputError("a standard error needs at least two cells", found=few)
    means, errors, covariances = [], [], []
    for own in counts.values():
        n, mean = len(own), own.mean(axis=0)
        variance = np.maximum(own.var(axis=0, ddof=1), (mean * n + 0.5) / n)
        means.append(np.log(mean + pseudocount))
        errors.append(np.sqrt(variance / n) / (mean + pseudocount))
        covariances.append(np.cov(np.log(own + pseudocount).T))
    covariance = np.atleast_2d(np.mean(covariances, axis=0))
    return ConditionMeans(list(counts), np.stack(means), np.stack(errors), covariance)
