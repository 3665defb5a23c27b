"""TF32 where a GPU may use it and nowhere else, and what it does to gradients, emulated."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from benchmarks.suite.tf32 import EmulatedTf32, truncated
from lcd_core.drift import Drift
from lcd_core.drift_gradient import loss_and_gradients
from lcd_core.measurement import CountFeatures, log_likelihood
from lcd_core.precision import allowed_precision, matmul_precision
from lcd_core.prior import GeneratorLayout, evidence_of
from lcd_core.settings import DriftSettings, PriorSettings
from tests.unit.test_checkpoints import drift_training, prior_training

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 0.05
"""Error that TF32 may make in a gradient, as a share of what the gradient varies by from one draw
of the random numbers to the next. At a twentieth it adds a quarter of a percent to the variance."""
REPORTED = 0.005
"""Relative error that it may make in a loss or evidence, which training only reports."""


def test_truncation_by_hand():
    kept = 1 + 2.0**-10
    values = torch.tensor([1.0, kept, 1 + 2.0**-11, -(kept + 2.0**-12), 3e-30, 0.0])
    assert truncated(values)[:4].tolist() == [1.0, kept, 1.0, -kept]
    assert truncated(values)[5] == 0.0
    assert (truncated(values) - values).abs()[4] <= 3e-30 * 2.0**-10
    matrix = torch.arange(6.0).reshape(2, 3).T
    assert torch.equal(truncated(matrix), matrix)


def test_precision_is_set_inside_alone():
    with matmul_precision("tf32"):
        assert allowed_precision() == "tf32"
        with matmul_precision("float32"):
            assert allowed_precision() == "float32"
        assert allowed_precision() == "tf32"
    with pytest.raises(ZeroDivisionError), matmul_precision("tf32"):
        1 / 0  # noqa: B018
    assert allowed_precision() == "float32"


AROUND = """
    import torch
    from lcd_core.precision import allowed_precision, matmul_precision

    {setting}
    before, on_cpu = allowed_precision(), cpu()
    for precision in ("tf32", "float32"):
        with matmul_precision(precision):
            assert allowed_precision() == precision
            assert cpu() == on_cpu
    assert allowed_precision() == before == "{expected}", before
"""
NEW = "fp32_precision"
CPU = f"""
def cpu():
    import torch
    return getattr(torch.backends.mkldnn.matmul, "{NEW}", None)
"""


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", "float32"),
        ("torch.set_float32_matmul_precision('high')", "tf32"),
        ("torch.backends.cuda.matmul.allow_tf32 = True", "tf32"),
        (f"torch.backends.cuda.matmul.{NEW} = 'tf32'", "tf32"),
        (f"torch.backends.{NEW} = 'tf32'", "tf32"),
        (f"torch.backends.mkldnn.matmul.{NEW} = 'bf16'", "float32"),
    ],
)
def test_whatever_a_program_has_set_before_is_set_again(setting, expected):
    """In a process of its own: torch refuses to be asked in one way and set in the other."""
    if NEW in setting and not hasattr(torch.backends, NEW):
        pytest.skip("before torch 2.9")
    code = CPU + textwrap.dedent(AROUND).format(setting=setting, expected=expected)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_product_of_tf32_is_emulated():
    a = torch.full((1, 2), 1 + 2.0**-12)
    with EmulatedTf32() as emulated:
        assert (a @ a.T).item() == torch.tensor(2 * (1 + 2.0**-12) ** 2).item()
        with matmul_precision("tf32"):
            assert (a @ a.T).item() == 2.0
            assert torch.addmm(torch.ones(1, 1), a, a.T).item() == 3.0
            a.double() @ a.T.double()  # counts for nothing
    assert emulated.seen == {"float32": 1, "tf32": 2}


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_the_likelihood_is_in_float32_whatever_is_set(precision):
    """A prior's step multiplies twice for the likelihood; the generators have all the others."""
    training = prior_training(network_precision=precision)
    with EmulatedTf32() as emulated:
        training.step()
    of_generators = 3 * len(training.layout.layers) - 1  # the noise needs no gradient
    wanted = {"float32": 2, "tf32": of_generators}
    assert emulated.seen == (wanted if precision == "tf32" else {"float32": sum(wanted.values())})


def test_nor_does_it_matter_what_a_program_around_has_set():
    x = torch.randn(3, 4, requires_grad=True)
    features, constant = CountFeatures(torch.ones(2, 4), torch.ones(4)).all()
    with EmulatedTf32() as emulated, matmul_precision("tf32"):
        log_likelihood(x, torch.zeros(4), torch.ones(4), features, constant).sum().backward()
    assert emulated.seen == {"float32": 2}


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("around", ["float32", "tf32"])
def test_all_products_of_the_drift_are_in_the_precision_set(precision, around):
    training = drift_training(network_precision=precision)
    with EmulatedTf32() as emulated, matmul_precision(around):
        training.step()
    # Three layers: 3 forward, 5 backward. The embedding: 1, and 2 into layers; back 2 and 2, and
    # 1 to the targets. The levels: 2 forward, 3 backward.
    assert emulated.seen == {precision: 21}


def gradients_of_a_prior(precision, dtype, seed, spread, device="cpu"):
    """Gradient of both evidences at published widths, 300 genes and 2,000 states."""
    layout = GeneratorLayout(PriorSettings(network_precision=precision), 300)
    generator = torch.Generator().manual_seed(1)
    flat = spread * layout.initial(1, generator)
    eta = (torch.rand(300, generator=generator) * 20 + 1).to(dtype)
    rate = torch.rand(64, 300, generator=generator).exp().square() * 3
    counts = torch.poisson(rate, generator=generator).to(device)
    features, constant = CountFeatures(counts, eta.to(device), dtype).all()
    flat = flat.to(device, dtype).requires_grad_()
    logit = torch.full((300,), -3.0, dtype=dtype, device=device, requires_grad=True)
    noise = torch.randn(1, 2000, 64, generator=torch.Generator().manual_seed(seed))
    states = layout.generate(flat, noise.to(device, dtype))
    logp = log_likelihood(states, logit, eta.to(device), features, constant)
    evidence, weights = evidence_of(logp.detach(), 1.0)
    weights = -weights - evidence_of(logp.detach(), 20.0)[1]
    with matmul_precision(precision):
        gradient = torch.autograd.grad(logp, [flat, logit], weights)
    return evidence.double(), torch.cat([own.flatten().double() for own in gradient])


def check_budget(function, tf32=EmulatedTf32):
    """TF32 against float64, and both against what other random numbers give."""
    value, exact = function("float32", torch.float64, 0)
    _, single = function("float32", torch.float32, 0)
    with tf32():
        rounded_value, rounded = function("tf32", torch.float32, 0)
    others = [function("float32", torch.float32, seed) for seed in range(1, 9)]
    gradients = torch.stack([own for _, own in others])
    spread = (gradients - gradients.mean(dim=0)).square().sum(dim=1).sum().div(7).sqrt()
    error = (rounded - exact).norm()
    assert (single - exact).norm() < error  # what is measured is TF32
    assert error <= BUDGET * spread
    assert (rounded_value - value).abs() <= REPORTED * value.abs()


@pytest.mark.parametrize("spread", [1.0, 0.3])
def test_error_budget_of_the_prior(spread):
    """States far off, as at a random start, and close together, as after it."""
    check_budget(lambda *how: gradients_of_a_prior(*how, spread))


def gradients_of_a_drift(precision, dtype, seed, size, device="cpu"):
    """Loss and gradient at width 512 with 100 genes, for weights as at the start or larger."""
    settings = DriftSettings(hidden=512, embedding_dimensions=128, network_precision=precision)
    drift = Drift(100, 20, settings)
    drift.reset(torch.Generator().manual_seed(2))
    drift.to(device, dtype)
    with torch.no_grad():
        for own in drift.parameters():
            own.mul_(size)
    generator = torch.Generator().manual_seed(seed)
    condition = torch.randint(20, (512,), generator=generator)
    level = torch.randint(settings.noise_levels, (512,), generator=generator)
    clean, noise = torch.randn(2, 512, 100, generator=generator).to(device, dtype)
    membership = torch.eye(20, dtype=dtype, device=device)
    loss, gradients = loss_and_gradients(
        drift, membership, condition.to(device), level.to(device), clean, noise
    )
    return loss.double(), torch.cat([g.flatten().double() for g in gradients if g is not None])


@pytest.mark.parametrize("size", [1.0, 2.0])
def test_error_budget_of_the_drift(size):
    check_budget(lambda *how: gradients_of_a_drift(*how, size))
