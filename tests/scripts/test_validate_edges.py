"""The script that validates edges against differential expression."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from effects import validate_edges
from lcd_core.errors import InputError
from pipeline.tables import read_tsv, write_tsv

GENES = [f"g{i}" for i in range(20)]
PERTURBED = GENES[:8]

DEFAULTS = {
    "fractions": [0.05, 0.3],
    "alpha": 0.05,
    "n_listed": 1000,
    "n_resamples": 2000,
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
    def run(tests, causes=GENES, **settings):
        rows = [GENES.index(cause) for cause in causes]
        effects = ad.AnnData(
            A.T[rows], obs=pd.DataFrame(index=list(causes)), var=pd.DataFrame(index=GENES)
        )
        effects.write_h5ad(tmp_path / "effects.h5ad")
        write_tsv(tests, tmp_path / "de.tsv")
        outputs = {name: tmp_path / f"{name}.tsv" for name in ("edges", "validation")}
        validate_edges.main(
            effects=str(tmp_path / "effects.h5ad"),
            differential_expression=str(tmp_path / "de.tsv"),
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


def test_a_foreign_screen_is_refused(run, tests):
    foreign = tests.assign(perturbation=tests["perturbation"] + "x")
    with pytest.raises(InputError, match=r"(?s)none of the edges.*causes g0.*perturbations g0x"):
        run(foreign)
    only_itself = tests[(tests["perturbation"] == "g1") & (tests["gene"] == "g1")]
    with pytest.raises(InputError, match="none of the edges"):
        run(only_itself)
