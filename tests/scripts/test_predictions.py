"""Baseline predictions and the contract that every prediction fulfils."""

import importlib

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from lcd_core.errors import InputError
from pipeline.predictions import (
    implied_counts,
    mean_expression,
    read_prediction,
    read_test_perturbations,
    write_prediction,
    write_shifted_control,
)
from pipeline.screen import CONTROL, read_screen, write_h5ad
from tests.scripts.predictions_fixture import GENES, HELD_OUT, TRAINED, cells_of, write_fold

METHODS = ["control", "random_perturbed", "salt", "mean_combination", "ceiling"]


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    return write_fold(tmp_path_factory.mktemp("fold"))


def predict(method, fold, path, n_cells=20, seed=3):
    extra = {"test": fold.test} if method == "ceiling" else {}
    importlib.import_module(f"methods.{method}.predict").main(
        train=fold.train,
        test_perturbations=fold.test_perturbations,
        prediction=str(path),
        n_cells=n_cells,
        seed=seed,
        **extra,
    )
    return read_prediction(path, GENES, HELD_OUT)


def lognorm_loops(counts):
    """Written out cell by cell in float64."""
    dense = counts.toarray().astype(float)
    return np.array([np.log1p(row / row.sum() * 1e4) if row.sum() else row for row in dense])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fulfils_the_contract(method, fold, tmp_path):
    cells = predict(method, fold, tmp_path / "p.h5ad")
    assert cells.uns["method"] == method
    assert cells.X.dtype == np.int32
    expected = 15 if method == "ceiling" else 20  # half of 30 observed cells
    counts = cells.obs["perturbation"].value_counts()
    assert counts.to_dict() == dict.fromkeys(HELD_OUT, expected)
    observed = set(read_screen(fold.test).obs_names)
    assert len(observed & set(cells.obs_names)) == (len(cells) if method == "ceiling" else 0)


@pytest.mark.parametrize("method", METHODS)
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
        seed=3,
    )
    one = read_prediction(tmp_path / "one.h5ad", GENES, ["A+X"])
    assert set(one.obs_names) == set(whole.obs_names[whole.obs["perturbation"] == "A+X"])
    drawn = {
        name: {cell.rsplit(":", 1)[1] for cell in own.index}
        for name, own in whole.obs.groupby("perturbation", observed=True)
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
        own = cells[cells.obs["perturbation"] == name]
        source = [cell.rsplit(":", 1)[1] for cell in own.obs_names]
        assert len(set(source)) == 25  # without replacement
        assert set(train.obs.loc[source, "perturbation"]) <= set(sources)
        assert np.array_equal(own.X.toarray(), train[source].X.toarray())
    np.testing.assert_allclose(cells.layers["lognorm"], lognorm_loops(cells.X), rtol=1e-6)


def test_fewer_cells_than_asked_for_gives_all(fold, tmp_path):
    cells = predict("control", fold, tmp_path / "p.h5ad", n_cells=1000)
    assert cells.obs["perturbation"].value_counts().to_dict() == dict.fromkeys(HELD_OUT, 30)


def shifted_by_hand(fold, cells, shifts):
    """Control cells found by their names, shifted and clipped."""
    train = read_screen(fold.train)
    expected = []
    for cell, name in zip(cells.obs_names, cells.obs["perturbation"], strict=True):
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
    np.testing.assert_allclose(cells.layers["lognorm"], expected, rtol=1e-5, atol=1e-6)


def test_mean_combination_ignores_singles(fold, tmp_path):
    cells = predict("mean_combination", fold, tmp_path / "p.h5ad")
    e = effects_by_hand(fold)
    shifts = dict.fromkeys(HELD_OUT, (e["A+C"] + e["B+C"]) / 2)
    expected = shifted_by_hand(fold, cells, shifts)
    np.testing.assert_allclose(cells.layers["lognorm"], expected, rtol=1e-5, atol=1e-6)


def test_shifts_below_zero_are_clipped(fold, tmp_path):
    path = tmp_path / "p.h5ad"
    shifts = {"A": np.full(len(GENES), -100.0), "B": np.zeros(len(GENES))}
    write_shifted_control(path, "down", read_screen(fold.train), shifts, 5, 1)
    cells = read_prediction(path, GENES, ["A", "B"])
    down = (cells.obs["perturbation"] == "A").to_numpy()
    assert cells.layers["lognorm"][down].max() == 0
    assert cells.X[down].sum() == 0
    # No shift: the implied counts are the control cell's own.
    np.testing.assert_allclose(
        cells.layers["lognorm"][~down], lognorm_loops(cells.X[~down]), rtol=1e-5
    )


def test_implied_counts_keep_the_total():
    # Proportions 1 : 3 of a total of 8, whatever the sum of the values themselves.
    values = np.log1p([[1000.0, 3000.0, 0.0], [0.0, 0.0, 0.0]])
    assert implied_counts(values, np.array([8.0, 5.0])).toarray().tolist() == [[2, 6, 0], [0, 0, 0]]


def test_ceiling_takes_half_of_the_observed_cells_unchanged(fold, tmp_path):
    test = read_screen(fold.test)
    cells = predict("ceiling", fold, tmp_path / "p.h5ad", n_cells=1000)
    source = test[cells.obs_names]
    assert (source.obs["perturbation"].to_numpy() == cells.obs["perturbation"].to_numpy()).all()
    assert np.array_equal(source.X.toarray(), cells.X.toarray())
    assert len(cells) * 2 == len(test)


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


def prediction_of_two():
    """The smallest prediction of two perturbations."""
    labels = ["A+B"] * 2 + ["A+X"] * 2
    return ad.AnnData(
        X=sparse.csr_matrix(np.ones((4, 3), dtype=np.float32)),
        obs=pd.DataFrame({"perturbation": labels}, index=list("wxyz")),
        var=pd.DataFrame(index=["G0", "G1", "G2"]),
        layers={"lognorm": np.ones((4, 3), dtype=np.float32)},
        uns={"method": "m"},
    )


def set_value(slot, value):
    def change(cells):
        matrix = cells.X if slot == "X" else cells.layers[slot]
        matrix[1, 1] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.uns.clear(), r"uns\['method'\]"),
        (lambda c: c.obs.drop(columns="perturbation", inplace=True), "column is missing"),
        (lambda c: c[:2].copy(), r"(?s)missing.*A\+X"),
        (lambda c: c[:3].copy(), r"(?s)two cells.*A\+X"),
        (
            lambda c: c.obs.__setitem__("perturbation", ["A+B"] * 2 + ["A+X", "Q"]),
            r"(?s)not to be predicted.*Q",
        ),
        (lambda c: setattr(c, "obs_names", list("wwyz")), r"(?s)unique.*w"),
        (lambda c: c[:, :2].copy(), r"(?s)genes of the fold are missing.*G2"),
        (lambda c: setattr(c, "var_names", ["G0", "G2", "G1"]), r"(?s)order.*G2 for G1"),
        (set_value("X", 0.5), r"(?s)nonnegative integers.*0\.5"),
        (set_value("X", -1), r"(?s)nonnegative integers.*-1"),
        (set_value("X", np.nan), r"(?s)nonnegative integers.*nan"),
        (lambda c: setattr(c, "X", c.X.toarray()), "CSR"),
        (lambda c: setattr(c, "X", c.X.tocsc()), "CSR"),
        (set_value("lognorm", np.nan), r"(?s)finite and nonnegative.*nan"),
        (set_value("lognorm", -0.25), r"(?s)finite and nonnegative.*-0\.25"),
        (lambda c: c.layers.clear(), r"(?s)dense float32.*nothing"),
        (
            lambda c: c.layers.__setitem__("lognorm", c.layers["lognorm"].astype(float)),
            r"(?s)dense float32.*float64",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_broken_contracts_are_named(change, message, tmp_path):
    cells = prediction_of_two()
    changed = change(cells)
    (cells if changed is None else changed).write_h5ad(tmp_path / "p.h5ad")
    with pytest.raises(InputError, match=message):
        read_prediction(tmp_path / "p.h5ad", ["G0", "G1", "G2"], ["A+B", "A+X"])


def test_the_unbroken_contract_passes(tmp_path):
    prediction_of_two().write_h5ad(tmp_path / "p.h5ad")
    read_prediction(tmp_path / "p.h5ad", ["G0", "G1", "G2"], ["A+B", "A+X"])


def test_written_cells_come_back(tmp_path):
    counts = sparse.csr_matrix(np.array([[1, 3], [0, 0], [2, 2], [5, 0]], dtype=np.int32))
    names = ["a", "b", "c", "d"]
    path = tmp_path / "p.h5ad"
    write_prediction(path, "m", ["A", "A", "B", "B"], ["G0", "G1"], names, counts)
    cells = read_prediction(path, ["G0", "G1"], ["A", "B"])
    assert list(cells.obs_names) == names
    assert abs(cells.X - counts).nnz == 0
    np.testing.assert_allclose(cells.layers["lognorm"], lognorm_loops(counts), rtol=1e-6)


def test_fractions_are_not_cut_off(tmp_path):
    path = tmp_path / "p.h5ad"
    with pytest.raises(InputError, match=r"(?s)nonnegative integers.*1\.5"):
        write_prediction(path, "m", ["A", "A"], ["G0"], ["a", "b"], np.array([[1.0], [1.5]]))
    assert not path.exists()


def test_a_truncated_file_is_named(fold, tmp_path):
    predict("control", fold, tmp_path / "p.h5ad")
    whole = (tmp_path / "p.h5ad").read_bytes()
    (tmp_path / "p.h5ad").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"p\.h5ad"):
        read_prediction(tmp_path / "p.h5ad", GENES, HELD_OUT)
