from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcd_core.errors import InputError
from pipeline.screen import measured_target_genes, read_screen, target_genes, write_h5ad
from pipeline.tables import read_tsv
from screen import filter_screen
from tests.scripts.screens import canonical_screen, counts_and_labels

OFF: dict[str, object] = {
    "min_cells_per_gene": None,
    "min_genes_per_cell": None,
    "min_cells_per_perturbation": None,
    "mitochondrial_prefix": "MT-",
    "max_mitochondrial_percent": None,
    "min_counts": None,
    "max_counts": None,
    "min_genes": None,
    "max_genes": None,
    "size_factors": "total",
    "dominant_percent": 20.0,
}


def run(folder: Path, screen: str, **settings: object) -> tuple[ad.AnnData, pd.DataFrame]:
    filter_screen.main(
        screen=screen,
        filtered=str(folder / "filtered.h5ad"),
        table=str(folder / "quality_control.tsv"),
        conditions=str(folder / "conditions.tsv"),
        removed_genes=str(folder / "removed_genes.tsv"),
        **(OFF | settings),  # type: ignore[arg-type]
    )
    return read_screen(folder / "filtered.h5ad"), read_tsv(folder / "quality_control.tsv")


def refused(folder: Path, screen: str, **settings: object) -> str:
    with pytest.raises(InputError) as error:
        run(folder, screen, **settings)
    assert screen in str(error.value)
    assert error.value.remedy
    assert not list(folder.glob("*.tsv"))
    assert not (folder / "filtered.h5ad").exists()
    return str(error.value)


def expected(
    counts: np.ndarray, labels: np.ndarray, genes: list[str], s: dict[str, object]
) -> tuple[list[int], list[int]]:
    """Filter with one loop per rule; return the cells and genes left."""
    kept_genes = [
        j
        for j in range(len(genes))
        if s["min_cells_per_gene"] is None
        or sum(counts[i, j] > 0 for i in range(len(counts))) >= s["min_cells_per_gene"]
    ]
    cells = []
    for i, row in enumerate(counts):
        total = row.sum()
        detected = sum(row[j] > 0 for j in kept_genes)
        mt = sum(row[j] for j in range(len(genes)) if genes[j].startswith("MT-"))
        percent = 100 * mt / total if total else 0.0
        good = True
        for low, value in (
            ("min_genes_per_cell", detected),
            ("min_counts", total),
            ("min_genes", detected),
        ):
            good &= s[low] is None or value >= s[low]
        for high, value in (
            ("max_mitochondrial_percent", percent),
            ("max_counts", total),
            ("max_genes", detected),
        ):
            good &= s[high] is None or value <= s[high]
        if good:
            cells.append(i)
    least = s["min_cells_per_perturbation"] or 0
    cells = [i for i in cells if sum(labels[k] == labels[i] for k in cells) >= least]
    kept_genes = [j for j in kept_genes if len({counts[i, j] for i in cells}) > 1]
    return cells, kept_genes


def maybe(low: int, high: int) -> st.SearchStrategy:
    return st.none() | st.integers(low, high)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 99),
    st.fixed_dictionaries(
        {
            "min_cells_per_gene": maybe(1, 25),
            "min_genes_per_cell": maybe(1, 8),
            "min_cells_per_perturbation": maybe(1, 6),
            "max_mitochondrial_percent": maybe(5, 60),
            "min_counts": maybe(1, 30),
            "max_counts": maybe(40, 80),
            "min_genes": maybe(1, 8),
            "max_genes": maybe(8, 12),
        }
    ),
)
def test_against_one_loop_per_rule(
    tmp_path_factory: pytest.TempPathFactory, seed: int, chosen: dict
) -> None:
    folder = tmp_path_factory.mktemp("filter")
    counts, labels = counts_and_labels(seed=seed)
    counts[:, 3] = 2
    counts[: seed % 50, 5] = 0
    genes = [f"MT-{j}" if j < 2 else f"G{j}" for j in range(counts.shape[1])]
    screen = canonical_screen(folder / "s.h5ad", counts, labels, genes)
    cells, kept_genes = expected(counts, labels, genes, OFF | chosen)
    if "control" not in labels[cells] or set(labels[cells]) == {"control"} or not kept_genes:
        refused(folder, screen, **chosen)
        return
    result, table = run(folder, screen, **chosen)
    assert result.obs_names.tolist() == [f"cell{i}" for i in cells]
    assert result.var_names.tolist() == [genes[j] for j in kept_genes]
    np.testing.assert_array_equal(result.X.toarray(), counts[np.ix_(cells, kept_genes)])
    # Totals stay those of the imported file.
    np.testing.assert_array_equal(result.obs["library_size"], counts[cells].sum(axis=1))
    assert result.obs["perturbation"].cat.categories.tolist() == sorted(set(labels[cells]))

    assert (table["before"] - table["removed"] == table["after"]).all()
    overall = table[table["step"] == "all"].set_index("unit")
    assert overall.loc["cells", ["before", "after"]].tolist() == [len(counts), len(cells)]
    assert overall.loc["genes", ["before", "after"]].tolist() == [len(genes), len(kept_genes)]
    steps = table[table["step"] != "all"]
    for unit in ("cells", "genes"):  # each step begins where the one before it ended
        own = steps[steps["unit"] == unit]
        assert own["before"].tolist()[1:] == own["after"].tolist()[:-1]
        assert own["removed"].sum() == overall.loc[unit, "removed"]


def test_table_and_conditions(tmp_path: Path) -> None:
    labels = ("control", "A", "B", "A+B", "A+D", "D+E", "A+B+D", "C")
    counts, column = counts_and_labels(labels, n_cells=6)
    counts[:, 2] = 7  # constant
    counts[1:, 4] = 0  # in one cell
    counts[0, 4] = 1
    counts[-4:] = 0  # four of the six cells of C
    counts[-4:, 2] = 7
    screen = canonical_screen(tmp_path / "s.h5ad", counts, column)
    result, table = run(
        tmp_path,
        screen,
        min_cells_per_gene=2,
        min_genes_per_cell=3,
        min_cells_per_perturbation=3,
    )
    assert table.to_csv(sep="\t", index=False, na_rep="NA").splitlines() == [
        "step\tsetting\tunit\tbefore\tremoved\tafter",
        "min_cells_per_gene\t2.0\tgenes\t12\t1\t11",
        "min_genes_per_cell\t3.0\tcells\t48\t4\t44",
        "min_cells_per_perturbation\t3.0\tperturbations\t7\t1\t6",
        "min_cells_per_perturbation\t3.0\tcells\t44\t2\t42",
        "constant_genes\tNA\tgenes\t11\t1\t10",
        "all\tNA\tcells\t48\t6\t42",
        "all\tNA\tgenes\t12\t2\t10",
        "all\tNA\tperturbations\t7\t1\t6",
    ]
    assert "G2" not in result.var_names
    assert (tmp_path / "conditions.tsv").read_text().splitlines() == [
        "perturbation\tn_targets\tn_cells\tsingles_measured",
        "control\t0\t6\t0",
        "A\t1\t6\t1",
        "B\t1\t6\t1",
        "A+B\t2\t6\t2",
        "A+D\t2\t6\t1",
        "D+E\t2\t6\t0",
        "A+B+D\t3\t6\t2",
    ]


def test_perturbations_are_counted_after_outliers(tmp_path: Path) -> None:
    counts, labels = counts_and_labels()
    counts[labels == "B", 0] += 10_000
    counts[np.flatnonzero(labels == "B")[:3], 0] -= 10_000
    screen = canonical_screen(tmp_path / "s.h5ad", counts, labels)
    result, _ = run(tmp_path, screen, min_cells_per_perturbation=4, max_counts=5_000)
    assert "B" not in set(result.obs["perturbation"])


def test_bounds_are_inclusive(tmp_path: Path) -> None:
    counts = np.array([[2, 8], [3, 7], [1, 9], [2, 9], [2, 7]])
    labels = ["control", "control", "A", "A", "A"]
    screen = canonical_screen(tmp_path / "s.h5ad", counts, labels, ["MT-1", "G"])
    result, _ = run(tmp_path, screen, max_mitochondrial_percent=20.0, min_counts=10, max_counts=10)
    assert result.obs_names.tolist() == ["cell0", "cell2"]


def test_missing_mitochondrial_genes(tmp_path: Path) -> None:
    screen = canonical_screen(tmp_path / "s.h5ad", *counts_and_labels())
    text = refused(tmp_path, screen, max_mitochondrial_percent=10, mitochondrial_prefix="mt-")
    assert "'mt-'" in text
    assert "quality_control.mitochondrial_prefix" in text


@pytest.mark.parametrize(
    ("setting", "value", "left"),
    [
        ("min_cells_per_gene", 1000, "genes"),
        ("min_genes_per_cell", 1000, "cells"),
        ("min_counts", 10**6, "cells"),
        ("max_counts", 1, "cells"),
        ("min_cells_per_perturbation", 9, "cells"),
    ],
)
def test_nothing_left(tmp_path: Path, setting: str, value: int, left: str) -> None:
    counts, labels = counts_and_labels()
    text = refused(
        tmp_path,
        canonical_screen(tmp_path / "s.h5ad", counts, labels),
        **{setting: value},
    )
    assert f"leaves no {left}" in text
    assert f"{setting} {value} removed" in text
    assert f"quality_control.{setting}" in text


def test_control_or_all_others_removed(tmp_path: Path) -> None:
    labels = np.array(["control"] * 3 + ["A"] * 8)
    counts = np.arange(44).reshape(11, 4) % 7 + 1
    screen = canonical_screen(tmp_path / "a.h5ad", counts, labels)
    text = refused(tmp_path, screen, min_cells_per_perturbation=5)
    assert "leaves no control cells" in text
    assert "min_cells_per_perturbation 5 removed the last 3" in text
    labels = np.array(["A"] * 3 + ["control"] * 8)
    screen = canonical_screen(tmp_path / "b.h5ad", counts, labels)
    assert "leaves no perturbed cells" in refused(tmp_path, screen, min_cells_per_perturbation=5)


def test_constant_genes_only(tmp_path: Path) -> None:
    screen = canonical_screen(tmp_path / "s.h5ad", np.full((6, 3), 4), ["control"] * 3 + ["A"] * 3)
    assert "constant_genes" in refused(tmp_path, screen)


def test_removed_genes_are_listed_and_targets_among_them_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counts, column = counts_and_labels(("control", "G4", "enhancer", "G0+drug"), n_cells=6)
    counts[:, [4, 5, 6]] = 0
    counts[:2, [4, 5, 6]] = 1  # in two cells
    counts[:, 2] = 7  # constant
    path = canonical_screen(tmp_path / "s.h5ad", counts, column)
    cells = read_screen(path)
    cells.uns["target_genes"] = pd.DataFrame({"target": "enhancer", "gene": ["G5", "G2"]})
    write_h5ad(cells, path)
    result, _ = run(tmp_path, path, min_cells_per_gene=3, dominant_percent=100.0)
    assert (tmp_path / "removed_genes.tsv").read_text().splitlines() == [
        "gene\tstep\tn_cells\ttargets",
        "G2\tconstant_genes\t24\tenhancer",
        "G4\tmin_cells_per_gene\t2\tG4",
        "G5\tmin_cells_per_gene\t2\tenhancer",
        "G6\tmin_cells_per_gene\t2\tNA",
    ]
    first, second = (
        record.getMessage() for record in caplog.records if record.levelname == "WARNING"
    )
    assert "constant_genes removed 1 genes" in first
    assert "G2 (in 24 cells)" in first
    assert "G4 (in 2 cells), G5 (in 2 cells)" in second
    assert target_genes(result) == {
        "G0": ("G0",), "G4": ("G4",), "drug": ("drug",), "enhancer": ("G5", "G2"),
    }  # fmt: skip
    assert measured_target_genes(result) == {"G0": ("G0",), "G4": (), "drug": (), "enhancer": ()}
