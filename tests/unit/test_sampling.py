"""The annealed sampler against its closed form on Gaussian data (method of Eq. 13)."""

import pytest
import torch

from lcd_core.drift import Drift, noise_levels
from lcd_core.sampling import sample_states
from lcd_core.settings import (
    EULER_MARUYAMA,
    LEIMKUHLER_MATTHEWS,
    PRESETS,
    DriftSettings,
    SamplerSettings,
)


def gaussian_moments(mean, variance, alphas, settings):
    """Exact mean and variance of the sampler's output for data N(mean, variance) and exact scores.

    With ``f = -(x - mean) / (variance + alpha^2)`` each step is an affine map of x, so both
    moments follow a recursion. Used to judge step sizes without training anything.
    """
    m, v = 0.0, 1.0
    split = settings.scheme == LEIMKUHLER_MATTHEWS
    for alpha in reversed(alphas.tolist()):
        step = settings.step_size * alpha**2
        pull = step / (variance + alpha**2)
        for _ in range(settings.steps_per_level):
            m = m + pull * (mean - m)
            # of the same noise, (1 - pull) times a half and the other half
            noise = (2.0 - pull) ** 2 * step / 2.0 if split else 2.0 * step
            v = (1.0 - pull) ** 2 * v + noise
    return m, v + (step / 2.0 if split else 0.0)


class GaussianDrift:
    """Exact noise-convolved score of N(mean, variance I); looks like a Drift to the sampler."""

    def __init__(self, genes, mean, variance, alphas=None):
        self.alphas = alphas or noise_levels(DriftSettings()).tolist()
        self.embedding = torch.zeros(1, 1)
        self.output = torch.nn.Linear(1, genes)
        self.mean, self.variance = mean, variance

    def under(self, membership):
        return self

    def move_(self, x, level, factor):
        alpha = self.alphas[level]
        return x.sub_(factor * alpha * (x - self.mean) / (self.variance + alpha**2))


# Closed-form table for data N(2, 1): (step size, steps per level) -> mean, variance.
TABLE = {
    (1e-4, 500): (0.80, 12.3),
    (1e-4, 100): (0.19, 5.3),
    (1e-4, 20): (0.04, 2.0),
    (0.01, 500): (2.00, 1.051),
    (0.01, 100): (2.00, 1.319),
    (0.01, 20): (1.74, 6.2),
    (0.1, 500): (2.00, 1.005),
    (0.1, 100): (2.00, 1.026),
    (0.1, 20): (2.00, 1.144),
    (1.0, 500): (2.00, 1.001),
    (1.0, 100): (2.00, 1.004),
    (1.0, 20): (2.00, 1.019),
}


@pytest.mark.parametrize(("key", "expected"), TABLE.items())
def test_closed_form_reproduces_the_table(key, expected):
    mean, variance = gaussian_moments(
        2.0, 1.0, noise_levels(DriftSettings()), SamplerSettings(*key, scheme=EULER_MARUYAMA)
    )
    assert mean == pytest.approx(expected[0], abs=0.006)
    assert variance == pytest.approx(expected[1], abs=0.06 if expected[1] >= 2 else 0.0006)


@pytest.mark.parametrize("scheme", [EULER_MARUYAMA, LEIMKUHLER_MATTHEWS])
@pytest.mark.parametrize("key", [(1.8, 5), (1.0, 20), (0.1, 20), (0.01, 20), (1e-4, 20)])
def test_sampler_follows_the_closed_form(key, scheme):
    settings = SamplerSettings(*key, scheme=scheme)
    drift = GaussianDrift(50, 2.0, 1.0)
    x = sample_states(
        drift, torch.zeros(2000, 1), settings, torch.Generator().manual_seed(0)
    ).double()
    mean, variance = gaussian_moments(2.0, 1.0, noise_levels(DriftSettings()), settings)
    n = x.numel()
    assert x.mean().item() == pytest.approx(mean, abs=5 * (variance / n) ** 0.5)
    assert x.var().item() == pytest.approx(variance, rel=5 * (2 / n) ** 0.5)


@pytest.mark.parametrize("step_size", [0.3, 1.0, 1.8])
@pytest.mark.parametrize("variance", [0.02, 1.0])
def test_the_second_order_scheme_is_exact_where_the_drift_is_linear(step_size, variance):
    """At one level of 1, after so many steps that nothing of the start is left: the variance is
    that of the data and the noise, where Euler and Maruyama have 1 / (1 - pull / 2) times that.
    """
    drift = GaussianDrift(50, 2.0, variance, [1.0])
    pull = step_size / (variance + 1.0)
    for scheme, factor in ((LEIMKUHLER_MATTHEWS, 1.0), (EULER_MARUYAMA, 1.0 / (1.0 - pull / 2))):
        settings = SamplerSettings(step_size, 80, scheme=scheme)
        x = sample_states(drift, torch.zeros(2000, 1), settings, torch.Generator().manual_seed(0))
        expected = factor * (variance + 1.0)
        assert x.double().var().item() == pytest.approx(expected, rel=5 * (2 / x.numel()) ** 0.5)
        assert gaussian_moments(2.0, variance, torch.tensor([1.0]), settings)[1] == pytest.approx(
            expected
        )


@pytest.mark.parametrize("scheme", [EULER_MARUYAMA, LEIMKUHLER_MATTHEWS])
def test_no_states_are_none(scheme):
    drift, settings = GaussianDrift(5, 2.0, 1.0), SamplerSettings(steps_per_level=2, scheme=scheme)
    x = sample_states(drift, torch.zeros(0, 1), settings, torch.Generator().manual_seed(0))
    assert x.shape == (0, 5)


def test_fast_is_as_good_as_twice_as_many_steps_of_the_first_order():
    """For data N(2, 1): `default` has twice the steps of `fast`."""
    alphas = noise_levels(DriftSettings())
    mean, variance = gaussian_moments(2.0, 1.0, alphas, PRESETS["fast"])
    _, of_default = gaussian_moments(2.0, 1.0, alphas, PRESETS["default"])
    assert mean == pytest.approx(2.0, abs=0.005)
    assert 1.0 <= variance <= of_default


def test_many_states_of_one_row_are_those_of_equal_rows():
    settings = DriftSettings(
        hidden=16, embedding_dimensions=4, time_dimensions=4, noise_levels=5, alpha_max=3.0
    )
    drift = Drift(3, 2, settings)
    drift.reset(torch.Generator().manual_seed(0))
    row, sampler = torch.tensor([[1.0, 1.0]]), SamplerSettings(steps_per_level=4)
    rows = sample_states(drift, row.expand(50, -1), sampler, torch.Generator().manual_seed(1))
    many = sample_states(drift, row, sampler, torch.Generator().manual_seed(1), number=50)
    torch.testing.assert_close(many, rows, rtol=1e-4, atol=1e-4)
