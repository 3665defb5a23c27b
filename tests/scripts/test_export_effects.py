"""The script that exports the strongest effects."""

from typing import NamedTuple

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from effects import export_effects
from lcd_core.errors import InputError
from pipeline.effects import read_effects
from pipeline.tables import read_tsv, write_tsv

GENES = ["A", "B<1>", "C"]


@pytest.fixture
def run(tmp_path):
    def run(obs=None, layers=None, modules=(1, None, 1), **settings):
        #             of A   B<1>   C  (X: cause on rows)
        X = np.array([[9.0, 2.0, -0.5], [0.25, 9.0, -3.0], [1.0, 0.0, 9.0]])
        obs = pd.DataFrame({"perturbed": [True, True, False]}) if obs is None else obs
        obs.index = GENES
        var = pd.DataFrame(index=GENES)
        ad.AnnData(X, obs=obs, var=var, layers=layers).write_h5ad(tmp_path / "e.h5ad")
        membership = pd.DataFrame(
            {"gene": GENES[: len(modules)], "module": pd.array(modules, dtype="Int64")}
        )
        write_tsv(membership, tmp_path / "modules.tsv")
        paths = {
            "annotated": "annotated.h5ad",
            "edges": "edges.tsv",
            "untestable_edges": "untestable.tsv",
            "graphml": "edges.graphml",
        }
        paths = {name: str(tmp_path / file) for name, file in paths.items()}
        export_effects.main(
            effects=str(tmp_path / "e.h5ad"),
            membership=str(tmp_path / "modules.tsv"),
            **paths,
            **({"k": 50} | settings),
        )
        return Exported(
            read_tsv(paths["edges"]),
            read_tsv(paths["untestable_edges"]),
            nx.read_graphml(paths["graphml"]),
            {name: (tmp_path / path).read_bytes() for name, path in paths.items()},
        )

    return run


class Exported(NamedTuple):
    edges: pd.DataFrame
    untestable: pd.DataFrame
    network: nx.DiGraph
    written: dict[str, bytes]


COLUMNS = ["rank", "cause", "effect", "value", "score"]


def test_table_and_network_hold_the_strongest_edges_of_perturbed_genes(run):
    edges, _, network, _ = run(k=3)
    assert edges.columns.tolist() == COLUMNS
    assert edges.to_numpy().tolist() == [
        [1, "B<1>", "C", -3.0, -3.0],
        [2, "A", "B<1>", 2.0, 2.0],
        [3, "A", "C", -0.5, -0.5],
    ]
    assert network.is_directed()
    assert dict(network.nodes(data="perturbed")) == {"A": True, "B<1>": True, "C": False}
    assert network.edges["B<1>", "C"] == {
        "value": -3.0, "weight": 3.0, "sign": "negative", "rank": 1
    }  # fmt: skip
    assert dict(network.nodes(data="module")) == {"A": 1, "B<1>": 0, "C": 1}
    assert network.edges["A", "B<1>"]["sign"] == "positive"
    assert network.number_of_edges() == 3


def test_effects_of_genes_never_perturbed_stand_apart(run):
    """The effect of 1 is larger than two of the perturbed genes', but has a rank of its own."""
    edges, untestable, network, _ = run()
    assert untestable.columns.tolist() == COLUMNS
    assert untestable.to_numpy().tolist() == [[1, "C", "A", 1.0, 1.0], [2, "C", "B<1>", 0.0, 0.0]]
    assert edges["cause"].tolist() == ["B<1>", "A", "A", "B<1>"]
    assert edges["rank"].tolist() == [1, 2, 3, 4]
    assert not network.out_degree("C")
    assert len(run(k=1).untestable) == 1


@pytest.mark.parametrize("perturbed", [True, False])
def test_either_table_may_be_empty(run, perturbed):
    edges, untestable, network, _ = run(obs=pd.DataFrame({"perturbed": [perturbed] * 3}))
    full, empty = (edges, untestable) if perturbed else (untestable, edges)
    assert len(full) == 6
    assert empty.columns.tolist() == full.columns.tolist() == COLUMNS
    assert len(empty) == 0
    assert network.number_of_edges() == (6 if perturbed else 0)


def test_edges_are_ranked_by_score_and_keep_their_values(run):
    score = np.array([[0.0, 1.0, -7.0], [4.0, 0.0, -3.0], [6.0, 5.0, 0.0]])
    edges, untestable, network, _ = run(k=3, layers={"score": score})
    assert edges.to_numpy().tolist() == [
        [1, "A", "C", -0.5, -7.0],
        [2, "B<1>", "A", 0.25, 4.0],
        [3, "B<1>", "C", -3.0, -3.0],
    ]
    assert untestable["score"].tolist() == [6.0, 5.0]
    assert network.edges["A", "C"] == {
        "value": -0.5, "weight": 7.0, "sign": "negative", "rank": 1
    }  # fmt: skip


def test_more_edges_than_there_are_and_same_bytes(run):
    first = run(k=100)
    assert len(first.edges) + len(first.untestable) == 6
    assert run(k=100).written == first.written


def test_errors_give_intervals(run):
    error = np.full((3, 3), 0.5)
    error[1, 2] = 1.0  # of B<1> on C
    edges, untestable, network, _ = run(k=2, layers={"error": error, "resolution": error / 2})
    assert edges.columns.tolist() == [*COLUMNS, "low", "high", "error", "resolution"]
    assert edges["error"].tolist() == [1.0, 0.5]
    reach = norm.ppf(0.975) * np.array([1.0, 0.5])
    np.testing.assert_allclose(edges["low"], np.array([-3, 2]) - reach, rtol=1e-5)
    np.testing.assert_allclose(edges["high"], np.array([-3, 2]) + reach, rtol=1e-5)
    assert untestable.columns.tolist() == edges.columns.tolist()
    assert network.edges["B<1>", "C"]["resolution"] == 0.5
    assert network.edges["B<1>", "C"]["error"] == 1.0


def test_spread_over_fits_is_exported_where_there_is_any(run):
    sd = np.arange(9.0).reshape(3, 3)
    layers = {"sd": sd, "sign_agreement": sd / 10, "initial": sd}
    edges, untestable, network, _ = run(k=2, layers=layers)
    assert edges.columns.tolist() == [*COLUMNS, "sd", "sign_agreement"]
    assert edges["sd"].tolist() == [5.0, 1.0]
    assert untestable["sd"].tolist() == [6.0, 7.0]
    assert network.edges["B<1>", "C"]["sign_agreement"] == pytest.approx(0.5)


def test_modules_are_annotated_on_both_axes(run, tmp_path):
    run(k=1)
    matrix = read_effects(tmp_path / "annotated.h5ad")
    for table in (matrix.obs, matrix.var):
        assert table["module"].isna().tolist() == [False, True, False]
        assert table["module"].dropna().tolist() == [1, 1]


def test_bad_requests_are_refused(run):
    with pytest.raises(InputError, match="k = 0"):
        run(k=0)
    with pytest.raises(InputError, match="perturbed"):
        run(obs=pd.DataFrame({"other": [1, 2, 3]}))
    with pytest.raises(InputError, match=r"(?s)missing.*C"):
        run(modules=(1, 1))
