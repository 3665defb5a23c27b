"""The fitted model: any set of targets, save and load, refusals."""

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from lcd_core import files
from lcd_core.conditions import multi_hot, targets_of
from lcd_core.drift import Drift
from lcd_core.errors import InputError
from lcd_core.files import save_tensors
from lcd_core.model import LCD
from lcd_core.settings import PRESETS, DriftSettings, StateSettings
from lcd_core.states import StateTransform


@pytest.fixture
def model():
    drift = Drift(4, 3, DriftSettings(hidden=8, embedding_dimensions=4))
    drift.reset(torch.Generator().manual_seed(0))
    transform = StateTransform(
        StateSettings(transform="log_rate"),
        torch.zeros(4), torch.ones(4), torch.full((4,), 2.0), torch.full((4,), 4.0),
    )  # fmt: skip
    pi = torch.full((4,), 0.1)
    return LCD(
        list("wxyz"), ["A", "B", "C"], drift, transform, pi, trained_targets=["A", "B"], seed=5
    )


@pytest.mark.parametrize("targets", [(), ("A",), ("A", "B"), ("C", "A", "B")])
def test_samples_counts_for_any_set_of_targets(model, targets):
    sampler = replace(PRESETS["fast"], draws_per_state=3)
    counts = model.sample(targets, 7, seed=1, sampler=sampler)
    assert counts.shape == (7, 4)
    assert counts.dtype == torch.int32
    assert (counts >= 0).all()


def test_order_of_targets_does_not_matter_and_seeds_do(model):
    one = model.sample(("A", "B"), 20, seed=1, sampler=PRESETS["fast"])
    assert torch.equal(one, model.sample(("B", "A"), 20, seed=1, sampler=PRESETS["fast"]))
    assert not torch.equal(one, model.sample(("A", "B"), 20, seed=2, sampler=PRESETS["fast"]))


def test_round_trip(model, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(path)
    again = LCD.load(path)
    a = model.sample(("A", "C"), 9, seed=3, sampler=PRESETS["fast"])
    assert torch.equal(a, again.sample(("A", "C"), 9, seed=3, sampler=PRESETS["fast"]))
    assert (again.genes, again.targets, again.trained_targets) == (
        model.genes, model.targets, model.trained_targets,
    )  # fmt: skip
    assert again.seed == 5
    assert again.drift.settings == model.drift.settings
    assert again.transform.settings == model.transform.settings
    first = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == first
    assert [own.name for own in tmp_path.iterdir()] == ["model.safetensors"]


def test_untrained_targets_get_the_mean_embedding(model):
    model.impute_untrained_targets()
    torch.testing.assert_close(model.drift.embedding[2], model.drift.embedding[:2].mean(0))


def test_refusals(model):
    with pytest.raises(InputError, match="unknown perturbation targets"):
        model.sample(("Q",), 3, seed=0)
    with pytest.raises(InputError, match="sequence of targets"):
        model.sample("A", 3, seed=0)
    with pytest.raises(InputError, match="at least 1"):
        model.sample(("A",), 0, seed=0)


class TestFiles:
    def test_a_missing_file_is_not_to_be_deleted(self, tmp_path):
        with pytest.raises(InputError, match=r"(?s)cannot read the fitted model.*give the path"):
            LCD.load(tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"(?s)cannot read the fitted model.*a folder"):
            LCD.load(tmp_path)

    def test_what_is_missing_and_where_it_comes_from(self, model, tmp_path):
        with pytest.raises(InputError) as error:
            LCD.load(tmp_path / "results" / "run" / "model.safetensors")
        assert f"no such folder: {tmp_path / 'results'}" in str(error.value)
        assert "LCD.save writes it" in str(error.value)
        assert "delete" not in str(error.value)
        model.save(tmp_path / "model.safetensors")
        with pytest.raises(InputError, match=r"a folder, with model\.safetensors in it"):
            LCD.load(tmp_path)

    def test_a_damaged_file_is(self, model, tmp_path):
        path = tmp_path / "model.safetensors"
        path.write_bytes(b"\x00" * 10)
        with pytest.raises(InputError, match=r"(?s)cannot read the fitted model.*delete the file"):
            LCD.load(path)
        model.save(path)
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(InputError, match=r"(?s)cannot read the fitted model.*delete the file"):
            LCD.load(path)

    def test_another_format_kind_or_program_is_refused(self, model, tmp_path, monkeypatch):
        path = tmp_path / "other.safetensors"
        save_tensors(path, "fitted prior", {"a": torch.zeros(2)}, {})
        with pytest.raises(InputError, match=r"(?s)holds no fitted model.*fitted prior"):
            LCD.load(path)
        save_file({"a": torch.zeros(2)}, path)
        with pytest.raises(InputError, match="without the metadata"):
            LCD.load(path)
        monkeypatch.setattr(files, "FORMAT", 99)
        model.save(path)
        monkeypatch.undo()
        with pytest.raises(InputError, match="another format"):
            LCD.load(path)

    def test_a_file_is_written_whole_or_not_at_all(self, model, tmp_path, monkeypatch):
        path = tmp_path / "model.safetensors"
        model.save(path)
        before = path.read_bytes()

        def full(tensors, name, metadata):
            Path(name).write_bytes(b"half")
            raise SafetensorError("I/O error: No space left on device (os error 28)")

        monkeypatch.setattr(files, "save_file", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            model.save(path)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_names_of_conditions_and_their_rows():
    assert [targets_of(name) for name in ("control", "A", "A+B")] == [(), ("A",), ("A", "B")]
    rows = multi_hot([targets_of(name) for name in ("control", "A", "A+B")], ["A", "B"])
    assert rows.tolist() == [[0, 0], [1, 0], [1, 1]]
    with pytest.raises(InputError, match="unknown perturbation targets"):
        multi_hot([["X"]], ["A"])
