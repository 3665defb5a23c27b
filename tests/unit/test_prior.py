"""Implicit priors: network, row-wise Adam against the dense one, and recovery of a known screen."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from lcd_core.errors import InputError
from lcd_core.prior import (
    GeneratorLayout,
    ImplicitPriors,
    PriorTraining,
    RowAdam,
    evidence_of,
    fit_priors,
    tempered_evidence,
)
from lcd_core.settings import PriorSettings
from lcd_core.streams import stream
from lcd_core.training import TrainingDiverged

SMALL = PriorSettings(
    latent_dimensions=4,
    hidden=5,
    blocks=2,
    output_hidden=6,
    output_blocks=1,
    steps=60,
    warmup_steps=5,
    learning_rate=3e-3,
    batch_cells=8,
    monte_carlo_states=16,
    log_every=20,
)


def test_generators_equal_written_out_networks():
    layout = GeneratorLayout(SMALL, 3)
    flat = layout.initial(2, torch.Generator().manual_seed(0))
    flat += 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(2))
    states = layout.generate(flat, noise)
    for k in range(2):
        p = {name: value[k] for name, value in layout.views(flat).items()}

        def linear(z, name, p=p):
            return z @ p[f"{name}.weight"] + p[f"{name}.bias"]

        z = linear(noise[k], "input")
        for name in ("block0", "block1"):
            inner = linear(z, f"{name}a")
            z = z + linear(inner * torch.sigmoid(inner), f"{name}b")
        z = linear(z, "output")
        inner = linear(z, "output_block0a")
        z = z + linear(inner * torch.sigmoid(inner), "output_block0b")
        torch.testing.assert_close(states[k], z)


def test_the_gradient_of_generators_is_that_of_autograd():
    layout = GeneratorLayout(SMALL, 3)
    flat = layout.initial(2, torch.Generator().manual_seed(0)).double().requires_grad_()
    noise = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(1)).double()
    assert torch.autograd.gradcheck(lambda flat: layout.generate(flat, noise), flat)


@pytest.mark.parametrize("tau", [1.0, 5.0, 100.0])
def test_weights_of_states_are_the_gradient_of_the_evidence(tau):
    rng = np.random.default_rng(0)
    logp = torch.from_numpy(rng.normal(-500, 200, size=(2, 5, 7)))  # most states are far off
    value, weights = evidence_of(logp, tau)
    expected = (tau * (logsumexp(logp / tau, axis=-1) - math.log(7))).sum()
    assert value.item() == pytest.approx(expected, rel=1e-12)
    own = logp.clone().requires_grad_()
    reference = (tau * torch.logsumexp(own / tau, dim=-1)).sum()
    torch.testing.assert_close(weights, torch.autograd.grad(reference, own)[0])
    single, _ = evidence_of(logp.float(), tau)
    assert single.item() == pytest.approx(expected, rel=1e-6)


def test_row_adam_equals_dense_adam():
    rng = np.random.default_rng(0)
    start = torch.from_numpy(rng.normal(size=(4, 6)))
    dense = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([dense], lr=0.01, betas=(0.0, 0.99), eps=1e-8)
    rows = start.clone()
    ours = RowAdam(rows, beta2=0.99)
    for step in range(1, 301):
        row = int(rng.integers(4))
        gradient = torch.from_numpy(rng.normal(size=6) * rng.uniform(0.1, 10))
        dense.grad = torch.zeros_like(dense)
        dense.grad[row] = gradient
        optimizer.step()
        ours.step([row], gradient[None], step, 0.01)
    torch.testing.assert_close(rows, dense.detach(), rtol=1e-9, atol=1e-12)


def test_only_drawn_conditions_move():
    counts = {q: torch.full((5, 3), i + 1) for i, q in enumerate("abc")}
    settings = PriorSettings(**{**SMALL.__dict__, "steps": 1, "warmup_steps": 0})
    start = GeneratorLayout(settings, 3).initial(3, stream(4, "prior", "initial weights"))
    fitted, _ = fit_priors(counts, ["x", "y", "z"], torch.ones(3), settings, seed=4)
    moved = (fitted.parameters != start).any(dim=1)
    assert int(moved.sum()) == 1


def test_tempered_evidence_equals_scipy():
    logp = np.random.default_rng(0).normal(-50, 20, size=(5, 7))
    for tau in (1.0, 20.0):
        expected = (tau * (logsumexp(logp / tau, axis=1) - math.log(7))).sum()
        assert tempered_evidence(torch.from_numpy(logp), tau).item() == pytest.approx(expected)


def test_priors_recover_a_correlated_screen():
    """Means and the correlation that no independent-gene model has are reproduced."""
    rng = np.random.default_rng(0)
    factor = rng.gamma(2.0, 1.0, size=(400, 1))
    counts = {
        "control": torch.from_numpy(rng.poisson(factor * [6.0, 6.0, 2.0])),
        "A": torch.from_numpy(rng.poisson(factor * [1.0, 6.0, 8.0])),
    }
    # With three genes a temperature of 20 flattens every difference between states and collapses
    # the prior; a single pair of genes needs the evidence itself.
    settings = PriorSettings(
        latent_dimensions=8, hidden=16, output_hidden=16, blocks=2, temperature=1.0,
        steps=800, warmup_steps=40, learning_rate=3e-3, monte_carlo_states=200, log_every=100,
    )  # fmt: skip
    fitted, log = fit_priors(counts, ["x", "y", "z"], torch.full((3,), 4.0), settings, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, observed in counts.items():
        generated = fitted.sample_counts(name, 4000, generator).double().numpy()
        observed = observed.double().numpy()
        np.testing.assert_allclose(generated.mean(0), observed.mean(0), rtol=0.15)
        gap = np.corrcoef(generated.T)[0, 1] - np.corrcoef(observed.T)[0, 1]
        assert abs(gap) < 0.15
    assert log.rows[-1]["evidence"] > log.rows[0]["evidence"] + 1
    assert (fitted.pi < 0.1).all()  # there is no zero inflation in these counts


def test_same_seed_same_bits_and_saved_tensors(tmp_path):
    counts = {"control": torch.arange(12).reshape(4, 3), "A": torch.ones(4, 3)}
    fits = [fit_priors(counts, list("xyz"), torch.ones(3), SMALL, seed=7)[0] for _ in range(2)]
    assert torch.equal(fits[0].parameters, fits[1].parameters)
    fits[0].save(tmp_path / "prior.safetensors")
    again = ImplicitPriors.load(tmp_path / "prior.safetensors")
    assert (again.names, again.genes, again.settings) == (fits[0].names, fits[0].genes, SMALL)
    assert again.seed == 7
    a = fits[0].sample_counts("A", 5, torch.Generator().manual_seed(1))
    b = again.sample_counts("A", 5, torch.Generator().manual_seed(1))
    assert torch.equal(a, b)


def test_divergence_is_one_clear_message():
    counts = {"control": torch.full((4, 3), 5)}
    settings = PriorSettings(**{**SMALL.__dict__, "learning_rate": 1e30, "warmup_steps": 0})
    with pytest.raises(TrainingDiverged, match="training of the prior diverged at step"):
        fit_priors(counts, list("xyz"), torch.ones(3), settings, seed=0)


def test_shapes_are_checked():
    with pytest.raises(InputError, match="condition A needs counts of shape"):
        fit_priors({"A": torch.ones(0, 3)}, list("xyz"), torch.ones(3), SMALL, seed=0)
    with pytest.raises(InputError, match="eta needs one value per gene"):
        fit_priors({"A": torch.ones(2, 3)}, list("xyz"), torch.ones(2), SMALL, seed=0)


class TestShortFits:
    """What short fits begin with, and how fast their zero probabilities move."""

    ETA = torch.tensor([1.0, 2.0, 4.0])

    def training(self, **other) -> PriorTraining:
        rng = np.random.default_rng(3)
        rates = {"control": [1.0, 3.0, 20.0], "A": [8.0, 3.0, 0.0], "B": [1.0, 0.2, 5.0]}
        counts = {
            name: torch.from_numpy(rng.poisson(rate, (200, 3))) for name, rate in rates.items()
        }
        settings = PriorSettings(**{**asdict(SMALL), **other})
        genes = ["a", "b", "c"]
        return PriorTraining(counts, genes, self.ETA, settings, seed=4, device="cpu")

    def test_generators_start_at_the_mean_counts(self):
        training = self.training(start="counts")
        every = torch.cat([own.counts for own in training.cells]).double()
        noise = torch.randn(1, 20_000, 4, generator=torch.Generator().manual_seed(1))
        for row, own in enumerate(training.cells):
            states = training.layout.generate(training.parameters[row : row + 1], noise)[0]
            told = self.ETA * torch.nn.functional.softplus(states.double().mean(dim=0))
            counts = own.counts.double()
            wanted = (counts.sum(dim=0) + 10 * every.mean(dim=0)) / (len(counts) + 10)
            torch.testing.assert_close(told, wanted, rtol=0.1, atol=0.01)

    def test_they_start_close_together(self):
        def spread(start: str) -> float:
            training = self.training(start=start)
            noise = torch.randn(3, 1000, 4, generator=torch.Generator().manual_seed(1))
            return float(training.layout.generate(training.parameters, noise).std(dim=1).mean())

        assert spread("counts") < 0.5 * spread("random")

    def test_a_start_at_counts_fits_at_once(self):
        first = {
            start: float(self.training(start=start).step()[2]) for start in ("random", "counts")
        }
        assert first["counts"] > first["random"] + 1  # nats per cell

    def test_zero_probabilities_move_faster_and_nothing_else_does(self):
        slow, fast = self.training(), self.training(zero_rate=3.0)
        before = slow.logit_pi.clone()
        slow.step()
        fast.step()
        assert torch.equal(slow.parameters, fast.parameters)
        torch.testing.assert_close(fast.logit_pi - before, 3 * (slow.logit_pi - before))
