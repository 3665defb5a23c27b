"""From counts to a fitted model in one call."""

import numpy as np
import pytest
import scipy.sparse
import torch

from lcd_core.errors import InputError
from lcd_core.fit import LCDSettings, fit, fit_diffusion, fit_to_states
from lcd_core.measurement import rate_scale
from lcd_core.model import LCD
from lcd_core.prior import fit_priors
from lcd_core.settings import DriftSettings, PriorSettings, StateSettings

GENES = list("wxyz")
SMALL = LCDSettings(
    PriorSettings(
        latent_dimensions=4, hidden=5, blocks=1, output_hidden=6, output_blocks=1,
        steps=8, warmup_steps=2, batch_cells=8, monte_carlo_states=16,
    ),
    StateSettings(),
    DriftSettings(hidden=8, embedding_dimensions=4, samples=12, steps=8, batch_states=16),
)  # fmt: skip


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return {name: rng.poisson(4.0, (15, 4)) for name in ("control", "B", "A+B")}


def weights(model):
    return {**model.drift.state_dict(), "pi": model.pi, "mean": model.transform.mean}


def assert_equal(a: LCD, b: LCD) -> None:
    ours, theirs = weights(a), weights(b)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_fit_is_its_parts_one_after_the_other(counts):
    model = fit(counts, GENES, settings=SMALL, seed=3)
    assert (model.genes, model.targets, model.trained_targets) == (GENES, ["A", "B"], ["A", "B"])
    assert model.seed == 3
    tensors = {name: torch.from_numpy(y) for name, y in counts.items()}
    eta = rate_scale(counts["control"])
    priors, _ = fit_priors(tensors, GENES, eta, SMALL.prior, seed=3)
    sets = {"control": (), "B": ("B",), "A+B": ("A", "B")}
    expected, _ = fit_diffusion(priors, sets, SMALL.states, SMALL.drift, seed=3)
    assert_equal(model, expected)
    assert model.sample(["A", "B"], 6, seed=1).shape == (6, 4)


def test_counts_may_be_sparse_floats_or_tensors(counts):
    expected = fit(counts, GENES, settings=SMALL, seed=3)
    kinds = {
        "control": scipy.sparse.csr_matrix(counts["control"]),
        "B": counts["B"].astype(np.float32),
        "A+B": torch.from_numpy(counts["A+B"]),
    }
    assert_equal(fit(kinds, GENES, settings=SMALL, seed=3), expected)


def test_targets_may_be_given(counts):
    targets = {"control": [], "B": ["B"], "A+B": ["A", "B"]}
    model = fit(counts, GENES, targets=targets, settings=SMALL, seed=3)
    assert_equal(model, fit(counts, GENES, settings=SMALL, seed=3))
    # what is not given goes by its name
    model = fit(counts, GENES, targets={"A+B": ["A+B"]}, settings=SMALL, seed=3)
    assert model.targets == ["A+B", "B"]


def test_further_targets_are_known_with_the_mean_of_the_others(counts):
    tensors = {name: torch.from_numpy(y) for name, y in counts.items()}
    priors, _ = fit_priors(tensors, GENES, torch.ones(4), SMALL.prior, seed=3)
    sets = {"control": (), "B": ("B",), "A+B": ("A", "B")}
    model, log = fit_diffusion(
        priors, sets, SMALL.states, SMALL.drift, further_targets=["AB", "A"], seed=3
    )
    assert (model.targets, model.trained_targets) == (["A", "AB", "B"], ["A", "B"])
    torch.testing.assert_close(model.drift.embedding[1], model.drift.embedding[[0, 2]].mean(0))
    assert log.rows[-1]["step"] == 8


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda y: y - 1, "condition B: counts must be nonnegative"),
        (lambda y: np.log1p(y), "condition B"),
        (lambda y: y.astype(str), "condition B"),
        (lambda y: y + np.nan, "condition B"),
        (lambda y: y + np.inf, "condition B"),
        (lambda y: y[:, :3], "condition B: counts are a matrix of cells x genes"),
        (lambda y: y[:0], "condition B: counts are a matrix of cells x genes"),
    ],
)
def test_counts_that_cannot_be_are_refused_by_condition(counts, spoil, words):
    with pytest.raises(InputError, match=words):
        fit({**counts, "B": spoil(counts["B"])}, GENES, settings=SMALL, seed=3)


def test_a_control_is_needed(counts):
    del counts["control"]
    with pytest.raises(InputError, match=r"(?s)control is missing.*B, A\+B"):
        fit(counts, GENES, settings=SMALL, seed=3)
    with pytest.raises(InputError, match="no condition is the control"):
        fit_to_states(
            torch.randn(1, 5, 4), [("A",)], GENES, ["A"], SMALL.states, SMALL.drift,
            eta=torch.ones(4), pi=torch.zeros(4), seed=1,
        )  # fmt: skip
