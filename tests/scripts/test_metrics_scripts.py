"""Differential expression, metrics and benchmark tables against independent computations."""

import importlib
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from benchmark import aggregate_metrics, compute_metrics
from evaluation.distances import maximum_mean_discrepancy
from evaluation.registry import METRICS
from lcd_core.errors import InputError
from pipeline.differential_expression import ranked
from pipeline.predictions import draw_rows, labels_of, prediction_writer, read_prediction
from pipeline.screen import CONTROL, read_screen, write_h5ad
from pipeline.tables import read_tsv, write_tsv
from tests.scripts.predictions_fixture import GENES, HELD_OUT, TRAINED, cells_of, write_fold
from tests.scripts.screens import write_tests


def lognorm_loops(counts):
    return np.array([np.log1p(row / row.sum() * 1e4) for row in counts.toarray().astype(float)])


def expression(path, name):
    cells = read_screen(path)
    return lognorm_loops(cells.X[(cells.obs["perturbation"] == name).to_numpy()])


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    return write_fold(tmp_path_factory.mktemp("fold"))


@pytest.fixture(scope="module")
def de_table(fold, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("de") / "test_de.tsv")
    write_tests(fold.train, path, fold.test)
    return path


@pytest.fixture(scope="module")
def predictions(fold, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    paths = {}
    for method in ("control", "salt", "ceiling"):
        paths[method] = str(folder / f"{method}.h5ad")
        extra = {"test": fold.test} if method == "ceiling" else {"n_cells": 25, "seed": 5}
        importlib.import_module(f"methods.{method}.predict").main(
            train=fold.train,
            test_perturbations=fold.test_perturbations,
            prediction=paths[method],
            keep="cells",
            **extra,
        )
    return paths


def evaluate(fold, de_table, prediction, table, **changes):
    settings = {
        "metrics": list(METRICS),
        "top_genes": 4,
        "components": 3,
        "cells": "all",
        "splits": 3,
        "max_cells": None,
        "methods": ["m"],
        "values": [None],
        "fold": "1",
        "seed": 7,
    }
    given = {"predictions": [prediction], "metrics_tables": [str(table)]}
    compute_metrics.main(
        train=fold.train,
        test=fold.test,
        test_perturbations=fold.test_perturbations,
        test_differential_expression=de_table,
        **(given | settings | changes),
    )
    return read_tsv(table, dtype={"fold": str})


def test_differential_expression_equals_one_test_per_gene(fold, de_table):
    table = read_tsv(de_table)
    assert list(table["perturbation"].unique()) == sorted(HELD_OUT)
    control = expression(fold.train, CONTROL)
    for name, own in table.groupby("perturbation"):
        assert list(own["gene"]) == GENES
        cells = expression(fold.test, name)
        tests = [
            stats.mannwhitneyu(cells[:, g], control[:, g], method="asymptotic")
            for g in range(len(GENES))
        ]
        p = np.array([test.pvalue for test in tests])
        np.testing.assert_allclose(own["statistic"], [test.statistic for test in tests])
        np.testing.assert_allclose(own["p_value"], p, rtol=1e-5)
        adjusted = multipletests(p, method="fdr_bh")[1]
        np.testing.assert_allclose(own["p_adjusted"], adjusted, rtol=1e-5)
        change = cells.mean(0) - control.mean(0)
        np.testing.assert_allclose(own["log_fold_change"], change, rtol=1e-4, atol=1e-6)
        by_rank = own.sort_values("rank")
        assert list(by_rank["rank"]) == list(range(1, len(GENES) + 1))
        assert by_rank["p_value"].is_monotonic_increasing


def test_rank_orders_by_p_then_size_of_change_then_gene():
    table = pd.DataFrame(
        {
            "perturbation": list("qqqqp"),
            "gene": list("abcda"),
            "p_value": [1.0, 0.1, 0.1, 0.1, 0.5],
            "log_fold_change": [0.0, 2.0, -5.0, 2.0, 0.0],
        }
    )
    assert list(ranked(table)["rank"]) == [4, 2, 1, 3, 1]


def test_one_row_per_perturbation_and_metric(fold, de_table, predictions, tmp_path):
    table = evaluate(fold, de_table, predictions["salt"], tmp_path / "m.tsv")
    assert list(table.columns) == aggregate_metrics.COLUMNS
    assert len(table) == len(HELD_OUT) * len(METRICS)
    singles = table.groupby("perturbation")[["n_targets", "singles_measured"]].first()
    assert singles.loc["A+B"].tolist() == [2, 2]
    assert singles.loc["A+B+C"].tolist() == [3, 3]
    assert singles.loc["A+X"].tolist() == [2, 1]
    assert set(table["n_predicted"]) == {25}
    assert set(table["n_observed"]) == {30}


def test_metrics_equal_their_definitions(fold, de_table, predictions, tmp_path):
    table = evaluate(fold, de_table, predictions["salt"], tmp_path / "m.tsv")
    values = table.pivot(index="perturbation", columns="metric", values="value")
    de = read_tsv(de_table)
    control = expression(fold.train, CONTROL).mean(0)
    trained = [name for name in TRAINED if name != CONTROL]
    training = np.mean([expression(fold.train, name).mean(0) for name in trained], axis=0)
    predicted = read_prediction(predictions["salt"], GENES, HELD_OUT)
    for name in HELD_OUT:
        x = predicted.lognorm(predicted.rows(name)).astype(float)
        y = expression(fold.test, name)
        own = de[de["perturbation"] == name].sort_values("rank")
        top = [GENES.index(gene) for gene in own["gene"][:4]]
        mx, my = x.mean(0), y.mean(0)
        expected = {
            "mmd_top_de": maximum_mean_discrepancy(x[:, top].copy(), y[:, top].copy()),
            "rmse_top_de": np.sqrt(np.mean((mx[top] - my[top]) ** 2)),
            "pearson_mean": stats.pearsonr(mx, my)[0],
            "pearson_delta": stats.pearsonr(mx - control, my - control)[0],
            "pearson_delta_relative": stats.pearsonr(mx - training, my - training)[0],
        }
        found = values.loc[name, list(expected)].to_dict()
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("cells", ["equal", "all"])
def test_the_ceiling_is_one_half_against_the_other(cells, fold, de_table, predictions, tmp_path):
    """No cell meets itself: each split compares 15 of the 30 observed cells with the others."""
    table = evaluate(
        fold, de_table, predictions["ceiling"], tmp_path / "m.tsv", cells=cells, splits=2
    )
    assert set(table["n_predicted"]) == set(table["n_observed"]) == {15}
    observed = read_screen(fold.test)
    for name in HELD_OUT:
        own = observed[(observed.obs["perturbation"] == name).to_numpy()]
        everyone, values = np.arange(30), []
        for split in range(2):
            half = draw_rows(everyone, 15, 7, f"observed {name} {split}")
            rest = np.setdiff1d(everyone, half)
            x, y = (lognorm_loops(own.X[rows]) for rows in (rest, half))
            values.append(maximum_mean_discrepancy(x, y))
        assert values[0] != values[1]
        found = table[(table["perturbation"] == name) & (table["metric"] == "mmd_all")]
        assert found["value"].item() == pytest.approx(np.mean(values), rel=1e-4)


def test_methods_face_the_same_halves_in_the_same_number(fold, de_table, predictions, tmp_path):
    table = evaluate(
        fold, de_table, predictions["salt"], tmp_path / "m.tsv", cells="equal", splits=3
    )
    assert set(table["n_predicted"]) == set(table["n_observed"]) == {15}
    predicted, observed = read_prediction(predictions["salt"], GENES, HELD_OUT), fold.test
    name = "A+B"
    x = predicted.lognorm(predicted.rows(name)).astype(float)
    y = expression(observed, name)
    errors = []
    for split in range(3):
        half = draw_rows(np.arange(30), 15, 7, f"observed {name} {split}")
        drawn = draw_rows(np.arange(25), 15, 7, f"predicted {name} {split}")
        errors.append(stats.pearsonr(x[drawn].mean(0), y[half].mean(0)).statistic)
    found = table[(table["perturbation"] == name) & (table["metric"] == "pearson_mean")]
    assert found["value"].item() == pytest.approx(np.mean(errors), rel=1e-4)


def test_the_truth_is_as_good_as_the_ceiling_where_numbers_are_equal(tmp_path, de_table, fold):
    """A prediction of many cells from the true distribution, over a dozen held-out samples."""
    many = cells_of(HELD_OUT, seed=5, cells_each=2000)
    many.uns["values"] = "counts"
    many.write_h5ad(tmp_path / "truth.h5ad")
    own = type(fold)(fold.train, str(tmp_path / "test.h5ad"), fold.test_perturbations)
    found = {}
    for seed in range(12):
        write_h5ad(cells_of(HELD_OUT, seed=100 + seed, cells_each=40), own.test)
        importlib.import_module("methods.ceiling.predict").main(
            train=own.train, test=own.test, test_perturbations=own.test_perturbations,
            prediction=str(tmp_path / "ceiling.h5ad"), keep="cells",
        )  # fmt: skip
        for cells in ("equal", "all"):
            for source in ("truth", "ceiling"):
                table = evaluate(
                    own, de_table, str(tmp_path / f"{source}.h5ad"), tmp_path / "m.tsv",
                    cells=cells, metrics=["wasserstein1_all", "rmse_top_de"],
                )  # fmt: skip
                values = table.groupby("metric")["value"].mean()
                found.setdefault((cells, source), []).append(values)
    means = {key: pd.concat(values, axis=1).mean(axis=1) for key, values in found.items()}
    # with all cells the truth seems to be far better than the truth
    assert (means["all", "truth"] < 0.8 * means["all", "ceiling"]).all()
    ratio = means["equal", "truth"] / means["equal", "ceiling"]
    assert ratio.tolist() == pytest.approx([1.0, 1.0], abs=0.08)


def test_the_interpolated_duplicate_draws_each_gene_by_its_own_p_value(
    fold, de_table, predictions, tmp_path
):
    """One half, gene by gene between itself and the training mean; nothing of the other half."""
    path = tmp_path / "interpolated.h5ad"
    importlib.import_module("methods.interpolated_duplicate.predict").main(
        train=fold.train, test=fold.test, test_perturbations=fold.test_perturbations,
        prediction=str(path), keep="cells",
    )  # fmt: skip
    table = evaluate(
        fold, de_table, str(path), tmp_path / "m.tsv", cells="equal", splits=1,
        metrics=["pearson_mean", "mmd_all"],
    )  # fmt: skip
    trained = read_screen(fold.train)
    by_label = {name: lognorm_loops(trained.X[labels_of(trained) == name]) for name in TRAINED}
    del by_label[CONTROL]
    pooled = np.vstack(list(by_label.values()))
    target = np.mean([cells.mean(0) for cells in by_label.values()], axis=0)
    for name in HELD_OUT:
        cells = expression(fold.test, name).astype(float)
        left = draw_rows(np.arange(30), 15, 7, f"observed {name} 0")
        right = cells[np.setdiff1d(np.arange(30), left)]
        p = stats.ttest_ind(right, pooled, equal_var=False).pvalue
        pull = multipletests(p, method="fdr_bh")[1]
        assert 0 < pull.min() < 0.01, "a gene that keeps its own mean"
        assert pull.max() > 0.1, "and one that does not"
        moved = np.maximum(right + pull * (target - right.mean(0)), 0).mean(0)
        wanted = stats.pearsonr(moved, cells[left].mean(0)).statistic
        found = table[(table["perturbation"] == name) & (table["metric"] == "pearson_mean")]
        assert found["value"].item() == pytest.approx(wanted, rel=1e-4)


def test_profiles_of_no_change_have_no_correlation_of_changes(fold, de_table, tmp_path):
    """Single precision once made a correlation of the rounding errors of the control's mean."""
    for keep in ("cells", "profiles"):
        importlib.import_module("methods.control.predict").main(
            train=fold.train, test_perturbations=fold.test_perturbations,
            prediction=str(tmp_path / f"{keep}.h5ad"), n_cells=10_000, keep=keep, seed=5,
        )  # fmt: skip
        table = evaluate(fold, de_table, str(tmp_path / f"{keep}.h5ad"), tmp_path / "m.tsv")
        assert table.loc[table["metric"] == "pearson_delta", "value"].isna().all()
        chance = table.loc[table["metric"] == "discrimination_cosine", "value"]
        assert chance.tolist() == pytest.approx([0.5] * len(HELD_OUT))


def test_profiles_need_a_metric_of_means(fold, de_table, tmp_path):
    importlib.import_module("methods.salt.predict").main(
        train=fold.train, test_perturbations=fold.test_perturbations,
        prediction=str(tmp_path / "p.h5ad"), n_cells=25, keep="profiles", seed=5,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"(?s)all metrics compare cells.*mmd_all"):
        evaluate(fold, de_table, str(tmp_path / "p.h5ad"), tmp_path / "m.tsv", metrics=["mmd_all"])
    assert not (tmp_path / "m.tsv").exists()


def test_fewer_predicted_cells_than_others_have_are_told(
    fold, de_table, predictions, tmp_path, caplog
):
    fewer = ad.read_h5ad(predictions["salt"])
    fewer = fewer[~fewer.obs["perturbation"].duplicated() | (np.arange(len(fewer)) % 5 == 0)]
    fewer.copy().write_h5ad(tmp_path / "fewer.h5ad")
    evaluate(fold, de_table, str(tmp_path / "fewer.h5ad"), tmp_path / "m.tsv", cells="equal")
    assert "predicted cells face halves of 15 observed ones" in caplog.text
    caplog.clear()
    evaluate(fold, de_table, predictions["salt"], tmp_path / "m.tsv", cells="equal")
    assert "predicted cells face halves" not in caplog.text


def test_several_methods_at_a_time_have_the_tables_of_each_alone(
    fold, de_table, predictions, tmp_path
):
    together = [str(tmp_path / f"{name}.tsv") for name in predictions]
    evaluate(
        fold, de_table, "", together[0], predictions=list(predictions.values()),
        metrics_tables=together, methods=list(predictions), values=[None] * len(predictions),
    )  # fmt: skip
    for (name, path), own in zip(predictions.items(), together, strict=True):
        evaluate(fold, de_table, path, tmp_path / "alone.tsv", methods=[name])
        assert Path(own).read_bytes() == (tmp_path / "alone.tsv").read_bytes()


def test_predictions_are_told_apart_among_all_measured(fold, de_table, predictions, tmp_path):
    """Ranks among the held-out and the training perturbations, the control left out."""
    table = evaluate(fold, de_table, predictions["salt"], tmp_path / "m.tsv")
    values = table.pivot(index="perturbation", columns="metric", values="value")
    control = expression(fold.train, CONTROL).mean(0)
    measured = {name: expression(fold.test, name).mean(0) for name in HELD_OUT}
    measured |= {name: expression(fold.train, name).mean(0) for name in TRAINED if name != CONTROL}
    predicted = read_prediction(predictions["salt"], GENES, HELD_OUT)
    for name in HELD_OUT:
        x = predicted.lognorm(predicted.rows(name)).astype(float).mean(0)
        euclidean = {q: np.linalg.norm(x - y) for q, y in measured.items()}
        cosine = {
            q: -np.dot(x - control, y - control) / np.linalg.norm(y - control)
            for q, y in measured.items()
        }
        for metric, distance in (
            ("discrimination_l2", euclidean),
            ("discrimination_cosine", cosine),
        ):
            rank = sorted(distance, key=distance.get).index(name) + 1
            expected = 1 - (rank - 1) / (len(measured) - 1)
            assert values.loc[name, metric] == pytest.approx(expected, rel=1e-5)


def test_profiles_have_the_metrics_of_means(fold, de_table, predictions, tmp_path):
    """The same values as of the cells, without those that compare distributions."""
    importlib.import_module("methods.salt.predict").main(
        train=fold.train,
        test_perturbations=fold.test_perturbations,
        prediction=str(tmp_path / "profiles.h5ad"),
        n_cells=25,
        keep="profiles",
        seed=5,
    )
    of_cells = evaluate(fold, de_table, predictions["salt"], tmp_path / "cells.tsv")
    found = evaluate(fold, de_table, str(tmp_path / "profiles.h5ad"), tmp_path / "profiles.tsv")
    without = {name for name, metric in METRICS.items() if metric.needs_cells}
    assert {"mmd_all", "wasserstein1_all"} <= without
    assert set(found["metric"]) == set(METRICS) - without
    expected = of_cells[~of_cells["metric"].isin(without)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


def test_metrics_over_the_panel_alone(fold, de_table, predictions, tmp_path):
    every = evaluate(fold, de_table, predictions["salt"], tmp_path / "every.tsv")
    one = evaluate(
        fold, de_table, predictions["salt"], tmp_path / "one.tsv", metrics=["discrimination_l2"]
    )
    own = every[every["metric"] == "discrimination_l2"]
    pd.testing.assert_frame_equal(one, own.reset_index(drop=True))


def test_at_most_max_cells_of_either_side(fold, de_table, predictions, tmp_path):
    some = evaluate(fold, de_table, predictions["salt"], tmp_path / "a.tsv", max_cells=10)
    evaluate(fold, de_table, predictions["salt"], tmp_path / "b.tsv", max_cells=10)
    other = evaluate(fold, de_table, predictions["salt"], tmp_path / "c.tsv", max_cells=10, seed=8)
    assert set(some["n_predicted"]) == set(some["n_observed"]) == {10}
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    assert not some["value"].equals(other["value"])


def test_what_the_evaluation_refuses(fold, de_table, predictions, tmp_path):
    out = tmp_path / "m.tsv"
    with pytest.raises(InputError, match="mmd_typo"):
        evaluate(fold, de_table, predictions["salt"], out, metrics=["mmd_typo"])
    with pytest.raises(InputError, match=r"(?s)top_genes.*13, 12 genes"):
        evaluate(fold, de_table, predictions["salt"], out, top_genes=13)
    table = read_tsv(de_table)
    fewer = str(tmp_path / "fewer.tsv")
    write_tsv(table[table["perturbation"] != "A+X"], fewer)
    with pytest.raises(InputError, match=r"(?s)held-out perturbations are missing.*A\+X"):
        evaluate(fold, fewer, predictions["salt"], out)
    write_tsv(table[table["gene"] != "G3"], fewer)
    with pytest.raises(InputError, match=r"(?s)one row for each gene.*G3"):
        evaluate(fold, fewer, predictions["salt"], out)
    assert not out.exists()


def write_values(path, fold, method, metric, values):
    """A table of metrics with the given values by perturbation."""
    frame = pd.DataFrame(
        {
            "fold": fold,
            "method": method,
            "perturbation": list(values),
            "n_targets": 2,
            "singles_measured": 2,
            "metric": metric,
            "value": list(values.values()),
            "n_predicted": 10,
            "n_observed": 10,
        }
    )
    write_tsv(frame, path)
    return str(path)


def aggregate(tables, folder, **kwargs):
    folder.mkdir(exist_ok=True)
    names = ("metrics", "summary", "win_rates", "calibration")
    paths = {name: str(folder / f"{name}.tsv") for name in names}
    defaults = {
        "folds": ["1", "2", "10"], "reference": "lcd", "duplicates": ["ceiling"],
        "negatives": ["control"], "no_methods": [], "bootstrap": 500, "seed": 1,
    }  # fmt: skip
    aggregate_metrics.main(tables=tables, **paths, **(defaults | kwargs))
    return {
        name: read_tsv(path, dtype={"fold": str} if name == "metrics" else None)
        for name, path in paths.items()
    }


NAMES = [f"P{i}" for i in range(8)]
LCD = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
SALT = [0.3, 0.1, 0.4, 0.9, 0.5, 1.0, 1.5, 1.1]


@pytest.fixture
def two_methods(tmp_path):
    tables = []
    for method, values in (("lcd", LCD), ("salt", SALT)):
        for label, part in (("2", slice(0, 4)), ("10", slice(4, 8))):
            own = dict(zip(NAMES[part], values[part], strict=True))
            path = tmp_path / f"{method}{label}.tsv"
            tables.append(write_values(path, label, method, "mmd_all", own))
    return tables


def test_summary_has_quartiles_over_all_folds(two_methods, tmp_path):
    summary = aggregate(two_methods, tmp_path / "out")["summary"].set_index("method")
    assert summary.loc["lcd", ["n", "median", "q25", "q75", "mean"]].tolist() == pytest.approx(
        [8, 0.45, 0.275, 0.625, 0.45]
    )
    assert summary.loc["salt", "median"] == pytest.approx(0.7)


def test_intervals_of_medians_are_those_of_the_bootstrap(two_methods, tmp_path):
    summary = aggregate(two_methods, tmp_path / "out", bootstrap=20_000)["summary"]
    row = summary.set_index("method").loc["lcd"]
    # medians of 8 draws from 8 values, all 8^8 of them, by their order statistics
    draws = np.random.default_rng(0).choice(LCD, size=(200_000, 8))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    assert [row["median_low"], row["median_high"]] == pytest.approx([low, high], abs=0.051)
    assert row["median_low"] < row["median"] < row["median_high"]
    again = aggregate(two_methods, tmp_path / "again", bootstrap=20_000)["summary"]
    assert again.equals(summary)


def test_p_values_are_adjusted_over_the_methods_of_a_metric(two_methods, tmp_path):
    tables = [*two_methods]
    for method, shift in (("control", 0.5), ("peper", -0.05)):
        values = {name: value + shift for name, value in zip(NAMES, LCD, strict=True)}
        tables.append(write_values(tmp_path / f"{method}.tsv", "1", method, "mmd_all", values))
        tables.append(write_values(tmp_path / f"{method}p.tsv", "1", method, "de_ap", values))
    values = dict(zip(NAMES, LCD, strict=True))
    tables.append(write_values(tmp_path / "lcd1.tsv", "1", "lcd", "mmd_all", values))
    tables.append(write_values(tmp_path / "lcdp.tsv", "1", "lcd", "de_ap", values))
    rates = aggregate(tables, tmp_path / "out")["win_rates"]
    without = aggregate(tables, tmp_path / "without", no_methods=["control"])["win_rates"]
    duplicate = without["versus"] == "control"
    assert without.loc[duplicate, "p_adjusted"].isna().all()
    assert without.loc[duplicate, "p_value"].notna().any()
    both = pd.concat([rates, without[~duplicate].assign(metric=without["metric"] + " without")])
    for _, own in both.groupby("metric"):
        tested = own.dropna(subset=["p_value"]).sort_values("p_value")
        running = 0.0  # Holm, written out
        for rank, row in enumerate(tested.itertuples()):
            running = max(running, min(1.0, row.p_value * (len(tested) - rank)))
            assert row.p_adjusted == pytest.approx(running, rel=1e-4)


def test_calibration_by_hand(tmp_path):
    """DRF (neg - pos) / (neg - perfect), BDS the share where the duplicate is better."""
    distances = {
        "ceiling": [0.1, 0.0, 0.3, 0.2], "control": [0.5, 0.4, 0.2, 0.2], "lcd": [1.0] * 4
    }  # fmt: skip
    correlations = {
        "ceiling": [0.9, 0.5, 0.2, 0.4], "control": [0.5, 0.6, 0.3, 1.0], "lcd": [1.0] * 4
    }  # fmt: skip
    tables = [
        write_values(
            tmp_path / f"{m}{metric}.tsv", "1", m, metric, dict(zip("abcd", v, strict=True))
        )
        for metric, own in (("mmd_all", distances), ("pearson_mean", correlations))
        for m, v in own.items()
    ]
    table = aggregate(tables, tmp_path / "out")["calibration"].set_index("metric")
    mmd, pearson = table.loc["mmd_all"], table.loc["pearson_mean"]
    # 0.4 / 0.5, 0.4 / 0.4, -0.1 / 0.2, 0 / 0.2
    assert mmd["dynamic_range_fraction"] == pytest.approx(np.median([0.8, 1.0, -0.5, 0.0]))
    assert mmd["bound_discrimination_score"] == pytest.approx(2.5 / 4)
    # (0.5 - 0.9) / (0.5 - 1), 0.1 / -0.4, 0.1 / -0.7, and no room above a perfect control
    wanted = np.median([0.8, -0.25, -1 / 7])
    assert pearson["dynamic_range_fraction"] == pytest.approx(wanted, rel=1e-4)
    assert pearson["bound_discrimination_score"] == pytest.approx(1 / 4)
    assert aggregate(tables, tmp_path / "none", duplicates=[])["calibration"].empty
    # a control beyond perfect, as an unbiased distance can be, leaves no room to be better
    for m, v in (("ceiling", [0.001, 0.2]), ("control", [-0.001, 0.4]), ("lcd", [1.0] * 2)):
        tables.append(
            write_values(
                tmp_path / f"{m}e.tsv", "1", m, "mmd_top_de", dict(zip("ab", v, strict=True))
            )
        )
    table = aggregate(tables, tmp_path / "beyond")["calibration"].set_index("metric")
    assert table.loc["mmd_top_de", "dynamic_range_fraction"] == pytest.approx(0.5)
    assert table.loc["mmd_top_de", "bound_discrimination_score"] == pytest.approx(0.5)


def test_win_rates_are_paired_on_perturbations(two_methods, tmp_path):
    row = aggregate(two_methods, tmp_path / "out")["win_rates"].iloc[0]
    assert [row["metric"], row["method"], row["versus"]] == ["mmd_all", "lcd", "salt"]
    assert [row["n"], row["wins"], row["ties"]] == [8, 6, 1]
    assert row["win_rate"] == 0.75
    # Differences -0.2, 0.1, -0.1, -0.5, 0, -0.4, -0.8, -0.3.
    assert row["difference_of_medians"] == pytest.approx(-0.25)
    assert row["percent_reduction"] == pytest.approx(100 * (1 - 0.45 / 0.7), rel=1e-5)
    expected = stats.wilcoxon(np.array(LCD), np.array(SALT), alternative="less").pvalue
    assert row["p_value"] == pytest.approx(expected, rel=1e-5)


@given(
    st.lists(st.tuples(st.floats(0.01, 10), st.floats(0.01, 10)), min_size=1, max_size=9)
    | st.just([(1.0, 3.0), (4.0, 2.0), (5.0, 4.0)])  # median of the differences: +1; medians 4, 3
)
@settings(deadline=None)
def test_reduction_and_difference_never_contradict_each_other(pairs):
    reference, other = np.array(pairs).T
    found = aggregate_metrics.compare_pairs(reference, other, "lower")
    assert np.sign(found["percent_reduction"]) == -np.sign(found["difference_of_medians"])
    by_hand = 100 * (np.median(other) - np.median(reference)) / np.median(other)
    assert found["percent_reduction"] == pytest.approx(by_hand, abs=1e-9)


def test_signed_rank_by_hand():
    # All six differences favour the reference: one of 2^6 sign patterns.
    other = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    reference = other - np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    lower = aggregate_metrics.compare_pairs(reference, other, "lower")
    assert lower["p_value"] == pytest.approx(1 / 64)
    assert aggregate_metrics.compare_pairs(reference, other, "higher")["p_value"] == 1
    assert aggregate_metrics.compare_pairs(-reference, -other, "higher") == lower | {
        "difference_of_medians": pytest.approx(0.35),
        "percent_reduction": pytest.approx(float("nan"), nan_ok=True),
    }


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (LCD, "all differences are zero"),
        ([v + 1 for v in LCD[:4]] + LCD[4:], "fewer than 5 nonzero differences"),
        ([float("nan")] * 8, "no perturbation in common"),
    ],
)
def test_no_p_value_has_a_reason(other, reason, tmp_path):
    tables = [
        write_values(tmp_path / f"{m}.tsv", "1", m, "mmd_all", dict(zip(NAMES, v, strict=True)))
        for m, v in (("lcd", LCD), ("salt", other))
    ]
    row = aggregate(tables, tmp_path / "out")["win_rates"].iloc[0]
    assert np.isnan(row["p_value"])
    assert row["reason"] == reason


def test_undefined_values_do_not_count(tmp_path):
    values = dict(zip(NAMES, LCD, strict=True)) | {"P0": float("nan")}
    tables = [write_values(tmp_path / f"{m}.tsv", "1", m, "de_ap", values) for m in ("lcd", "salt")]
    tables.append(write_values(tmp_path / "c.tsv", "1", "control", "de_ap", {"P0": float("nan")}))
    result = aggregate(tables, tmp_path / "out")
    summary = result["summary"].set_index("method")
    assert summary["n"].to_dict() == {"control": 0, "lcd": 7, "salt": 7}
    assert np.isnan(summary.loc["control", "median"])
    assert result["win_rates"].set_index("versus").loc["salt", "n"] == 7


def test_order_of_the_tables_does_not_matter(two_methods, tmp_path):
    forward = aggregate(two_methods, tmp_path / "forward")
    aggregate(two_methods[::-1], tmp_path / "backward")
    for name in ("metrics", "summary", "win_rates", "calibration"):
        one, other = (tmp_path / d / f"{name}.tsv" for d in ("forward", "backward"))
        assert one.read_bytes() == other.read_bytes()
    assert list(forward["metrics"]["fold"].unique()) == ["2", "10"]


def test_what_aggregation_refuses(two_methods, tmp_path):
    with pytest.raises(InputError, match=r"(?s)no values of 'peper'.*lcd, salt"):
        aggregate(two_methods, tmp_path / "out", reference="peper")
    with pytest.raises(InputError, match=r"(?s)occurs twice.*2 / P0 / lcd / mmd_all"):
        aggregate([*two_methods, two_methods[0]], tmp_path / "out")
    odd = write_values(tmp_path / "odd.tsv", "1", "lcd", "typo", {"P0": 1.0})
    with pytest.raises(InputError, match="typo"):
        aggregate([odd], tmp_path / "out")
    write_tsv(pd.DataFrame({"a": [1]}), odd)
    with pytest.raises(InputError, match=r"odd\.tsv"):
        aggregate([odd], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_the_chain_ranks_methods_as_it_should(fold, de_table, predictions, tmp_path):
    """Multiplicative effects: SALT beats control; halves of the observed cells beat both."""
    tables = []
    for method, path in predictions.items():
        table = tmp_path / f"{method}.tsv"
        evaluate(fold, de_table, path, table, methods=[method])
        tables.append(str(table))
    summary = aggregate(tables, tmp_path / "out", reference="salt")["summary"]
    for metric in ("mmd_top_de", "rmse_top_de", "energy_distance_all", "wasserstein1_top_de"):
        median = summary[summary["metric"] == metric].set_index("method")["median"]
        assert median["ceiling"] < median["salt"] < median["control"]


def test_what_is_not_predicted_has_rows_without_values(fold, de_table, tmp_path):
    with prediction_writer(
        tmp_path / "p.h5ad", GENES, keep="cells", not_predicted=["A+X"]
    ) as writer:
        for name in ("A+B", "A+B+C"):
            writer.add_generated(name, np.random.default_rng(3).poisson(4.0, (25, len(GENES))))
    table = evaluate(fold, de_table, tmp_path / "p.h5ad", tmp_path / "m.tsv")
    assert len(table) == len(HELD_OUT) * len(METRICS)
    missing = table[table["perturbation"] == "A+X"]
    assert missing["value"].isna().all()
    assert set(missing["n_predicted"]) == {0}
    there = table[(table["perturbation"] == "A+B") & (table["metric"] == "mmd_all")]
    assert np.isfinite(there["value"].item())
    summary = aggregate_metrics.summarise(table, 100, 1)
    assert set(summary["n"]) <= {0, 1, 2}
