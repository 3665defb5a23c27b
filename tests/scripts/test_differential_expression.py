"""Differential expression against SciPy, one test at a time."""

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

from lcd_core.errors import InputError
from pipeline.differential_expression import (
    differential_expression,
    read_differential_expression,
    sparse_lognorm,
    tidy,
)
from pipeline.screen import lognorm, write_h5ad
from screen import differential_expression as script

DATA = Path(os.environ.get("LCD_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


def make_screen(counts, labels):
    counts = sparse.csr_matrix(counts, dtype=np.int32)
    names = [f"c{i}" for i in range(counts.shape[0])]
    obs = pd.DataFrame({"perturbation": pd.Categorical(labels)}, index=names)
    obs["library_size"] = np.asarray(counts.sum(axis=1), dtype=float).ravel()
    genes = [f"g{i}" for i in range(counts.shape[1])]
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes))


@pytest.fixture(scope="module")
def screen():
    rng = np.random.default_rng(0)
    # Groups of very different sizes; "z" is one cell.
    labels = np.repeat(["x", "control", "a+b", "y", "z"], [60, 200, 15, 2, 1])
    mean = rng.gamma(0.5, 3, 12) * rng.gamma(8, 1 / 8, (len(labels), 1))
    mean[labels == "x", 3] *= 6
    counts = rng.poisson(mean)
    counts[:, 0] = 0  # expressed nowhere
    counts[labels != "a+b", 1] = 0  # expressed under one perturbation only
    counts[:, 2] += 40  # expressed everywhere
    counts[labels == "x", 4] = 5000  # perfectly separated
    order = rng.permutation(len(labels))
    return make_screen(counts[order], labels[order])


def reference(screen, perturbation, gene):
    values = lognorm(screen.X)[:, screen.var_names.get_loc(gene)].astype(np.float64)
    label = screen.obs["perturbation"].to_numpy(dtype=str)
    perturbed, control = values[label == perturbation], values[label == "control"]
    with np.errstate(divide="ignore", invalid="ignore"):  # no variance of ranks: P = 1
        test = mannwhitneyu(perturbed, control, alternative="two-sided", method="asymptotic")
    return test, perturbed, control


def test_every_test_equals_scipys(screen):
    table = tidy(differential_expression(screen, n_threads=1))
    assert table["perturbation"].unique().tolist() == ["a+b", "x", "y", "z"]
    assert table["gene"].tolist() == 4 * screen.var_names.tolist()
    for row in table.itertuples():
        test, perturbed, control = reference(screen, row.perturbation, row.gene)
        assert row.statistic == test.statistic
        assert row.p_value == pytest.approx(test.pvalue, rel=1e-10)
        assert row.auroc == pytest.approx(test.statistic / len(perturbed) / len(control))
        # Means of float32 values.
        assert row.log_fold_change == pytest.approx(perturbed.mean() - control.mean(), abs=1e-5)
    for _, own in table.groupby("perturbation"):
        expected = multipletests(own["p_value"], method="fdr_bh")[1]
        np.testing.assert_allclose(own["p_adjusted"], expected, rtol=1e-12)


def test_direction_and_extremes(screen):
    table = tidy(differential_expression(screen, n_threads=1)).set_index(["perturbation", "gene"])
    assert (table.loc[(slice(None), "g0"), "p_value"] == 1).all()
    separated = table.loc[("x", "g4")]
    assert separated["auroc"] == 1
    assert separated["log_fold_change"] > 0
    assert 0 < separated["p_adjusted"] < 1e-30
    assert table.loc[("x", "g2"), "log_fold_change"] < 0  # the others' share of the counts fell


def test_equal_proportions_tie():
    counts = sparse.csr_matrix(np.array([[1, 2], [3, 6], [7, 14], [1000, 2000], [0, 0]]))
    values = sparse_lognorm(counts, np.asarray(counts.sum(axis=1), float).ravel()).toarray()
    assert len(set(values[:4, 0])) == len(set(values[:4, 1])) == 1
    assert not values[4].any()


def test_blocks_and_threads_do_not_change_the_result(screen, monkeypatch):
    whole = tidy(differential_expression(screen, n_threads=1))
    monkeypatch.setattr("pipeline.differential_expression.CELLS_AT_A_TIME", 7)
    again = tidy(differential_expression(screen, n_threads=2))
    pd.testing.assert_frame_equal(again, whole, check_exact=True)


def test_normalisation_is_the_pipelines(screen):
    np.testing.assert_allclose(
        sparse_lognorm(screen.X, screen.obs["library_size"].to_numpy()).toarray(),
        lognorm(screen.X),
        rtol=1e-6,
        atol=0,
    )


def test_the_script_writes_the_tests(screen, tmp_path):
    write_h5ad(screen, tmp_path / "screen.h5ad")
    path = tmp_path / "tests.h5ad"
    script.main(screen=str(tmp_path / "screen.h5ad"), tests=str(path), n_threads=1)
    tests, expected = (
        read_differential_expression(path),
        differential_expression(screen, n_threads=1),
    )
    pd.testing.assert_frame_equal(tidy(tests), tidy(expected), check_exact=True)
    assert tests.obs["n_cells"].to_dict() == {"a+b": 15, "x": 60, "y": 2, "z": 1}


def test_a_library_beyond_the_genes_counts(screen):
    """The share of the whole library is compared, not that among the genes at hand."""
    deeper = screen.copy()
    deeper.obs["library_size"] *= np.where(deeper.obs["perturbation"] == "x", 2.0, 1.0)
    table = tidy(differential_expression(deeper, n_threads=1)).set_index(["perturbation", "gene"])
    before = tidy(differential_expression(screen, n_threads=1)).set_index(["perturbation", "gene"])
    assert table.loc[("x", "g2"), "log_fold_change"] < before.loc[("x", "g2"), "log_fold_change"]
    pd.testing.assert_frame_equal(table.loc[["y"]], before.loc[["y"]])


def test_ranks_go_by_p_value_and_are_of_one_perturbation(screen):
    table = tidy(differential_expression(screen, n_threads=1))
    for _, own in table.groupby("perturbation"):
        assert sorted(own["rank"]) == list(range(1, 13))
        assert own.sort_values("rank")["p_value"].is_monotonic_increasing


@pytest.mark.parametrize("labels", [["a", "b", "a"], ["control", "control", "control"]])
def test_screens_that_cannot_be_compared_are_refused(labels):
    with pytest.raises(InputError, match="needs cells of 'control' and of at least one"):
        differential_expression(make_screen(np.ones((3, 2)), labels), n_threads=1)


def test_interferon_response_depends_on_its_receptor():
    path = DATA / "papalexi2021_thp1_299genes_counts.h5ad"
    if not path.exists():
        pytest.skip(f"no Papalexi extract in {DATA}")
    cells = ad.read_h5ad(path)
    cells = cells[cells.obs["confident"].astype(bool)].copy()
    keep = cells.obs["condition"].isin(["control", "IFNGR1"])
    screen = make_screen(cells.X[keep.to_numpy()], cells.obs["condition"][keep].astype(str))
    screen.var_names = cells.var_names
    table = tidy(differential_expression(screen, n_threads=1)).set_index("gene")
    known = [g for g in ("STAT1", "IRF1", "GBP1", "GBP5", "CXCL10") if g in table.index]
    assert known
    assert (table.loc[known, "p_adjusted"] < 1e-6).all()
    assert (table.loc[known, "auroc"] < 0.5).all()
