"""Library sizes that a dominant gene does not move, and what they spare differential expression."""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import false_discovery_control

from lcd_core.errors import InputError
from pipeline.differential_expression import differential_expression
from pipeline.screen import CONTROL, library_sizes, read_screen
from pipeline.size_factors import effective_library_sizes, largest_shares, pooled_counts
from tests.scripts.screens import canonical_screen
from tests.scripts.test_filter_screen import run

ROBUST = ("median_ratio", "leave_dominant_out")


def panel(seed: int = 0, halved: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Counts of a panel in which one gene holds half of all counts, which ``x`` lowers.

    Of the other 35 genes nothing changes but the first, which ``y`` raises fourfold.
    """
    rng = np.random.default_rng(seed)
    labels = np.repeat([CONTROL, "x", "y"], [120, 60, 60])
    rates = np.tile(rng.gamma(2.0, 1.5, 36) + 0.5, (len(labels), 1))
    rates[:, 35] = rates[:, :35].sum(axis=1)
    rates[labels == "x", 35] *= halved
    rates[labels == "y", 0] *= 4
    return rng.poisson(rates * rng.gamma(20, 1 / 20, (len(labels), 1))), labels


def screen_of(counts: np.ndarray, labels: np.ndarray, **obs: object) -> ad.AnnData:
    return ad.AnnData(
        sparse.csr_matrix(counts.astype(np.int32)),
        obs=pd.DataFrame(
            {"perturbation": labels, "library_size": counts.sum(axis=1, dtype=float), **obs},
            index=[f"cell{i}" for i in range(len(counts))],
        ),
        var=pd.DataFrame(index=[f"G{j}" for j in range(counts.shape[1])]),
    )


def n_de(cells: ad.AnnData) -> dict[str, set[str]]:
    """Differentially expressed genes of each perturbation."""
    tests = differential_expression(cells, n_threads=1)
    adjusted = false_discovery_control(tests.layers["p_value"], axis=1)
    return {
        name: set(tests.var_names[row < 0.05])
        for name, row in zip(tests.obs_names, adjusted, strict=True)
    }


def test_a_dominant_gene_alone_is_found_where_it_alone_changes(tmp_path: Path) -> None:
    path = canonical_screen(tmp_path / "s.h5ad", *panel())
    found = {own: n_de(run(tmp_path, path, size_factors=own)[0]) for own in ("total", *ROBUST)}
    assert len(found["total"]["x"]) > 15, "scaled by the total, the other genes seem to rise"
    for own in ROBUST:
        assert "G35" in found[own]["x"]
        assert len(found[own]["x"]) <= 3
        assert "G0" in found[own]["y"]


@pytest.mark.parametrize("size_factors", ROBUST)
@pytest.mark.parametrize("halved", [0.1, 0.5, 2.0])
def test_effective_sizes_follow_the_depth_and_not_the_gene(
    size_factors: str, halved: float
) -> None:
    counts, labels = panel(3, halved)
    cells = screen_of(counts, labels)
    sizes = effective_library_sizes(cells, size_factors, ["G35"], "here")
    control = labels == CONTROL
    assert np.median(sizes[control]) == pytest.approx(np.median(counts[control].sum(axis=1)))
    # The depth is the same in all conditions; the total is not.
    ratio = sizes[labels == "x"].mean() / sizes[control].mean()
    assert ratio == pytest.approx(1, abs=0.08)
    total = counts[labels == "x"].sum(axis=1).mean() / counts[control].sum(axis=1).mean()
    assert total == pytest.approx((1 + halved) / 2, abs=0.08)


def test_median_ratio_is_that_of_deseq2_on_pools() -> None:
    """With as many control cells as others, and the control as reference: an explicit loop."""
    counts, labels = panel(1)
    counts[:, 7] = 0
    counts[0, 7] = 1  # too rare to count
    sizes = effective_library_sizes(screen_of(counts, labels), "median_ratio", [], "here")
    for name in ("x", "y"):
        own, control = counts[labels == name], counts[labels == CONTROL]
        ratios = [
            (own[:, j].sum() / own.sum()) / (control[:, j].sum() / control.sum())
            for j in range(36)
            if j != 7
        ]
        np.testing.assert_allclose(
            sizes[labels == name], own.sum(axis=1) * np.median(ratios), rtol=1e-12
        )
    np.testing.assert_array_equal(sizes[labels == CONTROL], counts[labels == CONTROL].sum(axis=1))


def test_a_perturbation_depends_on_itself_and_the_control_alone() -> None:
    counts, labels = panel(2)
    sizes = effective_library_sizes(screen_of(counts, labels), "median_ratio", [], "here")
    few = labels != "y"
    alone = effective_library_sizes(screen_of(counts[few], labels[few]), "median_ratio", [], "here")
    np.testing.assert_array_equal(alone, sizes[few])


@given(st.floats(1e-6, 1e6), st.integers(0, 9))
def test_columns_count_up_to_a_factor(factor: float, seed: int) -> None:
    counts, labels = panel()
    own = np.random.default_rng(seed).gamma(3.0, 1.0, len(labels)) + 0.1
    one, other = (
        effective_library_sizes(screen_of(counts, labels, size=values), "obs:size", [], "here")
        for values in (own, factor * own)
    )
    np.testing.assert_allclose(one, other, rtol=1e-9)
    np.testing.assert_allclose(one / own, np.full(len(own), one[0] / own[0]), rtol=1e-9)


def test_columns_that_are_no_size_factors() -> None:
    counts, labels = panel()
    values = np.ones(len(labels))
    values[[3, 8]] = 0, np.nan
    with pytest.raises(InputError, match="2 size factors are no positive numbers") as error:
        effective_library_sizes(screen_of(counts, labels, size=values), "obs:size", [], "here")
    assert "cell3: 0" in str(error.value)
    assert "cell8: nan" in str(error.value)
    with pytest.raises(InputError, match="no column 'depth'"):
        effective_library_sizes(screen_of(counts, labels), "obs:depth", [], "here")


def test_cells_of_dominant_genes_alone_have_no_size() -> None:
    counts, labels = panel()
    counts[5, :35] = 0
    with pytest.raises(InputError, match="1 cells have no counts but") as error:
        effective_library_sizes(screen_of(counts, labels), "leave_dominant_out", ["G35"], "here")
    assert "cell5" in str(error.value)


def test_ratios_without_a_median() -> None:
    counts = np.diag([5, 5, 5, 5])
    labels = np.array([CONTROL, CONTROL, "x", "x"])
    with pytest.raises(InputError, match="cells of 'x'"):
        effective_library_sizes(screen_of(counts, labels), "median_ratio", [], "here")


def test_shares_are_those_of_the_pools() -> None:
    counts, labels = panel()
    cells = screen_of(counts, labels)
    shares = {
        name: 100 * counts[labels == name].sum(axis=0) / counts[labels == name].sum()
        for name in (CONTROL, "x", "y")
    }
    largest = largest_shares(cells, 20.0)
    assert largest["gene"].tolist() == ["G35"]
    assert largest["n_conditions"].tolist() == [3]
    best = max(shares, key=lambda name: shares[name][35])
    assert largest["perturbation"].tolist() == [best]
    assert largest["percent"][0] == pytest.approx(shares[best][35])
    assert largest_shares(cells, 60.0).empty
    assert pooled_counts(cells).loc["x"].tolist() == counts[labels == "x"].sum(axis=0).tolist()


def test_dominant_genes_are_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = canonical_screen(tmp_path / "s.h5ad", *panel())
    caplog.set_level(logging.INFO)
    result, _ = run(tmp_path, path)
    assert "effective_library_size" not in result.obs
    np.testing.assert_array_equal(library_sizes(result), result.obs["library_size"])
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "more than 20 % of all counts: G35 (5" in warning.getMessage()
    assert "in 3 of 3 conditions" in warning.getMessage()
    assert "quality_control.size_factors" in warning.getMessage()
    caplog.clear()
    run(tmp_path, path, size_factors="leave_dominant_out")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert "G35" in caplog.text


def test_genes_removed_by_quality_control_count_in_the_sizes(tmp_path: Path) -> None:
    """The library is all genes of the file, whatever quality control leaves of them."""
    counts, labels = panel()
    counts[:, 4] = 0
    counts[3, 4] = 50
    path = canonical_screen(tmp_path / "s.h5ad", counts, labels)
    run(tmp_path, path, min_cells_per_gene=2, size_factors="leave_dominant_out")
    result = read_screen(tmp_path / "filtered.h5ad")
    rest = np.delete(counts, 35, axis=1).sum(axis=1)
    sizes = library_sizes(result)
    assert "G4" not in result.var_names
    np.testing.assert_allclose(sizes / sizes[0], rest / rest[0], rtol=1e-12)
