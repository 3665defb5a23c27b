"""What a screen shows of its perturbations: counts of genes, own genes, and their pages."""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import multipletests

from lcd_core.errors import InputError
from pipeline.differential_expression import differential_expression
from pipeline.figures import style
from pipeline.screen import read_screen, write_h5ad
from pipeline.tables import read_tsv, write_tsv
from screen import (
    draw_differential_expression,
    summarise_perturbations,
    write_differential_expression_html,
    write_perturbation_html,
)
from tests.scripts.drawings import overlapping
from tests.scripts.screens import canonical_screen

GENES = ["A", "B", "C", "D", *(f"G{j}" for j in range(26))]
LABELS = ("control", "A", "B", "C", "D", "enhancer", "drug", "A+B")
REMOVED = pd.DataFrame({"gene": ["LOST"], "step": ["min_cells_per_gene"], "n_cells": [3]})


def screen(folder: Path) -> str:
    """Knock-downs of A and B, a failed one of C, an activation of D, an enhancer of G0 and LOST."""
    rng = np.random.default_rng(5)
    labels = np.repeat(LABELS, 60)
    rates = np.tile(rng.uniform(8, 20, len(GENES)), (len(labels), 1))
    for targets, gene, factor in (
        (("A", "A+B"), "A", 0.3), (("B", "A+B"), "B", 0.3), (("D",), "D", 2.0),
        (("enhancer",), "G0", 0.4), (("A",), "G5", 2.0), (("A",), "G6", 0.5),
    ):  # fmt: skip
        rates[np.isin(labels, targets), GENES.index(gene)] *= factor
    path = canonical_screen(folder / "screen.h5ad", rng.poisson(rates), labels, GENES)
    cells = read_screen(path)
    cells.uns["target_genes"] = pd.DataFrame({"target": "enhancer", "gene": ["G0", "LOST"]})
    write_h5ad(cells, path)
    return path


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("summary")
    tests = differential_expression(read_screen(screen(folder)), n_threads=1)
    write_h5ad(tests, folder / "tests.h5ad")
    write_tsv(REMOVED, folder / "removed.tsv")
    summarise(folder)
    return folder


def summarise(folder: Path, tests: str = "tests.h5ad") -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = [str(folder / name) for name in (tests, "removed.tsv", "rows.tsv", "targets.tsv")]
    summarise_perturbations.main(
        tests=paths[0],
        removed_genes=paths[1],
        perturbations=paths[2],
        targets=paths[3],
        alpha=0.05,
    )
    return read_tsv(paths[2]), read_tsv(paths[3])


def test_own_genes_and_their_status(summary: Path) -> None:
    table = read_tsv(summary / "targets.tsv")
    rows = [(row.target, row.perturbation, row.gene, row.status) for row in table.itertuples()]
    assert rows == [
        ("A", "A", "A", "moved"),
        ("A", "A+B", "A", "moved"),
        ("B", "B", "B", "moved"),
        ("B", "A+B", "B", "moved"),
        ("C", "C", "C", "did not move"),
        ("D", "D", "D", "moved against the others"),
        ("drug", "drug", "drug", "not measured"),
        ("enhancer", "enhancer", "G0", "moved"),
        ("enhancer", "enhancer", "LOST", "removed"),
    ]
    assert table["measured"].tolist() == [True] * 6 + [False, True, True]
    assert table["kept"].tolist() == [True] * 6 + [False, True, False]
    assert table["removed_by"].dropna().tolist() == ["min_cells_per_gene"]
    assert (table["n_cells"] == 60).all()


def test_own_changes_against_explicit_tests(summary: Path) -> None:
    cells = read_screen(summary / "screen.h5ad")
    labels = cells.obs["perturbation"].to_numpy(dtype=str)
    counts, total = cells.X.toarray(), cells.obs["library_size"].to_numpy()
    values = np.log1p(1e4 * counts / total[:, None]).astype(np.float32)
    table = read_tsv(summary / "targets.tsv")
    table = table[table["kept"]]
    p_values = []
    for row in table.itertuples():
        own, control, gene = labels == row.perturbation, labels == "control", GENES.index(row.gene)
        change = np.log2(
            (counts[own, gene].sum() + 0.5) / total[own].sum()
            / ((counts[control, gene].sum() + 0.5) / total[control].sum())
        )  # fmt: skip
        assert row.log2_fold_change == pytest.approx(change, rel=1e-5)
        p_values.append(mannwhitneyu(values[own, gene], values[control, gene]).pvalue)
    np.testing.assert_allclose(table["p_value"], p_values, rtol=1e-5)
    adjusted = multipletests(p_values, method="fdr_bh")[1]
    np.testing.assert_allclose(table["p_adjusted"], adjusted, rtol=1e-5)


def test_counts_of_genes_against_the_table_of_all_tests(summary: Path) -> None:
    rows = read_tsv(summary / "rows.tsv").set_index("perturbation")
    assert rows.index.tolist() == ["A", "B", "C", "D", "drug", "enhancer", "A+B"]
    assert rows["n_targets"].tolist() == [1] * 6 + [2]
    assert (rows["n_cells"] == 60).all()
    tests = ad.read_h5ad(summary / "tests.h5ad")
    for name in rows.index:
        p_values = tests[name].layers["p_value"].ravel()
        found = multipletests(p_values, alpha=0.05, method="fdr_bh")[1] < 0.05
        up = tests[name].layers["log2_fold_change"].ravel() > 0
        assert rows.loc[name, ["n_up", "n_down"]].tolist() == [
            (found & up).sum(), (found & ~up).sum(),
        ]  # fmt: skip
        first = [GENES[j] for j in np.argsort(p_values, kind="stable") if found[j]][:5]
        listed = rows.loc[name, "top_genes"]
        assert ([] if pd.isna(listed) else listed.split(", ")) == first
    assert set(rows.loc["A", "top_genes"].split(", ")) >= {"A", "G5", "G6"}


def test_failures_are_named(
    tmp_path: Path, summary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summarise(summary)
    text = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(text) == 2
    assert "did not move" in text[0]
    assert text[0].endswith(": C")
    assert "against the others" in text[1]
    assert text[1].endswith(": D")


def test_no_direction_is_wrong_where_as_many_go_up_as_down(summary: Path) -> None:
    tests = ad.read_h5ad(summary / "tests.h5ad")
    write_h5ad(tests[["A", "D"]].copy(), summary / "two.h5ad")
    _, own = summarise(summary, "two.h5ad")
    assert own["status"].tolist() == ["moved", "moved"]
    summarise(summary)


def test_no_target_is_a_gene(summary: Path, caplog: pytest.LogCaptureFixture) -> None:
    tests = ad.read_h5ad(summary / "tests.h5ad")
    tests = tests[:, [f"G{j}" for j in range(1, 26)]].copy()
    write_h5ad(tests, summary / "none.h5ad")
    caplog.set_level(logging.WARNING)
    rows, own = summarise(summary, "none.h5ad")
    assert len(rows) == 7
    assert set(own["status"]) == {"not measured", "removed"}
    assert not caplog.records
    summarise(summary)


# --- pages ----------------------------------------------------------------------------------------


def page_of(summary: Path, perturbation: str) -> str:
    path = summary / "one.html"
    write_perturbation_html.main(
        tests=str(summary / "tests.h5ad"),
        targets=str(summary / "targets.tsv"),
        tables_page=str(path),
        perturbation=perturbation,
        alpha=0.05,
    )
    return path.read_text(encoding="utf-8")


def test_page_of_all_perturbations(summary: Path) -> None:
    path = summary / "page.html"
    write_differential_expression_html.main(
        perturbations=str(summary / "rows.tsv"),
        targets=str(summary / "targets.tsv"),
        tables_page=str(path),
        alpha=0.05,
    )
    text = path.read_text(encoding="utf-8")
    body = text[text.index("<main>") :]
    assert body.count("<tr>") == 2 + 7 + 9  # headings, perturbations, own genes
    lines = [line for line in body.splitlines() if line.startswith("<tr>")]
    numbers = [int(line.split('data-order="')[2].split('"')[0]) for line in lines[:7]]
    assert numbers == sorted(numbers, reverse=True)
    (both,) = [line for line in lines[:7] if "A+B" in line]
    assert "A −1." in both
    assert ", B −1." in both
    (enhancer,) = [line for line in lines[:7] if ">enhancer<" in line]
    assert "moved, removed" in enhancer
    assert ", LOST<" in enhancer


def test_page_of_one_perturbation(summary: Path) -> None:
    text = page_of(summary, "A")
    assert "60 cells against the control" in text
    lines = [line for line in text.splitlines() if line.startswith("<tr>")]
    assert len(lines) == 1 + 30  # its own gene; all genes, since there are fewer than 50
    ranks = [int(line.split('data-order="')[1].split('"')[0]) for line in lines[1:]]
    assert ranks == list(range(1, 31))
    assert (
        sum(">yes<" in line for line in lines)
        == read_tsv(summary / "rows.tsv")
        .set_index("perturbation")
        .loc["A", ["n_up", "n_down"]]
        .sum()
    )


def test_a_perturbation_that_is_not_there(summary: Path) -> None:
    with pytest.raises(InputError, match="no perturbation 'B\\+A'") as error:
        page_of(summary, "B+A")
    assert "sorted and joined" in str(error.value)


# --- figure ---------------------------------------------------------------------------------------


def tables(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of as many perturbations, the i-th with i genes up."""
    names = [f"PERTURBATION{i}" for i in range(n)]
    rows = pd.DataFrame({"perturbation": names, "n_up": range(n), "n_down": 0})
    statuses = ["moved", "did not move", "moved against the others", "not measured"]
    own = pd.DataFrame(
        {
            "perturbation": names,
            "log2_fold_change": [-1.0 - i / n if i % 4 < 3 else np.nan for i in range(n)],
            "status": [statuses[i % 4] for i in range(n)],
        }
    )
    return rows, own


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (10, 1), (41, 2), (300, 3)])
def test_every_perturbation_is_a_labelled_row(n: int, columns: int) -> None:
    with style():
        figure = draw_differential_expression.draw(*tables(n), 0.05)
        assert overlapping(figure) == []
    assert len(figure.axes) == 2 * columns
    labels = [text.get_text() for axes in figure.axes[::2] for text in axes.get_yticklabels()]
    assert labels == [f"PERTURBATION{i}" for i in reversed(range(n))]
    up = np.concatenate([axes.collections[0].get_offsets() for axes in figure.axes[1::2]])
    assert up[:, 0].tolist() == list(reversed(range(n)))


def test_own_genes_are_in_the_row_of_their_perturbation() -> None:
    with style():
        figure = draw_differential_expression.draw(*tables(8), 0.05)
    drawn = {
        (round(float(y)), status): float(x)
        for status, dots in zip(
            draw_differential_expression.STATUSES, figure.axes[0].collections, strict=True
        )
        for x, y in dots.get_offsets()
    }
    assert drawn == pytest.approx(
        {
            (7, "moved"): -1.0,
            (6, "did not move"): -1.125,
            (5, "moved against the others"): -1.25,
            (3, "moved"): -1.5,
            (2, "did not move"): -1.625,
            (1, "moved against the others"): -1.75,
        }
    )


def test_more_than_can_be_read_are_said_to_be_left_out() -> None:
    with style():
        figure = draw_differential_expression.draw(*tables(301), 0.05)
    assert figure.get_suptitle().startswith("The 300 of 301 perturbations with most")
    labels = [text.get_text() for axes in figure.axes[::2] for text in axes.get_yticklabels()]
    assert "PERTURBATION0" not in labels
    assert len(labels) == 300


def test_the_same_tables_give_the_same_figure(summary: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_differential_expression.main(
            perturbations=str(summary / "rows.tsv"),
            targets=str(summary / "targets.tsv"),
            figure=str(summary / name),
            alpha=0.05,
        )
    assert (summary / "a.svg").read_bytes() == (summary / "b.svg").read_bytes()
