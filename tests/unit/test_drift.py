"""Drift network, score matching and the state transform."""

import math

import numpy as np
import pytest
import torch

from lcd_core.drift import ConditionedDrift, Drift, noise_levels, sinusoidal_positions, tanh
from lcd_core.errors import InputError
from lcd_core.score_matching import DriftTraining, FusedAdamW, fit_drift
from lcd_core.settings import DriftSettings, StateSettings
from lcd_core.states import StateTransform
from lcd_core.streams import stream


def small_drift(parameterization="plain"):
    drift = Drift(
        3, 2, DriftSettings(hidden=8, embedding_dimensions=4, parameterization=parameterization)
    ).double()
    drift.reset(torch.Generator().manual_seed(0))
    return drift


@pytest.mark.parametrize("parameterization", ["plain", "linear_pull"])
def test_drift_equals_written_out_network(parameterization):
    drift = small_drift(parameterization)
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    membership = torch.tensor([[1.0, 1.0]])
    level = 4
    p = {k: v.detach().numpy() for k, v in drift.state_dict().items()}
    alpha = 0.01 * (10 / 0.01) ** (level / 29)
    e = p["embedding"].sum(axis=0)
    frequency = np.exp(-math.log(1e4) * np.arange(32) / 31)
    position = np.concatenate([np.sin(level * frequency), np.cos(level * frequency)])
    time = np.tanh(p["time.0.weight"] @ position + p["time.0.bias"])
    time = p["time.2.weight"] @ time + p["time.2.bias"]
    shrunk = x.numpy() / math.sqrt(1 + alpha**2)
    z = np.tanh(shrunk @ p["input.weight"].T + p["input.bias"] + time + p["embed_first.weight"] @ e)
    z = np.tanh(z @ p["middle.weight"].T + p["middle.bias"] + p["embed_second.weight"] @ e)
    h = z @ p["output.weight"].T + p["output.bias"]
    if parameterization == "plain":
        expected = h / alpha
    else:
        expected = ((shrunk - x.numpy()) / alpha - h) / alpha
    np.testing.assert_allclose(drift(x, membership, level).detach(), expected, rtol=1e-5)


def test_control_has_no_embedding_and_combinations_add():
    drift = small_drift()
    first, second = drift.condition_features(torch.tensor([[0.0, 0], [1, 0], [0, 1], [1, 1]]))
    assert torch.equal(first[0], torch.zeros(8, dtype=torch.float64))
    torch.testing.assert_close(first[3], first[1] + first[2])
    torch.testing.assert_close(second[3], second[1] + second[2])


def test_noise_levels_and_positions():
    alphas = noise_levels(DriftSettings())
    assert alphas[0].item() == pytest.approx(0.01)
    assert alphas[-1].item() == pytest.approx(10.0)
    ratios = alphas[1:] / alphas[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(29))
    assert sinusoidal_positions(30, 16).unique(dim=0).shape == (30, 16)
    with pytest.raises(InputError, match=r"drift\.noise_levels"):
        DriftSettings(noise_levels=1)
    with pytest.raises(InputError, match=r"drift\.parameterization"):
        small_drift("other")


@pytest.mark.parametrize("conditions", ["single", "mixed"])
@pytest.mark.parametrize("levels", ["single", "mixed"])
def test_score_matching_learns_the_score_of_shifted_gaussians(conditions, levels):
    """For N(m_q, 0.25 I) the score at level alpha is -(x - m_q) / (0.25 + alpha^2)."""
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[0.0, 0.0], [1.5, 0.0], [0.0, -1.5]])
    states = means[:, None] + 0.5 * torch.randn(3, 2000, 2, generator=generator)
    membership = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    settings = DriftSettings(
        hidden=64, embedding_dimensions=16,
        steps=1200, batch_states=256, learning_rate=3e-3, weight_decay=0.01,
        conditions_per_batch=conditions, levels_per_batch=levels, log_every=300,
    )  # fmt: skip
    drift = Drift(2, 2, settings)
    log = fit_drift(drift, states, membership, seed=0)
    assert log.rows[-1]["loss"] < log.rows[0]["loss"]
    level = 15
    alpha = drift.alphas[level].item()
    for q in range(3):
        x = means[q] + torch.randn(200, 2, generator=generator)
        expected = -(x - means[q]) / (0.25 + alpha**2)
        learned = drift(x, membership[q : q + 1], level).detach()
        error = (learned - expected).square().mean() / expected.square().mean()
        assert error < 0.15


def test_score_matching_checks_its_arguments():
    drift = small_drift().float()
    with pytest.raises(InputError, match="membership"):
        fit_drift(drift, torch.zeros(2, 5, 3), torch.zeros(3, 2), seed=0)
    with pytest.raises(InputError, match="levels_per_batch"):
        DriftSettings(levels_per_batch="both")


@pytest.mark.parametrize("kind", ["identity", "log_rate"])
def test_state_transform_standardises_and_keeps_rates(kind):
    generator = torch.Generator().manual_seed(0)
    states = 3 * torch.randn(4, 500, 3, generator=generator, dtype=torch.float64)
    eta = torch.tensor([1.0, 4.0, 20.0], dtype=torch.float64)
    transform = StateTransform.fit(states, states[0], eta, StateSettings(transform=kind))
    s = transform.forward(states)
    torch.testing.assert_close(s[0].mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(s.flatten(0, 1).std(0), torch.ones(3, dtype=torch.float64))
    expected_rate = eta * torch.logaddexp(states, torch.zeros_like(states))
    torch.testing.assert_close(transform.rate(s), expected_rate, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["identity", "log_rate"])
def test_scaling_by_the_covariance_whitens_and_keeps_rates(kind):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.tensor([[1.0, 0.9, 0.2], [0.0, 0.1, 0.3], [0.0, 0.0, 2.0]], dtype=torch.float64)
    states = torch.randn(4, 500, 3, generator=generator, dtype=torch.float64) @ mixing
    eta = torch.tensor([1.0, 4.0, 20.0], dtype=torch.float64)
    transform = StateTransform.fit(
        states, states[0], eta, StateSettings(transform=kind, scaling="covariance")
    )
    s = transform.forward(states)
    torch.testing.assert_close(s[0].mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(s.flatten(0, 1).T.cov(), identity, rtol=1e-6, atol=1e-6)
    expected_rate = eta * torch.logaddexp(states, torch.zeros_like(states))
    torch.testing.assert_close(transform.rate(s), expected_rate, rtol=1e-6, atol=1e-9)


def test_shrinkage_leads_from_the_covariance_to_its_diagonal():
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(1, 50, 1, generator=generator).expand(1, 50, 2)  # perfectly correlated
    eta = torch.ones(2)
    with pytest.raises(InputError, match="singular, or nearly so"):
        StateTransform.fit(states, states[0], eta, StateSettings(scaling="covariance"))
    shrunk = StateSettings(scaling="covariance", shrinkage=0.25)
    scale = StateTransform.fit(states, states[0], eta, shrunk).scale.double()
    variance = float(states[0, :, 0].double().var())
    expected = variance * torch.tensor([[1.0, 0.75], [0.75, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(scale @ scale, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="shrinkage"):
        StateSettings(scaling="covariance", shrinkage=1.0)


def test_log_rate_collapses_far_negative_states():
    states = torch.tensor([[[-500.0], [-40.0], [0.0], [3.0]]])
    transform = StateTransform.fit(
        states, states[0], torch.ones(1), StateSettings(transform="log_rate")
    )
    highest = torch.nn.functional.softplus(torch.tensor(3.0)).item()
    assert transform.rate(torch.full((1, 1), 50.0)).item() == pytest.approx(highest, rel=1e-5)
    s = transform.forward(states)[0, :, 0]
    assert s[0] == s[1]
    assert transform.rate(s[:1, None]).item() == pytest.approx(0.0, abs=1e-6)


def test_state_transform_refuses_constant_and_non_finite_states():
    eta = torch.ones(2)
    with pytest.raises(InputError, match="do not vary"):
        StateTransform.fit(torch.zeros(1, 4, 2), torch.zeros(4, 2), eta, StateSettings())
    with pytest.raises(InputError, match="not finite"):
        StateTransform.fit(
            torch.full((1, 4, 2), float("nan")), torch.zeros(4, 2), eta, StateSettings()
        )
    with pytest.raises(InputError, match=r"states\.transform"):
        StateSettings(transform="log")
    with pytest.raises(InputError, match=r"states\.scaling"):
        StateSettings(scaling="max")


@pytest.mark.parametrize("parameterization", ["plain", "linear_pull"])
def test_a_drift_under_fixed_conditions_is_the_drift(parameterization):
    drift = small_drift(parameterization)
    membership = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    fixed, rows = ConditionedDrift(drift, membership), torch.tensor([2, 0, 1, 2])
    for level in (0, 17, 29):
        torch.testing.assert_close(fixed(x, rows, level), drift(x, membership[rows], level))


@pytest.mark.parametrize("parameterization", ["plain", "linear_pull"])
def test_a_drift_for_sampling_is_the_drift(parameterization):
    drift = small_drift(parameterization)
    membership = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rows = torch.tensor([2, 0, 1, 2])
    own = drift.under(membership[rows])
    for level in (0, 17, 29, 3):
        expected = drift(x, membership[rows], level)
        torch.testing.assert_close(own.scaled(x, level) / drift.alphas[level], expected)
        moved = own.move_(x.clone(), level, 0.3)
        torch.testing.assert_close(moved, x + 0.3 * drift.alphas[level] * expected)
        torch.testing.assert_close(
            drift.under(membership, copies=2).scaled(x[:1].expand(6, -1), level)[1::2],
            drift.alphas[level] * drift(x[:1].expand(3, -1), membership, level),
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tanh_is_tanh_with_its_slope(dtype):
    x = torch.cat([torch.linspace(-20, 20, 4001), torch.tensor([0.0, 1e-8, -1e-4, 1e4, -1e4])])
    x = x.to(dtype).requires_grad_()
    value = tanh(x)
    slope = torch.autograd.grad(value.sum(), x)[0]
    expected = np.tanh(x.detach().double().numpy())
    error = 2e-7 if dtype == torch.float32 else 1e-15
    np.testing.assert_allclose(value.detach().numpy(), expected, rtol=0, atol=error)
    np.testing.assert_allclose(slope.numpy(), 1 - expected**2, rtol=0, atol=4 * error)
    jacobian = torch.func.jacrev(tanh)(x.detach()[:5])
    np.testing.assert_allclose(jacobian.diagonal().numpy(), slope[:5].numpy(), rtol=0, atol=error)


def test_the_optimizer_is_adamw_of_torch_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2,))]
    own, other = ([torch.nn.Parameter(p.clone()) for p in start] for _ in range(2))
    ours = FusedAdamW(own, 0.3)
    theirs = torch.optim.AdamW(other, betas=(0.9, 0.999), weight_decay=0.3, fused=True)
    for step in range(5):
        gradients = [torch.randn(p.shape, generator=generator) for p in start]
        gradients[2] = None if step < 3 else gradients[2]  # a part that is not used
        for p, gradient in zip(other, gradients, strict=True):
            p.grad = gradient
        theirs.param_groups[0]["lr"] = 0.1 / (step + 1)
        theirs.step()
        ours.step(gradients, 0.1 / (step + 1))
    for a, b in zip(own, other, strict=True):
        assert torch.equal(a, b)


class TestAntitheticNoise:
    """Every drawn state occurs with a noise and with its opposite."""

    STATES = torch.randn(3, 10, 4, generator=torch.Generator().manual_seed(7))
    MEMBERSHIP = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])

    def training(self, **other) -> DriftTraining:
        settings = DriftSettings(
            **{"hidden": 8, "embedding_dimensions": 2, "batch_states": 12, "steps": 400, **other}
        )
        return DriftTraining(Drift(4, 2, settings), self.STATES, self.MEMBERSHIP, seed=5)

    @pytest.mark.parametrize("how", ["mixed", "single"])
    def test_the_loss_is_that_of_states_with_either_sign(self, how):
        training = self.training(antithetic=True, conditions_per_batch=how, levels_per_batch=how)
        drift, draws = training.drift, stream(5, "drift", "draws")
        shared = 6 if how == "mixed" else 1
        condition = torch.randint(3, (shared,), generator=draws).expand(6)
        level = torch.randint(30, (shared,), generator=draws).expand(6)
        sample = torch.randint(10, (6,), generator=draws)
        noise = torch.randn(6, 4, generator=stream(5, "drift", "noise"))
        losses = []
        for i in range(6):
            q, k = int(condition[i]), int(level[i])
            alpha = float(drift.alphas[k])
            for eps in (noise[i], -noise[i]):
                x = self.STATES[q, sample[i]] + alpha * eps
                f = drift(x[None], self.MEMBERSHIP[q : q + 1], k)[0]
                losses.append((alpha * f + eps).square().sum())
        reported = training.step()[0]
        torch.testing.assert_close(reported.float(), torch.stack(losses).mean().detach())

    def test_gradients_at_small_noise_hardly_vary(self):
        def gradients(antithetic: bool) -> torch.Tensor:
            """Gradients of a network that answers zero and does not move, steps x parameters."""
            training = self.training(antithetic=antithetic, alpha_min=0.01, alpha_max=0.02)
            with torch.no_grad():
                training.drift.output.weight.zero_()
            found = []
            step = training.optimizer.step
            training.optimizer.step = lambda own, rate: (found.append(own), step(own, 0.0))
            for _ in range(400):
                training.step()
            return torch.stack([torch.cat([g.flatten() for g in own]) for own in found])

        single, pairs = gradients(False), gradients(True)
        error = (single.var(dim=0) / 400 + pairs.var(dim=0) / 400).sqrt() + 1e-7
        z = (single.mean(dim=0) - pairs.mean(dim=0)) / error
        assert z.abs().max() < 5  # the same expectation
        assert pairs.var(dim=0).sum() < 0.1 * single.var(dim=0).sum()

    def test_half_a_pair_is_refused(self):
        with pytest.raises(InputError, match=r"drift\.batch_states"):
            DriftSettings(antithetic=True, batch_states=511)
