"""Screens from a user's file to the data of a fold."""

import re

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from folds import make_folds, select_genes
from pipeline.screen import CONTROL, canonical_name, read_names, read_screen, targets_of
from pipeline.tables import read_tsv
from screen import differential_expression, filter_screen, import_screen
from tests.fuzz.harness import cases, folders, outcome, run, texts
from tests.fuzz.screens import ASPECTS, LABELS, Screen, column_names, odd_screens

separators = st.sampled_from([("+",), ("+",), ("+", "_"), (";",), ("+", "++"), (" ",)])
bounds = st.none() | st.integers(0, 4)


@st.composite
def imports(draw):
    """A screen and the settings of its import, at most two aspects of which are odd."""
    odd = draw(st.frozensets(st.sampled_from(ASPECTS), max_size=2))
    screen = draw(odd_screens(odd))
    chosen: dict[str, object] = {
        "counts": "X" if screen.layer is None else screen.layer,
        "perturbation_column": screen.column,
        "control_label": "control",
        "separator": draw(separators) if "labels" in odd else ("+",),
        "ignore_labels": draw(st.sampled_from([(), (), ("NT",), ("A",), ("", "nan")])),
        "keep": {},
        "gene_name_column": None,
        "gene_symbols": None,
    }
    values = st.lists(texts | st.integers(0, 2) | st.booleans() | st.floats(), min_size=1)
    columns = st.sampled_from([*screen.obs, screen.column]) | column_names
    changes = {
        "counts": texts,
        "perturbation_column": columns,
        "control_label": st.sampled_from(["ctrl", "A", "5", ""]),
        "separator": separators,
        "keep": st.dictionaries(columns, values, max_size=2)
        | st.just({screen.column: ["control", "A", "A+B"]}),
        "gene_name_column": column_names | st.sampled_from([*screen.var, "x"]),
        "gene_symbols": column_names | st.sampled_from([*screen.var, "x"]),
    }
    names = st.lists(st.sampled_from(sorted(changes)), min_size=1, max_size=2, unique=True)
    for name in draw(names) if odd & {"settings", "columns"} else ():
        chosen[name] = draw(changes[name])
    return screen, chosen


@cases(80)
@given(imports())
def test_an_import_runs_or_refuses(drawn):
    screen, chosen = drawn
    with folders() as (folder, out):
        raw, path = screen.write(folder / "raw.h5ad"), out / "screen.h5ad"

        def call():
            run(import_screen.main, "screen", raw=str(raw), screen=str(path), **chosen)

        error = outcome(call, out)
        if error is not None:
            assert str(raw) in str(error), "the message names the file"
            return
        check_imported(screen, chosen, path)


def check_imported(screen: Screen, chosen: dict[str, object], path) -> None:
    """Every cell is there that should be, with all its counts and the targets of its label."""
    found = read_screen(path)
    dense = found.X.toarray()
    assert found.obs_names.is_unique
    assert found.var_names.is_unique
    if not chosen["keep"]:
        assert found.n_obs == len(screen.counts)
        np.testing.assert_array_equal(dense, np.real(screen.counts).astype(np.float64))
    assert dense.min() >= 0
    np.testing.assert_array_equal(found.obs["library_size"], dense.sum(axis=1))
    no_target = {chosen["control_label"], *chosen["ignore_labels"]}
    pattern = "|".join(re.escape(s) for s in sorted(chosen["separator"], key=len, reverse=True))
    names = found.obs["perturbation"].astype(str)
    if not chosen["keep"]:
        for label, name in zip(screen.labels, names, strict=True):
            tokens = [] if label == chosen["control_label"] else re.split(pattern, str(label))
            assert targets_of(name) == tuple(sorted(t for t in tokens if t not in no_target))
    for name in set(names):
        assert canonical_name(targets_of(name)) == name
    assert CONTROL in set(names)
    assert len(set(names)) > 1


@st.composite
def chains(draw):
    """A screen that can be imported, and settings of all that follows, right or wrong."""
    d = draw(st.integers(1, 6))
    each = draw(st.integers(1, 4))
    pool = draw(
        st.sampled_from([LABELS, LABELS[:3], ("control", "A"), ("control", "A", "A+B", "é+x y")])
    )
    labels = list(pool) * each
    n = len(labels)
    values = draw(st.lists(st.integers(0, 5), min_size=n * d, max_size=n * d))
    genes = draw(st.permutations(["A", "B", "C", "MT-D", "E x", "é"]))[:d]
    screen = Screen(np.array(values, dtype=np.int32).reshape(n, d), labels, "csr", genes=genes)
    control = {
        "min_cells_per_gene": draw(bounds),
        "min_genes_per_cell": draw(bounds),
        "min_cells_per_perturbation": draw(bounds),
        "max_mitochondrial_percent": draw(st.none() | st.floats(0, 100)),
        "mitochondrial_prefix": draw(st.sampled_from(["MT-", "mt-", "", "("])),
        "min_counts": draw(bounds),
        "max_counts": draw(st.none() | st.integers(0, 30)),
        "min_genes": draw(bounds),
        "max_genes": draw(bounds),
        "size_factors": draw(
            st.sampled_from(
                ["total", "leave_dominant_out", "median_ratio", "obs:x", "obs:library_size"]
            )
        ),
        "dominant_percent": draw(st.floats(0.1, 100)),
    }
    if draw(st.booleans()):  # so that the later steps are reached
        control = dict.fromkeys(control) | {
            "mitochondrial_prefix": "MT-", "size_factors": "total", "dominant_percent": 10.0,
        }  # fmt: skip
    folds = {
        "names": draw(st.sampled_from([["1"], ["1", "2"], [], ["1", "2", "3", "4"]])),
        "tuning_doubles": draw(st.sampled_from([0, 0, 0, 2, 1])),
        "unmeasured_singles": draw(st.sampled_from(["refuse", "train", "test", "other"])),
        "max_test_doubles": draw(st.none() | st.integers(1, 3)),
    }
    selection = {
        "n_genes": draw(st.none() | st.integers(1, 8)),
        "markers_per_perturbation": draw(st.integers(1, 20)),
        "module_markers": draw(st.sampled_from([(), (), ("A", "B"), ("*",), ("[",)])),
        "held_out_folds": draw(st.sampled_from([0, 0, 1, 3])),
        "gives_effects": draw(st.booleans()),
        "module_number": draw(st.sampled_from([0, 0, 2, 50])),
        "compared_genes": draw(st.sampled_from([0, 1, 20])),
    }
    return screen, control, folds, selection


def steps(drawn, folder, out) -> bool:
    """Run a screen through import, filter and folds; whether it came so far."""
    screen, control, folds, _ = drawn
    raw = str(screen.write(folder / "raw.h5ad"))
    imported, filtered = folder / "imported.h5ad", out / "filtered" / "filtered.h5ad"
    tables = {
        name: str(filtered.with_name(f"{name}.tsv"))
        for name in ("table", "conditions", "removed_genes")
    }
    zero = not screen.counts.any()
    error = outcome(lambda: run(import_screen.main, "screen", raw=raw, screen=str(imported)))
    assert (error is not None) == zero, error
    if zero:
        return False

    def filtering():
        filter_screen.main(screen=str(imported), filtered=str(filtered), **tables, **control)

    if outcome(filtering, filtered.parent if filtered.parent.exists() else out) is not None:
        return False
    before, after = read_screen(imported), read_screen(filtered)
    table = read_tsv(tables["table"]).set_index(["step", "unit"])
    for unit, number in (("cells", after.n_obs), ("genes", after.n_vars)):
        row = table.loc[("all", unit)]
        assert (row["after"], row["before"] - row["removed"]) == (number, number)
    rows = before.obs_names.get_indexer(after.obs_names)
    columns = before.var_names.get_indexer(after.var_names)
    assert (rows >= 0).all() and (columns >= 0).all()  # noqa: PT018
    np.testing.assert_array_equal(after.X.toarray(), before.X.toarray()[rows][:, columns])
    assert (
        after.obs["perturbation"].astype(str).tolist()
        == before.obs["perturbation"].astype(str).iloc[rows].tolist()
    )
    gone = read_tsv(tables["removed_genes"], dtype={"gene": str})["gene"].tolist()
    assert sorted([*gone, *after.var_names]) == sorted(before.var_names)
    conditions = read_tsv(tables["conditions"], dtype={"perturbation": str})
    assert dict(zip(conditions["perturbation"], conditions["n_cells"], strict=True)) == (
        after.obs["perturbation"].astype(str).value_counts().to_dict()
    )

    path = out / "folds" / "folds.tsv"
    path.parent.mkdir()

    def folding():
        make_folds.main(
            conditions=tables["conditions"],
            folds=str(path),
            tuning_name="tuning",
            seed=1,
            fewest_cells=2,
            means_of_combinations=[],
            **folds,
        )

    if outcome(folding, path.parent) is not None:
        return False
    table = read_tsv(path, dtype=str)
    for fold in folds["names"]:
        own = table[table["fold"] == fold]
        assert sorted(own["perturbation"]) == sorted(conditions["perturbation"]), (
            "all accounted for"
        )
        held_out = own.loc[own["role"] == "test", "perturbation"]
        assert len(held_out)
        assert all(len(targets_of(name)) > 1 for name in held_out)
    return bool(folds["names"])


@cases(30, 800)
@given(chains())
def test_quality_control_and_folds_account_for_every_cell(drawn):
    with folders() as (folder, out):
        steps(drawn, folder, out)


@cases(8, 200)
@given(chains())
def test_the_data_of_a_fold_hold_every_cell_once(drawn):
    screen, control, folds, selection = drawn
    control = dict.fromkeys(control) | {
        "mitochondrial_prefix": "MT-", "size_factors": "total", "dominant_percent": 10.0,
    }  # fmt: skip
    folds = {**folds, "names": ["1"], "tuning_doubles": 0, "unmeasured_singles": "test"}
    with folders() as (folder, out):
        if not steps((screen, control, folds, selection), folder, out):
            return
        filtered, own = str(out / "filtered" / "filtered.h5ad"), out / "data"
        tests = str(folder / "tests.h5ad")
        differential_expression.main(screen=filtered, tests=tests, n_threads=1)
        own.mkdir()
        outputs = {
            name: str(own / f"{name}.{end}")
            for end, names in (
                (
                    "tsv",
                    ("genes", "markers", "differential_expression", "test_differential_expression"),
                ),
                ("h5ad", ("train", "test")),
                ("txt", ("test_perturbations",)),
            )
            for name in names
        }

        def selecting():
            run(
                select_genes.main, "genes", screen=filtered, tests=tests,
                folds=str(out / "folds" / "folds.tsv"), fold="1", **outputs, **selection,
            )  # fmt: skip

        if outcome(selecting, own) is not None:
            return
        cells = read_screen(filtered)
        train, test = read_screen(outputs["train"]), read_screen(outputs["test"])
        assert sorted([*train.obs_names, *test.obs_names]) == sorted(cells.obs_names)
        genes = read_tsv(outputs["genes"], dtype={"gene": str})["gene"].tolist()
        assert genes == train.var_names.tolist() == test.var_names.tolist()
        assert len(genes) == min(selection["n_genes"] or cells.n_vars, cells.n_vars)
        for part in (train, test):
            np.testing.assert_array_equal(
                part.X.toarray(), cells[part.obs_names, part.var_names].X.toarray()
            )
        held_out = read_names(outputs["test_perturbations"])
        assert set(test.obs["perturbation"].astype(str)) == set(held_out)
        assert not set(train.obs["perturbation"].astype(str)) & set(held_out)
        for name in ("differential_expression", "test_differential_expression"):
            tested = read_tsv(outputs[name], dtype={"gene": str, "perturbation": str})
            p = tested["p_value"].dropna()
            assert ((p >= 0) & (p <= 1)).all()
            assert not pd.isna(tested["rank"]).any()
