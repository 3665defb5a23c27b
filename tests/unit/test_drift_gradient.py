"""The gradient by hand against automatic differentiation of the network, in double precision."""

import itertools

import pytest
import torch
from torch import Tensor

from lcd_core.drift import Drift
from lcd_core.drift_gradient import loss_and_gradients
from lcd_core.settings import DriftSettings

GENES, TARGETS, CONDITIONS, STATES = 5, 4, 7, 40


def network(parameterization: str, layers: str) -> Drift:
    settings = DriftSettings(
        hidden=17, embedding_dimensions=6, time_dimensions=8, noise_levels=9, steps=10,
        parameterization=parameterization, embedding_layers=layers,
    )  # fmt: skip
    drift = Drift(GENES, TARGETS, settings)
    generator = torch.Generator().manual_seed(3)
    drift.reset(generator)
    with torch.no_grad():  # biases and embeddings as large as those that training finds
        for parameter in drift.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return drift.double()


def batch(one: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Conditions with none to three targets, and noisy states of them."""
    generator = torch.Generator().manual_seed(5)
    membership = (torch.rand(CONDITIONS, TARGETS, generator=generator) < 0.4).double()
    membership[0] = 0.0
    count = 1 if one else STATES
    condition = torch.randint(CONDITIONS, (count,), generator=generator)
    level = torch.randint(9, (count,), generator=generator)
    clean = torch.randn(STATES, GENES, generator=generator, dtype=torch.float64)
    noise = torch.randn(STATES, GENES, generator=generator, dtype=torch.float64)
    return membership, condition, level, clean, noise


def reference(drift: Drift, batch: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """Eq. 12 as it is written, one state after another."""
    membership, condition, level, clean, noise = batch
    total = clean.new_zeros(())
    for row in range(len(clean)):
        q, own = (int(each[row if len(each) > 1 else 0]) for each in (condition, level))
        alpha = drift.alphas[own]
        noisy = clean[row] + alpha * noise[row]
        f = drift(noisy[None], membership[q][None], own)[0]
        total = total + (alpha * f + noise[row]).square().sum()
    loss = total / len(clean)
    return loss.detach(), torch.autograd.grad(loss, list(drift.parameters()), allow_unused=True)


@pytest.mark.parametrize(
    ("parameterization", "layers", "one"),
    list(itertools.product(("plain", "linear_pull"), ("both", "first", "second"), (False, True))),
)
def test_loss_and_gradients_are_those_of_the_equation(parameterization, layers, one):
    drift, own = network(parameterization, layers), batch(one)
    loss, gradients = loss_and_gradients(drift, *own)
    expected_loss, expected = reference(drift, own)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
    names = [name for name, _ in drift.named_parameters()]
    assert len(names) == len(gradients)
    for name, gradient, wanted in zip(names, gradients, expected, strict=True):
        if wanted is None:
            assert gradient is None, name
        else:
            torch.testing.assert_close(
                gradient, wanted, rtol=1e-10, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_unused_parameters_alone_have_no_gradient():
    names = [name for name, _ in network("plain", "both").named_parameters()]
    for layers, unused in (("both", set()), ("first", {"embed_second.weight"}),
                           ("second", {"embed_first.weight"})):  # fmt: skip
        _, gradients = loss_and_gradients(network("plain", layers), *batch(False))
        without = {n for n, own in zip(names, gradients, strict=True) if own is None}
        assert without == unused


def test_single_precision_stays_near_double():
    drift, own = network("plain", "both"), batch(False)
    _, exact = loss_and_gradients(drift, *own)
    membership, condition, level, clean, noise = own
    _, single = loss_and_gradients(
        drift.float(), membership.float(), condition, level, clean.float(), noise.float()
    )
    for gradient, wanted in zip(single, exact, strict=True):
        assert gradient is not None
        assert wanted is not None
        assert (gradient.double() - wanted).norm() <= 3e-6 * wanted.norm()
