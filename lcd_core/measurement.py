"""Zero-inflated Poisson measurement of latent states (Eq. 2).

A state ``x_g`` sets the Poisson rate ``mu_g = eta_g * softplus(x_g)`` of gene ``g``; a count is
zero with probability ``pi_g`` and Poisson otherwise. The log-likelihood of many cells under many
states is computed as one matrix product, see :func:`log_likelihood`.
"""

import functools
import logging
import math
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from lcd_core.errors import InputError
from lcd_core.precision import FLOAT32, matmul_precision

logger = logging.getLogger(__name__)

# Below this state log softplus(x) is x - exp(x)/2 to double precision, while the logarithm of
# softplus itself loses digits and, further down, underflows.
FAR_BELOW = -18.0

# Below this state softplus(x) is exp(x), and log softplus(x) is x, to double precision; it is
# still far from where exp(x) underflows in single precision.
UNDERFLOW = -80.0

BLOCK = 2**20
"""States times genes that the likelihood takes at a time on a CPU."""


def rate_scale(control_counts: NDArray[np.integer[Any]] | NDArray[np.floating[Any]]) -> Tensor:
    """Rate scale ``eta_g = max(1, mean_g + var_g / mean_g - 1)`` from control cells.

    Parameters
    ----------
    control_counts
        Counts of the control cells of the training data, shape (n, d), n >= 2.

    Returns
    -------
    Tensor
        float64, shape (d,), at least 1; 1 for a gene that is zero in every control cell.
    """
    if control_counts.shape[0] < 2:
        raise InputError(
            "the rate scale needs at least two control cells", found=str(control_counts.shape[0])
        )
    counts = np.asarray(control_counts, dtype=np.float64)
    mean = counts.mean(axis=0)
    variance = counts.var(axis=0, ddof=1)
    ratio = np.divide(variance, mean, out=np.zeros_like(mean), where=mean > 0)
    return torch.from_numpy(np.maximum(1.0, mean + ratio - 1.0))


def rates(x: Tensor, eta: Tensor) -> Tensor:
    """Poisson rates ``eta * softplus(x)``; ``x`` (..., d), ``eta`` (d,)."""
    return eta * torch.nn.functional.softplus(x)


def log_softplus(x: Tensor) -> Tensor:
    """``log(softplus(x))``, finite and with a finite gradient for every finite ``x``."""
    far = x < FAR_BELOW
    safe = torch.where(far, torch.zeros_like(x), x)
    near = torch.log(torch.nn.functional.softplus(safe))
    return torch.where(far, x - 0.5 * torch.exp(x.clamp(max=0)), near)


def sample_counts(rate: Tensor, zero_probability: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one zero-inflated Poisson count per entry of ``rate``.

    Parameters
    ----------
    rate
        Poisson rates, shape (n, d).
    zero_probability
        ``pi``, shape (d,).
    generator
        Source of randomness, on the device of ``rate``.

    Returns
    -------
    Tensor
        int32, shape (n, d).

    Raises
    ------
    InputError
        Where a count is beyond the range of int32.
    """
    counts = torch.poisson(rate.float(), generator=generator)
    keep = (
        torch.rand(rate.shape, generator=generator, device=rate.device)
        >= zero_probability.to(rate.device).float()
    )
    counts = counts * keep
    # a larger number would wrap around to a negative one
    if not bool((counts <= torch.iinfo(torch.int32).max - 128).all()):
        raise InputError(
            "the rates of the model are too large for counts",
            where="the model",
            found=f"a count of {float(counts.max()):.3g}",
            remedy="it was not fitted to counts, or its file is damaged: fit it again",
        )
    return counts.to(torch.int32)


class CountFeatures:
    """What the log-likelihood needs of counts: ``[1[y>0], y]`` and a constant per cell.

    Parameters
    ----------
    counts
        Shape (n, d), nonnegative integers of any dtype.
    eta
        Rate scale, shape (d,).

    Attributes
    ----------
    counts
        Shape (n, d), in ``dtype``.
    constant
        ``sum_g y log eta_g - lgamma(y + 1)``, shape (n,). Computed in float64: with counts in
        the thousands its two parts nearly cancel.
    """

    def __init__(self, counts: Tensor, eta: Tensor, dtype: torch.dtype = torch.float32) -> None:
        exact = counts.double()
        log_eta = eta.double().log()
        constant = exact @ log_eta - torch.lgamma(exact + 1.0).sum(dim=-1)
        self.counts = counts.to(dtype)
        self.constant = constant.to(dtype)

    def __len__(self) -> int:
        return self.counts.shape[0]

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Features (b, 2d) and constants (b,) of the cells in ``index``."""
        counts = self.counts[index]
        return torch.cat([(counts > 0).to(counts.dtype), counts], dim=-1), self.constant[index]

    def all(self) -> tuple[Tensor, Tensor]:
        """Features (n, 2d) and constants (n,) of all cells."""
        return self.batch(torch.arange(len(self), device=self.counts.device))


def _of_states(x: Tensor, logit_pi: Tensor, eta: Tensor) -> tuple[Tensor, ...]:
    """What the likelihood and its gradient need of states, all elementwise but for one sum.

    With ``l = logit(pi)`` and ``z = l + mu``: ``a - c = -softplus(z)`` and
    ``c = -softplus(l) + max(l, -mu) + log1p(exp(-|z|))``, neither of which cancels. The same few
    tensors serve over and over, which matters because for a hundred genes this, not the matrix
    product, is what a step costs.

    Returns
    -------
    tuple
        ``[a - c, log softplus(x)]``, (..., M, 2d); ``c + softplus(l)`` summed over genes, (..., M);
        ``d mu / dx``, ``d log softplus(x) / dx`` and ``sigmoid(-z)``, (..., M, d).
    """
    d = x.shape[-1]
    near = x.clamp(min=UNDERFLOW)
    softplus = torch.exp(near.abs().neg_()).log1p_().add_(near.clamp(min=0))  # (..., M, d)
    mu = eta * softplus
    z = logit_pi + mu
    tail = torch.exp(z.abs().neg_()).log1p_()
    if torch.compiler.is_compiling():  # which knows no `out`
        features = torch.cat([-(z.clamp(min=0) + tail), softplus.log() + (x - near)], dim=-1)
    else:
        features = torch.empty(*x.shape[:-1], 2 * d, dtype=x.dtype, device=x.device)
        torch.add(z.clamp(min=0), tail, out=features[..., :d]).neg_()
        torch.log(softplus, out=features[..., d:]).add_(x - near)
    rate_slope = torch.sigmoid(near)
    slope = torch.div(rate_slope, softplus, out=softplus)
    sigmoid_minus_z = torch.sigmoid(z.neg_())
    log_zero = torch.maximum(logit_pi, mu.neg_()).add_(tail)  # log p(y = 0), + softplus(l)
    return features, log_zero.sum(dim=-1), rate_slope.mul_(eta), slope, sigmoid_minus_z


def _gradient_of_states(
    grad: Tensor, total: Tensor, rate_slope: Tensor, slope: Tensor, sigmoid_minus_z: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of states, (..., M, d), and of ``logit(pi)``, (d,), but for what it has of ``l``.

    ``grad`` is the gradient of ``_of_states``' first tensor, (..., M, 2d), and ``total`` that of
    its second, (..., M, 1).
    """
    d = slope.shape[-1]
    positive = grad[..., :d]  # gradient summed over cells with y > 0
    zero = total - positive  # ... over cells with y = 0
    explained = sigmoid_minus_z * zero  # their share explained by the Poisson
    grad_logit = (zero - explained).flatten(end_dim=-2).sum(dim=0)
    grad_x = explained.add_(positive).mul_(rate_slope).neg_()
    return grad_x.addcmul_(grad[..., d:], slope), grad_logit


class _LogLikelihood(torch.autograd.Function):
    """``rowsum(c) + [1[y>0], y] @ [a - c, log softplus(x)]^T + constant``, gradient by hand.

    On a CPU in blocks of states whose tensors stay in its cache, unless it is compiled.
    """

    @staticmethod
    @matmul_precision(FLOAT32)
    def forward(
        ctx: Any,
        x: Tensor,
        logit_pi: Tensor,
        eta: Tensor,
        features: Tensor,
        constant: Tensor,
        fused: bool,
    ) -> Tensor:
        of_states_of = _in_one_pass(_of_states) if fused else _of_states
        offset = torch.nn.functional.softplus(logit_pi).sum()
        parts: list[Tensor] = []
        kept: list[Tensor] = []
        for block in x.split(x.shape[-2] if fused else _states_in_a_block(x), dim=-2):
            of_states, log_zero, *slopes = of_states_of(block, logit_pi, eta)
            logp = torch.matmul(features, of_states.mT)  # (..., B, M)
            logp += (log_zero - offset).unsqueeze(-2)
            logp += constant.unsqueeze(-1)
            parts.append(logp)
            kept += slopes
        ctx.fused = fused
        ctx.save_for_backward(logit_pi, features, *kept)
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    @staticmethod
    @once_differentiable
    @matmul_precision(FLOAT32)
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        gradient_of = _in_one_pass(_gradient_of_states) if ctx.fused else _gradient_of_states
        logit_pi, features, *kept = ctx.saved_tensors
        blocks = [kept[i : i + 3] for i in range(0, len(kept), 3)]
        states = blocks[0][0].shape[-2]
        of_x = []
        grad_logit = torch.zeros_like(logit_pi)
        for own, slopes in zip(grad.split(states, dim=-1), blocks, strict=True):
            total = own.sum(dim=-2).unsqueeze(-1)  # (..., M, 1)
            grad_x, part = gradient_of(torch.matmul(own.mT, features), total, *slopes)
            grad_logit += part.sub_(torch.sigmoid(logit_pi) * total.sum())
            of_x.append(grad_x)
        grad_x = of_x[0] if len(of_x) == 1 else torch.cat(of_x, dim=-2)
        return grad_x, grad_logit, None, None, None, None


def _states_in_a_block(x: Tensor) -> int:
    """Of states (..., M, d)."""
    *leading, states, genes = x.shape
    if x.device.type != "cpu":
        return int(states)
    return max(1, min(states, BLOCK // (math.prod(leading) * genes)))


@functools.cache
def _in_one_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled for the shape of its first call; for all shapes at another one."""
    return torch.compile(function)


def can_fuse(shape: tuple[int, ...], device: torch.device) -> bool:
    """Whether :func:`log_likelihood` can be compiled here; if not, a warning says why.

    Parameters
    ----------
    shape
        Of states, (..., M, d), for which it is compiled.
    device
        Where they are.
    """
    x = torch.zeros(shape, device=device)
    row = torch.ones(shape[-1], device=device)
    try:
        with torch.no_grad(), matmul_precision(FLOAT32):  # as in a training
            features, total, *slopes = _in_one_pass(_of_states)(x, row, row)
            _in_one_pass(_gradient_of_states)(features, total.unsqueeze(-1), *slopes)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of torch's compiler, a compiler of C++, Triton or the driver
        lines = str(error).strip().splitlines() or [type(error).__name__]
        logger.warning(
            "the likelihood is computed pass by pass: it could not be compiled here (%s)", lines[0]
        )
        return False
    return True


def log_likelihood(
    x: Tensor,
    logit_pi: Tensor,
    eta: Tensor,
    features: Tensor,
    constant: Tensor,
    *,
    fused: bool = False,
) -> Tensor:
    """Log-likelihood of every cell under every state, exact, as one matrix product.

    Counts enter the zero-inflated Poisson only through ``1[y>0]``, ``y`` and ``lgamma(y+1)``, so
    M x d transcendental evaluations and one product of inner size 2d give all B x M values.

    Parameters
    ----------
    x
        States, shape (..., M, d).
    logit_pi, eta
        Logit of the zero probability and rate scale, shape (d,). No gradient flows to ``eta``.
    features, constant
        From :class:`CountFeatures`: shapes (..., B, 2d) and (..., B).
    fused
        Whether what is done element by element is compiled into few passes over memory, see
        :func:`can_fuse`.

    Returns
    -------
    Tensor
        Shape (..., B, M), in nats. Runs in the dtype of ``x``; keep float32 or better (counts in
        the thousands times logarithms do not survive bf16, nor TF32, which is not used here
        whatever torch is set to).
    """
    logp = _LogLikelihood.apply(x, logit_pi, eta, features, constant, fused)  # type: ignore[no-untyped-call]
    return cast(Tensor, logp)


def log_evidence(logp: Tensor) -> Tensor:
    """Mean log-evidence per cell, ``mean_n log (1/M) sum_m p(y_n | x_m)`` (Eq. 9); scalar."""
    return (torch.logsumexp(logp, dim=-1) - math.log(logp.shape[-1])).mean()
