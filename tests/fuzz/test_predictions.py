"""Predictions made elsewhere, scored beside the methods."""

from functools import cache
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from benchmark import compute_metrics
from evaluation.registry import METRICS
from pipeline.predictions import VALUES
from pipeline.tables import read_tsv
from tests.fuzz.harness import cases, folders, outcome, texts
from tests.fuzz.screens import DTYPES, EXTREMES, written
from tests.scripts.predictions_fixture import GENES, HELD_OUT, write_fold
from tests.scripts.screens import write_tests

ASPECTS = ["values", "cells", "genes", "labels", "matrix", "uns", "n_cells", "type"]
METRICS_CHECKED = ["mmd_all", "pearson_mean", "rmse_top_de"]


@cache
def fold() -> tuple[object, str, object]:
    """A fold and the tests of its held-out perturbations, made once."""
    context = folders()
    folder, _ = context.__enter__()
    own = write_fold(folder)
    write_tests(own.train, folder / "tests.tsv", own.test)
    return own, str(folder / "tests.tsv"), context


@st.composite
def predictions(draw):
    """What a prediction's file holds, at most two aspects of it odd."""
    odd = draw(st.frozensets(st.sampled_from(ASPECTS), max_size=2))
    kind = draw(st.sampled_from(VALUES))
    each = 1 if kind == "profile" else draw(st.integers(2, 4))
    names = [*HELD_OUT, "control"] * each
    if "labels" in odd:
        names = draw(
            st.lists(st.sampled_from([*HELD_OUT, "B+A"]) | texts | st.none(), max_size=12)
            | st.permutations(names).map(lambda own: own[:-2])
            | st.just([*names, *HELD_OUT])
        )
    n = len(names)
    genes = draw(st.permutations([*GENES, "other"]))
    if "genes" in odd:
        genes = draw(st.just(GENES[1:]) | st.just([*GENES, *GENES]) | st.lists(texts, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    matrix = rng.poisson(3.0, (n, len(genes))).astype(float)
    if kind != "counts":
        matrix = np.log1p(matrix)
    if "values" in odd and matrix.size:
        for at in draw(st.lists(st.integers(0, matrix.size - 1), min_size=1, max_size=3)):
            matrix.flat[at] = draw(st.sampled_from(EXTREMES))
    dtype = draw(st.sampled_from(DTYPES)) if "type" in odd else np.float32
    with np.errstate(all="ignore"):
        matrix = matrix.astype(dtype)
    cells = [f"p{i}" for i in range(n)]
    if "cells" in odd:
        cells = draw(
            st.lists(texts, min_size=n, max_size=n) | st.just([f"cell2-{i}" for i in range(n)])
        )
    stated = st.sampled_from([*VALUES, "Counts", "", 3, None, ["counts"], {"a": 1}])
    uns = {"values": draw(stated) if "uns" in odd else kind}
    if "uns" in odd:
        left_out = st.sampled_from([*HELD_OUT, "A"]) | texts
        uns["not_predicted"] = draw(
            st.none() | left_out | st.lists(left_out, max_size=3) | st.just(3)
        )
    n_cells = None
    if "n_cells" in odd:
        n_cells = draw(
            st.lists(st.integers(-1, 5) | st.floats(), min_size=n, max_size=n)
            | st.lists(st.sampled_from(["1", "x"]), min_size=n, max_size=n)
            | st.just([10**18] * n)
        )
    encoding = draw(st.sampled_from(["none", "text", "dense"])) if "matrix" in odd else "csr"
    given_values = draw(st.sampled_from([None, None, *VALUES]))
    return matrix, encoding, names, cells, genes, uns, n_cells, given_values


def write(path: Path, drawn) -> None:
    matrix, encoding, names, cells, genes, uns, n_cells, _ = drawn
    obs = pd.DataFrame({"perturbation": pd.Categorical(names)}, index=pd.Index(cells, dtype=object))
    if n_cells is not None:
        obs["n_cells"] = n_cells
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        for column in list(obs.columns):
            if not written(file, "test", obs[[column]]):
                obs = obs.drop(columns=column)
        ad.io.write_elem(file, "obs", obs)
        ad.io.write_elem(file, "var", pd.DataFrame(index=pd.Index(genes, dtype=object)))
        file.create_group("uns")
        for key, value in uns.items():
            if value is not None:
                held = np.array(value, dtype=object) if isinstance(value, list) else value
                ad.io.write_elem(file, f"uns/{key}", held)
        if encoding == "csr" and matrix.dtype not in (np.float16, np.bool_):
            ad.io.write_elem(file, "X", sparse.csr_matrix(matrix))
        elif encoding == "text":
            ad.io.write_elem(file, "X", matrix.astype(str).astype(object))
        elif encoding != "none":
            ad.io.write_elem(file, "X", matrix)


@cases(40, 800)
@given(predictions(), st.sampled_from(["all", "equal"]))
def test_a_prediction_is_scored_or_refused(drawn, cells):
    own, tests, _ = fold()
    with folders() as (folder, out):
        path, table = folder / "mine.h5ad", out / "metrics.tsv"
        write(path, drawn)

        def call():
            compute_metrics.main(
                train=own.train, test=own.test, test_perturbations=own.test_perturbations,
                predictions=[str(path)], test_differential_expression=tests,
                metrics_tables=[str(table)],
                metrics=METRICS_CHECKED, values=[drawn[-1]], top_genes=4, components=3, cells=cells,
                splits=2, max_cells=None, methods=["mine"], fold="1", seed=7,
            )  # fmt: skip

        if outcome(call, out) is not None:
            return
        found = read_tsv(table, dtype={"perturbation": str})
        assert set(found["perturbation"]) == set(HELD_OUT), "every perturbation has its rows"
        assert not found.duplicated(["perturbation", "metric"]).any()
        predicted = found[found["n_predicted"] > 0]
        assert len(predicted)
        mmd = predicted.loc[predicted["metric"] == "mmd_all", "value"]
        assert np.isfinite(mmd).all()
        assert (predicted.loc[predicted["metric"] == "rmse_top_de", "value"] >= 0).all()


def test_the_metrics_are_there():
    assert set(METRICS_CHECKED) <= set(METRICS)
