"""Interactions of a fold from cells, their tables, page and figures."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmark import (
    aggregate_interactions,
    draw_interactions,
    measure_interactions,
    write_interactions_html,
)
from evaluation.interaction_types import TYPES
from evaluation.interactions import measure_interaction
from lcd_core.errors import InputError
from methods.salt import predict as salt
from pipeline.methods import method_looks
from pipeline.predictions import labels_of
from pipeline.screen import CONTROL, read_screen
from pipeline.tables import read_tsv, write_tsv
from tests.evaluation.test_interactions import PUBLISHED
from tests.scripts.drawings import texts
from tests.scripts.predictions_fixture import write_fold

PAIRS = {"A+B"}  # the triple and the pair with X, never measured alone, are none


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fold")
    own = write_fold(folder)
    for number, keep in ((1, "cells"), (2, "profiles")):
        salt.main(
            train=own.train, test_perturbations=own.test_perturbations,
            prediction=str(folder / f"salt{number}.h5ad"), n_cells=30, keep=keep, seed=1,
        )  # fmt: skip
    return own


def measured(fold, tmp_path, *, min_count=0.5, scale="none", predictions=("salt1",)):
    path = tmp_path / "interactions.tsv"
    folder = fold.train.rsplit("/", 1)[0]
    measure_interactions.main(
        train=fold.train, test=fold.test, test_perturbations=fold.test_perturbations,
        predictions=[f"{folder}/{name}.h5ad" for name in predictions], interactions=str(path),
        methods=list(predictions), values=[None] * len(predictions), fold="1",
        min_count=min_count, scale=scale,
    )  # fmt: skip
    return read_tsv(path, dtype={"fold": str})


def means_by_hand(path, name, genes):
    """Mean of counts scaled to 10,000, cell by cell."""
    cells = read_screen(path)
    dense = cells.X[labels_of(cells) == name].toarray().astype(float)
    return np.mean([1e4 * row / row.sum() for row in dense], axis=0)[genes]


@pytest.mark.parametrize("scale", ["none", "control_sd"])
def test_a_pair_is_measured_as_by_hand(scale, fold, tmp_path):
    table = measured(fold, tmp_path, min_count=4.0, scale=scale)
    assert list(table.columns) == measure_interactions.COLUMNS
    assert table["method"].tolist() == ["observed", "salt1"]
    assert set(table["perturbation"]) == PAIRS
    train = read_screen(fold.train)
    genes = train.X.toarray().mean(axis=0) >= 4.0
    assert 3 <= genes.sum() < train.n_vars
    origin = means_by_hand(fold.train, CONTROL, genes)
    unit = np.ones(genes.sum())
    if scale == "control_sd":
        dense = train.X[labels_of(train) == CONTROL].toarray().astype(float)
        unit = (1e4 * dense / dense.sum(axis=1, keepdims=True)).std(axis=0, ddof=1)[genes]
    a, b = (means_by_hand(fold.train, name, genes) - origin for name in "AB")
    ab = means_by_hand(fold.test, "A+B", genes) - origin
    wanted = measure_interaction(a / unit, b / unit, ab / unit)
    for name, value in vars(wanted).items():
        assert table.loc[0, name] == pytest.approx(value, rel=1e-3)
    assert table.loc[0, "n_genes"] == genes.sum()
    assert table.loc[0, "n_cells"] == 30


def test_profiles_say_nothing_about_counts(fold, tmp_path, caplog):
    table = measured(fold, tmp_path, predictions=("salt2",))
    assert table["method"].tolist() == ["observed"]
    assert "salt2: profiles alone, no interactions" in caplog.text


def test_too_few_genes(fold, tmp_path):
    with pytest.raises(InputError, match=r"interactions\.min_count"):
        measured(fold, tmp_path, min_count=1e6)


def many_pairs(n=40, seed=1):
    """Interactions of pairs: observed, of ``lcd``, which is close, of ``salt``, which is not."""
    rng = np.random.default_rng(seed)
    rows, metrics = [], []
    for i in range(n):
        own = {
            "fold": str(i % 2 + 1), "perturbation": f"A{i:02}+B", "n_cells": 50, "n_genes": 80,
        }  # fmt: skip
        truth = rng.uniform([0.3, 0.2, 0.3, 0.1], [2.0, 1.0, 1.0, 1.0])
        for method, error in (("observed", 0.0), ("lcd", 0.05), ("salt", 0.5)):
            c_a, similarity, fit, equality = truth + error * rng.normal(size=4)
            rows.append(own | {
                "method": method, "c_a": c_a, "c_b": 0.0, "magnitude": abs(c_a),
                "similarity": similarity, "fit": fit, "equality": equality,
            })  # fmt: skip
            if method != "observed":
                value = 0.01 if method == "salt" else 0.004
                metrics.append({
                    "fold": own["fold"], "method": method, "perturbation": own["perturbation"],
                    "metric": "mmd_top_de", "value": value * rng.lognormal(0, 0.1),
                })  # fmt: skip
    return pd.DataFrame(rows)[measure_interactions.COLUMNS], pd.DataFrame(metrics)


def aggregated(folder, interactions, metrics, annotations=None, versus="salt"):
    write_tsv(interactions, folder / "fold.tsv")
    write_tsv(metrics, folder / "metrics.tsv")
    outputs = ("observed", "predicted", "thresholds", "by_type", "confusion")
    aggregate_interactions.main(
        tables=[str(folder / "fold.tsv")], metrics=str(folder / "metrics.tsv"),
        **{name: str(folder / f"{name}.tsv") for name in outputs},
        published=PUBLISHED, annotations=annotations, metric="mmd_top_de", reference="lcd",
        versus=versus,
    )  # fmt: skip
    return {name: read_tsv(folder / f"{name}.tsv") for name in outputs}


def test_a_method_that_runs_alone_is_compared_with_itself(tmp_path):
    """Where no other method runs; there are medians, and a reason for the lack of a test."""
    table = aggregated(tmp_path, *many_pairs(), versus="lcd")["by_type"].set_index("type")
    assert table["median"].equals(table["versus_median"])
    assert np.isfinite(table.loc["all", "median"])
    assert table.loc["all", "reason"] == "all differences are zero"


def test_tables_over_all_folds(tmp_path):
    interactions, metrics = many_pairs()
    tables = aggregated(tmp_path, interactions, metrics)
    own = tables["observed"]
    assert len(own) == 40
    by_type = tables["by_type"].set_index("type")
    assert list(by_type.index) == [*TYPES, "all"]
    for name in TYPES:
        assert by_type.loc[name, "n"] == own[name].sum()
    assert by_type.loc["all", "wins"] == 40
    assert by_type.loc["all", "percent_reduction"] == pytest.approx(
        100 * (1 - by_type.loc["all", "median"] / by_type.loc["all", "versus_median"]), rel=1e-4
    )
    tested = by_type.loc[list(TYPES), ["p_value", "p_adjusted"]].dropna()
    # Benjamini-Hochberg, written out
    ordered = tested.sort_values("p_value", ascending=False)
    m, least = len(ordered), 1.0
    for rank, (name, row) in zip(range(m, 0, -1), ordered.iterrows(), strict=True):
        least = min(least, row["p_value"] * m / rank)
        assert by_type.loc[name, "p_adjusted"] == pytest.approx(least, rel=1e-4)
    assert np.isnan(by_type.loc["all", "p_adjusted"])


def test_confusion_counts_pairs(tmp_path):
    tables = aggregated(tmp_path, *many_pairs())
    key = ["fold", "perturbation"]
    truth = tables["observed"].set_index(key)
    for method in ("lcd", "salt"):
        predicted, counts = tables["predicted"], tables["confusion"]
        own = predicted[predicted["method"] == method].set_index(key)
        counts = counts[counts["method"] == method].set_index(["observed", "predicted"])
        for name in TYPES:
            for other in TYPES:
                both = sum(truth.loc[pair, name] and own.loc[pair, other] for pair in truth.index)
                assert counts.loc[(name, other), "n"] == both
    hits = tables["confusion"].query("observed == predicted").groupby("method")["n"].sum()
    assert hits["lcd"] > hits["salt"]


def test_annotations_move_the_thresholds(tmp_path, caplog):
    interactions, metrics = many_pairs()
    own = interactions[interactions["method"] == "observed"]
    strong = own.nlargest(10, "magnitude")["perturbation"]
    swapped = ["+".join(reversed(name.split("+"))) for name in strong]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"SYNERGY_SIMILAR_PHENO": swapped, "POTENTIATION": ["A00+B"]}))
    tables = aggregated(tmp_path, interactions, metrics, str(path))
    row = tables["thresholds"].set_index("type").loc["synergy"]
    values = own.set_index("perturbation").loc[strong, "magnitude"]
    assert row["threshold"] == pytest.approx(values.quantile(0.05), rel=1e-4)
    assert (row["annotated"], row["source"]) == (10, "annotated pairs")
    assert "no type of interaction: POTENTIATION" in caplog.text
    table = tmp_path / "annotations.tsv"
    write_tsv(pd.DataFrame({"perturbation": swapped, "type": "synergy"}), table)
    again = aggregated(tmp_path, interactions, metrics, str(table))
    assert again["thresholds"].equals(tables["thresholds"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[1, 2]", "JSON file with lists of pairs by type"),
        ("a.json", '{"synergy": "A+B"}', "JSON file with lists of pairs by type"),
        ("a.json", "{", "JSON file with lists of pairs by type"),
        ("a.tsv", "pair\tkind\nA+B\tsynergy\n", "columns perturbation and type"),
        ("a.json", '{"friendship": ["A+B"]}', "no type of interaction is known"),
        ("a.json", '{"synergy": ["A+B"], "synergy": ["C+D"]}', "the same key twice: synergy"),
        ("a.json", '{"synergy": ["A+B+C"]}', r"(?s)pairs of targets.*A\+B\+C"),
        ("a.json", '{"synergy": ["A+"]}', r"(?s)pairs of targets.*'A\+'"),
    ],
)
def test_annotations_that_are_none(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        aggregate_interactions.read_annotations(str(path))


def test_blanks_in_annotations_and_pairs_that_nobody_measured(tmp_path, caplog):
    path = tmp_path / "a.json"
    path.write_text('{" Epistatic ": ["B + A", " D+C"]}')
    assert aggregate_interactions.read_annotations(str(path)) == {"epistasis": ["A+B", "C+D"]}
    aggregated(tmp_path, *many_pairs(), str(path))
    assert "0 of 2 annotated pairs are held out and measured" in caplog.text


@pytest.mark.parametrize("n", [0, 1, 40])
def test_page_and_figures(n, tmp_path):
    interactions, metrics = many_pairs(max(n, 1))
    if n == 0:
        interactions, metrics = interactions.iloc[:0], metrics
    aggregated(tmp_path, interactions, metrics)
    files = {name: str(tmp_path / f"{name}.tsv") for name in ("observed", "thresholds", "by_type")}
    write_interactions_html.main(
        **files, confusion=str(tmp_path / "confusion.tsv"),
        interactions_page=str(tmp_path / "page.html"), looks=method_looks(), reference="lcd",
    )  # fmt: skip
    content = (tmp_path / "page.html").read_text()
    assert ("LCD: predicted types" in content) == (n > 0)
    draw_interactions.main(
        **files, predicted=str(tmp_path / "predicted.tsv"), metrics=str(tmp_path / "metrics.tsv"),
        measures_figure=str(tmp_path / "m.svg"), types_figure=str(tmp_path / "t.svg"),
        looks=method_looks(), reference="lcd", versus="salt", metric="mmd_top_de",
    )  # fmt: skip
    shown = texts(tmp_path / "t.svg")
    if n == 0:
        assert "No held-out pair has both of its targets measured alone." in shown
    else:
        assert "Synergy" in shown
        assert "LCD, predicted" in texts(tmp_path / "m.svg")
