"""Recovery of a simulated screen's truth against scikit-learn and tables read anew."""

import logging
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn import metrics as sklearn

from effects import find_modules, score_recovery
from evaluation.modules import cut_into, effect_distances, module_tree
from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.screen import lognorm, read_screen, write_h5ad
from pipeline.tables import read_tsv, write_tsv
from screen import import_screen, simulate_screen
from simulation.linear_systems import pooled_covariance
from tests.scripts.screens import write_tests

N_GENES, TARGETS, NUMBER, MIN_SIZE = 40, 5, 12, 3
TOP = (10, 20, 300)
COLUMNS = ["estimator", "pairs", "metric", "k", "value", "base_rate"]
PAIR_METRICS = [
    *score_recovery.AUROCS,
    "sign_agreement",
    "average_precision",
    *["precision@k"] * len(TOP),
]
ESTIMATORS = [
    "direct_effects",
    "direct_effects_seed_1",
    "direct_effects_seed_2",
    "differential_expression",
    "oriented_differential_expression",
    "oriented_differential_expression_z",
    "inverse_pooled_covariance",
]
DISTANCES = [*ESTIMATORS, "expression_correlation", "differential_expression_profiles"]


def write_effects(A, genes, path, order=None):
    """Write an effect matrix, its causes in another order than its genes where one is given."""
    rows = np.arange(len(genes)) if order is None else order
    obs = pd.DataFrame({"perturbed": False}, index=np.array(genes)[rows])
    ad.AnnData(A.T[rows], obs=obs, var=pd.DataFrame(index=list(genes))).write_h5ad(path)
    return str(path)


def true_matrix(path, genes):
    """True effects by looping over the table."""
    position = {gene: i for i, gene in enumerate(genes)}
    A = np.zeros((len(genes), len(genes)))
    for row in pd.read_csv(path, sep="\t").itertuples():
        if row.effect in position and row.cause in position:
            A[position[row.effect], position[row.cause]] = row.weight
    return A


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A simulated screen with its truth, tests, and three noisy estimates of the truth."""
    folder = tmp_path_factory.mktemp("world")
    at = SimpleNamespace(
        folder=folder,
        true_effects=str(folder / "true_effects.tsv"),
        true_modules=str(folder / "modules.gmt"),
        train=str(folder / "train.h5ad"),
        differential_expression=str(folder / "de.tsv"),
        membership=str(folder / "membership.tsv"),
    )
    simulate_screen.main(
        screen=str(folder / "screen.h5ad"),
        effects=at.true_effects,
        modules=at.true_modules,
        indirect=str(folder / "indirect.tsv"),
        perturbed=str(folder / "perturbed.tsv"),
        pathways=str(folder / "pathways.gmt"),
        network="modules",
        genes=N_GENES,
        targets=TARGETS,
        targets_from="regulators",
        doubles=3,
        cells_per_condition=15,
        control_cells=40,
        kind="knockdown",
        failed_share=0.0,
        confounding=0.0,
        depth=1.0,
        dominant_gene=None,
        seed=3,
    )
    import_screen.main(
        raw=str(folder / "screen.h5ad"),
        screen=at.train,
        counts="X",
        perturbation_column="perturbation",
        control_label="control",
        separator=["+"],
        keep={},
        gene_name_column=None,
        ignore_labels=[],
        drop_labels=[],
        gene_symbols=None,
    )
    write_tests(at.train, at.differential_expression)
    at.genes = read_screen(at.train).var_names.tolist()
    at.truth = true_matrix(at.true_effects, at.genes)
    rng = np.random.default_rng(0)
    at.A, *at.seeds = (at.truth + rng.normal(0, 0.3, at.truth.shape) for _ in range(3))
    at.effects = write_effects(at.A, at.genes, folder / "effects.h5ad")
    order = rng.permutation(N_GENES)
    at.seed_effects = [
        write_effects(at.seeds[0], at.genes, folder / "seed_1.h5ad"),
        write_effects(
            at.seeds[1][np.ix_(order, order)], np.array(at.genes)[order], folder / "seed_2.h5ad"
        ),
    ]
    find(at.effects, at.membership)
    return at


def find(effects, membership, number=NUMBER, min_size=MIN_SIZE):
    folder = Path(membership).parent
    find_modules.main(
        markers=[],
        height=None,
        effects=effects,
        seed_effects=[],
        numbers=str(folder / "module_numbers.tsv"),
        tree=str(folder / "tree.tsv"),
        order=str(folder / "order.tsv"),
        membership=membership,
        distance="effects",
        cut="number",
        number=number,
        min_size=min_size,
    )


def run(world, folder, **changes):
    """Run the script on the files of a world, some of them exchanged."""
    inputs = ("effects", "true_effects", "true_modules", "membership", "differential_expression",
              "train", "seed_effects")  # fmt: skip
    arguments = {name: getattr(world, name) for name in inputs} | {
        "recovery": str(folder / "recovery.tsv"),
        "curve": str(folder / "curve.tsv"),
        "top": TOP,
        "min_size": MIN_SIZE,
        "distance": "effects",
    }
    score_recovery.main(**(arguments | changes))
    types = {"k": "Int64"}
    return read_tsv(folder / "recovery.tsv", dtype=types), read_tsv(
        folder / "curve.tsv", dtype=types
    )


@pytest.fixture(scope="module")
def tables(world, tmp_path_factory):
    return run(world, tmp_path_factory.mktemp("scores"))


def reference_estimates(world):
    """All estimates from the files by loops."""
    tests = pd.read_csv(world.differential_expression, sep="\t")
    lookup = tests.set_index(["perturbation", "gene"])
    position = {gene: i for i, gene in enumerate(world.genes)}
    plain, oriented, scores = (np.zeros((N_GENES, N_GENES)) for _ in range(3))
    for cause in set(tests["perturbation"]) & set(world.genes):
        own = lookup.loc[cause]
        z = norm.isf(own["p_value"] / 2) * np.sign(own["auroc"] - 0.5)
        for gene, i in position.items():
            change, direction = own["log_fold_change"][gene], own["log_fold_change"][cause]
            plain[i, position[cause]] = change
            oriented[i, position[cause]] = change * (1 if direction >= 0 else -1)
            scores[i, position[cause]] = z[gene] * (1 if z[cause] >= 0 else -1)

    screen = read_screen(world.train)
    scatter, freedom = 0.0, 0
    labels = screen.obs["perturbation"].astype(str)
    values = lognorm(screen.X).astype(float)
    for name in set(labels):
        own = values[labels == name]
        scatter = scatter + np.cov(own.T) * (len(own) - 1)
        freedom += len(own) - 1
    inverse = -np.linalg.inv(scatter / freedom)
    inverse = (inverse + inverse.T) / 2
    estimates = [world.A, *world.seeds, plain, oriented, scores, inverse]
    return dict(zip(ESTIMATORS, estimates, strict=True))


def by_name(recovery):
    """Values that are about no number of effects, by estimator, pairs and metric."""
    rows = recovery[recovery["k"].isna()]
    return dict(
        zip(zip(rows["estimator"], rows["pairs"], rows["metric"], strict=True), rows["value"],
            strict=True)
    )  # fmt: skip


def perturbed_pairs(world):
    singles = set(read_screen(world.train).obs["perturbation"]) & set(world.genes)
    assert len(singles) == TARGETS
    other = ~np.eye(N_GENES, dtype=bool)
    return {"all": other, "perturbed": other & np.isin(world.genes, list(singles))[None, :]}


def test_rows_and_columns(tables):
    recovery, curve = tables
    assert recovery.columns.tolist() == COLUMNS
    assert curve.columns.tolist() == ["estimator", "pairs", "k", "precision", "base_rate"]
    of_pairs = recovery[recovery["pairs"] != "modules"]
    assert pd.unique(of_pairs["estimator"]).tolist() == [*ESTIMATORS, "chance"]
    for _, rows in of_pairs.groupby(["estimator", "pairs"]):
        assert rows["metric"].tolist() == PAIR_METRICS
        assert rows["k"].dropna().tolist() == list(TOP)
    assert len(of_pairs) == 2 * len(PAIR_METRICS) * (len(ESTIMATORS) + 1)
    modules = recovery[recovery["pairs"] == "modules"]
    assert pd.unique(modules["estimator"]).tolist() == [*DISTANCES, "chance"]
    assert len(modules) == 2 * len(DISTANCES) + 1
    assert pd.unique(curve["estimator"]).tolist() == ESTIMATORS
    for _, rows in curve.groupby(["estimator", "pairs"]):
        assert rows["k"].tolist() == list(range(1, 201))


@pytest.mark.parametrize("pairs", ["all", "perturbed"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_scores_equal_scikit_learn_on_effects_from_the_files(world, tables, name, pairs):
    mask = perturbed_pairs(world)[pairs]
    estimate, true = reference_estimates(world)[name][mask], world.truth[mask]
    recovery, curve = (t[(t["estimator"] == name) & (t["pairs"] == pairs)] for t in tables)
    value = recovery[recovery["k"].isna()].set_index("metric")["value"]
    present, strength = true != 0, np.abs(estimate)
    approx = {"rel": 1e-4, "abs": 1e-5}  # six digits, of effects whose inputs have as many

    of_class = {"positive": true > 0, "negative": true < 0, "absent": true == 0}
    of_pairs = []
    for first, second in (("positive", "negative"), ("positive", "absent"), ("negative", "absent")):
        chosen = of_class[first] | of_class[second]
        sign = -1 if first == "negative" else 1
        expected = sklearn.roc_auc_score(of_class[first][chosen], sign * estimate[chosen])
        assert value[f"auroc_{first}_{second}"] == pytest.approx(expected, **approx)
        of_pairs.append(expected)
    assert value["auroc"] == pytest.approx(np.mean(of_pairs), **approx)
    expected = sklearn.roc_auc_score(present, strength)
    assert value["auroc_present"] == pytest.approx(expected, **approx)
    agree = np.sign(estimate[present]) == np.sign(true[present])
    assert value["sign_agreement"] == pytest.approx(agree.mean(), **approx)
    expected = sklearn.average_precision_score(present, strength)
    assert value["average_precision"] == pytest.approx(expected, **approx)

    ranked = present[np.argsort(-strength, kind="stable")]
    nonzero = np.count_nonzero(strength)
    for row in recovery[recovery["metric"] == "precision@k"].itertuples():
        expected = ranked[: row.k].mean() if row.k <= nonzero else np.nan
        assert row.value == pytest.approx(expected, abs=1e-5, nan_ok=True)
    expected = [ranked[:k].mean() if k <= nonzero else np.nan for k in range(1, 201)]
    np.testing.assert_allclose(curve["precision"], expected, atol=1e-5)
    np.testing.assert_allclose(curve["base_rate"], present.mean(), rtol=1e-5)


def test_precision_is_undefined_beyond_the_effects_there_are(tables):
    _, curve = tables
    defined = curve.dropna(subset="precision").groupby(["estimator", "pairs"])["k"].max()
    pairs = TARGETS * (N_GENES - 1)
    assert defined["direct_effects", "all"] == 200
    assert defined["direct_effects", "perturbed"] == pairs == 195
    assert defined["differential_expression", "all"] <= pairs


def test_base_rates_are_those_of_chance(world, tables):
    recovery, _ = tables
    chance = recovery[recovery["estimator"] == "chance"]
    assert chance["value"].equals(chance["base_rate"])
    assert (chance.loc[chance["metric"].isin(score_recovery.AUROCS), "value"] == 0.5).all()
    assert by_name(recovery)["chance", "modules", "adjusted_rand_index"] == 0
    for pairs, mask in perturbed_pairs(world).items():
        rows = chance[(chance["pairs"] == pairs) & chance["metric"].str.contains("precision")]
        assert len(rows) == 1 + len(TOP)
        np.testing.assert_allclose(rows["value"], (world.truth[mask] != 0).mean(), rtol=1e-5)


def test_orienting_turns_the_signs_of_a_knockdown(tables):
    value = by_name(tables[0])
    plain, oriented = "differential_expression", "oriented_differential_expression"
    signed = "perturbed", "auroc_positive_negative"
    assert value[plain, *signed] < 0.4 < 0.6 < value[oriented, *signed]
    same = "perturbed", "auroc_present"
    assert value[plain, *same] == value[oriented, *same]


def test_the_truth_scores_perfectly_and_noise_by_chance(world, tmp_path):
    effects = write_effects(world.truth, world.genes, tmp_path / "truth.h5ad")
    noise = np.random.default_rng(5).normal(size=world.truth.shape)
    seed = write_effects(noise, world.genes, tmp_path / "noise.h5ad")
    find(effects, str(tmp_path / "membership.tsv"))
    recovery, _ = run(
        world,
        tmp_path,
        effects=effects,
        membership=str(tmp_path / "membership.tsv"),
        seed_effects=seed,
        top=(10, np.count_nonzero(world.truth)),
    )
    perfect = recovery[(recovery["estimator"] == "direct_effects") & (recovery["pairs"] == "all")]
    assert perfect["value"].to_numpy() == pytest.approx(1.0)
    value = by_name(recovery)
    for metric in score_recovery.AUROCS:
        assert value["direct_effects_seed_1", "all", metric] == pytest.approx(0.5, abs=0.1)
    precision = "all", "average_precision"
    assert value["direct_effects_seed_1", *precision] < 2 * value["chance", *precision]


def test_order_and_choice_of_genes(world, tables, tmp_path):
    """Genes in another order change nothing; genes that are not modelled leave with their links."""
    order = np.random.default_rng(2).permutation(N_GENES)
    names = np.array(world.genes)[order]
    shuffled = write_effects(
        world.A[np.ix_(order, order)], names, tmp_path / "shuffled.h5ad", order[::-1].argsort()
    )
    find(shuffled, str(tmp_path / "membership.tsv"))
    changes = {"effects": shuffled, "membership": str(tmp_path / "membership.tsv")}
    recovery, _ = run(world, tmp_path, **changes)
    # of two directions with the same estimate, the order of genes decides which is among the k
    tied = tables[0]["k"].notna() & tables[0]["estimator"].eq("inverse_pooled_covariance")
    pd.testing.assert_frame_equal(recovery[~tied], tables[0][~tied], rtol=1e-4)

    kept = [i for i, gene in enumerate(world.genes) if not gene.startswith("RPL")]
    few = [world.genes[i] for i in kept]
    effects = write_effects(world.A[np.ix_(kept, kept)], few, tmp_path / "few.h5ad")
    find(effects, str(tmp_path / "few.tsv"), number=8)
    changes = {"effects": effects, "membership": str(tmp_path / "few.tsv"), "seed_effects": ()}
    recovery, _ = run(world, tmp_path, **changes)
    true = world.truth[np.ix_(kept, kept)][~np.eye(len(kept), dtype=bool)]
    rates = recovery[(recovery["pairs"] == "all") & recovery["metric"].eq("average_precision")]
    assert rates["base_rate"].to_numpy() == pytest.approx((true != 0).mean(), rel=1e-5)


def test_same_inputs_same_bytes(world, tmp_path):
    written = []
    for _ in range(2):
        run(world, tmp_path)
        written.append([(tmp_path / f"{n}.tsv").read_bytes() for n in ("recovery", "curve")])
    assert written[0] == written[1]


def true_members(world):
    """Modelled genes of each true module."""
    lines = Path(world.true_modules).read_text().splitlines()
    return [[g for g in line.split("\t")[2:] if g in world.genes] for line in lines]


def test_modules_are_compared_over_the_genes_of_true_modules(world, tables):
    recovery, _ = tables
    membership = read_tsv(world.membership, dtype={"module": "Int64"}).set_index("gene")["module"]
    true, found = [], []
    for number, members in enumerate(true_members(world)):
        for gene in members:
            true.append(number)
            own = membership[gene]
            found.append(f"alone {gene}" if pd.isna(own) else str(own))
    assert membership.isna().any()
    assert len(true) < N_GENES  # regulators have no module
    expected = sklearn.adjusted_rand_score(true, found)
    value = by_name(recovery)
    assert value["direct_effects", "modules", "adjusted_rand_index"] == pytest.approx(
        expected, abs=1e-5
    )


def test_every_estimator_is_cut_alike(world, tables):
    recovery, _ = tables
    position = {gene: i for i, gene in enumerate(world.genes)}
    members = [position[gene] for own in true_members(world) for gene in own]
    true = np.repeat([0, 1, 2], [len(own) for own in true_members(world)])
    value = by_name(recovery)
    # the smallest number whose cut gives the modules, which are those of NUMBER
    modules = cut_into(module_tree(effect_distances(world.A)), NUMBER, MIN_SIZE)
    cuts = (cut_into(module_tree(effect_distances(world.A)), n, MIN_SIZE) for n in range(1, 41))
    number = next(n for n, cut in enumerate(cuts, start=1) if np.array_equal(cut, modules))
    for name, estimate in reference_estimates(world).items():
        tree = module_tree(effect_distances(estimate))
        scores = []
        for count in range(1, N_GENES + 1):
            labels = cut_into(tree, count, MIN_SIZE)[members]
            alone = np.where(labels == 0, -1 - np.arange(len(labels)), labels)
            scores.append(sklearn.adjusted_rand_score(true, alone))
        own, best = scores[number - 1], max(scores)
        assert value[name, "modules", "adjusted_rand_index"] == pytest.approx(own, abs=1e-5)
        assert value[name, "modules", "adjusted_rand_index_best"] == pytest.approx(best, abs=1e-5)


def test_planted_modules_are_recovered(world, tmp_path):
    rng = np.random.default_rng(1)
    block = {gene: number for number, own in enumerate(true_members(world)) for gene in own}
    label = np.array([block.get(gene, 3 + i) for i, gene in enumerate(world.genes)])
    A = np.where(label[:, None] == label, 1.0, 1e-3) * rng.uniform(0.8, 1.2, (N_GENES, N_GENES))
    effects = write_effects(A, world.genes, tmp_path / "planted.h5ad")
    number = len(set(label))
    find(effects, str(tmp_path / "membership.tsv"), number=number)
    changes = {"effects": effects, "membership": str(tmp_path / "membership.tsv")}
    recovery, _ = run(world, tmp_path, **changes)
    value = by_name(recovery)
    for metric in ("adjusted_rand_index", "adjusted_rand_index_best"):
        assert value["direct_effects", "modules", metric] == 1


def test_layers_of_a_file_of_effects_are_estimators_of_their_own(world, tmp_path):
    """What is ranked is the score; CLIPR and comparators of the same changes stand beside it."""
    rng = np.random.default_rng(4)
    own = read_effects(world.effects)
    d = N_GENES
    own.obs["perturbed"] = own.obs_names.isin(read_screen(world.train).obs["perturbation"])
    change, error = rng.normal(0, 2, (d, d)), rng.uniform(0.5, 1.5, (d, d))
    change[~own.obs["perturbed"].to_numpy()] = np.nan
    own.layers["score"] = world.truth.T + 0.0
    own.layers["clipr"] = world.seeds[0].T + 0.0
    own.layers["change"], own.layers["change_error"] = change, error
    path = str(tmp_path / "layers.h5ad")
    write_h5ad(own, path)
    find(path, str(tmp_path / "membership.tsv"))
    recovery, _ = run(
        world,
        tmp_path,
        effects=path,
        membership=str(tmp_path / "membership.tsv"),
        seed_effects=[],
    )
    value = by_name(recovery)
    assert value["direct_effects", "all", "auroc"] == 1.0
    before = by_name(run(world, tmp_path)[0])
    assert value["lcd_clipr", "all", "auroc"] == before["direct_effects_seed_1", "all", "auroc"]
    mask = perturbed_pairs(world)["perturbed"]
    with np.errstate(invalid="ignore"):
        z = np.abs(change / error).T
    expected = sklearn.roc_auc_score(world.truth[mask] != 0, z[mask])
    assert value["oriented_z", "perturbed", "auroc_present"] == pytest.approx(expected, abs=1e-5)
    assert {"total_effects", "inspre"} <= set(recovery["estimator"])


def test_without_modules_there_is_nothing_to_compare(world, tmp_path):
    find(world.effects, str(tmp_path / "membership.tsv"), number=N_GENES)
    recovery, _ = run(world, tmp_path, membership=str(tmp_path / "membership.tsv"))
    assert set(recovery["pairs"]) == {"all", "perturbed"}


def cells(counts, labels):
    names = [f"cell{i}" for i in range(len(labels))]
    return ad.AnnData(counts, obs=pd.DataFrame({"perturbation": labels}, index=names))


def test_covariance_is_pooled_over_cells(caplog):
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (60, 5))
    equal = np.repeat(["a", "b", "control"], 20)
    samples = np.stack([lognorm(counts[equal == name]).astype(float) for name in "ab"])
    samples = np.concatenate([samples, lognorm(counts[equal == "control"])[None]])
    expected = -np.linalg.inv(pooled_covariance(samples))
    found = score_recovery.inverse_pooled_covariance(cells(counts, equal))
    np.testing.assert_allclose(found, expected, rtol=1e-6)

    unequal = np.repeat(["a", "b", "control"], [1, 9, 50])  # one cell alone says nothing
    values = lognorm(counts).astype(float)
    scatter = 8 * np.cov(values[1:10].T) + 49 * np.cov(values[10:].T)
    found = score_recovery.inverse_pooled_covariance(cells(counts, unequal))
    np.testing.assert_allclose(found, -np.linalg.inv(scatter / 57), rtol=1e-6)
    assert not caplog.records


@pytest.mark.parametrize("reason", ["few cells", "a gene without variance"])
def test_singular_covariance_gets_a_ridge_and_a_warning(reason, caplog):
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (6 if reason == "few cells" else 60, 8))
    if reason != "few cells":
        counts[:, 3] = 0
    labels = np.repeat(["a", "control"], len(counts) // 2)
    with caplog.at_level(logging.WARNING):
        found = score_recovery.inverse_pooled_covariance(cells(counts, labels))
    assert "singular" in caplog.text
    values = lognorm(counts).astype(float)
    halves = values[: len(values) // 2], values[len(values) // 2 :]
    S = sum(np.cov(half.T) for half in halves) / 2
    expected = -np.linalg.inv(S + 0.01 * np.diag(S).mean() * np.eye(8))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_p_values_of_zero_stay_finite(world, tmp_path):
    tests = read_tsv(world.differential_expression)
    tests.loc[tests["p_value"] < 0.01, "p_value"] = 0.0
    write_tsv(tests, tmp_path / "de.tsv")
    genes = pd.Index(world.genes)
    single = next(name for name in tests["perturbation"] if name in world.genes)
    found = score_recovery.read_differential_expression(str(tmp_path / "de.tsv"), genes, [single])
    scores = found["oriented_differential_expression_z"]
    assert np.isfinite(scores).all()
    assert np.abs(scores).max() == pytest.approx(norm.isf(np.finfo(float).tiny / 2))


def renamed(world, folder, prefix="x"):
    """The same effects and modules under other names of genes."""
    names = [prefix + gene for gene in world.genes]
    effects = write_effects(world.A, names, folder / "renamed.h5ad")
    find(effects, str(folder / "renamed.tsv"))
    return {"effects": effects, "membership": str(folder / "renamed.tsv"), "seed_effects": ()}


def test_a_foreign_truth_is_refused(world, tmp_path):
    with pytest.raises(InputError, match=r"(?s)true_effects.tsv.*no true effect.*modelled genes x"):
        run(world, tmp_path, **renamed(world, tmp_path))
    (tmp_path / "other.gmt").write_text("M\tu\tFOO\tBAR\n")
    message = r"(?s)other.gmt.*no modelled gene is in a true module.*BAR, FOO"
    with pytest.raises(InputError, match=message):
        run(world, tmp_path, true_modules=str(tmp_path / "other.gmt"))
    first, second, third = world.genes[-3:]
    (tmp_path / "shared.gmt").write_text(f"M\tu\t{first}\t{second}\nN\tu\t{second}\t{third}\n")
    with pytest.raises(InputError, match=rf"(?s)share genes.*{second}"):
        run(world, tmp_path, true_modules=str(tmp_path / "shared.gmt"))
    no_effects = read_tsv(world.true_effects).head(0)
    write_tsv(no_effects, tmp_path / "none.tsv")
    with pytest.raises(InputError, match="0 true effects"):
        run(world, tmp_path, true_effects=str(tmp_path / "none.tsv"))
    assert not (tmp_path / "recovery.tsv").exists()


def test_files_of_different_runs_are_refused(world, tmp_path):
    few = write_effects(world.A[:10, :10], world.genes[:10], tmp_path / "few.h5ad")
    with pytest.raises(InputError, match=r"(?s)few.h5ad.*training seed.*other genes"):
        run(world, tmp_path, seed_effects=[few])
    membership = read_tsv(world.membership)
    write_tsv(membership.head(10), tmp_path / "membership.tsv")
    with pytest.raises(InputError, match=r"(?s)membership.tsv.*other genes than the effects"):
        run(world, tmp_path, membership=str(tmp_path / "membership.tsv"))
    with pytest.raises(InputError, match=r"(?s)no cut of the tree.*fewer than 2 genes"):
        run(world, tmp_path, min_size=2)
    tests = read_tsv(world.differential_expression)
    single = next(name for name in tests["perturbation"] if name in world.genes)
    write_tsv(tests[tests["perturbation"] != single], tmp_path / "de.tsv")
    with pytest.raises(InputError, match=rf"(?s)de.tsv.*without tests: {single}"):
        run(world, tmp_path, differential_expression=str(tmp_path / "de.tsv"))
    write_tsv(tests[tests["gene"] != single], tmp_path / "de.tsv")
    with pytest.raises(InputError, match=rf"(?s)de.tsv.*genes without: {single}"):
        run(world, tmp_path, differential_expression=str(tmp_path / "de.tsv"))
    with pytest.raises(InputError, match=r"(?s)at least 1.*0"):
        run(world, tmp_path, top=[0, 10])


def test_screens_without_the_genes_or_without_singles_are_refused(world, tmp_path):
    screen = read_screen(world.train)
    write_h5ad(screen[:, 1:].copy(), tmp_path / "fewer.h5ad")
    with pytest.raises(InputError, match=rf"(?s)not in the training screen.*{world.genes[0]}"):
        run(world, tmp_path, train=str(tmp_path / "fewer.h5ad"))
    doubles = screen.obs["perturbation"].str.contains("+", regex=False)
    write_h5ad(screen[doubles].copy(), tmp_path / "doubles.h5ad")
    with pytest.raises(InputError, match=r"(?s)perturbed alone.*perturbations .*\+"):
        run(world, tmp_path, train=str(tmp_path / "doubles.h5ad"))
