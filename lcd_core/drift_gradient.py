"""Loss and gradient of denoising score matching for the drift's network, by hand (Eq. 12).

Autograd keeps and passes over about twice as many tensors: on a CPU a step takes 10 to 25% longer
with it, the more the smaller the network. The network's forward pass stands here a second time,
beside :meth:`lcd_core.drift.Drift.scaled`; the tests hold them together.
"""

from typing import cast

import torch
from torch import Tensor, nn

from lcd_core.drift import Drift
from lcd_core.precision import matmul_precision


def loss_and_gradients(
    drift: Drift,
    membership: Tensor,
    condition: Tensor,
    level: Tensor,
    clean: Tensor,
    noise: Tensor,
) -> tuple[Tensor, list[Tensor | None]]:
    """Batch mean of ``|| alpha f(s + alpha eps) + eps ||^2`` and its gradient.

    With ``sigma`` the logistic function, ``tanh(u) = 2 sigma(2 u) - 1``. The hidden layers keep
    ``sigma``; its factor and offset are those of the products around it, which cost nothing.

    Parameters
    ----------
    drift
        The network; its parameters are read only.
    membership
        Multi-hot conditions, shape (conditions, targets), in the dtype of the drift.
    condition, level
        Condition and noise level of every state, shape (n,), or (1,) where all have the same.
    clean, noise
        States s and standard normal eps, shape (n, d).

    Returns
    -------
    tuple
        The loss, a scalar, and of every parameter, in the order of ``drift.parameters()``, the
        gradient, or None where the network does not depend on it.
    """
    own = drift.settings
    into_first, into_second = own.embedding_layers != "second", own.embedding_layers != "first"
    first_layer, middle, output = drift.input, drift.middle, drift.output
    inner, outer = cast(nn.Linear, drift.time[0]), cast(nn.Linear, drift.time[2])
    n = len(clean)
    condition, level = condition.expand(n), level.expand(n)
    with torch.no_grad(), matmul_precision(own.network_precision):
        embedding = membership @ drift.embedding
        first: Tensor = first_layer.bias
        second = middle.bias - middle.weight.sum(dim=1)
        if into_first:
            first = torch.addmm(first, embedding, drift.embed_first.weight.T)
        if into_second:
            second = torch.addmm(second, embedding, drift.embed_second.weight.T)
        positions = drift.positions.to(drift.embedding)
        wave = torch.tanh(torch.addmm(inner.bias, positions, inner.weight.T))
        of_level = torch.addmm(outer.bias, wave, outer.weight.T)

        alphas = drift.alphas.to(clean)
        alpha = alphas.index_select(0, level).unsqueeze(1)
        shrink = torch.rsqrt(1.0 + alphas**2).index_select(0, level).unsqueeze(1)
        noisy = torch.addcmul(clean, alpha, noise)
        shrunk = noisy * shrink

        entering = of_level.index_select(0, level)
        entering += first.index_select(0, condition) if into_first else first
        a = torch.addmm(entering, shrunk, first_layer.weight.T, beta=2, alpha=2).sigmoid_()
        entering = second.index_select(0, condition) if into_second else second
        b = torch.addmm(entering, a, middle.weight.T, beta=2, alpha=4).sigmoid_()
        offset = output.bias - output.weight.sum(dim=1)
        if own.parameterization == "plain":
            residual = torch.addmm(noise + offset, b, output.weight.T, alpha=2)
            sign = 2.0
        else:
            rest = (shrunk - noisy).div_(alpha).add_(noise).sub_(offset)
            residual = torch.addmm(rest, b, output.weight.T, alpha=-2)
            sign = -2.0
        loss = residual.square().sum() / n

        grad = residual.mul_(sign / n)  # of the network's output
        output_bias = grad.sum(dim=0)
        output_weight = _product(grad, b, output_bias)
        grad = torch.ops.aten.sigmoid_backward(grad @ output.weight, b).mul_(4.0)
        middle_bias = grad.sum(dim=0)
        middle_weight = _product(grad, a, middle_bias)
        of_second = torch.zeros_like(second).index_add_(0, condition, grad) if into_second else None
        grad = torch.ops.aten.sigmoid_backward(grad @ middle.weight, a).mul_(4.0)
        input_bias, input_weight = grad.sum(dim=0), grad.T @ shrunk
        of_first = torch.zeros_like(first).index_add_(0, condition, grad) if into_first else None

        level_grad = torch.zeros_like(of_level).index_add_(0, level, grad)
        wave_grad = torch.ops.aten.tanh_backward(level_grad @ outer.weight, wave)
        of_embedding = torch.zeros_like(embedding)
        if of_first is not None:
            of_embedding.addmm_(of_first, drift.embed_first.weight)
        if of_second is not None:
            of_embedding.addmm_(of_second, drift.embed_second.weight)
        gradients = {
            "embedding": membership.T @ of_embedding,
            "input.weight": input_weight,
            "input.bias": input_bias,
            "middle.weight": middle_weight,
            "middle.bias": middle_bias,
            "output.weight": output_weight,
            "output.bias": output_bias,
            "embed_first.weight": None if of_first is None else of_first.T @ embedding,
            "embed_second.weight": None if of_second is None else of_second.T @ embedding,
            "time.0.weight": wave_grad.T @ positions,
            "time.0.bias": wave_grad.sum(dim=0),
            "time.2.weight": level_grad.T @ wave,
            "time.2.bias": input_bias,
        }
    return loss, [gradients[name] for name, _ in drift.named_parameters()]


def _product(grad: Tensor, logistic: Tensor, summed: Tensor) -> Tensor:
    """``grad^T tanh`` where ``tanh = 2 logistic - 1`` and ``summed`` is ``grad`` over states."""
    return torch.addmm(summed.unsqueeze(1), grad.T, logistic, beta=-1, alpha=2)
