"""Switches that take a part of the method away, and leave the rest as it is."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from lcd_core.conditions import multi_hot
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.fit import LCDSettings, fit, fit_to_expression
from lcd_core.measurement import log_evidence, rate_scale
from lcd_core.model import LCD
from lcd_core.prior import PriorTraining, scale_of, tempered_evidence
from lcd_core.sampling import sample_states
from lcd_core.settings import DriftSettings, PriorSettings, SamplerSettings, StateSettings
from lcd_core.streams import stream

PRIOR = PriorSettings(
    hidden=8, output_hidden=8, blocks=1, output_blocks=1, latent_dimensions=4, steps=3,
    warmup_steps=0, batch_cells=6, monte_carlo_states=16, temperature=5.0,
)  # fmt: skip
DRIFT = DriftSettings(
    hidden=16, embedding_dimensions=4, time_dimensions=4, noise_levels=5, samples=50, steps=60,
    batch_states=64,
)  # fmt: skip


def counts(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.poisson(torch.full((30, 5), level), generator=generator).int()
        for name, level in (("control", 3.0), ("A", 6.0))
    }


def test_without_the_tempered_term_the_loss_is_the_evidence():
    """Per cell, the loss of a step is minus the evidence, once or beside the tempered one."""
    eta = rate_scale(counts()["control"].numpy())
    losses = {}
    for tempered in (True, False):
        training = PriorTraining(
            counts(), list("abcde"), eta, replace(PRIOR, tempered_evidence=tempered), seed=1,
            device="cpu",
        )  # fmt: skip
        loss, _, evidence = training.step().tolist()
        losses[tempered] = loss
        if not tempered:
            assert loss == pytest.approx(-evidence, rel=1e-5)
    # the tempered evidence is no larger than the evidence (Jensen), so its loss is no smaller
    assert losses[True] > 2 * losses[False] - 1e-6
    logp = torch.randn(4, 16, dtype=torch.float64)
    assert tempered_evidence(logp, 1.0) == pytest.approx(float(4 * log_evidence(logp)))


def test_gene_scaling():
    control = counts()["control"].numpy() * np.array([1, 10, 1, 1, 1])
    scaled = scale_of(control, PRIOR)
    assert torch.equal(scaled, rate_scale(control))
    assert scaled[1] > 10
    assert torch.equal(scale_of(control, replace(PRIOR, gene_scaling=False)), torch.ones(5))


@pytest.mark.parametrize(("layers", "acts"), [("both", (1, 1)), ("first", (1, 0)),
                                              ("second", (0, 1))])  # fmt: skip
def test_embeddings_enter_the_layers_named(layers, acts):
    drift = Drift(5, 2, replace(DRIFT, embedding_layers=layers))
    drift.reset(stream(1, "weights"))
    found = drift.condition_features(multi_hot([["A"], ["A", "B"]], ["A", "B"]))
    assert tuple(int(bool(own.any())) for own in found) == acts
    whole = Drift(5, 2, DRIFT)
    whole.load_state_dict(drift.state_dict())
    for own, other, act in zip(
        found, whole.condition_features(multi_hot([["A"], ["A", "B"]], ["A", "B"])), acts,
        strict=True,
    ):  # fmt: skip
        assert torch.equal(own, other * act)


def test_without_annealing_all_steps_are_at_the_smallest_level():
    drift = Drift(5, 1, DRIFT)
    drift.reset(stream(1, "weights"))
    seen = []
    own = drift.under(torch.zeros(3, 1))
    move = own.move_
    own.move_ = lambda x, level, factor: (  # type: ignore[method-assign]
        seen.append(level) or move(x, level, factor)
    )
    drift.under = lambda membership: own  # type: ignore[method-assign]
    membership = torch.zeros(3, 1)
    for annealing in (True, False):
        settings = SamplerSettings(steps_per_level=2, annealing=annealing)
        sample_states(drift, membership, settings, stream(1, "sampler"))
    assert seen == [level for level in reversed(range(5)) for _ in range(2)] + [0] * 10


class TestExpression:
    def model(self):
        generator = torch.Generator().manual_seed(1)
        cells = {
            "control": torch.rand(200, 4, generator=generator) + 1.0,
            "A": torch.rand(200, 4, generator=generator) + torch.tensor([3.0, 1.0, 1.0, 1.0]),
        }
        states = StateSettings(transform="expression")
        drift = replace(DRIFT, hidden=64, samples=500, steps=800, batch_states=256,
                        noise_levels=10, learning_rate=3e-3)  # fmt: skip
        sets = {"control": (), "A": ("A",)}
        model, _ = fit_to_expression(
            cells, list("wxyz"), sets, states, drift, further_targets=["B"], seed=1
        )
        return cells, model

    def test_a_model_of_expression_generates_expression(self, tmp_path):
        cells, model = self.model()
        assert not model.has_measurement
        assert model.targets == ["A", "B"]
        drawn = model.sample(["A"], 300, seed=2)
        assert drawn.dtype == torch.float32
        assert bool((drawn >= 0).all())
        means = torch.stack([drawn.mean(0), cells["A"].mean(0), cells["control"].mean(0)])
        assert (means[0] - means[1]).norm() < 0.25 * (means[2] - means[1]).norm()
        model.save(tmp_path / "m.safetensors")
        again = LCD.load(tmp_path / "m.safetensors")
        assert torch.equal(again.sample(["A"], 300, seed=2), drawn)

    def test_rates_are_counts_per_ten_thousand(self):
        _, model = self.model()
        u = torch.tensor([[0.0, 1.0, -2.0, 3.0]])
        wanted = torch.expm1(torch.tensor([[0.0, 1.0, 0.0, 3.0]]))
        torch.testing.assert_close(model.transform.rate_of(u), wanted)

    def test_counts_are_refused(self):
        settings = LCDSettings(prior=PRIOR, states=StateSettings(transform="expression"))
        with pytest.raises(InputError, match="fit_to_expression"):
            fit({n: c.numpy() for n, c in counts().items()}, list("abcde"), settings=settings,
                seed=1)  # fmt: skip


def test_the_whole_method_is_the_default():
    assert asdict(PriorSettings())["tempered_evidence"] is True
    assert asdict(PriorSettings())["gene_scaling"] is True
    assert DriftSettings().embedding_layers == "both"
    assert SamplerSettings().annealing is True
