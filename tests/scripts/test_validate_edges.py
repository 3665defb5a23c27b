"""The script that validates edges against differential expression."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from effects import validate_edges
from pipeline.tables import read_tsv, write_tsv

GENES = [f"g{i}" for i in range(20)]
PERTURBED = GENES[:8]

DEFAULTS = {
    "fractions": [0.05, 0.3],
    "alpha": 0.05,
    "n_listed": 1000,
    "n_resamples": 2000,
    "leave_out_failed": False,
    "seed": 3,
}


@pytest.fixture(name="A")
def effect_matrix():
    return np.random.default_rng(0).standard_t(2, (20, 20))


@pytest.fixture
def tests(A):
    """Differential expression that follows the effects, for 8 causes and for combinations."""
    rng = np.random.default_rng(1)
    rows = []
    for name in [*PERTURBED, "g0+g1", "drug"]:
        strength = np.abs(A[:, GENES.index(name)]) if name in GENES else np.full(20, 9.0)
        rows.append(
            pd.DataFrame(
                {
                    "perturbation": name,
                    "gene": GENES,
                    "log_fold_change": rng.normal(size=20),
                    "p_adjusted": rng.random(20) ** (1 + 3 * strength),
                }
            )
        )
    return pd.concat(rows)


@pytest.fixture
def run(tmp_path, A):
    def run(tests, causes=GENES, status=(), listed=None, **settings):
        rows = [GENES.index(cause) for cause in causes]
        effects = ad.AnnData(
            A.T[rows], obs=pd.DataFrame(index=list(causes)), var=pd.DataFrame(index=GENES)
        )
        if listed is not None:
            effects.uns["causes"] = pd.DataFrame(listed, columns=["cause", "perturbation"])
        effects.write_h5ad(tmp_path / "effects.h5ad")
        write_tsv(
            pd.DataFrame(status, columns=["perturbation", "gene", "status"]),
            tmp_path / "targets.tsv",
        )
        write_tsv(tests, tmp_path / "de.tsv")
        outputs = {name: tmp_path / f"{name}.tsv" for name in ("edges", "validation")}
        validate_edges.main(
            effects=str(tmp_path / "effects.h5ad"),
            differential_expression=str(tmp_path / "de.tsv"),
            targets=str(tmp_path / "targets.tsv"),
            **{name: str(path) for name, path in outputs.items()},
            **(DEFAULTS | settings),
        )
        return tuple(read_tsv(path) for path in outputs.values())

    return run


def candidates(A, tests, causes):
    """All edges that can be tested, strongest first, from the tables alone."""
    lookup = tests.set_index(["perturbation", "gene"])
    edges = [
        (cause, effect, A[i, GENES.index(cause)], *lookup.loc[(cause, effect)])
        for cause in causes
        for i, effect in enumerate(GENES)
        if cause != effect
    ]
    return sorted(edges, key=lambda edge: -abs(edge[2]))


def test_edges_and_counts_equal_those_from_the_tables(run, A, tests):
    edges, validation = run(tests)
    expected = candidates(A, tests, PERTURBED)
    assert edges["rank"].tolist() == list(range(1, 8 * 19 + 1))
    assert edges["cause"].tolist() == [edge[0] for edge in expected]
    assert edges["effect"].tolist() == [edge[1] for edge in expected]
    np.testing.assert_allclose(
        edges[["value", "observed_lfc", "p_adjusted"]], [edge[2:] for edge in expected], rtol=1e-4
    )
    validated = np.array([edge[4] < 0.05 for edge in expected])
    assert edges["validated"].tolist() == validated.tolist()

    assert validation["k"].tolist() == [8, 46]
    for row in validation.itertuples():
        top, rest = validated[: row.k], validated[row.k :]
        assert (row.n_edges, row.n_validated) == (152, top.sum())
        assert row.probability == pytest.approx(top.mean(), rel=1e-5)
        assert row.lift == pytest.approx(top.mean() / validated.mean(), rel=1e-5)
        counts = [[top.sum(), (~top).sum()], [rest.sum(), (~rest).sum()]]
        p_value = fisher_exact(counts, alternative="greater").pvalue
        assert row.p_value == pytest.approx(p_value, rel=1e-5)


def test_held_out_causes_are_validated_among_themselves(run, A, tests):
    edges, validation = run(tests, causes=["g5", "g2"])
    assert set(edges["cause"]) == {"g2", "g5"}
    assert (validation["n_edges"] == 2 * 19).all()
    assert edges["cause"].tolist() == [edge[0] for edge in candidates(A, tests, ["g2", "g5"])]


def test_settings_change_what_is_written(run, tests):
    edges, validation = run(tests, n_listed=7, fractions=[1.0])
    assert len(edges) == 7
    assert validation["lift"].tolist() == [1.0]
    strict = run(tests, alpha=1e-3)[1]
    assert (strict["n_de"] < run(tests)[1]["n_de"]).all()


def test_same_seed_same_bytes_and_fractions_do_not_disturb_each_other(run, tests):
    first = run(tests)[1]
    pd.testing.assert_frame_equal(run(tests)[1], first)
    alone = run(tests, fractions=[0.3])[1]
    pd.testing.assert_frame_equal(alone, first.tail(1).reset_index(drop=True))
    assert not run(tests, seed=4)[1].equals(first)


def test_a_screen_without_testable_edges_goes_on_and_says_so(run, tests, caplog):
    foreign = tests.assign(perturbation=tests["perturbation"] + "x")
    only_itself = tests[(tests["perturbation"] == "g1") & (tests["gene"] == "g1")]
    for own in (foreign, only_itself):
        caplog.clear()
        edges, validation = run(own)
        assert edges.empty
        assert validation.empty
        assert "none of the edges can be tested" in caplog.text
        assert {"null_lift", "in_degree_probability", "sign_agreement"} <= set(validation.columns)


def test_null_permutes_within_causes(run, A, tests):
    edges, validation = run(tests, n_resamples=4000)
    rng = np.random.default_rng(11)
    own = edges[["cause", "effect"]].assign(validated=edges["validated"].astype(float))
    by_cause = own.groupby("cause")["validated"].mean()
    by_gene = own.groupby("effect")["validated"].mean()
    for row in validation.itertuples():
        top = own.head(row.k)
        assert row.n_causes == top["cause"].nunique()
        expected = by_cause[top["cause"]].mean()  # hypergeometric mean of each cause
        assert row.null_probability == pytest.approx(expected, rel=1e-5)
        assert row.null_lift == pytest.approx(row.probability / expected, rel=1e-5)
        in_degree = by_gene[top["effect"]].mean()
        assert row.in_degree_probability == pytest.approx(in_degree, rel=1e-5)
        as_many = 0
        for _ in range(1000):
            shuffled = own.groupby("cause")["validated"].transform(
                lambda calls: rng.permutation(calls.to_numpy())
            )
            as_many += shuffled.head(row.k).sum() >= row.n_validated
        share = as_many / 1000
        error = np.sqrt((share * (1 - share) + 1e-3) / 1000)  # of the loop; the draws' is smaller
        assert row.null_p_value == pytest.approx(share, abs=5 * error)


def test_signs_are_oriented_by_the_change_of_the_cause_itself(run, A, tests):
    own = tests.set_index(["perturbation", "gene"])
    own.loc[("g0", "g0"), "log_fold_change"] = -2.0  # knocked down
    own.loc[("g1", "g1"), "log_fold_change"] = 2.0  # activated
    own.loc[("g2", "g2"), "log_fold_change"] = np.nan  # not known
    edges, validation = run(own.reset_index(), fractions=[1.0])
    for cause, sign in (("g0", -1), ("g1", 1)):
        rows = edges[edges["cause"] == cause]
        expected = np.sign(rows["observed_lfc"]) == sign * np.sign(rows["value"])
        assert rows["sign_agrees"].astype(bool).tolist() == expected.tolist()
    assert edges.loc[edges["cause"] == "g2", "sign_agrees"].isna().all()
    signed = edges[edges["validated"] & edges["sign_agrees"].notna()]
    assert validation["n_signed"].tolist() == [len(signed)]
    assert validation["sign_agreement"].tolist() == pytest.approx(
        [signed["sign_agrees"].astype(bool).mean()], rel=1e-5
    )


def test_failed_perturbations_are_flagged_and_left_out_on_request(run, tests):
    status = [("g3", "g3", "did not move"), ("g4", "g4", "down"), ("g5", "g6", "did not move")]
    edges = run(tests, status=status)[0]
    flags = edges.drop_duplicates("cause").set_index("cause")["target_status"]
    assert flags["g3"] == "did not move"
    assert flags["g4"] == "down"
    assert pd.isna(flags["g5"]) or flags["g5"] == ""  # another gene's status is not its own
    left = run(tests, status=status, leave_out_failed=True)[0]
    assert set(edges["cause"]) - set(left["cause"]) == {"g3"}


def test_several_perturbations_of_a_cause_count_as_one(run, tests):
    names = {"g0": "g0", "g1": "g0_second"}
    two = tests[tests["perturbation"].isin(names)].replace({"perturbation": names})
    listed = [("g0", "g0"), ("g0", "g0_second")]
    edges = run(two, causes=["g0"], listed=listed)[0].set_index("effect")
    for gene in GENES[1:]:
        own = two[two["gene"] == gene]
        assert edges["observed_lfc"][gene] == pytest.approx(own["log_fold_change"].mean(), rel=1e-4)
        assert edges["p_adjusted"][gene] == pytest.approx(
            min(1.0, 2 * own["p_adjusted"].min()), rel=1e-4
        )
