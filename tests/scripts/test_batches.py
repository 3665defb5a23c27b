"""Controls matched by batch: van Elteren's test against its definition, and what comes of it."""

import itertools
import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import mannwhitneyu, norm, rankdata

from pipeline import batches as batches_module
from pipeline.batches import unmatched, van_elteren
from pipeline.differential_expression import differential_expression, sparse_lognorm
from pipeline.size_factors import median_ratios
from tests.scripts.screens import counts_and_labels, user_file
from tests.scripts.test_differential_expression import make_screen
from tests.scripts.test_import_screen import imported, refused

SIZES = {("control", 0): 40, ("control", 1): 15, ("control", 2): 3, ("a", 0): 9, ("a", 1): 22}
SIZES |= {("b", 1): 12, ("b", 3): 7, ("c", 3): 8, ("d", 2): 1, ("d", 0): 1}


def screen_in_batches(seed: int = 0, shift: float = 2.0) -> ad.AnnData:
    """Cells in four batches, of which the last has no control; batches differ in composition."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(name, n) for (name, _), n in SIZES.items()])
    batches = np.concatenate([np.repeat(batch, n) for (_, batch), n in SIZES.items()])
    rates = rng.gamma(1.0, 2.0, 10) * rng.lognormal(0, 1.0, (4, 10))[batches]
    rates[labels == "a", 3] *= shift
    rates[:, 4] = 0
    counts = rng.poisson(rates * rng.gamma(5, 0.2, (len(labels), 1)))
    counts[3] = 0  # a cell without counts
    order = rng.permutation(len(labels))
    screen = make_screen(counts[order], labels[order])
    screen.obs["batch"] = pd.Categorical([f"lane{batch}" for batch in batches[order]])
    return screen


def by_definition(screen: ad.AnnData, name: str, gene: int) -> tuple[float, float, float]:
    """Sum of U, weighted share of pairs and P value, a batch at a time."""
    values = sparse_lognorm(screen.X, screen.obs["library_size"].to_numpy()).toarray()[:, gene]
    labels = screen.obs["perturbation"].to_numpy(dtype=str)
    total = weighted = most = variance = 0.0
    weights = []
    for batch in screen.obs["batch"].cat.categories:
        inside = (screen.obs["batch"] == batch).to_numpy()
        x, y = values[inside & (labels == name)], values[inside & (labels == "control")]
        if not len(x) or not len(y):
            continue
        n, m = len(x), len(y)
        ranks = rankdata(np.concatenate([x, y]))
        u = ranks[:n].sum() - n * (n + 1) / 2
        weight = 1 / (n + m + 1)
        total += u
        weighted += weight * u
        most += weight * n * m
        # Variance of a rank sum drawn without replacement, ties and all.
        variance += weight**2 * n * m / (n + m) * np.var(ranks, ddof=1)
        weights.append(weight)
    distance = max(abs(weighted - most / 2) - min(weights) / 2, 0)
    p_value = 2 * norm.sf(distance / np.sqrt(variance)) if variance > 0 else 1.0
    return total, weighted / most, p_value


@pytest.mark.parametrize("entries", [1, 50, 2**22])
def test_every_test_equals_its_definition(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches_module, "ENTRIES", entries)
    screen = screen_in_batches()
    tests = differential_expression(screen, n_threads=1)
    for name, gene in itertools.product(["a", "b", "d"], range(10)):
        total, share, p_value = by_definition(screen, name, gene)
        found = {layer: tests[name].layers[layer][0, gene] for layer in tests.layers}
        assert found["statistic"] == pytest.approx(total)
        assert found["auroc"] == pytest.approx(share)
        assert found["p_value"] == pytest.approx(p_value, rel=1e-9)
    assert (tests.layers["p_value"][:, 4] == 1).all(), "a gene without counts"
    assert tests.obs["n_cells"].to_dict() == {"a": 31, "b": 19, "c": 8, "d": 2}
    assert tests.obs["n_matched"].to_dict() == {"a": 31, "b": 12, "c": 0, "d": 2}


def test_mean_and_variance_are_those_of_all_permutations_within_batches() -> None:
    """The normal approximation has the moments that shuffling labels within batches has."""
    values = [np.array([0, 0, 1, 2.0, 2.0]), np.array([0, 3.0, 3.0, 5.0])]
    n_perturbed = [2, 1]
    drawn = []
    for chosen in itertools.product(
        *(
            itertools.combinations(range(len(v)), n)
            for v, n in zip(values, n_perturbed, strict=True)
        )
    ):
        at = zip(values, chosen, strict=True)
        sums = (rankdata(v)[list(own)].sum() / (len(v) + 1) for v, own in at)
        drawn.append(sum(sums))
    drawn = np.array(drawn)
    groups = np.array([1, 0, 0, 1, 0, 0, 0, 0, 1])
    codes = np.array([0] * 5 + [1] * 4)
    column = sparse.csr_matrix(np.concatenate(values)[:, None])
    _, _, ((p_value,),) = van_elteren(column, groups, codes, 2)
    own = sum(
        rankdata(v)[groups[codes == b] == 1].sum() / (len(v) + 1) for b, v in enumerate(values)
    )
    distance = abs(own - drawn.mean()) - 0.5 / 6
    assert p_value == pytest.approx(2 * norm.sf(distance / drawn.std()))


def test_one_batch_is_no_batch() -> None:
    screen = screen_in_batches()
    screen = screen[screen.obs["batch"] == "lane1"].copy()
    tests = differential_expression(screen, n_threads=1)
    del screen.obs["batch"]
    plain = differential_expression(screen, n_threads=1)
    pd.testing.assert_frame_equal(tests.obs, plain.obs)
    np.testing.assert_array_equal(tests.X, plain.X)
    for layer in plain.layers:
        np.testing.assert_array_equal(tests.layers[layer], plain.layers[layer])


def test_a_perturbation_of_one_batch_is_compared_within_it() -> None:
    """The matched path gives, of one batch among several, what the plain path gives of it."""
    screen = screen_in_batches()
    tests = differential_expression(screen, n_threads=1)["b"]
    alone = screen[(screen.obs["batch"] == "lane1").to_numpy()].copy()
    del alone.obs["batch"]
    plain = differential_expression(alone, n_threads=1)["b"]
    np.testing.assert_allclose(tests.X, plain.X, rtol=1e-6, atol=1e-9)
    for layer in plain.layers:
        np.testing.assert_allclose(tests.layers[layer], plain.layers[layer], rtol=1e-9)


def test_a_perturbation_without_matched_controls(caplog: pytest.LogCaptureFixture) -> None:
    screen = screen_in_batches()
    tests = differential_expression(screen, n_threads=1)["c"]
    (text,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "'b' (7 of 19 cells), 'c' (8 of 8 cells)" in text
    plain = screen.copy()
    del plain.obs["batch"]
    plain = differential_expression(plain, n_threads=1)["c"]
    np.testing.assert_array_equal(tests.X, plain.X)
    for layer in plain.layers:
        np.testing.assert_array_equal(tests.layers[layer], plain.layers[layer])


def test_changes_are_to_the_controls_of_the_same_batches() -> None:
    screen = screen_in_batches()
    tests = differential_expression(screen, n_threads=1)
    values = sparse_lognorm(screen.X, screen.obs["library_size"].to_numpy()).toarray()
    at = screen.obs.groupby(["perturbation", "batch"], observed=True).indices
    sizes = screen.obs["library_size"].to_numpy()
    counts = screen.X.toarray()
    for name in ("a", "b", "d"):
        own = {b: at[name, f"lane{b}"] for n, b in SIZES if n == name and b != 3}
        cells = np.concatenate(list(own.values()))
        control = {b: at["control", f"lane{b}"] for b in own}
        mean = sum(len(own[b]) / len(cells) * values[control[b]].mean(axis=0) for b in own)
        np.testing.assert_allclose(tests[name].X[0], values[cells].mean(axis=0) - mean, atol=1e-5)
        library = sizes[cells].sum()
        rate = sum(
            sizes[own[b]].sum() / library * counts[control[b]].sum(axis=0) / sizes[control[b]].sum()
            for b in own
        )
        rate = rate + 0.5 / sum(sizes[control[b]].sum() for b in own)
        expected = np.log2((counts[cells].sum(axis=0) + 0.5) / library / rate)
        np.testing.assert_allclose(tests[name].layers["log2_fold_change"][0], expected, atol=1e-9)


def test_a_difference_between_batches_is_no_effect() -> None:
    """A perturbation mostly in one lane looks changed against all controls, not against its own."""
    rng = np.random.default_rng(1)
    labels = np.repeat(["control", "control", "x", "x"], [150, 150, 150, 20])
    batches = np.repeat(["1", "2", "1", "2"], [150, 150, 150, 20])
    rates = np.where(batches == "1", 1.0, 3.0)[:, None] * np.array([3.0] * 5 + [0] * 15)
    rates[:, 5:] = 4.0
    screen = make_screen(rng.poisson(rates), labels)
    plain = differential_expression(screen, n_threads=1)
    screen.obs["batch"] = pd.Categorical(batches)
    matched = differential_expression(screen, n_threads=1)
    assert (plain.layers["p_value"][0, :5] < 1e-6).all()
    assert (matched.layers["p_value"][0] > 0.001).all()
    assert (np.abs(matched.X) < 0.5 * np.abs(plain.X).max()).all()


def test_p_values_are_uniform_where_nothing_changes() -> None:
    rng = np.random.default_rng(2)
    batches = np.repeat([0, 1, 2], [100, 60, 30])
    groups = rng.permuted(np.arange(190) % 4 == 0).astype(int)
    values = rng.poisson(np.array([1.0, 4.0, 9.0])[batches][:, None], (190, 2000))
    _, _, p_value = van_elteren(sparse.csr_matrix(values.astype(float)), groups, batches, 2)
    shares = [(p_value < bound).mean() for bound in (0.05, 0.5)]
    np.testing.assert_allclose(shares, [0.05, 0.5], atol=0.03)


def test_weights_gain_power_over_one_test_of_all_cells() -> None:
    """A shift that batches hide from one test of all cells is found within them."""
    rng = np.random.default_rng(3)
    batches = np.repeat([0, 1], 100)
    groups = np.tile([0, 1], 100)
    values = rng.normal(np.where(batches == 0, 5.0, 20.0) + 0.6 * groups, 1.0)
    _, ((share,),), ((p_value,),) = van_elteren(
        sparse.csr_matrix(values[:, None]), groups, batches, 2
    )
    plain = mannwhitneyu(values[groups == 1], values[groups == 0])
    assert share > 0.6
    assert p_value < 0.01 < plain.pvalue


# --- size factors ---------------------------------------------------------------------------------


def factors(screen: ad.AnnData) -> np.ndarray:
    """Composition of each cell's condition; ``median_ratios`` says what it is of."""
    return median_ratios(screen, "here")


def test_size_factors_are_matched_by_batch() -> None:
    screen = screen_in_batches(shift=1.0)
    labels = screen.obs["perturbation"].astype(str)
    matched = dict(zip(labels, factors(screen), strict=True))
    assert matched["control"] == 1
    counts, sizes = screen.X.toarray(), screen.obs["library_size"].to_numpy()
    in_lane = (screen.obs["batch"] == "lane1").to_numpy()
    own, control = (in_lane & (labels == name).to_numpy() for name in ("b", "control"))
    ours, theirs = (counts[cells].sum(axis=0) / sizes[cells].sum() for cells in (own, control))
    depth = sizes[(labels == "control").to_numpy()].mean()
    expressed = (ours + theirs) / 2 * depth >= 0.1
    assert matched["b"] == pytest.approx(np.median(ours[expressed] / theirs[expressed]))
    plain = screen.copy()
    del plain.obs["batch"]
    unmatched_factor = dict(zip(labels, factors(plain), strict=True))
    assert unmatched_factor["c"] == matched["c"], "no controls of its batch"
    assert unmatched_factor["b"] != matched["b"]


def test_one_batch_leaves_size_factors_alone() -> None:
    screen = screen_in_batches()
    screen.obs["batch"] = pd.Categorical(["x"] * screen.n_obs)
    with_batch = factors(screen)
    del screen.obs["batch"]
    np.testing.assert_array_equal(factors(screen), with_batch)


# --- import ---------------------------------------------------------------------------------------


def test_batches_are_imported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counts, labels = counts_and_labels()
    lanes = np.where((labels == "B") | (np.arange(56) % 8 == 0), 2.0, 1.0)
    lanes[labels == "control"] = 1
    raw = user_file(tmp_path / "raw.h5ad", counts, labels, obs={"lane": lanes})
    with caplog.at_level(logging.INFO):
        screen = imported(tmp_path, raw, batch_column="lane")
    assert screen.obs["batch"].dtype == "category"
    assert screen.obs["batch"].tolist() == [f"{lane:.0f}" for lane in lanes]
    (text,) = [m for m in caplog.messages if "batches without control" in m]
    assert "'A' (1 of 8 cells)" in text
    assert "'B' (8 of 8 cells)" in text
    assert unmatched(screen.obs)["B"] == (8, 8)


def test_a_column_named_batch_counts_only_where_it_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = user_file(tmp_path / "raw.h5ad", obs={"batch": ["x", "y"] * 28})
    with caplog.at_level(logging.INFO):
        assert "batch" not in imported(tmp_path, raw).obs
    assert "set screen.batch_column to batch" in caplog.text
    screen = imported(tmp_path, raw, batch_column="batch")
    assert screen.obs["batch"].tolist() == ["x", "y"] * 28


def test_bad_batches(tmp_path: Path) -> None:
    lanes: list[object] = ["x"] * 56
    lanes[5] = None
    raw = user_file(tmp_path / "raw.h5ad", obs={"lane": lanes})
    text = refused(tmp_path, raw, batch_column="lanes")
    assert "did you mean 'lane'?" in text
    assert "screen.batch_column" in text
    text = refused(tmp_path, raw, batch_column="lane")
    assert "1 of 56 cells have no batch" in text
    assert "cell5" in text
