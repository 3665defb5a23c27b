"""Metrics over one perturbation against written-out references in float64."""

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist
from sklearn.metrics import r2_score

from evaluation.comparison import Comparison, Profile
from evaluation.metrics import score
from evaluation.registry import METRICS, metrics_of
from lcd_core.errors import InputError
from tests.evaluation.references import (
    auroc_pairs,
    average_precision_thresholds,
    cells,
    mmd_loops,
)

NAMES = metrics_of("perturbation", list(METRICS))


def comparison_arrays(d=6):
    rng = np.random.default_rng(11)
    return {
        "predicted_lognorm": cells(12, 15, d),
        "observed_lognorm": cells(13, 12, d, 1.0),
        "control_mean": rng.uniform(0, 2, d),
        "training_mean": rng.uniform(0, 2, d),
        "top_genes": np.array([4, 1, 2]),
        "differentially_expressed": np.arange(d) % 2 == 0,
        "additive_mean": rng.uniform(0, 2, d),
        "de_score": rng.normal(size=d),
        "components": np.linalg.qr(rng.normal(size=(d, 2)))[0],
    }


def test_every_metric_equals_its_definition():
    a = comparison_arrays()
    x, y, top = a["predicted_lognorm"], a["observed_lognorm"], a["top_genes"]
    mx, my = x.mean(0), y.mean(0)
    control, training, truth = a["control_mean"], a["training_mean"], a["differentially_expressed"]
    scores = np.abs(a["de_score"])
    weights = ((scores - scores.min()) / (scores.max() - scores.min())) ** 2
    change, additive = np.abs(mx - control), a["additive_mean"]
    w1 = [stats.wasserstein_distance(x[:, g], y[:, g]) for g in range(6)]

    def energy(u, v):
        between = np.mean([np.linalg.norm(p - q) for p in u for q in v])
        return 2 * between - pdist(u).mean() - pdist(v).mean()

    expected = {
        "mmd_top_de": mmd_loops(x[:, top], y[:, top]),
        "mmd_all": mmd_loops(x, y),
        "mmd_pca": mmd_loops(x @ a["components"], y @ a["components"]),
        "sd_error_top_de": np.mean([abs(x[:, g].std(ddof=1) - y[:, g].std(ddof=1)) for g in top]),
        "zero_error_top_de": np.mean(
            [abs((x[:, g] == 0).mean() - (y[:, g] == 0).mean()) for g in top]
        ),
        "correlation_error_top_de": np.mean(
            [
                abs(
                    stats.pearsonr(x[:, g], x[:, h]).statistic
                    - stats.pearsonr(y[:, g], y[:, h]).statistic
                )
                for g, h in itertools.combinations(top, 2)
            ]
        ),
        "weighted_mse": np.average((mx - my) ** 2, weights=weights),
        "weighted_r2_delta": r2_score(my - training, mx - training, sample_weight=weights),
        "sign_accuracy": np.mean(
            [
                np.sign(mx[g] - control[g]) == np.sign(my[g] - control[g])
                for g in range(6)
                if truth[g]
            ]
        ),
        "rmse_top_de": np.sqrt(np.mean((mx - my)[top] ** 2)),
        "pearson_mean": stats.pearsonr(mx, my).statistic,
        "pearson_delta": stats.pearsonr(mx - control, my - control).statistic,
        "pearson_delta_relative": stats.pearsonr(mx - training, my - training).statistic,
        "energy_distance_top_de": energy(x[:, top], y[:, top]),
        "energy_distance_all": energy(x, y),
        "wasserstein1_top_de": np.mean([w1[g] for g in top]),
        "wasserstein1_all": np.mean(w1),
        "de_auroc": auroc_pairs(truth, change),
        "de_ap": average_precision_thresholds(truth, change),
        "nonadditivity_pearson": stats.pearsonr(mx - additive, my - additive).statistic,
        "nonadditivity_ap": average_precision_thresholds(
            np.isin(np.arange(6), np.argsort(-np.abs(my - additive))[:3]), np.abs(mx - additive)
        ),
    }
    assert score(**a, metrics=NAMES) == pytest.approx(expected, rel=1e-9)


def test_genes_without_variance_correlate_with_none():
    a = comparison_arrays()
    a["predicted_lognorm"] = a["predicted_lognorm"].copy()
    a["predicted_lognorm"][:, a["top_genes"]] = 1.0
    y = a["observed_lognorm"][:, a["top_genes"]]
    wanted = np.abs(np.corrcoef(y, rowvar=False)[np.triu_indices(3, k=1)]).mean()
    found = score(**a, metrics=["correlation_error_top_de"])
    assert found["correlation_error_top_de"] == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "field"),
    [("mmd_pca", "components"), ("weighted_mse", "de_score"), ("weighted_r2_delta", "de_score")],
)
def test_what_metrics_need_is_asked_for(name, field):
    with pytest.raises(InputError, match=f"{name}|weighted metrics"):
        score(**(comparison_arrays() | {field: None}), metrics=[name])


def test_without_single_effects_there_is_no_additivity_to_deviate_from():
    a = comparison_arrays() | {"additive_mean": None}
    found = score(**a, metrics=["nonadditivity_pearson", "nonadditivity_ap"])
    assert np.isnan(list(found.values())).all()


def test_a_profile_has_the_metrics_of_its_cells_that_need_none():
    a = comparison_arrays()
    names = metrics_of("perturbation", NAMES, cells=False)
    of_cells = score(**a, metrics=names)
    a["predicted_lognorm"] = Profile(a["predicted_lognorm"].mean(axis=0))
    assert score(**a, metrics=names) == of_cells
    for name in set(NAMES) - set(names):
        with pytest.raises(InputError, match="profile alone"):
            score(**a, metrics=[name])
    a["predicted_lognorm"] = Profile(np.zeros(5))
    with pytest.raises(InputError, match=r"predicted mean(.|\n)*\(5,\) instead of \(6,\)"):
        score(**a, metrics=names)


def test_metrics_of_a_panel_are_refused():
    with pytest.raises(InputError, match="discrimination_l2"):
        score(**comparison_arrays(), metrics=["mmd_all", "discrimination_l2"])


def test_constant_change_has_no_correlation():
    a = comparison_arrays()
    a["predicted_lognorm"] = np.zeros((3, 6))
    assert np.isnan(score(**a, metrics=["pearson_mean"])["pearson_mean"])


def with_nan(values):
    values = values.copy()
    values[(0,) * values.ndim] = np.nan
    return values


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("predicted_lognorm", lambda v: v[:, :5], "5 genes, observed 6"),
        ("predicted_lognorm", lambda v: v[:1], "1 cells"),
        ("observed_lognorm", lambda v: v[:1], "1 cells"),
        ("observed_lognorm", lambda v: v[0], "cells x genes"),
        ("observed_lognorm", with_nan, r"nan at \(0, 0\)"),
        ("predicted_lognorm", lambda v: v / 0.0, "finite"),
        ("control_mean", lambda v: v[:5], "one value per gene"),
        ("training_mean", with_nan, r"training mean: values must be finite"),
        ("top_genes", lambda v: v + 4, "between 0 and 5"),
        ("top_genes", lambda v: np.array([1, 1]), "named twice"),
        ("top_genes", lambda v: np.array([], dtype=int), "gene indices"),
        ("top_genes", lambda v: np.array([True] * 6), "gene indices"),
        ("differentially_expressed", lambda v: v.astype(int), "True or False"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input_is_named(name, change, message):
    a = comparison_arrays()
    a[name] = change(a[name])
    with pytest.raises(InputError, match=message):
        score(**a, metrics=["mmd_all"])


def test_unknown_metrics_and_missing_truth_are_named():
    a = comparison_arrays()
    with pytest.raises(InputError, match="mmd_typo"):
        score(**a, metrics=["mmd_all", "mmd_typo"])
    with pytest.raises(InputError, match="no metric"):
        score(**a, metrics=[])
    a.pop("differentially_expressed")
    with pytest.raises(InputError, match="differential expression"):
        score(**a, metrics=["de_ap"])


def test_comparison_cannot_be_changed():
    a = comparison_arrays()
    comparison = Comparison(
        a["predicted_lognorm"],
        a["observed_lognorm"],
        a["control_mean"],
        a["training_mean"],
        a["top_genes"],
    )
    with pytest.raises(AttributeError):
        comparison.predicted = comparison.observed
