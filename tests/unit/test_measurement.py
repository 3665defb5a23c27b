"""The measurement model against a written-out float64 reference and SciPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import gammaln

from lcd_core import measurement
from lcd_core.errors import InputError
from lcd_core.measurement import (
    CountFeatures,
    can_fuse,
    log_evidence,
    log_likelihood,
    log_softplus,
    rate_scale,
    sample_counts,
)


def draw_case(seed, b, m, d, big_counts, extreme_states):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 5, size=(m, d))
    if extreme_states:
        x = np.where(rng.random((m, d)) < 0.3, rng.choice([-60.0, 60.0], size=(m, d)), x)
    counts = rng.poisson(3.0, size=(b, d)) * rng.integers(0, 2, size=(b, d))
    if big_counts:
        counts = np.where(rng.random((b, d)) < 0.2, 50_000, counts)
    eta = 1.0 + rng.gamma(1.0, 10.0, size=d)
    logit = rng.normal(-2, 2, size=d)
    return counts, x, eta, logit


def log_likelihood_reference(counts, x, eta, logit_pi):
    """Log-likelihood of counts (B, d) under states (M, d), written out in float64; (B, M)."""
    y = np.asarray(counts, dtype=np.float64)[:, None, :]
    x = np.asarray(x, dtype=np.float64)[None, :, :]
    eta = np.asarray(eta, dtype=np.float64)
    logit_pi = np.asarray(logit_pi, dtype=np.float64)
    softplus = np.logaddexp(0.0, x)
    with np.errstate(divide="ignore"):
        log_mu = np.log(eta) + np.where(x < -36.0, x, np.log(softplus))
    mu = eta * softplus
    log_pi, log_not_pi = -np.logaddexp(0.0, -logit_pi), -np.logaddexp(0.0, logit_pi)
    zero = np.logaddexp(log_pi, log_not_pi - mu)
    positive = log_not_pi + y * log_mu - mu - gammaln(y + 1.0)
    return np.where(y > 0, positive, zero).sum(axis=-1)


def reference_gradient(counts, x, eta, logit, weights):
    """Gradient of sum(weights * logp), from the written-out form in float64 by autograd."""
    y = torch.from_numpy(counts).double()[:, None]
    x = torch.from_numpy(x).requires_grad_()
    logit = torch.from_numpy(logit).requires_grad_()
    eta = torch.from_numpy(eta)
    softplus = torch.logaddexp(x, torch.zeros_like(x))
    log_mu = torch.where(x < -36, x, softplus.log()) + eta.log()
    mu = eta * softplus
    a = torch.nn.functional.logsigmoid(-logit) - mu
    zero = torch.logaddexp(torch.nn.functional.logsigmoid(logit).expand_as(a), a)
    logp = torch.where(y > 0, a + y * log_mu - torch.lgamma(y + 1), zero).sum(-1)
    (logp * torch.from_numpy(weights)).sum().backward()
    return x.grad.numpy(), logit.grad.numpy()


def evaluate(counts, x, eta, logit, weights, dtype, **how):
    features, constant = CountFeatures(torch.from_numpy(counts), torch.from_numpy(eta), dtype).all()
    x = torch.from_numpy(x).to(dtype).requires_grad_()
    logit = torch.from_numpy(logit).to(dtype).requires_grad_()
    logp = log_likelihood(x, logit, torch.from_numpy(eta).to(dtype), features, constant, **how)
    (logp * torch.from_numpy(weights).to(dtype)).sum().backward()
    return logp.detach().numpy(), x.grad.numpy(), logit.grad.numpy()


def value_error(value, reference):
    """Largest deviation relative to the value, for values below one nat to one nat."""
    return (np.abs(value - reference) / np.maximum(1.0, np.abs(reference))).max()


def gradient_error(value, reference, weights):
    """Largest deviation relative to the largest entry; a gradient below a thousandth of the
    weights is flat, and compared with that."""
    scale = max(np.abs(reference).max(), 1e-3 * np.abs(weights).max())
    return np.abs(value - reference).max() / scale


cases = st.tuples(
    st.integers(0, 10_000),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 30),
    st.booleans(),
    st.booleans(),
)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_float32_agrees_with_float64_reference(case):
    counts, x, eta, logit = draw_case(*case)
    x = x.astype(np.float32).astype(float)  # the same inputs for both precisions
    eta = eta.astype(np.float32).astype(float)
    logit = logit.astype(np.float32).astype(float)
    weights = np.random.default_rng(1).normal(size=(len(counts), len(x)))
    weights = weights.astype(np.float32).astype(float)
    logp, grad_x, grad_logit = evaluate(counts, x, eta, logit, weights, torch.float32)
    expected = log_likelihood_reference(counts, x, eta, logit)
    expected_x, expected_logit = reference_gradient(counts, x, eta, logit, weights)
    assert np.isfinite(logp).all()
    assert np.isfinite(grad_x).all()
    assert value_error(logp, expected) < 1e-5
    assert gradient_error(grad_x, expected_x, weights) < 1e-4
    assert gradient_error(grad_logit, expected_logit, weights) < 1e-4


@given(cases)
@settings(max_examples=60, deadline=None)
def test_float64_agrees_with_reference_to_rounding(case):
    counts, x, eta, logit = draw_case(*case)
    weights = np.random.default_rng(1).normal(size=(len(counts), len(x)))
    logp, grad_x, grad_logit = evaluate(counts, x, eta, logit, weights, torch.float64)
    expected = log_likelihood_reference(counts, x, eta, logit)
    expected_x, expected_logit = reference_gradient(counts, x, eta, logit, weights)
    assert value_error(logp, expected) < 1e-11
    assert gradient_error(grad_x, expected_x, weights) < 1e-7
    assert gradient_error(grad_logit, expected_logit, weights) < 1e-9


@pytest.mark.parametrize("block", [1, 10, 11 * 6, 12 * 6])
def test_blocks_of_states_change_nothing(block, monkeypatch):
    """Blocks of one state and more, the last one smaller, and of all: d = 6, M = 12."""
    counts, x, eta, logit = draw_case(4, 5, 12, 6, True, True)
    weights = np.random.default_rng(1).normal(size=(5, 12))
    monkeypatch.setattr(measurement, "BLOCK", block)
    logp, grad_x, grad_logit = evaluate(counts, x, eta, logit, weights, torch.float64)
    expected_x, expected_logit = reference_gradient(counts, x, eta, logit, weights)
    assert value_error(logp, log_likelihood_reference(counts, x, eta, logit)) < 1e-11
    assert gradient_error(grad_x, expected_x, weights) < 1e-7
    assert gradient_error(grad_logit, expected_logit, weights) < 1e-9


def test_blocks_of_several_conditions(monkeypatch):
    x = torch.randn(3, 7, 4, dtype=torch.float64)
    features, constant = torch.rand(3, 2, 8, dtype=torch.float64), torch.zeros(3, 2).double()
    rest = (torch.zeros(4).double(), torch.ones(4).double(), features, constant)
    at_once = log_likelihood(x, *rest)
    monkeypatch.setattr(measurement, "BLOCK", 2 * 3 * 4)  # two states of each condition
    torch.testing.assert_close(log_likelihood(x, *rest), at_once)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fused_agrees_with_the_reference(dtype):
    counts, x, eta, logit = draw_case(5, 7, 40, 30, True, True)
    x, eta, logit = (own.astype(np.float32).astype(float) for own in (x, eta, logit))
    weights = np.random.default_rng(1).normal(size=(7, 40)).astype(np.float32).astype(float)
    if not can_fuse((40, 30), torch.device("cpu")):
        pytest.skip("no compiler of C++")
    logp, grad_x, grad_logit = evaluate(counts, x, eta, logit, weights, dtype, fused=True)
    expected_x, expected_logit = reference_gradient(counts, x, eta, logit, weights)
    single = dtype == torch.float32
    expected = log_likelihood_reference(counts, x, eta, logit)
    assert value_error(logp, expected) < (1e-5 if single else 1e-11)
    assert gradient_error(grad_x, expected_x, weights) < (1e-4 if single else 1e-7)
    assert gradient_error(grad_logit, expected_logit, weights) < (1e-4 if single else 1e-9)


def test_without_a_compiler_a_warning_says_so(monkeypatch, caplog):
    def fail(function):
        raise RuntimeError("no compiler found\nlong trace")

    monkeypatch.setattr(measurement, "_in_one_pass", fail)
    assert not can_fuse((3, 5), torch.device("cpu"))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no compiler found" in record.message
    assert "trace" not in record.message


def test_reference_agrees_with_scipy_poisson():
    counts, x, eta, logit = draw_case(3, 4, 5, 6, False, False)
    mu = eta * np.logaddexp(0, x)
    pi = 1 / (1 + np.exp(-logit))
    pmf = (1 - pi) * stats.poisson.pmf(counts[:, None], mu[None]) + pi * (counts[:, None] == 0)
    expected = np.log(pmf).sum(-1)
    np.testing.assert_allclose(
        log_likelihood_reference(counts, x, eta, logit), expected, rtol=1e-10
    )


def test_batches_of_conditions_equal_single_conditions():
    cases = [draw_case(seed, 4, 6, 5, False, False) for seed in (1, 2)]
    eta, logit = torch.from_numpy(cases[0][2]), torch.from_numpy(cases[0][3])
    parts = []
    for counts, x, _, _ in cases:
        features, constant = CountFeatures(torch.from_numpy(counts), eta, torch.float64).all()
        parts.append((torch.from_numpy(x), features, constant))
    x, features, constant = (torch.stack(p) for p in zip(*parts, strict=True))
    together = log_likelihood(x, logit, eta, features, constant)
    for i, (xi, fi, ci) in enumerate(parts):
        torch.testing.assert_close(together[i], log_likelihood(xi, logit, eta, fi, ci))


def test_log_softplus_is_stable():
    x = torch.tensor([-1e4, -60.0, -18.0, 0.0, 60.0, 1e4], requires_grad=True)
    value = log_softplus(x)
    value.sum().backward()
    expected = np.log(np.logaddexp(0, np.array([-18.0, 0.0, 60.0, 1e4])))
    np.testing.assert_allclose(value[2:].detach(), expected, rtol=1e-6)
    np.testing.assert_allclose(value[:2].detach(), [-1e4, -60.0])
    np.testing.assert_allclose(x.grad[:2], [1.0, 1.0])


def test_rate_scale_by_hand():
    # gene 0: mean 2, variance 2 -> 2 + 1 - 1 = 2; gene 1: all zero -> 1; gene 2: mean 1/2 -> floor
    counts = np.array([[1, 0, 0], [3, 0, 1]])
    np.testing.assert_allclose(rate_scale(counts), [2.0, 1.0, 1.0])
    with pytest.raises(InputError, match="two control cells"):
        rate_scale(counts[:1])


def test_sampled_counts_follow_the_zero_inflated_poisson():
    rate = torch.full((40_000, 1), 1.7)
    pi = torch.tensor([0.3])
    y = sample_counts(rate, pi, torch.Generator().manual_seed(0)).numpy().ravel()
    observed = np.bincount(np.minimum(y, 6), minlength=7)
    pmf = 0.7 * stats.poisson.pmf(np.arange(6), 1.7)
    pmf[0] += 0.3
    expected = np.append(pmf, 1 - pmf.sum()) * len(y)
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_log_evidence_by_hand():
    logp = torch.log(torch.tensor([[0.1, 0.3], [0.2, 0.2]]))
    assert log_evidence(logp).item() == pytest.approx(np.log(0.2), rel=1e-6)


def test_counts_beyond_their_type_are_refused():
    """Which would wrap around to negative ones."""
    generator = torch.Generator().manual_seed(0)
    rates = torch.full((2, 3), 2.1e9)
    assert sample_counts(rates, torch.zeros(3), generator).min() > 2e9
    with pytest.raises(InputError, match="too large for counts"):
        sample_counts(rates * 2, torch.zeros(3), generator)
