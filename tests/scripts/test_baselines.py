"""Baselines that shift control cells, against independent computations and planted effects."""

import dataclasses
import importlib
import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from benchmark import predict_quickly
from lcd_core.errors import InputError
from methods.bilinear.model import fit_bilinear
from methods.fitted_additive.coefficients import fit_coefficients
from methods.latent_additive.model import fit_latent_additive
from methods.peper.correction import Correction, fit_correction
from pipeline.mean_changes import MeanChanges
from pipeline.methods import Program, check_arguments, registry
from pipeline.predictions import read_prediction
from pipeline.screen import CONTROL, read_screen
from tests.scripts.predictions_fixture import GENES, HELD_OUT, write_fold
from tests.scripts.test_predictions import effects_by_hand, shifted_by_hand

SMALL = {
    "perturbed_mean": {},
    "matching_mean": {},
    "fitted_additive": {},
    "bilinear": {"dimensions": 3},
    "peper": {"hidden": 8, "layers": 1, "steps": 5},
    "latent_additive": {"hidden": 8, "latent": 4, "steps": 5},
}
TRAINED_SINGLES = [CONTROL, "A", "B", "C"]


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    return write_fold(tmp_path_factory.mktemp("fold"))


def predict(method, fold, path, settings=None, seed=3):
    """Run a method with its defaults, some changed."""
    own = registry()[method]
    extra = {}
    if own.settings is not None:
        values = own.settings(**(SMALL[method] | (settings or {}))).model_dump()
        extra["settings"] = str(path.with_suffix(".json"))
        path.with_suffix(".json").write_text(json.dumps(values))
    if own.programs[0].threaded:
        extra["device"] = "cpu"
    importlib.import_module(f"methods.{method}.predict").main(
        train=fold.train,
        test_perturbations=fold.test_perturbations,
        prediction=str(path),
        n_cells=20,
        keep="cells",
        seed=seed,
        **extra,
    )
    return read_prediction(path, GENES, HELD_OUT)


@pytest.mark.parametrize("method", SMALL)
def test_every_baseline_fulfils_the_contract_and_its_seed_decides(method, fold, tmp_path):
    found = [
        predict(method, fold, tmp_path / f"{name}.h5ad", seed=seed)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert found[0].values == "lognorm"
    assert {name: len(found[0].rows(name)) for name in HELD_OUT} == dict.fromkeys(HELD_OUT, 20)
    np.testing.assert_array_equal(found[0].matrix.toarray(), found[1].matrix.toarray())
    assert not np.array_equal(found[0].matrix.toarray(), found[2].matrix.toarray())


def test_together_quick_methods_predict_what_each_does_alone(fold, tmp_path):
    alone = [tmp_path / f"alone/{name}.h5ad" for name in ("bilinear", "matching_mean")]
    alone[0].parent.mkdir()
    for path in alone:
        predict(path.stem, fold, path)
    together = [tmp_path / path.name for path in alone]
    shared = {"train": fold.train, "test_perturbations": fold.test_perturbations}
    values = {"n_cells": 20, "keep": "cells", "seed": 3}
    settings = {"settings": str(alone[0].with_suffix(".json"))}
    predict_quickly.main(
        files=[*shared.values(), *settings.values()],
        predictions=[str(path) for path in together],
        programs=[
            ("bilinear.predict", shared | settings | values),
            ("matching_mean.predict", shared | values),
        ],
        code=[],
    )
    assert [path.read_bytes() for path in together] == [path.read_bytes() for path in alone]


@pytest.mark.parametrize(
    ("name", "programs"),
    [
        ("salt", (Program("predict", quick=True, threaded=True),)),
        ("salt", (Program("predict", quick=True, environment="analysis"),)),
        ("salt", (Program("predict"), Program("predict", quick=True))),
        ("latent_additive", (Program("predict", quick=True),)),  # it takes a device
    ],
)
def test_what_cannot_share_a_job_is_not_quick(name, programs):
    method = dataclasses.replace(registry()[name], programs=programs)
    with pytest.raises(InputError, match="a quick program shares its job"):
        check_arguments(method, programs[-1])


def test_means_are_those_of_the_effects(fold, tmp_path):
    e = effects_by_hand(fold)
    mean = sum(e.values()) / len(e)
    cells = predict("perturbed_mean", fold, tmp_path / "p.h5ad")
    expected = shifted_by_hand(fold, cells, dict.fromkeys(HELD_OUT, mean))
    np.testing.assert_allclose(cells.matrix.toarray(), expected, rtol=1e-5, atol=1e-6)
    cells = predict("matching_mean", fold, tmp_path / "m.h5ad")
    shifts = {
        "A+B": (e["A"] + e["B"]) / 2,
        "A+B+C": (e["A"] + e["B"] + e["C"]) / 3,
        "A+X": (e["A"] + mean) / 2,
    }
    expected = shifted_by_hand(fold, cells, shifts)
    np.testing.assert_allclose(cells.matrix.toarray(), expected, rtol=1e-5, atol=1e-6)


def screen_of(changes):
    """Changes under names, without cells."""
    return MeanChanges(ad.AnnData(np.zeros((1, 6))), pd.DataFrame(changes).T)


class TestFittedAdditive:
    def test_planted_coefficients_are_recovered(self):
        rng = np.random.default_rng(1)
        own = dict(zip("ABCD", rng.normal(size=(4, 6)), strict=True))
        planted = {"A": 0.5, "B": 1.2, "C": 0.9, "D": -0.3}
        pairs = {
            f"{a}+{b}": planted[a] * own[a] + planted[b] * own[b]
            for a, b in ("AB", "AC", "AD", "BC")
        }
        _, found = fit_coefficients(screen_of(own | pairs), 1e-9)
        assert found == pytest.approx(planted, abs=1e-6)

    @given(st.integers(0, 100), st.floats(0.01, 100))
    def test_against_ridge_regression(self, seed, shrinkage):
        rng = np.random.default_rng(seed)
        own = dict(zip("ABC", rng.normal(size=(3, 6)), strict=True))
        pairs = {name: rng.normal(size=6) for name in ("A+B", "B+C", "A+B+C")}
        shared, found = fit_coefficients(screen_of(own | pairs), shrinkage)
        sums = [sum(own[t] for t in name.split("+")) for name in pairs]
        x, y = np.concatenate(sums), np.concatenate(list(pairs.values()))
        assert shared == pytest.approx(x @ y / (x @ x))
        design = np.concatenate(
            [np.stack([own[t] * (t in name) for t in "ABC"], axis=1) for name in pairs]
        )
        lengths = [own[t] @ own[t] for name in pairs for t in name.split("+")]
        ridge = Ridge(alpha=shrinkage * np.mean(lengths), fit_intercept=False, solver="cholesky")
        ridge.fit(design, y - shared * x)
        assert [found[t] for t in "ABC"] == pytest.approx((shared + ridge.coef_).tolist())

    def test_it_is_salt_where_effects_add_up(self, tmp_path):
        fold = write_fold(tmp_path)
        a = predict("fitted_additive", fold, tmp_path / "a.h5ad", {"shrinkage": 1e6})
        e = effects_by_hand(fold)
        pairs = [e["A"] + e["C"], e["B"] + e["C"]]
        shared = sum(x @ y for x, y in zip(pairs, (e["A+C"], e["B+C"]), strict=True))
        shared /= sum(x @ x for x in pairs)
        rows = a.rows("A+B")
        shifts = dict.fromkeys(HELD_OUT, shared * (e["A"] + e["B"]))
        expected = shifted_by_hand(fold, a, shifts)[rows]
        np.testing.assert_allclose(a.matrix.toarray()[rows], expected, rtol=1e-3, atol=1e-3)


class TestBilinear:
    def test_against_an_independent_solution(self):
        """The closed form minimises ``||Y - G W P||^2`` with ridges, by gradient descent."""
        rng = np.random.default_rng(2)
        names = [("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ("a", "d")]
        changes = rng.normal(size=(len(names), 7))
        genes = {"a": [0], "b": [3], "c": [4, 5], "d": []}
        ridge, k = 0.3, 2
        model = fit_bilinear(changes, names, genes, k, ridge)
        y = (changes - changes.mean(axis=0)).T
        values, vectors = np.linalg.eigh(y @ y.T)
        g = vectors[:, ::-1][:, :k] * np.sqrt(values[::-1][:k])
        own = {t: g[rows].mean(axis=0) for t, rows in genes.items() if rows}
        own["d"] = np.mean(list(own.values()), axis=0)
        p = np.stack([sum(own[t] for t in q) for q in names], axis=1)
        eye = np.eye(k)
        # (G'G + r) W (PP' + r) = G'Y P', solved as one Kronecker system
        left = np.kron(p @ p.T + ridge * eye, g.T @ g + ridge * eye)
        w = np.linalg.solve(left, (g.T @ y @ p.T).flatten("F")).reshape(k, k, order="F")
        for q in [*names, ("c", "d"), ("d",)]:
            wanted = g @ w @ sum(own[t] for t in q) + changes.mean(axis=0)
            np.testing.assert_allclose(model(q), wanted, rtol=1e-9, atol=1e-12)

    def test_a_bilinear_world_is_learned(self):
        rng = np.random.default_rng(3)
        targets = [f"t{i}" for i in range(30)]
        g, w = rng.normal(size=(30, 2)), rng.normal(size=(2, 2))
        g -= g[:25].mean(axis=0)  # the mean change is what the model sets aside
        changes = (g @ w @ g.T).T  # target i has the embedding of gene i
        genes = {t: [i] for i, t in enumerate(targets)}
        model = fit_bilinear(changes[:25], [(t,) for t in targets[:25]], genes, 2, 1e-6)
        for i in range(25, 30):
            assert np.corrcoef(model((targets[i],)), changes[i])[0, 1] > 0.99

    def test_targets_that_are_no_gene_have_the_mean_embedding(self, fold, tmp_path, caplog):
        predict("bilinear", fold, tmp_path / "p.h5ad")
        assert "no modelled gene, mean embedding for: A, B, C, X" in caplog.text


def interacting(n=12, genes=6, seed=0):
    """Singles, and pairs whose change is additive but for an interaction in the last gene."""
    rng = np.random.default_rng(seed)
    own = np.abs(rng.normal(size=(n, genes)))
    pairs = [(i, j) for i in range(n) for j in range(i)]
    changes = np.stack([own[i] + own[j] for i, j in pairs])
    changes[:, -1] -= 2.0 * np.array([own[i, 0] * own[j, 0] for i, j in pairs])
    return own, pairs, changes


class TestPeper:
    def test_an_untrained_correction_is_zero(self, fold, tmp_path):
        untrained = Correction(6, 16, 2, seed=1)
        assert not untrained(torch.randn(3, 2, 6)).any()
        peper = predict("peper", fold, tmp_path / "p.h5ad", {"steps": 0})
        importlib.import_module("methods.salt.predict").main(
            train=fold.train,
            test_perturbations=fold.test_perturbations,
            prediction=str(tmp_path / "salt.h5ad"),
            n_cells=20,
            keep="cells",
            seed=3,
        )
        salt = read_prediction(tmp_path / "salt.h5ad", GENES, HELD_OUT)
        np.testing.assert_array_equal(peper.matrix.toarray(), salt.matrix.toarray())

    def test_a_planted_interaction_is_learned(self):
        own, pairs, changes = interacting()
        train, test = pairs[::2], pairs[1::2]
        model = fit_correction(
            [own[list(pair)] for pair in train],
            changes[::2],
            hidden=64, layers=1, steps=1500, learning_rate=1e-3, weight_decay=1e-4, batch=256,
            seed=1, device=torch.device("cpu"),
        )  # fmt: skip
        singles = torch.tensor(np.stack([own[list(pair)] for pair in test]), dtype=torch.float32)
        with torch.no_grad():
            correction = model(singles).numpy()
        missing = changes[1::2] - singles.numpy().sum(axis=1)
        # SALT, which adds nothing, is off by all of what is missing
        assert np.linalg.norm(correction - missing) < 0.35 * np.linalg.norm(missing)

    def test_the_order_and_number_of_targets_do_not_matter(self):
        model = Correction(6, 8, 1, seed=1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
        singles = torch.randn(1, 3, 6)
        torch.testing.assert_close(model(singles), model(singles[:, [2, 0, 1]]))
        padded = torch.cat([singles[:, :2], torch.full((1, 1, 6), torch.nan)], dim=1)
        torch.testing.assert_close(model(padded), model(singles[:, :2]))

    def test_without_combinations_it_is_salt_and_says_so(self, tmp_path, caplog):
        predict("peper", write_fold(tmp_path, trained=TRAINED_SINGLES), tmp_path / "p.h5ad")
        assert "no combinations in training: no correction, as in SALT" in caplog.text


def test_the_latent_additive_model_learns_what_adds_up():
    rng = np.random.default_rng(1)
    targets = list("abcdef")
    effects = dict(zip(targets, rng.normal(size=(6, 8)), strict=True))
    pairs = [(s, t) for i, s in enumerate(targets) for t in targets[i + 1 :]]
    held_out = pairs[::4]
    sets = [(), *((t,) for t in targets), *(pair for pair in pairs if pair not in held_out)]
    members = [own for own in sets for _ in range(40)]
    base = rng.normal(size=(len(members), 8)) * 0.3 + 2.0
    shifted = base + np.stack([sum((effects[t] for t in own), np.zeros(8)) for own in members])
    model = fit_latent_additive(
        torch.tensor(shifted, dtype=torch.float32), torch.arange(40), members, targets,
        latent=8, hidden=32, layers=1, steps=1500, batch=128, learning_rate=3e-3,
        weight_decay=0.0, seed=1, device=torch.device("cpu"),
    )  # fmt: skip
    control = torch.tensor(shifted[:40], dtype=torch.float32)
    for pair in held_out:
        wanted = effects[pair[0]] + effects[pair[1]]
        error = np.linalg.norm(model.change(control, pair).numpy() - wanted)
        assert error < 0.3 * np.linalg.norm(wanted)
    with torch.no_grad():
        mean = model.embeddings.mean(dim=0)
        start = model.encode(control)
        unknown = (model.decode(start + mean) - model.decode(start)).mean(dim=0)
    torch.testing.assert_close(model.change(control, ("x",)), unknown)


def test_cells_of_the_fixture_are_those_of_the_screen(fold):
    """Targets of the fixture are no genes, which the bilinear model has to say."""
    assert set("ABCX").isdisjoint(read_screen(fold.train).var_names)
