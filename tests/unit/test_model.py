"""The fitted model: any set of targets, save and load, refusals."""

import json

import pytest
import torch

from lcd_core.conditions import Conditions, multi_hot
from lcd_core.drift import Drift, noise_levels
from lcd_core.errors import InputError
from lcd_core.model import LCD
from lcd_core.sampling import PRESETS
from lcd_core.states import StateTransform


@pytest.fixture
def model():
    drift = Drift(4, 3, noise_levels(), hidden=8, embedding_dimensions=4)
    drift.reset(torch.Generator().manual_seed(0))
    transform = StateTransform(
        "log_rate", torch.zeros(4), torch.ones(4), torch.full((4,), 2.0), torch.full((4,), 4.0)
    )
    return LCD(list("wxyz"), ["A", "B", "C"], drift, transform, torch.full((4,), 0.1), ["A", "B"])


@pytest.mark.parametrize("targets", [(), ("A",), ("A", "B"), ("C", "A", "B")])
def test_samples_counts_for_any_set_of_targets(model, targets):
    counts = model.sample(targets, 7, seed=1, sampler=PRESETS["fast"], draws_per_state=3)
    assert counts.shape == (7, 4)
    assert counts.dtype == torch.int32
    assert (counts >= 0).all()


def test_order_of_targets_does_not_matter_and_seeds_do(model):
    one = model.sample(("A", "B"), 20, seed=1, sampler=PRESETS["fast"])
    assert torch.equal(one, model.sample(("B", "A"), 20, seed=1, sampler=PRESETS["fast"]))
    assert not torch.equal(one, model.sample(("A", "B"), 20, seed=2, sampler=PRESETS["fast"]))


def test_round_trip(model, tmp_path):
    model.save(tmp_path)
    again = LCD.load(tmp_path)
    a = model.sample(("A", "C"), 9, seed=3, sampler=PRESETS["fast"])
    assert torch.equal(a, again.sample(("A", "C"), 9, seed=3, sampler=PRESETS["fast"]))
    assert (again.genes, again.targets, again.trained_targets) == (
        model.genes, model.targets, model.trained_targets,
    )  # fmt: skip


def test_untrained_targets_get_the_mean_embedding(model):
    model.impute_untrained_targets()
    torch.testing.assert_close(model.drift.embedding[2], model.drift.embedding[:2].mean(0))


def test_refusals(model, tmp_path):
    with pytest.raises(InputError, match="unknown perturbation targets"):
        model.sample(("Q",), 3, seed=0)
    with pytest.raises(InputError, match="sequence of targets"):
        model.sample("A", 3, seed=0)
    with pytest.raises(InputError, match="at least 1"):
        model.sample(("A",), 0, seed=0)
    with pytest.raises(InputError, match="cannot read the fitted model"):
        LCD.load(tmp_path / "nowhere")
    model.save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 10)
    with pytest.raises(InputError, match="cannot read the fitted model"):
        LCD.load(tmp_path)
    model.save(tmp_path)
    metadata = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**metadata, "format": 99}))
    with pytest.raises(InputError, match="another format"):
        LCD.load(tmp_path)


def test_conditions():
    conditions = Conditions({"control": (), "A": ("A",), "A+B": ("A", "B")})
    assert conditions.targets == ["A", "B"]
    assert conditions.single_targets() == ["A"]
    assert conditions.membership.tolist() == [[0, 0], [1, 0], [1, 1]]
    with pytest.raises(InputError, match="appears twice"):
        Conditions({"A+A": ("A", "A")})
    with pytest.raises(InputError, match="no conditions"):
        Conditions({})
    with pytest.raises(InputError, match="unknown perturbation targets"):
        multi_hot([["X"]], ["A"])
