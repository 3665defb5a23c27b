"""Baseline predictions and the contract that every prediction fulfils."""

import importlib

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.predictions import (
    labels_of,
    mean_expression,
    prediction_writer,
    read_prediction,
    read_test_perturbations,
    write_shifted_control,
)
from pipeline.screen import CONTROL, read_screen, write_h5ad
from tests.scripts.predictions_fixture import GENES, HELD_OUT, TRAINED, cells_of, write_fold

METHODS = ["control", "random_perturbed", "salt", "mean_combination", "ceiling"]


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    return write_fold(tmp_path_factory.mktemp("fold"))


def predict(method, fold, path, n_cells=20, seed=3, keep="cells"):
    drawn = {"n_cells": n_cells, "seed": seed}
    extra = {"test": fold.test} if method in ("ceiling", "interpolated_duplicate") else drawn
    importlib.import_module(f"methods.{method}.predict").main(
        train=fold.train,
        test_perturbations=fold.test_perturbations,
        prediction=str(path),
        keep=keep,
        **extra,
    )
    return read_prediction(path, GENES, HELD_OUT)


def lognorm_loops(counts):
    """Written out cell by cell in float64."""
    dense = counts.toarray().astype(float)
    return np.array([np.log1p(row / row.sum() * 1e4) if row.sum() else row for row in dense])


def number_of(cells):
    names, counts = np.unique(cells.labels, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fulfils_the_contract(method, fold, tmp_path):
    cells = predict(method, fold, tmp_path / "p.h5ad")
    assert cells.values == ("lognorm" if method in ("salt", "mean_combination") else "counts")
    expected = 30 if method == "ceiling" else 20  # all observed cells
    assert number_of(cells) == dict.fromkeys(HELD_OUT, expected)
    observed = set(read_screen(fold.test).obs_names)
    assert len(observed & set(cells.names)) == (len(cells.names) if method == "ceiling" else 0)


@pytest.mark.parametrize("method", METHODS)
def test_profiles_are_those_of_the_cells(method, fold, tmp_path):
    cells = predict(method, fold, tmp_path / "cells.h5ad")
    profiles = predict(method, fold, tmp_path / "profiles.h5ad", keep="profiles")
    assert not profiles.has_cells
    assert sorted(profiles.labels) == sorted(HELD_OUT)
    variance = ad.read_h5ad(tmp_path / "profiles.h5ad").layers["variance"]
    for row, name in enumerate(profiles.labels):
        own = cells.lognorm(cells.rows(name)).astype(float)
        np.testing.assert_allclose(profiles.lognorm(np.array([row]))[0], own.mean(0), rtol=1e-5)
        np.testing.assert_allclose(variance[row], own.var(0, ddof=1), rtol=1e-4, atol=1e-9)
        assert profiles.n_cells[row] == len(own)


@pytest.mark.parametrize("method", METHODS[:-1])
def test_the_seed_decides_every_byte(method, fold, tmp_path):
    for name, seed in [("a", 3), ("b", 3), ("c", 4)]:
        predict(method, fold, tmp_path / f"{name}.h5ad", n_cells=10, seed=seed)
    a, b, c = ((tmp_path / f"{name}.h5ad").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_perturbation_does_not_depend_on_the_others(fold, tmp_path):
    whole = predict("control", fold, tmp_path / "whole.h5ad", n_cells=10)
    names = tmp_path / "one.txt"
    names.write_text("A+X\n")
    importlib.import_module("methods.control.predict").main(
        train=fold.train,
        test_perturbations=str(names),
        prediction=str(tmp_path / "one.h5ad"),
        n_cells=10,
        keep="cells",
        seed=3,
    )
    one = read_prediction(tmp_path / "one.h5ad", GENES, ["A+X"])
    assert set(one.names) == set(whole.names[whole.labels == "A+X"])
    drawn = {
        name: {cell.rsplit(":", 1)[1] for cell in whole.names[whole.rows(name)]}
        for name in HELD_OUT
    }
    assert drawn["A+B"] != drawn["A+X"]


@pytest.mark.parametrize(
    ("method", "sources"),
    [("control", [CONTROL]), ("random_perturbed", [t for t in TRAINED if t != CONTROL])],
)
def test_observed_cells_are_taken_as_they_are(method, sources, fold, tmp_path):
    train = read_screen(fold.train)
    cells = predict(method, fold, tmp_path / "p.h5ad", n_cells=25)
    for name in HELD_OUT:
        rows = cells.rows(name)
        source = [cell.rsplit(":", 1)[1] for cell in cells.names[rows]]
        assert len(set(source)) == 25  # without replacement
        assert set(train.obs.loc[source, "perturbation"]) <= set(sources)
        assert np.array_equal(cells.matrix[rows].toarray(), train[source].X.toarray())
        np.testing.assert_allclose(
            cells.lognorm(rows), lognorm_loops(cells.matrix[rows]), rtol=1e-6
        )


def test_fewer_cells_than_asked_for_gives_all(fold, tmp_path):
    cells = predict("control", fold, tmp_path / "p.h5ad", n_cells=1000)
    assert number_of(cells) == dict.fromkeys(HELD_OUT, 30)


def shifted_by_hand(fold, cells, shifts):
    """Control cells found by their names, shifted and clipped."""
    train = read_screen(fold.train)
    expected = []
    for cell, name in zip(cells.names, cells.labels, strict=True):
        control = train[[cell.rsplit(":", 1)[1]]]
        assert control.obs["perturbation"].item() == CONTROL
        expected.append(np.maximum(lognorm_loops(control.X)[0] + shifts[name], 0))
    return np.array(expected)


def effects_by_hand(fold):
    train = read_screen(fold.train)
    means = {
        name: lognorm_loops(train.X[(train.obs["perturbation"] == name).to_numpy()]).mean(0)
        for name in TRAINED
    }
    return {name: means[name] - means[CONTROL] for name in TRAINED if name != CONTROL}


def test_salt_adds_single_effects_and_imputes_missing_ones(fold, tmp_path):
    cells = predict("salt", fold, tmp_path / "p.h5ad")
    e = effects_by_hand(fold)
    mean = sum(e.values()) / len(e)
    shifts = {"A+B": e["A"] + e["B"], "A+B+C": e["A"] + e["B"] + e["C"], "A+X": e["A"] + mean}
    expected = shifted_by_hand(fold, cells, shifts)
    np.testing.assert_allclose(cells.matrix.toarray(), expected, rtol=1e-5, atol=1e-6)


def test_mean_combination_ignores_singles(fold, tmp_path):
    cells = predict("mean_combination", fold, tmp_path / "p.h5ad")
    e = effects_by_hand(fold)
    shifts = dict.fromkeys(HELD_OUT, (e["A+C"] + e["B+C"]) / 2)
    expected = shifted_by_hand(fold, cells, shifts)
    np.testing.assert_allclose(cells.matrix.toarray(), expected, rtol=1e-5, atol=1e-6)


def test_shifts_below_zero_are_clipped(fold, tmp_path):
    path = tmp_path / "p.h5ad"
    shifts = {"A": np.full(len(GENES), -100.0), "B": np.zeros(len(GENES))}
    train = read_screen(fold.train)
    write_shifted_control(path, train, shifts, 5, 1, keep="cells")
    cells = read_prediction(path, GENES, ["A", "B"])
    assert cells.lognorm(cells.rows("A")).max() == 0
    # No shift: the control cells' own.
    rows = cells.rows("B")
    source = [cell.rsplit(":", 1)[1] for cell in cells.names[rows]]
    np.testing.assert_allclose(cells.lognorm(rows), lognorm_loops(train[source].X), rtol=1e-5)


def test_ceiling_takes_the_observed_cells_unchanged(fold, tmp_path):
    test = read_screen(fold.test)
    cells = predict("ceiling", fold, tmp_path / "p.h5ad", n_cells=1000)
    source = test[cells.names]
    assert (labels_of(source) == cells.labels).all()
    assert np.array_equal(source.X.toarray(), cells.matrix.toarray())
    assert len(cells.names) == len(test)


def test_the_interpolated_duplicate_is_the_held_out_cells_until_they_are_halved(fold, tmp_path):
    ceiling = predict("ceiling", fold, tmp_path / "c.h5ad", n_cells=1000)
    found = predict("interpolated_duplicate", fold, tmp_path / "p.h5ad", n_cells=1000)
    assert np.array_equal(found.matrix.toarray(), ceiling.matrix.toarray())
    assert found.names.equals(ceiling.names)
    assert found.drawn_to_mean
    assert not ceiling.drawn_to_mean


def test_ceiling_needs_four_cells(fold, tmp_path):
    write_h5ad(cells_of(HELD_OUT, 2, cells_each=3), tmp_path / "test.h5ad")
    few = type(fold)(fold.train, str(tmp_path / "test.h5ad"), fold.test_perturbations)
    with pytest.raises(InputError, match=r"A\+B: 3 cells"):
        predict("ceiling", few, tmp_path / "p.h5ad")
    assert not (tmp_path / "p.h5ad").exists()


@pytest.mark.parametrize(
    ("method", "trained", "message"),
    [
        ("mean_combination", [CONTROL, "A", "B"], "combination of targets"),
        ("random_perturbed", [CONTROL], "no perturbed cells"),
        ("control", ["A", "B"], "no cells of 'control'"),
        ("salt", [CONTROL], "at least one perturbation"),
    ],
)
def test_what_training_must_hold(method, trained, message, tmp_path):
    with pytest.raises(InputError, match=message):
        predict(method, write_fold(tmp_path, trained=trained), tmp_path / "p.h5ad")
    assert not (tmp_path / "p.h5ad").exists()


def test_mean_expression_is_per_perturbation(fold):
    means = mean_expression(read_screen(fold.train))
    assert list(means.index) == sorted(TRAINED)
    e = effects_by_hand(fold)
    for name in e:
        np.testing.assert_allclose(means.loc[name] - means.loc[CONTROL], e[name], atol=1e-6)


@pytest.mark.parametrize("text", ["", "A+B\nA+B\n", "control\n"])
def test_names_to_predict_are_checked(text, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"names\.txt"):
        read_test_perturbations(path)


def prediction_of_two(values="counts"):
    """The smallest prediction of two perturbations."""
    labels = ["A+B"] * 2 + ["A+X"] * 2
    return ad.AnnData(
        X=sparse.csr_matrix(np.ones((4, 3), dtype=np.float32)),
        obs=pd.DataFrame({"perturbation": labels}, index=list("wxyz")),
        var=pd.DataFrame(index=["G0", "G1", "G2"]),
        uns={"values": values},
    )


def set_value(value):
    def change(cells):
        cells.X[1, 1] = value

    return change


def named(labels):
    return lambda c: c.obs.__setitem__("perturbation", labels)


@pytest.mark.parametrize(
    ("values", "change", "message"),
    [
        ("counts", lambda c: c.uns.clear(), r"(?s)uns\['values'\].*not stated.*methods"),
        ("counts", lambda c: c.uns.update(values="raw"), r"(?s)say what its values are.*raw"),
        (
            "counts",
            lambda c: c.obs.drop(columns="perturbation", inplace=True),
            "column is missing",
        ),
        ("counts", lambda c: c[:2].copy(), r"(?s)missing.*A\+X"),
        ("counts", lambda c: c[:3].copy(), r"(?s)two cells.*A\+X"),
        ("lognorm", lambda c: c[:3].copy(), r"(?s)two cells.*A\+X"),
        ("profile", lambda c: None, r"(?s)one row.*A\+B"),
        ("counts", lambda c: setattr(c, "obs_names", list("wwyz")), r"(?s)unique.*w"),
        ("counts", lambda c: setattr(c, "var_names", ["G0", "G1", "G1"]), r"(?s)unique.*G1"),
        ("counts", lambda c: c[:, :2].copy(), r"(?s)genes of the fold are missing.*G2"),
        ("counts", set_value(0.5), r"(?s)nonnegative integers.*0\.5.*lognorm"),
        ("counts", set_value(-1), r"(?s)nonnegative integers.*-1"),
        ("counts", set_value(np.nan), r"(?s)nonnegative integers.*nan"),
        ("lognorm", set_value(np.nan), r"(?s)finite and nonnegative.*nan"),
        ("lognorm", set_value(-0.25), r"(?s)finite and nonnegative.*-0\.25"),
        ("lognorm", set_value(300), r"(?s)too large.*300.*counts"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_broken_contracts_are_named(values, change, message, tmp_path):
    cells = prediction_of_two(values)
    changed = change(cells)
    (cells if changed is None else changed).write_h5ad(tmp_path / "p.h5ad")
    with pytest.raises(InputError, match=message):
        read_prediction(tmp_path / "p.h5ad", ["G0", "G1", "G2"], ["A+B", "A+X"])


@pytest.mark.parametrize(
    "matrix", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, np.array]
)
def test_what_the_contract_leaves_open(matrix, tmp_path):
    """More perturbations, the control among them, more genes in another order, any layout."""
    values = np.arange(30, dtype=float).reshape(6, 5)
    labels = ["control", "A+B", "Q", "A+B", "control", "Q"]
    genes = ["G4", "G2", "G0", "G3", "G1"]
    ad.AnnData(
        X=matrix(values),
        obs=pd.DataFrame({"perturbation": labels}, index=list("uvwxyz")),
        var=pd.DataFrame(index=genes),
    ).write_h5ad(tmp_path / "p.h5ad")
    cells = read_prediction(tmp_path / "p.h5ad", ["G0", "G1", "G2"], ["A+B"], "counts")
    rows = cells.rows("A+B")
    assert cells.matrix[rows].toarray().tolist() == [[7, 9, 6], [17, 19, 16]]
    np.testing.assert_allclose(cells.lognorm(rows), lognorm_loops(cells.matrix[rows]), rtol=1e-6)


def test_the_configuration_says_what_a_file_does_not(tmp_path):
    cells = prediction_of_two()
    cells.uns.clear()
    cells.X = cells.X * 2.5
    cells.write_h5ad(tmp_path / "p.h5ad")
    read = read_prediction(tmp_path / "p.h5ad", ["G0", "G1", "G2"], ["A+B", "A+X"], "lognorm")
    assert read.lognorm(read.rows("A+B")).tolist() == [[2.5] * 3] * 2


def test_written_cells_come_back(tmp_path):
    """Whatever the chunks of the file, and as scanpy reads it."""
    rng = np.random.default_rng(1)
    blocks = {name: rng.poisson(0.5, (n, 7)) for name, n in (("B", 3), ("A", 40), ("C", 2))}
    path = tmp_path / "p.h5ad"
    genes = [f"G{i}" for i in range(7)]
    with prediction_writer(path, genes, keep="cells") as writer:
        for name, counts in blocks.items():
            writer.add_generated(name, counts)
    cells = ad.read_h5ad(path)
    assert cells.X.format == "csr"
    assert cells.X.dtype == np.int32
    assert cells.X.has_canonical_format
    assert np.array_equal(cells.X.toarray(), np.concatenate(list(blocks.values())))
    assert cells.obs["perturbation"].tolist() == ["B"] * 3 + ["A"] * 40 + ["C"] * 2
    assert cells.obs_names.is_unique
    assert cells.var_names.tolist() == genes


def test_nothing_is_written_if_a_method_fails_half_way(tmp_path):
    def method():
        with prediction_writer(tmp_path / "p.h5ad", ["G0"], keep="cells") as writer:
            writer.add("A", np.array([[1.0], [2.0]]), ["a", "b"])
            writer.add("B", np.array([[1.0], [1.5]]), ["c", "d"])

    with pytest.raises(InputError, match=r"(?s)nonnegative integers.*1\.5"):
        method()
    assert not list(tmp_path.iterdir())


def test_a_truncated_file_is_named(fold, tmp_path):
    predict("control", fold, tmp_path / "p.h5ad")
    whole = (tmp_path / "p.h5ad").read_bytes()
    (tmp_path / "p.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"p\.h5ad"):
        read_prediction(tmp_path / "p.h5ad", GENES, HELD_OUT)
