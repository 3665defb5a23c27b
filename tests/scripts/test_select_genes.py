import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

from folds import select_genes
from lcd_core.errors import InputError
from pipeline.screen import measured_target_genes, read_screen, write_h5ad
from pipeline.tables import read_tsv, write_tsv
from screen import differential_expression
from tests.scripts.screens import canonical_screen, counts_and_labels

GENES = ["A", "C", *(f"G{j}" for j in range(28))]
ROLES = {
    "control": "train",
    "A": "train",
    "B": "train",
    "C": "train",
    "A+B": "test",
    "A+C": "train",
}  # B+C is in neither


@dataclass
class Fold:
    genes: pd.DataFrame
    markers: pd.DataFrame
    tests: pd.DataFrame
    held_out_tests: pd.DataFrame
    train: ad.AnnData
    test: ad.AnnData
    test_perturbations: list[str]


def example(folder: Path, seed: int = 0) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Write a screen and its folds; return its path, counts, labels and library sizes."""
    counts, labels = counts_and_labels(n_cells=15, n_genes=len(GENES), seed=seed)
    library_size = counts.sum(axis=1) + np.random.default_rng(seed).integers(50, 900, len(counts))
    path = canonical_screen(
        folder / "screen.h5ad", counts, labels, GENES, library_size.astype(float)
    )
    write_tsv(
        pd.DataFrame(
            [("1", name, role) for name, role in ROLES.items()],
            columns=["fold", "perturbation", "role"],
        ),
        folder / "folds.tsv",
    )
    return path, counts, labels, library_size


def run(
    folder: Path, screen: str, fold: str = "1", folds: str | None = "", **settings: object
) -> Fold:
    names = {"genes": "tsv", "markers": "tsv", "train": "h5ad", "test": "h5ad"}
    out = {name: str(folder / fold / f"{name}.{end}") for name, end in names.items()}
    out["differential_expression"] = str(folder / fold / "differential_expression.tsv")
    out["test_differential_expression"] = str(folder / fold / "test_differential_expression.tsv")
    out["test_perturbations"] = str(folder / fold / "test_perturbations.txt")
    folds = str(folder / "folds.tsv") if folds == "" else folds
    chosen: dict[str, object] = {
        "n_genes": 12,
        "markers_per_perturbation": 4,
        "module_markers": [],
        "held_out_folds": 0,
        "gives_effects": False,
        "module_number": 1,
        "compared_genes": 1,
    }
    tests = str(folder / "tests.h5ad")
    differential_expression.main(screen=screen, tests=tests, n_threads=1)
    select_genes.main(
        screen=screen,
        tests=tests,
        folds=folds,
        fold=fold,
        **out,
        **(chosen | settings),  # type: ignore[arg-type]
    )
    return Fold(
        read_tsv(out["genes"]),
        read_tsv(out["markers"]),
        read_tsv(out["differential_expression"]),
        read_tsv(out["test_differential_expression"]),
        read_screen(out["train"]),
        read_screen(out["test"]),
        Path(out["test_perturbations"]).read_text().splitlines(),
    )


def normalised(counts: np.ndarray, labels: np.ndarray, library_size: np.ndarray) -> np.ndarray:
    median = np.median(library_size[labels == "control"])
    return np.log1p(counts / library_size[:, None] * median)


# --- markers --------------------------------------------------------------------------------------


def test_markers(tmp_path: Path) -> None:
    path, counts, labels, library_size = example(tmp_path)
    fold = run(tmp_path, path, markers_per_perturbation=5)
    values = np.log1p(counts / library_size[:, None] * 1e4)
    trained = ["A", "A+C", "B", "C"]
    assert fold.markers["perturbation"].unique().tolist() == trained
    for name in trained:
        rows = fold.markers.query("perturbation == @name")
        own, control = values[labels == name], values[labels == "control"]
        test = mannwhitneyu(own, control, axis=0, method="asymptotic")
        adjusted = multipletests(test.pvalue, method="fdr_bh")[1]
        at = [GENES.index(gene) for gene in rows["gene"]]
        assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_allclose(rows["p_value"], np.sort(test.pvalue)[:5], rtol=1e-5)
        for column, expected in (
            ("statistic", test.statistic),
            ("p_value", test.pvalue),
            ("p_adjusted", adjusted),
            ("log_fold_change", own.mean(0) - control.mean(0)),
        ):
            np.testing.assert_allclose(rows[column], expected[at], rtol=1e-5, err_msg=column)


def test_tests_of_the_modelled_genes_are_handed_on(tmp_path: Path) -> None:
    path, counts, labels, library_size = example(tmp_path)
    fold = run(tmp_path, path)
    genes = fold.genes["gene"].tolist()
    values = np.log1p(counts / library_size[:, None] * 1e4)[:, [GENES.index(g) for g in genes]]
    control = values[labels == "control"]
    for table, names in ((fold.tests, ["A", "A+C", "B", "C"]), (fold.held_out_tests, ["A+B"])):
        assert table["perturbation"].unique().tolist() == names
        for name, own in table.groupby("perturbation"):
            assert own["gene"].tolist() == genes
            test = mannwhitneyu(values[labels == name], control, axis=0, method="asymptotic")
            np.testing.assert_allclose(own["p_value"], test.pvalue, rtol=1e-5)
            adjusted = multipletests(test.pvalue, method="fdr_bh")[1]  # over the modelled genes
            np.testing.assert_allclose(own["p_adjusted"], adjusted, rtol=1e-5)
            order = own.sort_values("rank")["p_value"]
            assert order.is_monotonic_increasing


# --- the order of genes ---------------------------------------------------------------------------


def seurat_dispersion(log_values: np.ndarray) -> np.ndarray:
    """Log variance-to-mean ratio, standardised within 20 bins of log mean (Satija et al. 2015)."""
    x = np.expm1(log_values)
    mean, dispersion = np.log1p(x.mean(0)), np.log(x.var(0, ddof=1) / x.mean(0))
    bins = pd.cut(pd.Series(mean), 20, labels=False)
    result = np.empty(len(mean))
    for j in range(len(mean)):
        same = dispersion[bins == bins[j]]
        # A gene alone in its bin counts as one standard deviation above.
        result[j] = 1.0 if len(same) == 1 else (dispersion[j] - same.mean()) / same.std(ddof=1)
    return result


def test_genes_are_ranked_by_priority(tmp_path: Path) -> None:
    path, counts, labels, library_size = example(tmp_path)
    fold = run(tmp_path, path, n_genes=20)
    values = normalised(counts, labels, library_size)
    dispersion = seurat_dispersion(values[np.isin(labels, ["control", "A", "B", "C"])])
    times = Counter(fold.markers["gene"])

    def priority(j: int) -> tuple[bool, bool, int, float]:
        # A is a target of the test perturbation, C of training perturbations only.
        return (GENES[j] != "A", GENES[j] != "C", -times[GENES[j]], -dispersion[j])

    order = sorted(range(len(GENES)), key=priority)[:20]
    assert fold.genes["gene"].tolist() == [GENES[j] for j in order]
    assert fold.genes["rank"].tolist() == list(range(1, 21))
    assert fold.genes["n_marker_perturbations"].tolist() == [times[GENES[j]] for j in order]
    np.testing.assert_allclose(fold.genes["dispersion"], dispersion[order], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        fold.genes["mean_control"], counts[labels == "control"][:, order].mean(0), rtol=1e-5
    )
    reasons = ["test target", "training target"]
    reasons += ["marker" if times[GENES[j]] else "dispersion" for j in order[2:]]
    assert fold.genes["reason"].tolist() == reasons
    assert {"marker", "dispersion"} <= set(reasons)


def test_genes_without_counts_come_last(tmp_path: Path) -> None:
    counts, labels = counts_and_labels(n_cells=15, n_genes=len(GENES))
    single = np.isin(labels, ["control", "A", "B", "C"])
    counts[single, 5] = 0
    counts[:, 6] = 0
    path = canonical_screen(tmp_path / "s.h5ad", counts, labels, GENES)
    example(tmp_path / "folds")
    (tmp_path / "folds" / "folds.tsv").rename(tmp_path / "folds.tsv")
    fold = run(tmp_path, path, n_genes=29, markers_per_perturbation=0)
    assert fold.genes["gene"].tolist()[-1] in ("G3", "G4")
    assert fold.genes["dispersion"].isna().tolist() == [False] * 28 + [True]
    assert len(fold.markers) == 0


# --- the files ------------------------------------------------------------------------------------


def test_cells_of_the_fold(tmp_path: Path) -> None:
    path, counts, labels, library_size = example(tmp_path)
    fold = run(tmp_path, path)
    genes = fold.genes["gene"].tolist()
    assert len(genes) == 12
    assert fold.test_perturbations == ["A+B"]
    columns = [GENES.index(gene) for gene in genes]
    for cells, names in ((fold.train, {n for n in ROLES if n != "A+B"}), (fold.test, {"A+B"})):
        rows = np.isin(labels, list(names))
        assert cells.var_names.tolist() == genes
        assert cells.obs_names.tolist() == [f"cell{i}" for i in np.flatnonzero(rows)]
        np.testing.assert_array_equal(cells.X.toarray(), counts[np.ix_(rows, columns)])
        np.testing.assert_array_equal(cells.obs["library_size"], library_size[rows])
        assert set(cells.obs["perturbation"].cat.categories) == names


def test_nothing_learned_depends_on_held_out_counts(tmp_path: Path) -> None:
    path, counts, labels, library_size = example(tmp_path / "a")
    run(tmp_path / "a", path)
    other = counts.copy()
    unseen = ~np.isin(labels, [name for name, role in ROLES.items() if role == "train"])
    other[unseen] = np.random.default_rng(9).poisson(50, (int(unseen.sum()), len(GENES)))
    sizes = np.where(unseen, 7.0, library_size)
    example(tmp_path / "b")
    changed = canonical_screen(tmp_path / "b" / "screen.h5ad", other, labels, GENES, sizes)
    run(tmp_path / "b", changed)

    def same(name: str) -> bool:
        a, b = (tmp_path / folder / "1" / name for folder in "ab")
        return a.read_bytes() == b.read_bytes()

    assert not same("test.h5ad"), "the held-out counts did change"
    for name in (
        "genes.tsv",
        "markers.tsv",
        "differential_expression.tsv",
        "train.h5ad",
        "test_perturbations.txt",
    ):
        assert same(name), name

    # And the proof is able to fail: a changed training cell shows.
    other[np.flatnonzero(labels == "A+C")] += 3
    run(
        tmp_path / "b",
        canonical_screen(tmp_path / "b" / "screen.h5ad", other, labels, GENES, sizes),
    )
    assert not same("markers.tsv")


@pytest.mark.parametrize("n_genes", [None, 30, 1000])
def test_all_genes(tmp_path: Path, n_genes: int | None) -> None:
    path, *_ = example(tmp_path)
    fold = run(tmp_path, path, n_genes=n_genes)
    assert set(fold.genes["gene"]) == set(GENES)
    assert set(fold.genes["reason"]) == {"all"}
    assert fold.train.n_vars == 30


def test_fold_of_all_conditions_needs_no_table(tmp_path: Path) -> None:
    path, _, labels, _ = example(tmp_path)
    fold = run(tmp_path, path, fold="all", folds=None)
    assert fold.train.n_obs == len(labels)
    assert fold.test.shape == (0, 12)
    assert fold.test_perturbations == []
    assert set(fold.markers["perturbation"]) == set(labels) - {"control"}


def test_more_targets_than_genes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, *_ = example(tmp_path)
    with caplog.at_level(logging.WARNING):
        fold = run(tmp_path, path, n_genes=1)
    assert fold.genes["gene"].tolist() == ["A"], "the test perturbation's target goes first"
    assert "2 targets are measured" in caplog.text


def test_unknown_fold(tmp_path: Path) -> None:
    path, *_ = example(tmp_path)
    with pytest.raises(InputError, match="no fold '2'") as error:
        run(tmp_path, path, fold="2")
    assert "folds.tsv" in str(error.value)
    assert not (tmp_path / "2").exists()


def test_folds_of_another_screen(tmp_path: Path) -> None:
    _, counts, labels, _ = example(tmp_path)
    kept = labels != "A+C"
    other = canonical_screen(tmp_path / "other.h5ad", counts[kept], labels[kept], GENES)
    with pytest.raises(InputError, match="not in the screen") as error:
        run(tmp_path, other)
    assert "A+C" in str(error.value)


def test_markers_of_the_modules_that_are_not_modelled_are_told_before_any_fit(tmp_path):
    screen, *_ = example(tmp_path)
    genes = run(tmp_path, screen, module_markers=["G*"]).genes["gene"].tolist()
    left_out = sorted(set(GENES) - set(genes))
    with pytest.raises(InputError) as error:
        run(tmp_path, screen, module_markers=[left_out[0], genes[0], "RPL*"])
    message = str(error.value)
    assert f"1 of the modelled genes are in the marker set {left_out[0]}" in message
    assert f"modules.markers, genes of {screen}" in message
    assert f"not selected: {left_out[0]}" in message
    assert "genes.count" in message
    assert "modules.cut to auto" in message
    with pytest.raises(InputError, match=r"(?s)0 of the modelled genes.*RPL\*"):
        run(tmp_path, screen, module_markers=["RPL*"])


def test_genes_of_targets_come_first_and_name_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A stands for two genes, B for one that C is too, and the held-out A+B makes them test's."""
    caplog.set_level(logging.INFO)
    path, *_ = example(tmp_path)
    cells = read_screen(path)
    cells.uns["target_genes"] = pd.DataFrame(
        {"target": ["A", "A", "B", "B"], "gene": ["G7", "G9", "C", "UNMEASURED"]}
    )
    write_h5ad(cells, path)
    fold = run(tmp_path, path, n_genes=5)
    named = fold.genes.set_index("gene")["targets"].dropna().to_dict()
    assert named == {"G7": "A", "G9": "A", "C": "B+C"}
    assert set(fold.genes["gene"][:3]) == set(named)
    assert fold.genes["reason"][:3].tolist() == ["test target"] * 3
    assert "3 of 3 targets have genes among the 5 modelled ones" in caplog.text
    assert measured_target_genes(fold.train) == {"A": ("G7", "G9"), "B": ("C",), "C": ("C",)}


def test_targets_that_are_no_genes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, *_ = example(tmp_path)
    cells = read_screen(path)
    cells.uns["target_genes"] = pd.DataFrame({"target": ["A", "C"], "gene": "UNMEASURED"})
    write_h5ad(cells, path)
    fold = run(tmp_path, path)
    assert fold.genes["targets"].isna().all()
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "0 of 3 targets have genes among" in warning.getMessage()


def test_more_folds_of_held_out_causes_than_perturbed_genes_are_refused_early(
    tmp_path: Path,
) -> None:
    path, *_ = example(tmp_path)
    run(tmp_path, path, fold="all", folds=None, held_out_folds=2)  # A and C are modelled
    with pytest.raises(InputError, match=r"(?s)effects.held_out_folds.*3 folds.*A, C"):
        run(tmp_path, path, fold="all", folds=None, held_out_folds=3)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"module_number": 13}, ["13 clusters", "12 genes", "modules.number"]),
        ({"compared_genes": 13}, ["13 genes to compare", "12 genes", "evaluation.top_genes"]),
    ],
)
def test_more_than_the_modelled_genes_allow_for_is_refused_early(
    tmp_path: Path, settings: dict[str, int], parts: list[str]
) -> None:
    path, *_ = example(tmp_path)
    run(tmp_path, path, **{name: value - 1 for name, value in settings.items()})
    with pytest.raises(InputError) as caught:
        run(tmp_path, path, **settings)
    assert all(part in str(caught.value) for part in parts), caught.value


def test_effects_of_combinations_alone_are_refused_early(tmp_path: Path) -> None:
    path, *_ = example(tmp_path)
    run(tmp_path, path, fold="all", folds=None, gives_effects=True)
    cells = read_screen(path)
    labels = cells.obs["perturbation"].astype(str)
    cells.obs["perturbation"] = [n if "+" in n or n == "control" else f"{n}+Z" for n in labels]
    write_h5ad(cells, path)
    run(tmp_path, path, fold="all", folds=None)
    with pytest.raises(InputError, match=r"(?s)one target alone.*screen.separator"):
        run(tmp_path, path, fold="all", folds=None, gives_effects=True)
